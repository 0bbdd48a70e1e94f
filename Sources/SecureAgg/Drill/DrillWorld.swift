import GMP
import Sodium

/// The peers of one drill and the loop over the stages.
final class DrillWorld {
    private let drill: Drill
    private let parameters: AggregationParameters
    private var server: ServerSession
    private let startServer: () -> ServerSession
    // Each element is touched by one thread at a time.
    private let sessions: [ClientSession]
    private let randoms: [StreamRandom]
    private let lastStage: [Stage?]

    private var tamper: DrillTamper
    /// What a server would have stored, kept when a fault will need it; nil stands for a stage's end.
    private var storedInputs: [(sender: ClientID, bytes: [UInt8])?] = []
    private var figures: [Stage: Drill.StageFigures] = [:]
    private var refusals: [AggregationFault] = []
    private var departures: [AggregationFault] = []
    private var trace: Drill.Trace
    private let authorityKey: VerifyingKey?
    private let signedRoster: [UInt8]?
    private let serverKey: VerifyingKey
    /// Coordinates that hold units; the others are random.
    private let units: Int

    init(_ drill: Drill, parameters: AggregationParameters) {
        self.drill = drill
        self.parameters = parameters
        var random = StreamRandom(seed: drill.seed, label: "drill")
        let identities = (0..<drill.clients).map {
            ClientIdentity(id: ClientID(UInt64($0)), signingKey: SigningKey(generatedBy: &random))
        }
        let serverKey = SigningKey(generatedBy: &random)
        let entries = identities.map { Roster.Entry(id: $0.id, key: $0.verifyingKey) }
        // Keys drawn from a random stream are distinct.
        let roster = try! Roster(epoch: 1, entries: entries)
        let known = drill.profile == .maliciousServer ? roster : nil
        // A stream of its own, so that rounds with and without a roster draw the same numbers.
        var authorityRandom = StreamRandom(seed: drill.seed, label: "drill authority")
        let authority = SigningKey(generatedBy: &authorityRandom)
        signedRoster = known?.signed(by: authority)
        authorityKey = known == nil ? nil : authority.verifyingKey
        self.serverKey = serverKey.verifyingKey
        units = min(drill.clients, drill.dimension / 2)
        trace = Drill.Trace(clients: drill.clients)
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: known?.digest, deadlines: [], expiry: .max)
        startServer = {
            ServerSession(
                manifest: manifest, signingKey: serverKey, roster: known, threads: drill.threads)
        }
        server = startServer()
        let policy = ClientPolicy(exactly: parameters)
        let cache = drill.sharesCohortChecks ? CohortCache() : nil
        let seeds = identities.map { Self.noiseSeeds(drill, parameters, $0.id) }
        sessions = identities.map {
            ClientSession(
                identity: $0, server: serverKey.verifyingKey, roster: known, policy: policy,
                journal: InMemoryJournal(), threads: 1, noiseSeeds: seeds[Int($0.id.number)],
                cohortCache: cache)
        }
        randoms = identities.map { _ in StreamRandom(keyedBy: &random) }
        lastStage = Self.losses(drill, &random)
        let victim = lastStage.firstIndex(of: nil) ?? 0
        tamper = DrillTamper(faults: drill.faults, victim: victim, identity: identities[victim])
    }

    /// The seeds that a client brings, one for each level; the same when asked again.
    private static func noiseSeeds(
        _ drill: Drill, _ parameters: AggregationParameters, _ client: ClientID
    ) -> [SecretBytes] {
        var random = StreamRandom(seed: drill.seed, label: "drill noise \(client.number)")
        return (0..<(parameters.removableNoise?.count ?? 0)).map { _ in
            SecretBytes(random: RemovableNoise.seedLength, from: &random)
        }
    }

    /// Whether the opened seeds are the survivors' own, of the levels that were to be opened and no other.
    private func openedNoiseIsRight(_ sum: AggregateSum) -> Bool {
        let levels = parameters.openedNoiseLevels(survivors: sum.survivors.count).map(Array.init) ?? []
        let expected = sum.survivors.flatMap { client in
            let seeds = Self.noiseSeeds(drill, parameters, client)
            return levels.map { (client, $0, seeds[$0 - 1]) }
        }
        return expected.count == sum.revealedNoise.count
            && zip(expected, sum.revealedNoise).allSatisfy {
                $0.0 == $1.client && $0.1 == $1.level && $0.2 == $1.seed
            }
    }

    /// For each client the stage at which it is lost, or nil.
    private static func losses(_ drill: Drill, _ random: inout StreamRandom) -> [Stage?] {
        var left = Array(0..<drill.clients)
        var result = [Stage?](repeating: nil, count: drill.clients)
        for stage in Stage.allCases {
            for _ in 0..<min(left.count, drill.lost(at: stage)) {
                let pick = Int(random.uniform(below: UInt64(left.count)))
                result[left.remove(at: pick)] = stage
            }
        }
        return result
    }

    /// Client `index`'s contribution: a one at its own place among the first coordinates, then uniform over
    /// the ring, so that a mistake anywhere shows.
    private func contribution(_ index: Int) -> [Int32] {
        let random = StreamRandom(
            seed: drill.seed &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(index), label: "drill values")
        return [Int32](unsafeUninitializedCapacity: parameters.vectorLength) { buffer, count in
            random.fill(UnsafeMutableRawBufferPointer(buffer))
            let shift = Int32(32 - parameters.modulusBits)
            for place in 0..<parameters.vectorLength { buffer[place] >>= shift }
            for place in 0..<units { buffer[place] = place == index % units ? 1 : 0 }
            count = parameters.vectorLength
        }
    }

    func run(
        clock: () -> UInt64, onChunk: (ClientID, _ index: Int, _ packed: [UInt8]) -> Void
    ) -> Drill.Report {
        var inbox = sessions.indices.map { (index: $0, message: server.manifestMessage) }
        var stage = Stage.advertiseKeys
        while true {
            let start = clock()
            trace.open(stage, for: inbox.map(\.index)) { lastStage[$0].map { $0 <= stage } ?? false }
            for place in inbox.indices {
                figures[stage, default: .init()].bytesDown += inbox[place].message.count
                inbox[place].message = tamper.down(stage, position: place, inbox[place].message)
            }
            answer(stage, inbox.filter { lastStage[$0.index].map { stage < $0 } ?? true }, onChunk)
            if tamper.kills(at: stage) { restartServer() }
            let closing = clock()
            let action = server.closeStage()
            if tamper.mayKill { storedInputs.append(nil) }
            let end = clock()
            figures[stage, default: .init()].nanoseconds = end - start
            figures[stage]!.closingNanoseconds = end - closing
            switch action {
            case .send(let next, let messages):
                inbox = messages.map { (Int($0.recipient.number), $0.bytes) }
                tamper.cohortSize = server.topology?.cohortSize ?? 0
                stage = next
            case .released(let sum, let messages):
                for message in messages { figures[.unmask]!.bytesDown += message.bytes.count }
                for survivor in sum.survivors { trace.isInSum[Int(survivor.number)] = true }
                return report(
                    sum: sum, abort: nil, checks: check(sum, messages), result: messages.first?.bytes)
            case .aborted(let fault):
                return report(sum: nil, abort: fault, checks: Drill.Checks(), result: nil)
            }
        }
    }

    private func report(
        sum: AggregateSum?, abort: AggregationFault?, checks: Drill.Checks, result: [UInt8]?
    ) -> Drill.Report {
        Drill.Report(
            clients: drill.clients, modulusBits: parameters.modulusBits,
            isTinyCohort: parameters.allowTinyCohort, topology: server.topology,
            stages: figures, sum: sum, abort: abort, refusals: refusals, departures: departures,
            trace: trace, checks: checks, resultMessage: result, serverKey: serverKey,
            authorityKey: authorityKey, signedRoster: signedRoster)
    }

    /// A new server process: the stored inputs bring it to where the old one was.
    private func restartServer() {
        server = startServer()
        for input in storedInputs {
            if let input {
                try? server.receive(input.bytes, from: input.sender)
            } else {
                _ = server.closeStage()
            }
        }
    }

    /// Lets the clients answer, a few at a time, and hands their messages to the server.
    private func answer(
        _ stage: Stage, _ inbox: [(index: Int, message: [UInt8])],
        _ onChunk: (ClientID, _ index: Int, _ packed: [UInt8]) -> Void
    ) {
        let batch = 4 * drill.threads
        for start in stride(from: 0, to: inbox.count, by: batch) {
            let items = Array(inbox[start..<min(start + batch, inbox.count)])
            var answers = [Result<[[UInt8]], AggregationFault>](repeating: .success([]), count: items.count)
            answers.withUnsafeMutableBufferPointer { buffer in
                nonisolated(unsafe) let output = buffer
                nonisolated(unsafe) let world = self
                parallel(items.count, threads: drill.threads) { position in
                    output[position] = world.messages(stage, items[position].index, items[position].message)
                }
            }
            for (item, answer) in zip(items, answers) {
                switch answer {
                case .success(let messages): deliver(stage, item.index, messages, onChunk)
                case .failure(let fault):
                    departures.append(fault)
                    trace.set(.left, of: item.index, at: stage)
                }
            }
        }
    }

    private func deliver(
        _ stage: Stage, _ index: Int, _ messages: [[UInt8]],
        _ onChunk: (ClientID, _ index: Int, _ packed: [UInt8]) -> Void
    ) {
        var (accepted, refused) = (false, false)
        for (sender, bytes) in tamper.up(stage, index: index, messages) {
            figures[stage, default: .init()].bytesUp += bytes.count
            let id = ClientID(UInt64(sender))
            if tamper.mayKill { storedInputs.append((id, bytes)) }
            do throws(AggregationFault) {
                try server.receive(bytes, from: id)
                // What the victim held back and the server takes after all counts as the victim's.
                if sender == index { accepted = true }
                if stage == .submitMaskedInput, let chunk = MaskedChunk.packed(in: bytes) {
                    onChunk(id, chunk.index, chunk.packed)
                }
            } catch {
                refusals.append(error)
                // A repeat of an earlier stage's message is refused without harm to this one's.
                if sender == index, error.check != .wrongStage, error.check != .wrongSession {
                    refused = true
                }
            }
        }
        if accepted { figures[stage, default: .init()].answers += 1 }
        if refused {
            trace.set(.refused, of: index, at: stage)
        } else if accepted {
            trace.set(.answered, of: index, at: stage)
        }
    }

    /// One client's answer, or why it leaves, which makes it a dropout.
    private func messages(
        _ stage: Stage, _ index: Int, _ message: [UInt8]
    ) -> Result<[[UInt8]], AggregationFault> {
        let session = sessions[index]
        var random = randoms[index]
        do throws(AggregationFault) {
            switch stage {
            case .advertiseKeys:
                return .success([try session.advertiseKeys(message, now: 0, random: &random)])
            case .shareKeys: return .success([try session.shareKeys(message, random: &random)])
            case .submitMaskedInput:
                let upload = try session.maskedInput(message, values: contribution(index))
                return .success(Array(upload.messages))
            case .confirmSurvivors: return .success([try session.confirmSurvivors(message)])
            case .unmask: return .success([try session.unmask(message)])
            }
        } catch {
            return .failure(error)
        }
    }

    /// Compares with the survivors' plaintext sum and lets every client that finished check the result.
    private func check(_ sum: AggregateSum, _ results: [OutgoingMessage]) -> Drill.Checks {
        var expected = [UInt32](repeating: 0, count: parameters.vectorLength)
        var counts = [UInt32](repeating: 0, count: units)
        for survivor in sum.survivors {
            let index = Int(survivor.number)
            if units > 0 { counts[index % units] += 1 }
            for (place, value) in contribution(index).enumerated() {
                expected[place] &+= UInt32(bitPattern: value)
            }
        }
        let mask = parameters.modulusMask
        var checks = Drill.Checks()
        checks.units = units
        checks.unitsExact = zip(counts, sum.elements).allSatisfy { $0 & mask == $1 }
        checks.random = parameters.vectorLength - units
        checks.randomExact = zip(expected, sum.elements).dropFirst(units).allSatisfy { $0 & mask == $1 }
        checks.clientsAgree = results.allSatisfy { result in
            let index = Int(result.recipient.number)
            // Whoever left before the end, willingly or not, is not there to check.
            guard trace.fates[.unmask]?[index] == .answered else { return true }
            guard let verified = try? sessions[index].finish(result.bytes) else { return false }
            return verified.survivors == sum.survivors && verified.resultDigest == sum.digest
        }
        checks.noiseIsRight = openedNoiseIsRight(sum)
        return checks
    }
}
