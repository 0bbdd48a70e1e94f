import Sodium
import Synchronization

/// Lets the clients of one process check a cohort once: for drills and simulations of many clients.
///
/// A client that shares a cache trusts the checks of the others, which is only sound where all of them
/// are one program; networked clients have none.
final class CohortCache: Sendable {
    private let checked = Mutex<[Digest: Cohort]>([:])

    /// The cohort of these bytes under this manifest, checked now or before.
    func cohort(
        _ bytes: [UInt8], context: ClientContext
    ) throws(AggregationFault) -> Cohort {
        var hasher = Hasher256()
        hasher.update(context.manifestDigest.bytes)
        hasher.update(bytes)
        let name = hasher.finish()
        if let known = checked.withLock({ $0[name] }) { return known }
        let cohort = try Cohort(bytes, context: context)
        // Two threads may check at once; they find the same.
        checked.withLock { $0[name] = cohort }
        return cohort
    }
}
