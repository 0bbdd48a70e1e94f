import GMP
import SecureAgg
import Sodium

/// A whole round in one process, with a hand on every message: who is lost when, and what a lying
/// network, server or client puts in place of the bytes.
final class LoopbackRound {
    struct Outcome {
        var sum: AggregateSum?
        var abort: AggregationFault?
        /// The fault with which each client left, if it did.
        var clientFaults: [ClientID: AggregationFault] = [:]
        /// Messages that the server refused.
        var refused: [AggregationFault] = []
        var results: [ClientID: VerifiedResult] = [:]
        /// Bytes per stage, counted as the drill counts them.
        var up: [Stage: Int] = [:]
        var down: [Stage: Int] = [:]
    }

    let parameters: AggregationParameters
    let identities: [ClientIdentity]
    private(set) var server: ServerSession
    let serverKey: SigningKey
    let roster: Roster?
    var sessions: [ClientSession]
    var journals: [InMemoryJournal] = []
    var random: StreamRandom
    /// Clients that draw from a stream of their own.
    var clientRandom: [Int: StreamRandom] = [:]
    let values: [[Int32]]
    private let clientThreads: Int
    /// Each client's noise seeds, one for each level of removable noise.
    let noiseSeeds: [[SecretBytes]]

    /// The stage whose message a client receives but never answers.
    var lossStage: [Int: Stage] = [:]
    /// Replaces a message on its way to client `index`; nil loses it.
    var tamperDown: (Stage, Int, [UInt8]) -> [UInt8]? = { _, _, bytes in bytes }
    /// Replaces the messages that client `index` sends in a stage.
    var tamperUp: (Stage, Int, [[UInt8]]) -> [[UInt8]] = { _, _, messages in messages }
    /// Runs before a stage is closed, with the server's hand on the open stage.
    var beforeClose: (Stage, ServerSession) -> Void = { _, _ in }

    init(
        clients: Int, dimension: Int = 5, modulusBits: Int = 16, minSurvivors: Int = 2,
        cohortFloor: Int? = nil, colluders: Rational = 0, dropouts: Rational = 0,
        profile: SecurityProfile = .maliciousServer, chunkLength: Int = 64, threads: Int = 1,
        round: UInt64 = 1, seed: UInt64 = 0x5eed_0100, removableNoise: RemovableNoise? = nil
    ) throws {
        var random = StreamRandom(seed: seed, label: "loopback")
        parameters = try AggregationParameters(
            task: "loopback", round: round, context: .of([1]), vectorLength: dimension,
            modulusBits: modulusBits, cohort: (cohortFloor ?? max(3, minSurvivors))...clients,
            minSurvivors: minSurvivors,
            profile: profile, colluderFraction: colluders, dropoutFraction: dropouts,
            allowTinyCohort: true, chunkLength: chunkLength, removableNoise: removableNoise)
        // Numbers with gaps and out of order, so that a number is never taken for an index.
        let stride = clients % 7 == 0 ? 11 : 7
        identities = (0..<clients).map {
            ClientIdentity(
                id: ClientID(UInt64($0 * stride % clients * 10 + 3)),
                signingKey: SigningKey(generatedBy: &random))
        }
        serverKey = SigningKey(generatedBy: &random)
        roster =
            profile == .maliciousServer
            ? try Roster(epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.verifyingKey) }) : nil
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(32))!,
            rosterDigest: roster?.digest, deadlines: [1, 2, 3, 4, 5], expiry: 1000)
        server = ServerSession(manifest: manifest, signingKey: serverKey, roster: roster, threads: threads)
        var vectors: [[Int32]] = []
        for _ in 0..<clients {
            vectors.append((0..<dimension).map { _ in Int32(truncatingIfNeeded: random.nextUInt64()) })
        }
        values = vectors
        clientThreads = threads
        // From a stream of their own, so that rounds without them stay as they were.
        var seedRandom = StreamRandom(seed: seed, label: "loopback noise")
        noiseSeeds = (0..<clients).map { _ in
            (0..<(removableNoise?.count ?? 0)).map { _ in
                SecretBytes(random: RemovableNoise.seedLength, from: &seedRandom)
            }
        }
        sessions = []
        self.random = random
        for index in 0..<clients {
            journals.append(InMemoryJournal())
            sessions.append(session(index))
        }
    }

    func policy() -> ClientPolicy {
        ClientPolicy(
            context: parameters.context, vectorLength: parameters.vectorLength,
            modulusBits: parameters.modulusBits, minCohort: parameters.cohort.lowerBound,
            minSurvivors: parameters.minSurvivors,
            requireMaliciousServerProfile: parameters.profile == .maliciousServer,
            allowTinyCohort: true, removableNoise: parameters.removableNoise)
    }

    func session(_ index: Int) -> ClientSession {
        ClientSession(
            identity: identities[index], server: serverKey.verifyingKey, roster: roster,
            policy: policy(), journal: journals[index], threads: clientThreads,
            noiseSeeds: noiseSeeds[index])
    }

    func index(of id: ClientID) -> Int { identities.firstIndex { $0.id == id }! }

    /// The sum of the given clients' vectors modulo 2^b.
    func plainSum(_ clients: some Sequence<Int>) -> [UInt32] {
        var sum = [UInt32](repeating: 0, count: parameters.vectorLength)
        for client in clients {
            for (index, value) in values[client].enumerated() { sum[index] &+= UInt32(bitPattern: value) }
        }
        return sum.map { $0 & (UInt32.max >> UInt32(32 - parameters.modulusBits)) }
    }

    /// Replaces the server, and with it all that it rebuilt, by one that has seen nothing.
    func forgetServer() {
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: .of([]), rosterDigest: roster?.digest, expiry: 0)
        server = ServerSession(manifest: manifest, signingKey: serverKey, roster: roster)
        sessions = []
    }

    /// - Parameters:
    ///   - tamperResult: replaces the result on its way to client `index`.
    ///   - told: what each client that finished made of its result.
    func run(
        tamperResult: ([UInt8], Int) -> [UInt8] = { bytes, _ in bytes },
        told: (ClientID, VerifiedResult) -> Void = { _, _ in }
    ) -> Outcome {
        var outcome = Outcome()
        var stage = Stage.advertiseKeys
        var inbox = identities.indices.map { (index: $0, bytes: server.manifestMessage) }
        while true {
            for item in inbox {
                outcome.down[stage, default: 0] += item.bytes.count
                guard let bytes = tamperDown(stage, item.index, item.bytes) else { continue }
                let messages: [[UInt8]]
                do { messages = try step(stage, item.index, bytes) } catch {
                    outcome.clientFaults[identities[item.index].id] = error
                    continue
                }
                if let lost = lossStage[item.index], lost <= stage { continue }
                for message in tamperUp(stage, item.index, messages) {
                    outcome.up[stage, default: 0] += message.count
                    do { try server.receive(message, from: identities[item.index].id) } catch {
                        outcome.refused.append(error)
                    }
                }
            }
            beforeClose(stage, server)
            switch server.closeStage() {
            case .send(let next, let messages):
                stage = next
                inbox = messages.map { (index(of: $0.recipient), $0.bytes) }
            case .released(let sum, let messages):
                outcome.sum = sum
                for message in messages {
                    outcome.down[.unmask, default: 0] += message.bytes.count
                    let client = index(of: message.recipient)
                    guard lossStage[client] == nil else { continue }
                    let result = try? sessions[client].finish(tamperResult(message.bytes, client))
                    outcome.results[message.recipient] = result
                    if let result { told(message.recipient, result) }
                }
                return outcome
            case .aborted(let fault):
                outcome.abort = fault
                return outcome
            }
        }
    }

    /// One client's answer. Lost clients still work on what they receive: only their answer is lost.
    private func step(_ stage: Stage, _ index: Int, _ bytes: [UInt8]) throws(AggregationFault) -> [[UInt8]] {
        let session = sessions[index]
        var random = clientRandom[index] ?? random
        switch stage {
        case .advertiseKeys: return [try session.advertiseKeys(bytes, now: 10, random: &random)]
        case .shareKeys: return [try session.shareKeys(bytes, random: &random)]
        case .submitMaskedInput:
            return Array(try session.maskedInput(bytes, values: values[index]).messages)
        case .confirmSurvivors: return [try session.confirmSurvivors(bytes)]
        case .unmask: return [try session.unmask(bytes)]
        }
    }
}
