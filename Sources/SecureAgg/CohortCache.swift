import Sodium
import Synchronization

/// Lets the clients of one process check a round's public facts once, the cohort and its signatures under the
/// survivor list: for drills and simulations of many clients.
///
/// A client that shares a cache trusts the checks of the others, which is only sound where all of them
/// are one program; networked clients have none. It keeps what the latest cohort needs and no more.
package final class CohortCache: Sendable {
    private struct Checked {
        var name: Digest?
        var cohort: Cohort?
        /// Digests of survivor lists with their session, a signer's key and a signature that is right.
        var signed: Set<Digest> = []
    }
    private let checked = Mutex(Checked())

    package init() {}

    /// The cohort of these bytes under this manifest, checked now or before.
    func cohort(
        _ bytes: [UInt8], context: ClientContext
    ) throws(AggregationFault) -> Cohort {
        let name = Self.digest([context.manifestDigest.bytes, bytes])
        if let known = checked.withLock({ $0.name == name ? $0.cohort : nil }) { return known }
        let cohort = try Cohort(bytes, context: context)
        // Two threads may check at once; they find the same.
        checked.withLock { checked in
            if checked.name != name { checked = Checked(name: name, cohort: cohort) }
        }
        return cohort
    }

    /// Whether the signature is right, checked now or before. A wrong one is checked each time.
    func isSigned(
        _ statement: SurvivorStatement, _ signature: [UInt8], by key: VerifyingKey, session: Digest
    ) -> Bool {
        let name = Self.digest([session.bytes, key.bytes, signature, statement.body])
        if checked.withLock({ $0.signed.contains(name) }) { return true }
        guard statement.isSigned(signature, by: key, session: session) else { return false }
        checked.withLock { _ = $0.signed.insert(name) }
        return true
    }

    /// Every part but the last has one length only.
    private static func digest(_ parts: [[UInt8]]) -> Digest {
        var hasher = Hasher256()
        for part in parts { hasher.update(part) }
        return hasher.finish()
    }
}
