import SecureAgg
import Sodium

/// What a server wants done.
enum ServerEffect {
    case send(ClientID, [UInt8])
    /// A stage is open and closes by itself at its deadline.
    case opened(Stage)
    case ended(RoundOutcome)
}

/// How one round ended.
public enum RoundOutcome: Hashable, Sendable {
    case released(survivors: Int)
    /// The stage and the failed check.
    case aborted(Stage, AggregationFault.Check)
    /// A lying server ended with this many sums that it could open, all of them above the floor.
    case lied(openableSums: Int)

    /// A line of the histogram.
    public var name: String {
        switch self {
        case .released: "released"
        case .aborted(let stage, let check): "aborted at \(stage.name): \(check.rawValue)"
        case .lied(0): "lied to: nothing opened"
        case .lied: "lied to: only sums above the floor opened"
        }
    }
}

/// A server's machine, honest or not.
protocol SimulatedServer: AnyObject {
    var isUp: Bool { get }
    /// Clients whose answer is missing.
    var awaited: [ClientID] { get }
    func start() -> [ServerEffect]
    func receive(_ bytes: [UInt8], from sender: ClientID) -> [ServerEffect]
    func deadlinePassed() -> [ServerEffect]
    /// The messages of the open stage for those who have not answered.
    func remind() -> [ServerEffect]
}

/// The machine around the real `ServerSession`: stores every input and every closing before acting on it,
/// and after a crash starts over from the store.
final class HonestServer: SimulatedServer {
    private enum Stored {
        case message(ClientID, [UInt8])
        case closed
    }

    private let invited: [ClientID]
    private let makeSession: () -> ServerSession
    private var session: ServerSession
    // What survives a crash.
    private var stored: [Stored] = []
    // What the world remembers of it, for comparison.
    private var sent: [[UInt64]] = []
    private var lastMessages: [(recipient: ClientID, bytes: [UInt8])] = []
    private(set) var isUp = true
    private(set) var ended = false
    private(set) var released: AggregateSum?
    /// A restarted server sent something else than before, at these stages.
    private(set) var differences: [(stage: Stage, before: [UInt64], after: [UInt64])] = []
    /// How many messages were refused.
    private(set) var refusals = 0

    init(invited: [ClientID], start: @escaping () -> ServerSession) {
        self.invited = invited
        makeSession = start
        session = start()
        lastMessages = invited.map { ($0, session.manifestMessage) }
    }

    var stage: Stage { session.stage }
    var manifestMessage: [UInt8] { session.manifestMessage }

    var awaited: [ClientID] {
        stage == .advertiseKeys
            ? (session.advertised == invited.count ? [] : invited) : session.awaited
    }

    func start() -> [ServerEffect] { [.opened(.advertiseKeys)] + sending(lastMessages) }

    /// Where a crash can hit.
    enum CrashPoint { case none, beforeStore, afterStore, beforeSend, whileSending }
    var nextCrash = CrashPoint.none

    func receive(_ bytes: [UInt8], from sender: ClientID) -> [ServerEffect] {
        guard isUp, !ended else { return [] }
        if nextCrash == .beforeStore { return crash() }
        stored.append(.message(sender, bytes))
        if nextCrash == .afterStore { return crash() }
        take(bytes, sender)
        return awaited.isEmpty ? close() : []
    }

    private func take(_ bytes: [UInt8], _ sender: ClientID) {
        do throws(AggregationFault) { try session.receive(bytes, from: sender) } catch { refusals += 1 }
    }

    func deadlinePassed() -> [ServerEffect] { isUp && !ended ? close() : [] }

    private func close() -> [ServerEffect] {
        stored.append(.closed)
        let action = session.closeStage()
        note(action)
        if nextCrash == .beforeSend { return crash() }
        let effects = carryOut(action)
        guard nextCrash == .whileSending else { return effects }
        return Array(effects.prefix(1 + effects.count / 2)) + crash()
    }

    /// Remembers what a closing sends, or compares it with what it sent before the crash.
    private func note(_ action: ServerAction) {
        sent.append(Self.digests(action))
    }

    private static func digests(_ action: ServerAction) -> [UInt64] {
        let messages: [OutgoingMessage]
        switch action {
        case .send(_, let list), .released(_, let list): messages = list
        case .aborted: messages = []
        }
        return messages.map { message in
            var trace = Trace(keepsLines: false)
            trace.note(message.recipient.number, "sent", 0, message.bytes)
            return trace.digest
        }
    }

    private func carryOut(_ action: ServerAction) -> [ServerEffect] {
        switch action {
        case .send(let stage, let messages):
            lastMessages = messages.map { ($0.recipient, $0.bytes) }
            return [.opened(stage)] + sending(lastMessages)
        case .released(let sum, let messages):
            ended = true
            released = sum
            lastMessages = messages.map { ($0.recipient, $0.bytes) }
            return [.ended(.released(survivors: sum.survivors.count))] + sending(lastMessages)
        case .aborted(let fault):
            ended = true
            lastMessages = []
            return [.ended(.aborted(fault.stage, fault.check))]
        }
    }

    private func sending(_ messages: [(recipient: ClientID, bytes: [UInt8])]) -> [ServerEffect] {
        messages.map { .send($0.recipient, $0.bytes) }
    }

    private func crash() -> [ServerEffect] {
        nextCrash = .none
        isUp = false
        return []
    }

    /// A new process: the store brings it to where the old one was, and it sends the last messages again.
    func restart() -> [ServerEffect] {
        guard !isUp else { return [] }
        isUp = true
        session = makeSession()
        var closing = 0
        var action: ServerAction?
        for entry in stored {
            switch entry {
            case .message(let sender, let bytes): take(bytes, sender)
            case .closed:
                let stage = session.stage
                let again = session.closeStage()
                let digests = Self.digests(again)
                if digests != sent[closing] { differences.append((stage, sent[closing], digests)) }
                closing += 1
                action = again
            }
        }
        guard !ended else { return [] }
        guard let action else { return [.opened(.advertiseKeys)] + sending(lastMessages) }
        return carryOut(action) + (ended || !awaited.isEmpty ? [] : close())
    }

    /// Declares the round failed instead of resuming it.
    func giveUp() -> [ServerEffect] {
        isUp = true
        return ended ? [] : carryOut(session.abandon())
    }

    func remind() -> [ServerEffect] {
        guard isUp, !ended else { return [] }
        let missing = Set(awaited)
        return sending(lastMessages.filter { missing.contains($0.recipient) })
    }
}
