import Foundation
import SecureAgg
import Sodium

/// One aggregation round with every party in this process: the same sessions and the same bytes that a
/// network would carry, handed over by function calls.
///
/// Losses are scripted: a client lost at a stage never answers that stage, nor any later one. A few clients
/// answer at a time; the server hears them in the order of their numbers.
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
        try answer(
            participants.keys.sorted().map { ($0, manifest) }, at: .advertiseKeys
        ) { participant, bytes in
            var random = participant.random
            return [try participant.session.advertiseKeys(bytes, now: now, random: &random)]
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
                try answer(messages.map { ($0.recipient, $0.bytes) }, at: stage) {
                    try Self.respond($0, to: $1, at: stage)
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

    /// Lets clients answer, unless they are lost; one that refuses is out, and the trace says why.
    private mutating func answer(
        _ inbox: [(id: ClientID, message: [UInt8])], at stage: Stage,
        _ respond: @Sendable (Participant, [UInt8]) throws -> [[UInt8]]
    ) throws {
        for start in stride(from: 0, to: inbox.count, by: Self.batch) {
            var asked: [(participant: Participant, message: [UInt8])] = []
            for (id, message) in inbox[start..<min(start + Self.batch, inbox.count)] {
                trace.received(message.count, by: id, at: stage)
                guard let participant = participants[id] else { continue }
                guard !isLost(id, by: stage) else {
                    participant.session.leave()
                    participants[id] = nil
                    continue
                }
                asked.append((participant, message))
            }
            // Sessions share nothing, and each is touched by one thread at a time.
            nonisolated(unsafe) let turn = asked
            let answers = concurrentResults(turn.count) {
                try respond(turn[$0].participant, turn[$0].message)
            }
            for ((participant, _), answer) in zip(asked, answers) {
                do {
                    for message in try answer.get() {
                        trace.sent(message.count, by: participant.id, at: stage)
                        try server.receive(message, from: participant.id)
                    }
                    trace.completed[stage, default: 0] += 1
                } catch let fault as AggregationFault {
                    trace.faults.append(fault)
                    participant.session.leave()
                    participants[participant.id] = nil
                }
            }
        }
    }

    /// Clients that answer before the server hears them: enough to keep the threads busy, few enough that
    /// their messages do not pile up.
    private static let batch = 4 * concurrency

    private func isLost(_ id: ClientID, by stage: Stage) -> Bool {
        losses[id].map { $0 <= stage } ?? false
    }
}

/// How many clients of one process work at the same time.
let concurrency = max(1, ProcessInfo.processInfo.activeProcessorCount)

/// What `body` gives or throws for each index, a few at a time: nothing of it depends on how many.
func concurrentResults<Success>(
    _ count: Int, _ body: @Sendable (Int) throws -> Success
) -> [Result<Success, any Error>] {
    var results = [Result<Success, any Error>?](repeating: nil, count: count)
    results.withUnsafeMutableBufferPointer { buffer in
        nonisolated(unsafe) let output = buffer
        parallel(count, threads: concurrency) { index in
            output[index] = Result { try body(index) }
        }
    }
    return results.map { $0! }
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
