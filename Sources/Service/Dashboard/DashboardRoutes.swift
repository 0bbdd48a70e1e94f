import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// A read-only view of a running server for people and monitors on the same machine: a page that keeps
/// itself up to date, Prometheus metrics, and two probes. It shows counts and deadlines; of single
/// clients only names and when they were heard of last.
package struct DashboardRoutes: Sendable {
    private let coordinator: Coordinator

    package init(_ coordinator: Coordinator) { self.coordinator = coordinator }

    /// Serves on loopback until the task is cancelled.
    package func serve(
        host: String = "127.0.0.1", port: Int, onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) async throws {
        var quiet = Logger(label: "fedtrain.dashboard")
        quiet.logLevel = .critical
        let listener = Listener()
        let application = Application(
            router: router(), server: .http1(configuration: .init(idleTimeout: .seconds(60))),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: .maximum(256, logger: quiet)),
            onServerRunning: { channel in
                listener.opened(channel)
                await onListening(channel.localAddress?.port ?? port)
            }, logger: quiet)
        try await listener.run(application)
    }

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.addMiddleware { LocalNamesOnly() }
        let coordinator = coordinator
        router.get("/") { _, _ in
            let status = await coordinator.status
            return Self.response("text/html; charset=utf-8", DashboardPage.html(status))
        }
        router.get("/status.json") { _, _ in
            Self.response("application/json", try Self.json(await coordinator.status))
        }
        router.get("/metrics") { _, _ in
            Self.response("text/plain; version=0.0.4", Self.metrics(await coordinator.status))
        }
        router.get("/healthz") { _, _ in Self.response("text/plain", "ok\n") }
        router.get("/readyz") { _, _ in
            let status = await coordinator.status
            return status.isFinished
                ? Self.response("text/plain", "the run is over\n", status: .serviceUnavailable)
                : Self.response("text/plain", "ok\n")
        }
        router.get("/events") { _, _ in Self.events(coordinator) }
        return router
    }

    /// Server-sent events: the whole status, whenever it changed, at most twice a second.
    private static func events(_ coordinator: Coordinator) -> Response {
        let body = ResponseBody { writer in
            var latest = ""
            var silence = 0
            while !Task.isCancelled {
                let text = try json(await coordinator.status)
                if text != latest {
                    latest = text
                    silence = 0
                    try await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
                } else if silence >= 30 {
                    silence = 0
                    // A comment tells whether anyone is still there.
                    try await writer.write(ByteBuffer(string: ": still here\n\n"))
                }
                silence += 1
                try await Task.sleep(for: .milliseconds(500))
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers("text/event-stream"), body: body)
    }

    private static func json(_ status: ServiceStatus) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(status), as: UTF8.self)
    }

    private static func response(
        _ type: String, _ text: String, status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status, headers: headers(type), body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private static func headers(_ type: String) -> HTTPFields {
        var headers: HTTPFields = [.contentType: type, .cacheControl: "no-store"]
        // Nothing is loaded from anywhere else, and nobody may frame the page.
        headers[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
            + "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        headers[HTTPField.Name("X-Content-Type-Options")!] = "nosniff"
        headers[HTTPField.Name("Referrer-Policy")!] = "no-referrer"
        return headers
    }

    /// Prometheus text format.
    static func metrics(_ status: ServiceStatus) -> String {
        var lines: [String] = []
        func metric(
            _ name: String, _ type: String, _ help: String, _ values: [(labels: String, value: String)]
        ) {
            lines.append("# HELP fedtrain_\(name) \(help)")
            lines.append("# TYPE fedtrain_\(name) \(type)")
            for value in values { lines.append("fedtrain_\(name)\(value.labels) \(value.value)") }
        }
        metric("rounds_planned", "gauge", "Rounds of the run.", [("", "\(status.roundsPlanned)")])
        metric("rounds_started_total", "counter", "Rounds started.", [("", "\(status.roundsStarted)")])
        metric(
            "rounds_released_total", "counter", "Rounds whose sum was opened.",
            [("", "\(status.roundsReleased)")])
        if let epsilon = status.epsilon {
            metric(
                "epsilon_spent", "gauge", "Epsilon charged so far, at the run's delta.", [("", "\(epsilon)")])
        }
        metric("epsilon_max", "gauge", "Epsilon that the run will not pass.", [("", "\(status.epsilonMax)")])
        metric(
            "clients_known", "gauge", "Clients that have opened a session.", [("", "\(status.members.count)")]
        )
        metric(
            "clients_present", "gauge", "Clients heard of in the last 45 seconds.",
            [("", "\(status.presentCount)")])
        metric("requests_total", "counter", "Requests taken.", [("", "\(status.requests)")])
        metric("received_bytes_total", "counter", "Bytes of messages received.", [("", "\(status.bytesIn)")])
        metric(
            "rejected_total", "counter", "Requests refused, by reason.",
            status.rejected.sorted { $0.key < $1.key }.map { ("{reason=\"\($0.key)\"}", "\($0.value)") })
        return lines.joined(separator: "\n") + "\n"
    }
}

/// Answers only to names of this machine, so that no page of another site can read the view through a
/// browser by giving its own name this address.
struct LocalNamesOnly: RouterMiddleware {
    typealias Context = BasicRequestContext

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let authority = request.head.authority ?? ""
        let host =
            authority.hasPrefix("[")
            ? String(authority.prefix { $0 != "]" }) + "]" : String(authority.prefix { $0 != ":" })
        guard ["localhost", "127.0.0.1", "[::1]"].contains(host) else {
            return Response(status: .misdirectedRequest)
        }
        return try await next(request, context)
    }
}
