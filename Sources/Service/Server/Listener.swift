import Hummingbird
import NIOCore
import Synchronization

/// Runs an HTTP application until its task is cancelled, and then lets go of it without stopping the process.
///
/// A connection that was accepted and that nobody has taken up when the library's task is cancelled traps in
/// the library (swift-nio issues 2637 and 3481). So at the end no more are accepted, then those on their way
/// are taken up, and only then is the task cancelled, which closes all of them.
final class Listener: Sendable {
    private let channel = Mutex<(any Channel)?>(nil)

    /// To be told of the listening channel, by the application.
    func opened(_ channel: any Channel) { self.channel.withLock { $0 = channel } }

    func run(_ application: some ApplicationProtocol) async throws {
        let serving = Task { try await application.run() }
        try await withTaskCancellationHandler {
            try await serving.value
        } onCancel: {
            Task {
                if let channel = channel.withLock({ $0 }) {
                    try? await channel.setOption(.autoRead, value: false).get()
                    try? await Task.sleep(for: .milliseconds(50))
                }
                serving.cancel()
            }
        }
    }
}
