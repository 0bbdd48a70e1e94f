import SecureAgg
import Sodium

/// One aggregation round with every party in this process: the same sessions and the same bytes that a
/// network would carry, handed over by function calls.
///
/// Losses are scripted: a client lost at a stage never answers that stage, nor any later one.
struct LoopbackRound {
    /// One client's end of the round.
    struct Participant {
        let id: ClientID
        let session: ClientSession
        let random: StreamRandom
        /// The integers to be summed; asked for once, at stage 2.
        let values: () throws -> [Int32]
    }

    enum Outcome {
        case released(AggregateSum)
        case aborted(AggregationFault)
    }

    let server: ServerSession
    /// Who is lost, and at which stage.
    let losses: [ClientID: Stage]
    /// Seconds since some fixed moment; for the trace only.
    let clock: () -> Double
    /// The clients' idea of the time, in the unit of the manifest's expiry.
    let now: UInt64

    private(set) var trace = RoundTrace()
    private var participants: [ClientID: Participant] = [:]

    /// - Parameters:
    ///   - participants: those who come at all.
    ///   - invited: how many were asked; as many as come when not given.
    init(
        server: ServerSession, participants: [Participant], invited: Int? = nil,
        losses: [ClientID: Stage], now: UInt64, clock: @escaping () -> Double
    ) {
        self.server = server
        self.losses = losses
        self.now = now
        self.clock = clock
        for participant in participants { self.participants[participant.id] = participant }
        trace.invited = invited ?? participants.count
    }

    /// Runs all stages.
    ///
    /// - Parameter beforeUnmasking: called with the survivors after they confirmed and before the first
    ///   share is asked for; what must be durable before a sum can be known belongs here.
    mutating func run(
        beforeUnmasking: (_ survivors: [ClientID], _ trace: RoundTrace) throws -> Void
    ) throws -> Outcome {
        var started = clock()
        let manifest = server.manifestMessage
        let now = now
        for id in participants.keys.sorted() {
            trace.received(manifest.count, by: id, at: .advertiseKeys)
            try answer(id, at: .advertiseKeys) { participant in
                var random = participant.random
                return [try participant.session.advertiseKeys(manifest, now: now, random: &random)]
            }
        }
        var survivors: [ClientID] = []
        while true {
            let closed = server.stage
            let action = server.closeStage()
            trace.seconds[closed] = clock() - started
            switch action {
            case .aborted(let fault):
                return .aborted(fault)
            case .released(let sum, let messages):
                for message in messages where !isLost(message.recipient, by: .unmask) {
                    trace.received(message.bytes.count, by: message.recipient, at: .unmask)
                    _ = try participants[message.recipient]?.session.finish(message.bytes)
                }
                return .released(sum)
            case .send(let stage, let messages):
                if stage == .confirmSurvivors { survivors = messages.map(\.recipient) }
                if stage == .unmask { try beforeUnmasking(survivors, trace) }
                started = clock()
                for message in messages {
                    trace.received(message.bytes.count, by: message.recipient, at: stage)
                    try answer(message.recipient, at: stage) { participant in
                        try Self.respond(participant, to: message.bytes, at: stage)
                    }
                }
            }
        }
    }

    private static func respond(
        _ participant: Participant, to bytes: [UInt8], at stage: Stage
    ) throws -> [[UInt8]] {
        let session = participant.session
        var random = participant.random
        switch stage {
        case .advertiseKeys: preconditionFailure("the manifest is handed out by run")
        case .shareKeys: return [try session.shareKeys(bytes, random: &random)]
        case .submitMaskedInput:
            return Array(try session.maskedInput(bytes, values: participant.values()).messages)
        case .confirmSurvivors: return [try session.confirmSurvivors(bytes)]
        case .unmask: return [try session.unmask(bytes)]
        }
    }

    /// Lets a client answer, unless it is lost; a client that refuses is out, and the trace says why.
    private mutating func answer(
        _ id: ClientID, at stage: Stage, _ respond: (Participant) throws -> [[UInt8]]
    ) throws {
        guard let participant = participants[id] else { return }
        guard !isLost(id, by: stage) else {
            participant.session.leave()
            participants[id] = nil
            return
        }
        do {
            for message in try respond(participant) {
                trace.sent(message.count, by: id, at: stage)
                try server.receive(message, from: id)
            }
            trace.completed[stage, default: 0] += 1
        } catch let fault as AggregationFault {
            trace.faults.append(fault)
            participant.session.leave()
            participants[id] = nil
        }
    }

    private func isLost(_ id: ClientID, by stage: Stage) -> Bool {
        losses[id].map { $0 <= stage } ?? false
    }
}

/// What a round cost and who was left: counts, times and bytes, never values.
public struct RoundTrace: Sendable {
    package init() {}

    public package(set) var invited = 0
    /// Clients whose answer of the stage was accepted; a stage that was never reached is absent.
    public package(set) var completed: [Stage: Int] = [:]
    public package(set) var seconds: [Stage: Double] = [:]
    /// Bytes of all clients together, by stage.
    public private(set) var bytesUp: [Stage: Int] = [:]
    public private(set) var bytesDown: [Stage: Int] = [:]
    /// Bytes of each client over all stages.
    private var upPerClient: [ClientID: Int] = [:]
    private var downPerClient: [ClientID: Int] = [:]
    private var maskedSenders: Set<ClientID> = []
    public package(set) var faults: [AggregationFault] = []

    /// The busiest client's bytes: of one that stayed to the end.
    public var bytesUpPerClient: Int { upPerClient.values.max() ?? 0 }
    public var bytesDownPerClient: Int { downPerClient.values.max() ?? 0 }

    /// How many clients' vectors were accepted.
    public var survivors: Int { completed[.submitMaskedInput] ?? 0 }

    /// Whether any part of a client's masked vector left it.
    package func sentMaskedInput(_ id: ClientID) -> Bool { maskedSenders.contains(id) }

    package mutating func sent(_ count: Int, by id: ClientID, at stage: Stage) {
        bytesUp[stage, default: 0] += count
        upPerClient[id, default: 0] += count
        if stage == .submitMaskedInput { maskedSenders.insert(id) }
    }

    package mutating func received(_ count: Int, by id: ClientID, at stage: Stage) {
        bytesDown[stage, default: 0] += count
        downPerClient[id, default: 0] += count
    }
}

extension RoundCounts {
    package init(_ trace: RoundTrace) {
        self.init(invited: trace.invited, completed: trace.completed)
    }
}
