import FedTrain
import Foundation
import SecureAgg
import Service
import Sodium
import SwiftProtobuf
import Synchronization
import Testing

/// What a bad network or a bad peer can do to a round: delay it, at most.
@Suite(.serialized) struct HostileNetworkTests {
    private static let isSlow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"

    @Test func aRoundSumsExactly() async throws {
        let toy = try ToyFederation(clients: 5, dimension: 3000, rounds: 2)
        let outcome = try await toy.serve { port, _ in
            let outcomes = try await toy.runClients(1...5, port: port)
            #expect(outcomes.allSatisfy { $0.contributed == 2 && $0.verified == 2 })
        }
        #expect(outcome == .finished)
        #expect(toy.released.withLock { $0.map(\.survivors.count) } == [5, 5])
        #expect(toy.sumsAreExact())
    }

    /// 1,000 cuts, only with FEDTRAIN_SLOW_TESTS=1 (about two minutes).
    @Test(.enabled(if: isSlow)) func uploadsCutAtRandomResumeToTheSameSum() async throws {
        let cuts = Self.isSlow ? 1000 : 60
        let toy = try ToyFederation(
            clients: 3, dimension: Self.isSlow ? 800_000 : 40_000, minSurvivors: 3,
            timing: .init(gather: 300, train: 300, stage: 600, grace: 300))
        let seed: UInt64 = 20_261_122
        print("seed \(seed)")
        let outcome = try await toy.serve { port, _ in
            let proxy = try await CuttingProxy(target: port, cuts: cuts, bytesMax: 12_000, seed: seed)
            // A record of TLS that is cut is lost as a whole, so pieces are smaller than what gets through.
            _ = try await toy.runClients(
                1...3, port: proxy.port,
                settings: .init(patience: 120, pieceBytes: 4 << 10, firstPause: 0.005))
            #expect(proxy.cuts >= cuts)
            await proxy.close()
        }
        #expect(outcome == .finished)
        #expect(toy.released.withLock { $0.map(\.survivors.count) } == [3])
        #expect(toy.sumsAreExact())
    }

    @Test func aClientLostAtEachStageCostsNobodyElseTheRound() async throws {
        for stage in [Stage.shareKeys, .submitMaskedInput, .confirmSurvivors, .unmask] {
            let toy = try ToyFederation(
                clients: 5, dimension: 500, minCohort: 4, minSurvivors: 3,
                timing: .init(gather: 20, train: 20, stage: 2, grace: 20))
            let outcome = try await toy.serve { port, _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...4 {
                        group.addTask { _ = try await toy.client(number, port: port).run() }
                    }
                    group.addTask {
                        // Lost right after the stage before.
                        let before = Stage(rawValue: stage.rawValue - 1)!
                        let lost = Task { () throws -> Void in
                            _ = try await toy.client(5, port: port) { event in
                                if case .stageAnswered(before, round: 1) = event {
                                    withUnsafeCurrentTask { $0?.cancel() }
                                }
                            }.run()
                        }
                        _ = await lost.result
                    }
                    try await group.waitForAll()
                }
            }
            #expect(outcome == .finished)
            let survivors = toy.released.withLock { $0.map(\.survivors.count) }
            #expect(survivors == [stage <= .submitMaskedInput ? 4 : 5], "\(stage)")
            #expect(toy.sumsAreExact())
        }
    }

    // MARK: Bad peers

    /// Every request here is refused, and an honest round goes on beside them.
    @Test func malformedRequestsAreRefusedByName() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 200)
        _ = try await toy.serve { port, coordinator in
            let bearer = "Authorization: Bearer \(String(repeating: "ab", count: 32))\r\n"
            let cases: [(request: String, statuses: Set<Int>)] = [
                ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", [404]),
                ("GET /v1/next?after=0 HTTP/1.1\r\nHost: h\r\n\r\n", [401]),
                ("GET /v1/next?after=0 HTTP/1.1\r\nHost: h\r\n\(bearer)\r\n", [401]),
                ("GET /v1/next HTTP/1.1\r\nHost: h\r\n\(bearer)\r\n", [400]),
                ("DELETE /v1/sessions HTTP/1.1\r\nHost: h\r\n\r\n", [404, 405]),
                ("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", [400]),
                ("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", [400]),
                (
                    "POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\nx",
                    [400, 413]
                ),
                ("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx", [413]),
                ("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", [400]),
                (
                    "POST /v1/rounds/1/mask/0?offset=0&total=18446744073709551615 HTTP/1.1\r\nHost: h\r\n"
                        + "\(bearer)Content-Length: 1\r\n\r\nx", [400]
                ),
                (
                    "POST /v1/rounds/99999999999/mask/0?offset=0&total=1 HTTP/1.1\r\nHost: h\r\n"
                        + "\(bearer)Content-Length: 1\r\n\r\nx", [404]
                ),
                ("nonsense\r\n\r\n", [400]),
                (
                    "GET / HTTP/1.1\r\nHost: h\r\n"
                        + (0..<500).map { "X-\($0): y\r\n" }.joined() + "\r\n", [400, 431]
                ),
                (
                    "GET / HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "y", count: 200_000))\r\n\r\n",
                    [400, 431]
                ),
            ]
            for (request, statuses) in cases {
                let connection = try await RawConnection.open(
                    port: port, certificate: toy.certificate.certificate)
                try? await connection.send(request)
                let status = await connection.status()
                #expect(
                    status.map(statuses.contains) ?? connection.isClosed,
                    "\(status ?? 0) for \(request.prefix(60))")
                if let status, status != 431, !statuses.contains(431) {
                    #expect(connection.answer.contains("urn:fedtrain:problem:") || status == 400)
                }
                await connection.cut()
            }
            _ = try await toy.runClients(1...3, port: port)
            #expect(await coordinator.status.rejected.values.reduce(0, +) >= 8)
        }
        #expect(toy.sumsAreExact())
    }

    /// 100 connections that say half a sentence; 1,000 with FEDTRAIN_SLOW_TESTS=1 (about 20 s).
    @Test func connectionsThatStallAreClosedWhileARoundGoesOn() async throws {
        let count = Self.isSlow ? 1000 : 100
        func seconds(stalling: Int) async throws -> Double {
            let toy = try ToyFederation(clients: 5, dimension: 20_000)
            var limits = ServiceLimits()
            limits.idleSeconds = 2
            let elapsed = Mutex(0.0)
            _ = try await toy.serve(limits: limits) { port, _ in
                var stalled: [RawConnection] = []
                for _ in 0..<stalling {
                    let connection = try await RawConnection.open(
                        port: port, certificate: toy.certificate.certificate)
                    try await connection.send("POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Le")
                    stalled.append(connection)
                }
                let began = NetworkFixture.seconds()
                _ = try await toy.runClients(1...5, port: port)
                elapsed.withLock { $0 = NetworkFixture.seconds() - began }
                try await Task.sleep(for: .seconds(stalling > 0 ? 3 : 0))
                #expect(stalled.allSatisfy { $0.isClosed })
            }
            #expect(toy.sumsAreExact())
            return elapsed.withLock { $0 }
        }
        let alone = try await seconds(stalling: 0)
        let beside = try await seconds(stalling: count)
        // Twice the time, and a second for what else this machine does.
        #expect(beside <= 2 * alone + 1, "alone \(alone) s, beside \(count) stalled \(beside) s")
    }

    @Test func aRequestForASessionIsTakenOnce() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        _ = try await toy.serve { port, coordinator in
            var request = Fedtrain_Service_V1_SessionRequest()
            request.version = 1
            request.identityKey = Data(toy.key(1).verifyingKey.bytes)
            request.serverKey = Data(toy.serverKey.verifyingKey.bytes)
            request.time = UInt64(NetworkFixture.epoch)
            request.nonce = Data(repeating: 7, count: 32)
            let body = [UInt8](try request.serializedData())
            var signed = Fedtrain_Service_V1_SignedSessionRequest()
            signed.body = Data(body)
            signed.signature = Data(
                toy.key(1).sign(Digest.labelled("fedtrain/v1/session-request", [body]).bytes))
            let bytes = [UInt8](try signed.serializedData())
            _ = try await coordinator.openSession(bytes, from: "a")
            await #expect(throws: Problem(.replayed, "this request was made before")) {
                try await coordinator.openSession(bytes, from: "a")
            }
            // Every other byte string of the same length is refused as well.
            for index in stride(from: 0, to: bytes.count, by: 7) {
                var changed = bytes
                changed[index] ^= 0x40
                await #expect(throws: Problem.self) {
                    try await coordinator.openSession(changed, from: "b")
                }
            }
            _ = try await toy.runClients(1...3, port: port)
        }
    }
}
