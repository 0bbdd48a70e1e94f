import GMP
import Sodium

/// A rehearsal of one round in this process: real clients, real server, random vectors, chosen losses.
///
/// Everything but the transport is what a networked round runs. Reports cost per stage and whether the
/// sum equals the plaintext sum of the survivors, bit for bit.
public struct Drill: Sendable {
    public var clients: Int
    public var dimension: Int
    public var modulusBits: Int
    /// Which part of all clients is lost at a stage, that is, receives its message and never answers.
    public var drops: [Stage: Rational]
    public var seed: UInt64
    public var profile: SecurityProfile
    public var colluderFraction: Rational
    public var dropoutFraction: Rational
    /// Nil: the least that the parameters allow.
    public var minSurvivors: Int?
    public var threads: Int

    public init(
        clients: Int, dimension: Int, modulusBits: Int = 16, drops: [Stage: Rational] = [:],
        seed: UInt64, profile: SecurityProfile = .maliciousServer,
        colluderFraction: Rational = Rational(1, 10), dropoutFraction: Rational = Rational(1, 3),
        minSurvivors: Int? = nil, threads: Int = 1
    ) {
        self.clients = clients
        self.dimension = dimension
        self.modulusBits = modulusBits
        self.drops = drops
        self.seed = seed
        self.profile = profile
        self.colluderFraction = colluderFraction
        self.dropoutFraction = dropoutFraction
        self.minSurvivors = minSurvivors
        self.threads = threads
    }

    public struct StageFigures: Hashable, Sendable {
        /// Both sides' work, one after the other, in this process.
        public var nanoseconds: UInt64 = 0
        /// All clients together; the result message counts as the last stage's.
        public var bytesUp = 0
        public var bytesDown = 0
        /// Clients that answered.
        public var answers = 0
    }

    public struct Report: Sendable {
        public let clients: Int
        public let modulusBits: Int
        /// Nil when the round ended before the cohort was frozen.
        public let topology: Topology?
        public let stages: [Stage: StageFigures]
        /// The sum, when the round was released.
        public let sum: AggregateSum?
        /// Why nothing was opened, when it was aborted.
        public let abort: AggregationFault?
        /// Whether the sum equals the survivors' plaintext sum in every coordinate; false when aborted.
        public let isExact: Bool

        public var survivors: Int { sum?.survivors.count ?? 0 }
    }

    /// The parameters that the drill's round runs under.
    public func parameters() throws(ParameterError) -> AggregationParameters {
        let colluders = (colluderFraction * Rational(clients)).floor.asInt ?? 0
        // The floor holds for everyone who is left at the first freeze.
        let left = clients - lost(at: .advertiseKeys)
        let usual =
            clients < AggregationParameters.defaultCohortFloor
            ? clients / 2 + 1 : colluders + AggregationParameters.defaultSurvivorsBeyondColluders
        let floor = minSurvivors ?? min(left, max(2, usual))
        let isTiny =
            left < AggregationParameters.defaultCohortFloor
            || floor - colluders < AggregationParameters.defaultSurvivorsBeyondColluders
        return try AggregationParameters(
            task: "drill", round: 1, context: Digest.labelled("drill", [littleEndianBytes(seed)]),
            vectorLength: dimension, modulusBits: modulusBits,
            cohort: min(left, clients)...clients, minSurvivors: floor, profile: profile,
            colluderFraction: colluderFraction, dropoutFraction: dropoutFraction,
            allowTinyCohort: isTiny)
    }

    private func lost(at stage: Stage) -> Int {
        min(clients, ((drops[stage] ?? 0) * Rational(clients) + Rational(1, 2)).floor.asInt ?? 0)
    }

    /// Runs the round.
    ///
    /// - Parameter clock: nanoseconds from an arbitrary start; only used to measure.
    /// - Throws: `ParameterError` when the drill's parameters cannot be used.
    public func run(clock: () -> UInt64) throws(ParameterError) -> Report {
        let world = DrillWorld(self, parameters: try parameters())
        return world.run(clock: clock)
    }
}

/// The peers of one drill and the loop over the stages.
private final class DrillWorld {
    private let drill: Drill
    private let parameters: AggregationParameters
    private let server: ServerSession
    // Each element is touched by one thread at a time.
    private let sessions: [ClientSession]
    private let randoms: [StreamRandom]
    private let lastStage: [Stage?]
    private var figures: [Stage: Drill.StageFigures] = [:]

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
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: known?.digest, deadlines: [], expiry: .max)
        server = ServerSession(
            manifest: manifest, signingKey: serverKey, roster: known, threads: drill.threads)
        let policy = ClientPolicy(
            context: parameters.context, vectorLength: parameters.vectorLength,
            modulusBits: parameters.modulusBits, minCohort: parameters.cohort.lowerBound,
            minSurvivors: parameters.minSurvivors,
            requireMaliciousServerProfile: drill.profile == .maliciousServer,
            allowTinyCohort: parameters.allowTinyCohort)
        sessions = identities.map {
            ClientSession(
                identity: $0, server: serverKey.verifyingKey, roster: known, policy: policy,
                journal: InMemoryJournal())
        }
        randoms = identities.map { _ in StreamRandom(keyedBy: &random) }
        lastStage = Self.losses(drill, &random)
    }

    /// For each client the stage at which it is lost, or nil.
    private static func losses(_ drill: Drill, _ random: inout StreamRandom) -> [Stage?] {
        var left = Array(0..<drill.clients)
        var result = [Stage?](repeating: nil, count: drill.clients)
        for stage in Stage.allCases {
            let share = (drill.drops[stage] ?? 0) * Rational(drill.clients) + Rational(1, 2)
            for _ in 0..<min(left.count, share.floor.asInt ?? 0) {
                let pick = Int(random.uniform(below: UInt64(left.count)))
                result[left.remove(at: pick)] = stage
            }
        }
        return result
    }

    /// Client `index`'s contribution: uniform over the ring, so that a mistake anywhere shows.
    private func contribution(_ index: Int) -> [Int32] {
        let random = StreamRandom(
            seed: drill.seed &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(index), label: "drill values")
        return [Int32](unsafeUninitializedCapacity: parameters.vectorLength) { buffer, count in
            random.fill(UnsafeMutableRawBufferPointer(buffer))
            let shift = Int32(32 - parameters.modulusBits)
            for index in 0..<parameters.vectorLength { buffer[index] >>= shift }
            count = parameters.vectorLength
        }
    }

    func run(clock: () -> UInt64) -> Drill.Report {
        var inbox = sessions.indices.map { (index: $0, message: server.manifestMessage) }
        var stage = Stage.advertiseKeys
        while true {
            let start = clock()
            for item in inbox { figures[stage, default: .init()].bytesDown += item.message.count }
            answer(stage, inbox.filter { lastStage[$0.index].map { stage < $0 } ?? true })
            let action = server.closeStage()
            figures[stage, default: .init()].nanoseconds = clock() - start
            switch action {
            case .send(let next, let messages):
                inbox = messages.map { (Int($0.recipient.number), $0.bytes) }
                stage = next
            case .released(let sum, let messages):
                for message in messages { figures[.unmask]!.bytesDown += message.bytes.count }
                return report(sum: sum, abort: nil, isExact: isExact(sum, messages))
            case .aborted(let fault):
                return report(sum: nil, abort: fault, isExact: false)
            }
        }
    }

    private func report(sum: AggregateSum?, abort: AggregationFault?, isExact: Bool) -> Drill.Report {
        Drill.Report(
            clients: drill.clients, modulusBits: parameters.modulusBits, topology: server.topology,
            stages: figures, sum: sum, abort: abort, isExact: isExact)
    }

    /// Lets the clients answer, a few at a time, and hands their messages to the server.
    private func answer(_ stage: Stage, _ inbox: [(index: Int, message: [UInt8])]) {
        let batch = 4 * drill.threads
        for start in stride(from: 0, to: inbox.count, by: batch) {
            let items = Array(inbox[start..<min(start + batch, inbox.count)])
            var answers = [[[UInt8]]](repeating: [], count: items.count)
            answers.withUnsafeMutableBufferPointer { buffer in
                nonisolated(unsafe) let output = buffer
                nonisolated(unsafe) let world = self
                parallel(items.count, threads: drill.threads) { position in
                    output[position] = world.messages(stage, items[position].index, items[position].message)
                }
            }
            for (item, messages) in zip(items, answers) where !messages.isEmpty {
                figures[stage, default: .init()].answers += 1
                for message in messages {
                    figures[stage, default: .init()].bytesUp += message.count
                    try? server.receive(message, from: ClientID(UInt64(item.index)))
                }
            }
        }
    }

    /// One client's answer; none when it refuses, which makes it a dropout and shows in the figures.
    private func messages(_ stage: Stage, _ index: Int, _ message: [UInt8]) -> [[UInt8]] {
        let session = sessions[index]
        var random = randoms[index]
        do {
            switch stage {
            case .advertiseKeys:
                return [try session.advertiseKeys(message, now: 0, random: &random)]
            case .shareKeys: return [try session.shareKeys(message, random: &random)]
            case .submitMaskedInput:
                return Array(
                    try session.maskedInput(message, values: contribution(index)).messages)
            case .confirmSurvivors: return [try session.confirmSurvivors(message)]
            case .unmask: return [try session.unmask(message)]
            }
        } catch {
            return []
        }
    }

    /// Compares with the survivors' plaintext sum and lets every client that finished check the result.
    private func isExact(_ sum: AggregateSum, _ results: [OutgoingMessage]) -> Bool {
        var expected = [UInt32](repeating: 0, count: parameters.vectorLength)
        for survivor in sum.survivors {
            for (index, value) in contribution(Int(survivor.number)).enumerated() {
                expected[index] &+= UInt32(bitPattern: value)
            }
        }
        let agreed = results.allSatisfy { result in
            let index = Int(result.recipient.number)
            guard lastStage[index] == nil else { return true }
            guard let verified = try? sessions[index].finish(result.bytes) else { return false }
            return verified.survivors == sum.survivors && verified.covers(elements: sum.elements)
        }
        return agreed
            && zip(expected, sum.elements).allSatisfy { $0 & parameters.modulusMask == $1 }
    }
}
