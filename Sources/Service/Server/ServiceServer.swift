import FedTrain
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL

/// The HTTPS server around a coordinator.
package struct ServiceServer: Sendable {
    package let coordinator: Coordinator
    /// Nil serves in clear, which only an explicit choice may ask for.
    package let certificate: ServerCertificate?
    package let limits: ServiceLimits
    package let environment: Coordinator.Environment

    package init(
        coordinator: Coordinator, certificate: ServerCertificate?, limits: ServiceLimits,
        environment: Coordinator.Environment
    ) {
        self.coordinator = coordinator
        self.certificate = certificate
        self.limits = limits
        self.environment = environment
    }

    /// Serves until the task is cancelled.
    ///
    /// - Parameter onListening: called with the port once connections are taken.
    package func serve(
        host: String, port: Int, onListening: @escaping @Sendable (_ port: Int) async -> Void
    ) async throws {
        let http = HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                idleTimeout: .seconds(Int64(limits.idleSeconds)),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                    maxHeaderFieldCount: limits.headerCount)))
        let routes = ServiceRoutes(
            coordinator: coordinator, limits: limits, monotonic: environment.monotonic)
        var quiet = Logger(label: "fedtrain")
        quiet.logLevel = .critical
        let listener = Listener()
        let application = Application(
            router: routes.router(),
            server: try certificate.map {
                try .tls(http, tlsConfiguration: $0.tlsConfiguration())
            } ?? http,
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), backlog: 1024,
                availableConnectionsDelegate: .maximum(limits.connections, logger: quiet)),
            onServerRunning: { channel in
                listener.opened(channel)
                await onListening(channel.localAddress?.port ?? port)
            },
            logger: quiet)
        try await listener.run(application)
    }
}
