import Hummingbird
import NIOCore

/// One request's context: the framework's, and the connection, so that it can be closed.
struct ServiceContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// Where the request comes from, without the port.
    var address: String { channel.remoteAddress?.ipAddress ?? "unknown" }

    /// Ends the connection a moment later: what is still on its way is not worth reading.
    func closeSoon() {
        channel.eventLoop.scheduleTask(in: .milliseconds(200)) { [channel] in
            channel.close(promise: nil)
        }
    }
}
