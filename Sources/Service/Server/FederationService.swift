import FedTrain
import Foundation
import Models
import SecureAgg

/// A whole server for one run: coordinator, HTTPS, and the end of both.
package struct FederationService {
    /// Where and how to serve.
    package struct Listening: Sendable {
        package var host: String
        package var port: Int
        /// Nil serves in clear.
        package var certificate: ServerCertificate?
        /// The port of the dashboard on 127.0.0.1; nil: none.
        package var dashboard: Int?

        package init(
            host: String, port: Int, certificate: ServerCertificate?, dashboard: Int? = nil
        ) {
            self.dashboard = dashboard
            self.host = host
            self.port = port
            self.certificate = certificate
        }
    }

    package struct Outcome: Sendable {
        package let ending: Coordinator.Outcome
        package let started: Int
        package let released: Int
        package let epsilon: Double
        package let before: HeldOutTest.Score?
        package let after: HeldOutTest.Score?
    }

    /// Serves the run until it is over.
    ///
    /// - Parameters:
    ///   - onListening: called with the port and the coordinator once clients can come.
    ///   - shouldStop: asked all the time; true ends the run after the open round.
    package static func run(
        _ setup: sending ServerSetup, listening: Listening, timing: Coordinator.Timing,
        limits: ServiceLimits, environment: Coordinator.Environment,
        onListening: @escaping @Sendable (_ port: Int, Coordinator) async -> Void = { _, _ in },
        shouldStop: @escaping @Sendable () -> Bool = { false },
        observe: @escaping @Sendable (ServiceEvent) -> Void
    ) async throws -> Outcome {
        let plan = setup.run.plan
        let (key, roster) = (setup.key, setup.roster)
        let coordinator = Coordinator(
            host: setup.host(), key: key, roster: roster, timing: timing, limits: limits,
            environment: environment,
            privacy: (plan.epsilonMax.asDouble, plan.delta.asDouble, plan.unit.rawValue),
            isEncrypted: listening.certificate != nil, observe: observe)
        let server = ServiceServer(
            coordinator: coordinator, certificate: listening.certificate, limits: limits,
            environment: environment)
        let ending = try await withThrowingTaskGroup(of: Coordinator.Outcome?.self) { group in
            group.addTask {
                try await server.serve(host: listening.host, port: listening.port) { port in
                    await onListening(port, coordinator)
                }
                return nil
            }
            if let port = listening.dashboard {
                group.addTask {
                    try await DashboardRoutes(coordinator).serve(port: port)
                    return nil
                }
            }
            group.addTask {
                let outcome = try await coordinator.run()
                // Clients learn of the end before the server goes away.
                await coordinator.drain(seconds: 20)
                return outcome
            }
            group.addTask {
                while !Task.isCancelled, !shouldStop() { try await Task.sleep(for: .milliseconds(200)) }
                await coordinator.stop()
                try await Task.sleep(for: .seconds(86_400 * 365))
                return nil
            }
            defer { group.cancelAll() }
            while let outcome = try await group.next() {
                if let outcome { return outcome }
                // The server ended by itself: nobody can take part any more.
                throw CancellationError()
            }
            throw CancellationError()
        }
        let (counts, epsilon, scores) = try await coordinator.totals()
        return Outcome(
            ending: ending, started: counts.started, released: counts.released, epsilon: epsilon,
            before: scores.before, after: scores.after)
    }
}

extension Coordinator {
    func totals() throws -> (
        counts: (started: Int, released: Int), epsilon: Double,
        scores: (before: HeldOutTest.Score?, after: HeldOutTest.Score?)
    ) {
        (host.counts, try host.epsilonSpent, (host as? RunHost)?.scores ?? (nil, nil))
    }
}
