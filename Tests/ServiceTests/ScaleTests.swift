import FedTrain
import Foundation
import SecureAgg
import Service
import Testing

/// Many clients at once over real TLS. Two minutes at most, so only with FEDTRAIN_SLOW_TESTS=1.
@Suite(
    .serialized, .enabled(if: ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"))
struct ScaleTests {
    @Test func twoHundredClientsOfWhomATenthIsLostSumExactly() async throws {
        let toy = try ToyFederation(
            clients: 200, dimension: 100_000, minCohort: 200, minSurvivors: 150, modulusBits: 20,
            timing: .init(gather: 120, train: 120, stage: 60, grace: 120))
        let began = NetworkFixture.seconds()
        let outcome = try await toy.serve { port, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...200 {
                    group.addTask {
                        let isLost = number % 10 == 0
                        let task = Task { () throws -> Void in
                            _ = try await toy.client(
                                number, port: port, settings: .init(patience: 120)
                            ) { event in
                                if isLost, case .stageAnswered(.shareKeys, round: 1) = event {
                                    withUnsafeCurrentTask { $0?.cancel() }
                                }
                            }.run()
                        }
                        do { try await task.value } catch { #expect(isLost, "client \(number): \(error)") }
                    }
                }
                try await group.waitForAll()
            }
        }
        let seconds = NetworkFixture.seconds() - began
        print(
            "200 clients, d = 100,000, 20 lost: \(seconds) s, peak memory of server and clients together \(Self.peakMebibytes()) MiB"
        )
        #expect(outcome == .finished)
        #expect(toy.released.withLock { $0.map(\.survivors.count) } == [180])
        #expect(toy.sumsAreExact())
    }

    private static func peakMebibytes() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        return (line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first ?? 0) / 1024
    }
}
