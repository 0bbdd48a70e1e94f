import FedTrain
import Foundation
import NIOSSL
import Service
import Testing

/// The read-only view: complete, harmless, and only for this machine.
@Suite(.serialized) struct DashboardTests {
    private func get(_ path: String, port: Int, host: String = "127.0.0.1") async throws -> String {
        let connection = try await RawConnection.open(port: port, certificate: nil)
        try await connection.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
        let deadline = Date().addingTimeInterval(path == "/events" ? 1.5 : 5)
        while !connection.isClosed, Date() < deadline { try await Task.sleep(for: .milliseconds(20)) }
        await connection.cut()
        return connection.answer
    }

    private func withDashboard(_ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        _ = try await toy.serve { port, coordinator in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (ports, continuation) = AsyncStream<Int>.makeStream()
                group.addTask {
                    try await DashboardRoutes(coordinator).serve(port: 0) { continuation.yield($0) }
                }
                _ = try await toy.runClients(1...3, port: port)
                for await dashboard in ports {
                    try await body(dashboard)
                    break
                }
                group.cancelAll()
            }
        }
    }

    @Test func everyPageAnswersWithCountsAndNothingElse() async throws {
        try await withDashboard { port in
            let page = try await get("/", port: port)
            #expect(page.contains("1 of 1") && page.contains("client-2"))
            #expect(page.contains("default-src 'none'"))
            // Nothing is loaded from anywhere.
            #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("src="))
            let metrics = try await get("/metrics", port: port)
            #expect(metrics.contains("fedtrain_rounds_released_total 1\n"))
            let status = try await get("/status.json", port: port)
            #expect(status.contains("\"roundsReleased\":1"))
            #expect(try await get("/healthz", port: port).contains("200"))
            let events = try await get("/events", port: port)
            #expect(events.contains("text/event-stream") && events.contains("data: {"))
        }
    }

    @Test func theDashboardAnswersToNamesOfThisMachineOnly() async throws {
        try await withDashboard { port in
            #expect(try await get("/", port: port, host: "localhost:\(port)").hasPrefix("HTTP/1.1 200"))
            for host in ["evil.example", "evil.example:\(port)", "127.0.0.1.evil.example", ""] {
                let answer = try await get("/status.json", port: port, host: host)
                #expect(!answer.contains("roundsReleased"), "\(host)")
            }
        }
    }

    @Test func theServiceSpeaksTLS13AndNothingOlder() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        _ = try await toy.serve { port, _ in
            let old = try await RawConnection.open(
                port: port, certificate: toy.certificate.certificate, versionMax: .tlsv12)
            try? await old.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await old.status(within: 2) == nil)
            let plain = try await RawConnection.open(port: port, certificate: nil)
            try? await plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await plain.status(within: 2) == nil)
            _ = try await toy.runClients(1...3, port: port)
        }
    }
}
