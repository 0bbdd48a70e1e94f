import Dispatch
import SecureAgg
import Sodium

/// What the driver asks of one client: decisions about data, training and spending are made here.
///
/// All calls come one after another on one thread, and each may take as long as training takes.
package protocol SiteHost: AnyObject {
    /// Looks at a run's terms and gets ready, or refuses by throwing. Called again after a restart of the
    /// server, with the same terms if it is the same run.
    func enter(_ terms: HostTerms, identity: ClientIdentity, roster: Roster) throws
    /// Whether this round may be entered: it was not before.
    func mayEnter(_ round: Int) throws -> Bool
    /// Pays for a round and trains.
    func contribution(round: Int, adapter: [UInt8], digest: Digest) throws -> [Int32]
    func session(round: Int, incoming: Digest) throws -> (session: ClientSession, random: StreamRandom)
    /// Must be durable before any part of the masked vector leaves.
    func commit(_ round: Int) throws
    /// The round is over for this client: what was not committed is taken back.
    func settle(_ round: Int) throws
    func close() throws
}

/// Owns a value that is not safe to share, and lets one caller at a time work on it, off the threads
/// that the network needs.
final class SerialWorker<Value>: @unchecked Sendable {
    // Touched only inside `run`, which the queue runs one at a time.
    private let value: Value
    private let queue: DispatchQueue

    init(_ value: sending Value, label: String) {
        self.value = value
        queue = DispatchQueue(label: label)
    }

    func run<Result: Sendable>(_ body: @escaping @Sendable (Value) throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result { try body(self.value) }) }
        }
    }
}
