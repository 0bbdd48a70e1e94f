import Foundation
import SecureAgg
import Sodium

/// One small real round, recorded once, whose messages stand in for everything that the fuzzer does not
/// replace: three clients on the complete graph, 100 coordinates of 12 bits in two chunks.
struct RecordedRound {
    static let clients = 3

    let identities: [ClientIdentity]
    let serverKey: SigningKey
    let authority: SigningKey
    let roster: Roster
    let manifest: RoundManifest
    /// What the server sent to client 0, by stage, and the result.
    private(set) var down: [Stage: [UInt8]] = [:]
    private(set) var resultMessage: [UInt8] = []
    /// What each client sent, by stage.
    private(set) var up: [Stage: [[[UInt8]]]] = [:]
    private(set) var transcript: [UInt8] = []
    private(set) var session = Digest.of([])

    init() throws {
        var random = StreamRandom(seed: 1, label: "fuzz round")
        identities = (0..<Self.clients).map {
            ClientIdentity(id: ClientID(UInt64($0)), signingKey: SigningKey(generatedBy: &random))
        }
        serverKey = SigningKey(generatedBy: &random)
        authority = SigningKey(generatedBy: &random)
        roster = try Roster(epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.verifyingKey) })
        let parameters = try AggregationParameters(
            task: "fuzz", round: 1, context: .of([1]), vectorLength: 100, modulusBits: 12,
            cohort: 3...3, minSurvivors: 2, colluderFraction: 0, dropoutFraction: 0, allowTinyCohort: true,
            chunkLength: 64)
        manifest = RoundManifest(
            parameters: parameters, serverNonce: .of([2]), rosterDigest: roster.digest, expiry: 1000)
        let server = self.server()
        var sessions = (0..<Self.clients).map { client($0) }
        var inbox = [[UInt8]](repeating: server.manifestMessage, count: Self.clients)
        for stage in Stage.allCases {
            down[stage] = inbox[0]
            var sent: [[[UInt8]]] = []
            for index in 0..<Self.clients {
                let messages = try Self.answer(stage, &sessions[index], inbox[index])
                for message in messages { try server.receive(message, from: identities[index].id) }
                sent.append(messages)
            }
            up[stage] = sent
            switch server.closeStage() {
            case .send(_, let messages): inbox = messages.map(\.bytes)
            case .released(let sum, let messages):
                transcript = sum.transcript.bytes
                resultMessage = messages[0].bytes
                session = sum.session
            case .aborted(let fault): throw fault
            }
        }
    }

    typealias Client = (session: ClientSession, random: StreamRandom)

    /// Client `index` before stage 0; the same draws each time, so that the recorded messages fit it.
    func client(_ index: Int) -> Client {
        let policy = ClientPolicy(
            context: .of([1]), vectorLength: 100, modulusBits: 12, minCohort: 3, minSurvivors: 2,
            allowTinyCohort: true)
        let session = ClientSession(
            identity: identities[index], server: serverKey.verifyingKey, roster: roster, policy: policy,
            journal: InMemoryJournal())
        return (session, StreamRandom(seed: UInt64(index), label: "fuzz client"))
    }

    /// Client 0 as it waits for the message of `stage`; nil stands for the result.
    func client(at stage: Stage?) -> Client {
        var client = self.client(0)
        for earlier in Stage.allCases where stage.map({ earlier < $0 }) ?? true {
            _ = try! Self.answer(earlier, &client, down[earlier]!)
        }
        return client
    }

    func server() -> ServerSession {
        ServerSession(manifest: manifest, signingKey: serverKey, roster: roster)
    }

    /// The server as it waits for the answers of `stage`.
    func server(at stage: Stage) -> ServerSession {
        let server = self.server()
        for earlier in Stage.allCases where earlier < stage {
            for (index, messages) in up[earlier]!.enumerated() {
                for message in messages { try! server.receive(message, from: identities[index].id) }
            }
            _ = server.closeStage()
        }
        return server
    }

    static func answer(_ stage: Stage, _ client: inout Client, _ bytes: [UInt8]) throws(AggregationFault)
        -> [[UInt8]]
    {
        switch stage {
        case .advertiseKeys: [try client.session.advertiseKeys(bytes, now: 0, random: &client.random)]
        case .shareKeys: [try client.session.shareKeys(bytes, random: &client.random)]
        case .submitMaskedInput:
            Array(
                try client.session.maskedInput(bytes, values: [Int32](repeating: 5, count: 100)).messages)
        case .confirmSurvivors: [try client.session.confirmSurvivors(bytes)]
        case .unmask: [try client.session.unmask(bytes)]
        }
    }
}

/// The aggregation protocol's readers. What a reader accepts must be harmless, too: an accepted message
/// leaves the server able to close its stage.
enum RoundFuzzing {
    // One round for the process; making it costs milliseconds.
    private static let round = try! RecordedRound()

    static func server(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        let stage = Stage(rawValue: Int(bytes[0]) % Stage.allCases.count)!
        deliver(Array(bytes[2...]), stage, from: ClientID(UInt64(bytes[1] % 4)))
    }

    static func serverSigned(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let kinds: [(MessageKind, Labels, Stage)] = [
            (.advertise, .advertise, .advertiseKeys), (.share, .share, .shareKeys),
            (.maskedHeader, .masked, .submitMaskedInput), (.maskedChunk, .masked, .submitMaskedInput),
            (.confirm, .survivors, .confirmSurvivors), (.unmask, .unmask, .unmask),
        ]
        let (kind, label, stage) = kinds[Int(first) % kinds.count]
        let body = Array(bytes[1...])
        let scope = kind == .advertise ? round.server().manifestDigest : round.session
        var message = Message(
            kind, session: scope, body: body, label: label, signer: round.identities[0].signingKey)
        if kind == .share {
            message.attachment =
                (try? Message(decoding: round.up[.shareKeys]![0][0], limit: 1 << 20))!.attachment
        }
        deliver(message.encoded(), stage, from: round.identities[0].id)
    }

    private static func deliver(_ message: [UInt8], _ stage: Stage, from sender: ClientID) {
        let server = round.server(at: stage)
        guard (try? server.receive(message, from: sender)) != nil else { return }
        _ = server.closeStage()
    }

    static func client(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        receive(Array(bytes[1...]), at: Int(first))
    }

    static func clientSigned(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let kinds: [MessageKind] = [.manifest, .cohort, .delivery, .survivors, .signatures, .result]
        let kind = kinds[Int(first) % kinds.count]
        let body = Array(bytes[1...])
        var message = Message(kind, session: kind == .manifest ? nil : round.session, body: body)
        if kind == .manifest || kind == .result {
            let zeros = Digest(bytes: [UInt8](repeating: 0, count: Digest.length))!
            message.signature = round.serverKey.sign(
                signedDigest(
                    kind == .manifest ? .manifest : .result, scope: message.session ?? zeros, body: body))
        }
        receive(message.encoded(), at: Int(first))
    }

    /// Position 0 … 4 is a stage, 5 the result.
    private static func receive(_ message: [UInt8], at position: Int) {
        let stage = Stage(rawValue: position % (Stage.allCases.count + 1))
        var client = round.client(at: stage)
        if let stage {
            _ = try? RecordedRound.answer(stage, &client, message)
        } else {
            _ = try? client.session.finish(message)
        }
    }

    static func roster(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        var signed = Array(bytes[1...])
        if first & 1 == 1 { signed = round.authority.sign(Labels.roster.hash([signed]).bytes) + signed }
        _ = try? Roster(signedBytes: signed, authority: round.authority.verifyingKey)
    }

    static func transcript(_ bytes: [UInt8]) {
        guard
            let read = try? VerifiedTranscript(
                bytes, server: round.serverKey.verifyingKey, roster: round.roster)
        else { return }
        _ = try? read.check(result: round.resultMessage)
    }

    private static let verified = try! VerifiedTranscript(
        round.transcript, server: round.serverKey.verifyingKey, roster: round.roster)

    static func result(_ bytes: [UInt8]) { _ = try? verified.check(result: bytes) }

    /// Inputs made of the recorded round, for a corpus.
    static func seeds() -> [FuzzTarget: [[UInt8]]] {
        func body(_ bytes: [UInt8]) -> [UInt8] { try! Message(decoding: bytes, limit: 1 << 20).body }
        var seeds: [FuzzTarget: [[UInt8]]] = [:]
        for stage in Stage.allCases {
            let position = UInt8(stage.rawValue)
            seeds[.client, default: []].append([position] + round.down[stage]!)
            seeds[.clientSigned, default: []].append([position] + body(round.down[stage]!))
            for message in round.up[stage]![0] {
                seeds[.server, default: []].append([position, 0] + message)
            }
        }
        seeds[.client]!.append([5] + round.resultMessage)
        seeds[.clientSigned]!.append([5] + body(round.resultMessage))
        let sent = Stage.allCases.flatMap { round.up[$0]![0] }
        let kinds: [MessageKind] = [.advertise, .share, .maskedHeader, .maskedChunk, .confirm, .unmask]
        for message in sent {
            let kind = try! Message(decoding: message, limit: 1 << 20).kind
            seeds[.serverSigned, default: []].append([UInt8(kinds.firstIndex(of: kind)!)] + body(message))
            if kind == .maskedChunk { seeds[.chunk, default: []].append(message) }
        }
        let signed = round.roster.signed(by: round.authority)
        seeds[.roster] = [[0] + signed, [1] + signed.dropFirst(VerifyingKey.signatureLength)]
        seeds[.transcript] = [round.transcript]
        seeds[.result] = [round.resultMessage]
        return seeds
    }
}
