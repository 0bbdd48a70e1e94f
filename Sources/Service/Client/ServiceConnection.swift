import FedTrain
import Foundation
import NIOHTTP1
import SecureAgg
import Sodium

/// A client's conversation with its server: sessions, retries with the same bytes, uploads that go on
/// where they were cut.
///
/// Failures of the network are waited out up to `patience`; refusals are passed on.
package actor ServiceConnection {
    package struct Settings: Sendable {
        /// Seconds without any answer after which the server counts as unreachable.
        package var patience: Double
        /// Bytes of one piece of an upload.
        package var pieceBytes: Int
        /// Seconds before the second attempt; each further one waits twice as long, up to five seconds.
        package var firstPause: Double

        package init(patience: Double = 600, pieceBytes: Int = 256 << 10, firstPause: Double = 0.1) {
            self.patience = patience
            self.firstPause = firstPause
            self.pieceBytes = min(pieceBytes, ServiceProtocol.pieceBytes)
        }
    }

    private let transport: HTTPTransport
    private let enrolment: EnrolmentFile
    private let settings: Settings
    private let environment: Coordinator.Environment
    private var token: [UInt8] = []
    private var latestAnswer: Double
    private var hadAnswer = false

    package init(
        _ enrolment: EnrolmentFile, settings: Settings, environment: Coordinator.Environment
    ) throws {
        self.enrolment = enrolment
        self.settings = settings
        self.environment = environment
        transport = try HTTPTransport(enrolment)
        latestAnswer = environment.monotonic()
    }

    package func close() async { await transport.shutdown() }

    // MARK: Sessions

    /// Opens a session as the holder of `key`.
    ///
    /// - Returns: the run's terms, signed by the pinned key, and where instructions begin.
    package func open(_ key: SigningKey) async throws -> (terms: HostTerms, sequence: UInt64) {
        var attempt = 0
        while true {
            // Every attempt is a new request: the server accepts each only once.
            let nonce = environment.randomBytes(32)
            var request = Fedtrain_Service_V1_SessionRequest()
            request.version = ServiceProtocol.version
            request.identityKey = Data(key.verifyingKey.bytes)
            request.serverKey = Data(enrolment.server.bytes)
            request.time = UInt64(max(0, environment.epochSeconds()))
            request.nonce = Data(nonce)
            let body = encodeBody(request)
            var signed = Fedtrain_Service_V1_SignedSessionRequest()
            signed.body = Data(body)
            signed.signature = Data(
                key.sign(ServiceProtocol.signed(ServiceProtocol.requestLabel, body)))
            do {
                let answer = try await transport.send(
                    .POST, "/v1/sessions", body: encodeBody(signed), seconds: 30)
                noteAnswer()
                return try read(answer, nonce: nonce)
            } catch {
                try await pause(after: error, &attempt)
            }
        }
    }

    private func read(
        _ bytes: [UInt8], nonce: [UInt8]
    ) throws -> (terms: HostTerms, sequence: UInt64) {
        do {
            let answer: Fedtrain_Service_V1_SignedSession = try decodeBody(bytes)
            let digest = ServiceProtocol.signed(ServiceProtocol.sessionLabel, [UInt8](answer.body))
            guard enrolment.server.accepts(signature: [UInt8](answer.signature), over: digest) else {
                throw EnrolmentError.wrongServer("its answer is not signed by the pinned key")
            }
            let session: Fedtrain_Service_V1_Session = try decodeBody([UInt8](answer.body))
            guard [UInt8](session.nonce) == nonce, session.token.count == 32 else {
                throw ClientFailure.serverBroke("the session answers another request")
            }
            token = [UInt8](session.token)
            return (try HostTerms(session.terms), session.sequence)
        } catch let problem as Problem {
            throw ClientFailure.serverBroke("the session cannot be read: \(problem.detail)")
        }
    }

    // MARK: Requests

    /// The next instructions; waits on the server's side when `seconds` is not 0.
    func next(after sequence: UInt64, waitSeconds: Int = ServiceProtocol.pollSeconds) async throws -> WireNext
    {
        let bytes = try await request(
            .GET, "/v1/next?after=\(sequence)&wait=\(waitSeconds)", seconds: Int64(waitSeconds) + 20)
        do { return try decodeBody(bytes) } catch {
            throw ClientFailure.serverBroke("instructions cannot be read")
        }
    }

    /// One sign of life, without retries.
    func heartbeat(after sequence: UInt64) async {
        _ = try? await transport.send(
            .GET, "/v1/next?after=\(sequence)&wait=0", token: token, seconds: 10)
    }

    /// The numbers of a round's incoming adapter.
    package func adapter(round: Int) async throws -> [UInt8] {
        try await request(.GET, "/v1/rounds/\(round)/adapter", seconds: 600)
    }

    /// Sends a message, in pieces, as often as it takes until the server has accepted it.
    package func upload(_ message: [UInt8], round: Int, stage: Stage, index: Int) async throws {
        let path = "/v1/rounds/\(round)/\(stage.name)/\(index)"
        var offset = 0
        var attempt = 0
        while true {
            let end = min(message.count, offset + settings.pieceBytes)
            do {
                let bytes = try await transport.send(
                    .POST, "\(path)?offset=\(offset)&total=\(message.count)", token: token,
                    body: Array(message[offset..<end]), seconds: 120)
                noteAnswer()
                attempt = 0
                let receipt: Fedtrain_Service_V1_Receipt = try decodeBody(bytes)
                if receipt.accepted { return }
                guard receipt.offset > offset, receipt.offset < message.count else {
                    throw ClientFailure.serverBroke("the receipt names offset \(receipt.offset)")
                }
                offset = Int(receipt.offset)
            } catch let problem as Problem where problem.kind == .offset {
                noteAnswer()
                guard let held = problem.offset, held >= 0, held < message.count else {
                    throw ClientFailure.refused(problem)
                }
                attempt += 1
                guard attempt < 100 else { throw ClientFailure.refused(problem) }
                offset = held
            } catch let failure as ClientFailure {
                throw failure
            } catch {
                try await pause(after: error, &attempt)
                // Some of the piece may have arrived.
                let bytes = try await request(.GET, path, seconds: 30)
                guard let receipt: Fedtrain_Service_V1_Receipt = try? decodeBody(bytes) else {
                    throw ClientFailure.serverBroke("the receipt cannot be read")
                }
                if receipt.accepted { return }
                let held = receipt.offset < message.count ? Int(receipt.offset) : 0
                // A line that is cut again and again is no reason to wait longer while bytes get through.
                if held > offset { attempt = 0 }
                offset = held
            }
        }
    }

    /// One request, repeated until it is answered.
    private func request(_ method: HTTPMethod, _ path: String, seconds: Int64) async throws -> [UInt8] {
        var attempt = 0
        while true {
            do {
                let bytes = try await transport.send(method, path, token: token, seconds: seconds)
                noteAnswer()
                return bytes
            } catch {
                try await pause(after: error, &attempt)
            }
        }
    }

    private func noteAnswer() {
        latestAnswer = environment.monotonic()
        hadAnswer = true
    }

    /// Sleeps before another attempt, or passes on what another attempt cannot change.
    private func pause(after error: any Error, _ attempt: inout Int) async throws {
        let detail: String
        var seconds = min(5, settings.firstPause * Double(1 << min(attempt, 10)))
        switch error {
        case let problem as Problem:
            noteAnswer()
            switch problem.kind {
            case .overloaded, .tooManyRequests, .failed: break
            default: throw problem
            }
            seconds = max(seconds, Double(min(30, problem.retryAfter ?? 0)))
            detail = problem.detail
        case HTTPTransport.Failure.certificate(let text):
            throw EnrolmentError.wrongServer(
                "its certificate is not the pinned one, or not valid now: \(text)")
        case HTTPTransport.Failure.transport(let text):
            detail = text
        default:
            throw error
        }
        let silent = environment.monotonic() - latestAnswer
        guard silent < settings.patience else {
            throw ClientFailure.unreachable(
                url: enrolment.url, seconds: Int(silent), hadBegun: hadAnswer, detail: detail)
        }
        attempt += 1
        try await Task.sleep(for: .seconds(seconds))
    }
}
