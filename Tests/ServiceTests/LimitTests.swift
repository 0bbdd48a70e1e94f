import Foundation
import Service
import Sodium
import SwiftProtobuf
import Synchronization
import Testing

/// How much one client, or many connections at once, can make a server hold, and how it lets go of them.
@Suite(.serialized) struct LimitTests {
    /// Opens a session by hand.
    private func token(
        _ number: Int, _ toy: ToyFederation, _ coordinator: Coordinator
    ) async throws -> [UInt8] {
        var request = Fedtrain_Service_V1_SessionRequest()
        request.version = 1
        request.identityKey = Data(toy.key(number).verifyingKey.bytes)
        request.serverKey = Data(toy.serverKey.verifyingKey.bytes)
        request.time = UInt64(NetworkFixture.epoch)
        request.nonce = Data(repeating: UInt8(number), count: 32)
        let body = [UInt8](try request.serializedData())
        var signed = Fedtrain_Service_V1_SignedSessionRequest()
        signed.body = Data(body)
        signed.signature = Data(
            toy.key(number).sign(Digest.labelled("fedtrain/v1/session-request", [body]).bytes))
        let answer = try Fedtrain_Service_V1_SignedSession(
            serializedBytes: try await coordinator.openSession(
                [UInt8](try signed.serializedData()), from: "a"))
        return [UInt8](try Fedtrain_Service_V1_Session(serializedBytes: answer.body).token)
    }

    @Test func aClientHasEightBodiesOnTheWayAndNotOneMore() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        _ = try await toy.serve { port, coordinator in
            var tokens: [[UInt8]] = []
            for number in 1...3 { tokens.append(try await token(number, toy, coordinator)) }
            // All three are here, so the round opens within a moment.
            var taken = 0
            for _ in 0..<200 where taken == 0 {
                if (try? await coordinator.adapter(tokens[0], round: 1)) != nil {
                    taken = 1
                } else {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let limit = ServiceLimits().transfersMax
            #expect(limit == 8)
            for _ in taken..<limit { _ = try await coordinator.adapter(tokens[0], round: 1) }
            let tooMany = Problem(
                .tooManyRequests, "too many bodies of this client at once", retryAfter: 1)
            await #expect(throws: tooMany) { try await coordinator.adapter(tokens[0], round: 1) }
            let place = Coordinator.MessagePlace(round: 1, stage: .advertiseKeys, index: 0)
            await #expect(throws: tooMany) {
                try await coordinator.admit(tokens[0], place, offset: 0, total: 100)
            }
            #expect(tooMany.kind.status == 429)
            // Another client is not meant, and one body that is through makes room for one.
            _ = try await coordinator.adapter(tokens[1], round: 1)
            await coordinator.transferEnded(tokens[0])
            try await coordinator.admit(tokens[0], place, offset: 0, total: 100)
            await #expect(throws: tooMany) { try await coordinator.adapter(tokens[0], round: 1) }
            _ = try await toy.runClients(1...3, port: port)
        }
        #expect(toy.sumsAreExact())
    }

    /// Connections that come in while the server goes away; the library stops the process if one of them is
    /// accepted and never taken up.
    @Test func aServerGoesAwayWhileConnectionsComeIn() async throws {
        for _ in 0..<10 {
            let toy = try ToyFederation(clients: 3, dimension: 100)
            let knocking = Mutex<[Task<Void, Never>]>([])
            _ = try await toy.serve { port, coordinator in
                for _ in 0..<8 {
                    let task = Task {
                        while !Task.isCancelled {
                            let connection = try? await RawConnection.open(port: port, certificate: nil)
                            await connection?.cut()
                        }
                    }
                    knocking.withLock { $0.append(task) }
                }
                try await Task.sleep(for: .milliseconds(100))
            }
            for task in knocking.withLock({ $0 }) {
                task.cancel()
                await task.value
            }
        }
    }
}
