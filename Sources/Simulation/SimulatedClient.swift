import SecureAgg
import Sodium

/// A journal that survives its client's crashes and can be made to fail.
final class SimulatedJournal: ClientJournal {
    struct Failure: Error {}

    private(set) var entries: Set<JournalEntry> = []
    private var latest: [String: UInt64] = [:]
    var failsNext = false

    func latestRound(of task: String) throws -> UInt64? {
        if takeFailure() { throw Failure() }
        return latest[task]
    }

    func record(_ entry: JournalEntry) throws {
        if takeFailure() { throw Failure() }
        entries.insert(entry)
        latest[entry.task] = max(entry.round, latest[entry.task] ?? 0)
    }

    private func takeFailure() -> Bool {
        defer { failsNext = false }
        return failsNext
    }
}

/// What a client did with a message.
struct ClientStepTaken {
    let stage: Stage
    let request: [UInt8]
    let messages: [[UInt8]]
    /// The client's generator before the step.
    let random: SimulationRandom
}

enum ClientReaction {
    case nothing
    case step(ClientStepTaken)
    /// The same request again: the same bytes go out.
    case again([[UInt8]])
    case finished(VerifiedResult)
    case left(AggregationFault)
}

/// One client's machine around the real `ClientSession`: hands it messages, keeps what it answered for
/// retries, loses everything but the journal when it crashes.
final class SimulatedClient {
    let index: Int
    let identity: ClientIdentity
    let journal = SimulatedJournal()
    /// Hands every message to the session, as a careless driver would; else drops what is not awaited.
    let isReckless: Bool
    private let server: VerifyingKey
    private let roster: Roster
    private let policy: ClientPolicy
    private var random: SimulationRandom

    private(set) var isUp = true
    private var session: ClientSession?
    private var answered: [(stage: Stage, request: [UInt8], messages: [[UInt8]])] = []
    /// The manifest that the present session answers.
    private(set) var manifest: [UInt8]?
    /// What it brought to the present session, one per level of removable noise.
    private(set) var noiseSeeds: [SecretBytes] = []

    init(
        index: Int, identity: ClientIdentity, isReckless: Bool, server: VerifyingKey, roster: Roster,
        policy: ClientPolicy, random: SimulationRandom
    ) {
        self.index = index
        self.identity = identity
        self.isReckless = isReckless
        self.server = server
        self.roster = roster
        self.policy = policy
        self.random = random
    }

    func crash() {
        isUp = false
        forget()
    }

    func restart() { isUp = true }

    /// Leaves whatever it is in, as at a deadline.
    func forget() {
        session?.leave()
        session = nil
        answered = []
        manifest = nil
    }

    var isInSession: Bool { session != nil }

    /// The last answer, for a retry.
    var lastAnswer: (stage: Stage, messages: [[UInt8]])? { answered.last.map { ($0.stage, $0.messages) } }

    func receive(_ bytes: [UInt8], now: UInt64, values: [Int32]) -> ClientReaction {
        guard isUp else { return .nothing }
        if let earlier = answered.first(where: { $0.request == bytes }) { return .again(earlier.messages) }
        let kind = try? Message(decoding: bytes, limit: bytes.count).kind
        if kind == .manifest { return enter(bytes, now: now) }
        guard let session else { return .nothing }
        // Unreadable bytes come in the place of the awaited message.
        let stage = kind?.serverStage ?? session.stage
        let isResult = kind == .result
        if !isReckless, stage != session.stage || isResult != (answered.last?.stage == .unmask) {
            return .nothing
        }
        let before = random
        do throws(AggregationFault) {
            if isResult || (kind == nil && answered.last?.stage == .unmask) {
                let result = try session.finish(bytes)
                self.session = nil
                return .finished(result)
            }
            let messages = try answer(session, stage, bytes, values)
            return took(stage, bytes, messages, before)
        } catch {
            self.session = nil
            return .left(error)
        }
    }

    private func answer(
        _ session: ClientSession, _ stage: Stage, _ bytes: [UInt8], _ values: [Int32]
    ) throws(AggregationFault) -> [[UInt8]] {
        switch stage {
        case .advertiseKeys: [try session.advertiseKeys(bytes, now: 0, random: &random)]
        case .shareKeys: [try session.shareKeys(bytes, random: &random)]
        case .submitMaskedInput: Array(try session.maskedInput(bytes, values: values).messages)
        case .confirmSurvivors: [try session.confirmSurvivors(bytes)]
        case .unmask: [try session.unmask(bytes)]
        }
    }

    /// A manifest starts a new session beside the present one, which it replaces if it is accepted.
    private func enter(_ bytes: [UInt8], now: UInt64) -> ClientReaction {
        let seeds = (0..<(policy.removableNoise?.count ?? 0)).map { _ in
            SecretBytes(random: RemovableNoise.seedLength, from: &random)
        }
        let fresh = ClientSession(
            identity: identity, server: server, roster: roster, policy: policy, journal: journal,
            noiseSeeds: seeds)
        let before = random
        do throws(AggregationFault) {
            let message = try fresh.advertiseKeys(bytes, now: now, random: &random)
            session?.leave()
            session = fresh
            answered = []
            manifest = bytes
            noiseSeeds = seeds
            return took(.advertiseKeys, bytes, [message], before)
        } catch {
            return .left(error)
        }
    }

    private func took(
        _ stage: Stage, _ request: [UInt8], _ messages: [[UInt8]], _ before: SimulationRandom
    ) -> ClientReaction {
        answered.append((stage, request, messages))
        return .step(
            ClientStepTaken(stage: stage, request: request, messages: messages, random: before))
    }
}

extension MessageKind {
    /// The stage that a server's message of this kind opens.
    var serverStage: Stage? {
        switch self {
        case .manifest: .advertiseKeys
        case .cohort: .shareKeys
        case .delivery: .submitMaskedInput
        case .survivors: .confirmSurvivors
        case .signatures, .result: .unmask
        default: nil
        }
    }
}
