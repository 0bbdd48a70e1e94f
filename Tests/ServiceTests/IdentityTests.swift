import FedTrain
import Foundation
import SecureAgg
import Service
import Sodium
import SwiftProtobuf
import Testing

/// Who is let in, and which server is believed.
@Suite(.serialized) struct IdentityTests {
    private func refusal(_ body: () async throws -> Void) async -> (any Error)? {
        do {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    private func kind(_ error: (any Error)?) -> Problem.Kind? {
        guard case .refused(let problem)? = error as? ClientFailure else { return nil }
        return problem.kind
    }

    private func stranger() -> SigningKey {
        var random = StreamRandom(seed: 77, label: "stranger")
        return SigningKey(generatedBy: &random)
    }

    private func environment(offset: Int) -> Coordinator.Environment {
        Coordinator.Environment(
            epochSeconds: { NetworkFixture.epoch + offset }, monotonic: { NetworkFixture.seconds() },
            randomBytes: { count in
                var random = SystemRandom()
                return random.bytes(count)
            })
    }

    @Test func onlyTheRightIdentityAtTheRightServerGetsIn() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        let year = 365 * 86_400
        let other = try ServerCertificate.selfSigned(
            name: "other", hosts: ["127.0.0.1"], now: Int(Date().timeIntervalSince1970))
        _ = try await toy.serve { port, _ in
            var error = await refusal { _ = try await toy.client(1, port: port, key: stranger()).run() }
            #expect(kind(error) == .unknownIdentity)

            for offset in [-year, -301, 301, year] {
                error = await refusal {
                    _ = try await toy.client(1, port: port, environment: environment(offset: offset)).run()
                }
                #expect(kind(error) == .clockSkew, "\(offset) s")
            }

            // A request made for another server's key is of no use here, nor is the answer.
            error = await refusal {
                _ = try await toy.client(
                    1, port: port, enrolment: toy.enrolment(port: port, server: stranger())
                ).run()
            }
            #expect(kind(error) == .wrongServer)

            error = await refusal {
                _ = try await toy.client(
                    1, port: port,
                    enrolment: toy.enrolment(port: port, certificate: other.certificate)
                ).run()
            }
            guard case .wrongServer? = error as? EnrolmentError else {
                Issue.record("another certificate gave \(String(describing: error))")
                return
            }
            _ = try await toy.runClients(1...3, port: port)
        }
        #expect(toy.sumsAreExact())
    }

    @Test func aServerThatIsNotThereIsNamed() async throws {
        let toy = try ToyFederation(clients: 3, dimension: 100)
        let error = await refusal {
            _ = try await toy.client(1, port: 1, settings: .init(patience: 0.5)).run()
        }
        guard case .unreachable(_, _, hadBegun: false, _)? = error as? ClientFailure else {
            Issue.record("no server gave \(String(describing: error))")
            return
        }
    }

    @Test func revokedAndExpiredIdentitiesAreRefused() async throws {
        let toy = try ToyFederation(clients: 4, dimension: 100)
        var roster = try toy.roster()
        _ = try roster.revoke("client-2", now: NetworkFixture.epoch)
        // Thirty days later everyone has expired; the revoked one is told why it was refused.
        var check = IdentityProbe(toy: toy, roster: roster)
        #expect(try check.refusal(of: 1, at: NetworkFixture.epoch) == nil)
        #expect(try check.refusal(of: 2, at: NetworkFixture.epoch) == .revoked)
        #expect(try check.refusal(of: 3, at: NetworkFixture.epoch + 30 * 86_400) == .expired)
        #expect(try check.refusal(of: 2, at: NetworkFixture.epoch + 30 * 86_400) == .revoked)
    }
}

/// Asks a server's identity check at any time of the calendar.
private struct IdentityProbe {
    let toy: ToyFederation
    let roster: RosterFile

    mutating func refusal(of number: Int, at time: Int) throws -> Problem.Kind? {
        var check = IdentityCheck(server: toy.serverKey.verifyingKey, roster: roster)
        var request = Fedtrain_Service_V1_SessionRequest()
        request.version = 1
        request.identityKey = Data(toy.key(number).verifyingKey.bytes)
        request.serverKey = Data(toy.serverKey.verifyingKey.bytes)
        request.time = UInt64(time)
        request.nonce = Data(repeating: UInt8(number), count: 32)
        let body = [UInt8](try request.serializedData())
        var signed = Fedtrain_Service_V1_SignedSessionRequest()
        signed.body = Data(body)
        signed.signature = Data(
            toy.key(number).sign(Digest.labelled("fedtrain/v1/session-request", [body]).bytes))
        do {
            _ = try check.client(of: signed, now: UInt64(time))
            return nil
        } catch {
            return error.kind
        }
    }
}
