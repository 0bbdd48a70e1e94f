import Sodium

/// A message for one client.
public struct OutgoingMessage: Sendable {
    public let recipient: ClientID
    public let bytes: [UInt8]
}

/// What the driver has to do after a stage was closed.
public enum ServerAction: Sendable {
    /// Store the messages, then send them: `stage` is now open and waits for the answers.
    case send(stage: Stage, messages: [OutgoingMessage])
    /// The sum over the survivors is open; send the result to them.
    case released(AggregateSum, messages: [OutgoingMessage])
    /// The round is over and nothing was opened.
    case aborted(AggregationFault)
}

/// A sum over the survivors of one round, and nothing about any of them.
public struct AggregateSum: Sendable {
    public let parameters: AggregationParameters
    public let topology: Topology
    public let session: Digest
    /// U1, everyone who advertised keys in time.
    public let cohort: [ClientID]
    /// U3, exactly those whose vectors are in the sum.
    public let survivors: [ClientID]
    /// d ring elements in 0 ..< 2^b; removable noise is still in them.
    public let elements: [UInt32]
    /// The noise to be taken out, by ascending survivor and level; empty without removable noise.
    public let revealedNoise: [RevealedNoise]
    public let digest: Digest
    /// Peers that sent wrong shares which were decoded around.
    public let faults: [AggregationFault]
    public let transcript: Transcript

    /// The elements as −2^(b−1) … 2^(b−1) − 1.
    public var centred: [Int32] { centredLift(elements, modulusBits: parameters.modulusBits) }
}

/// The server's part in one round: takes messages in any order, closes stages when the driver says so.
///
/// Waiting is the driver's work: it sends `manifestMessage` to whom it invites, hands every answer to
/// `receive`, and calls `closeStage` once `awaited` is empty or the stage's deadline has passed.
/// Everything is a function of the inputs, so a server resumes after a crash by making the same
/// session again and feeding it the stored messages and closings in order: it then sends the same bytes.
public final class ServerSession {
    /// Each stage owns what it collects; a frozen set is never touched again.
    private enum State {
        case advertising(AdvertiseKeysCollector)
        case sharing(ShareKeysCollector)
        case masking(MaskedInputCollector)
        case confirming(ConfirmCollector)
        case unmasking(UnmaskCollector)
        case ended(Stage)
    }

    private let context: ServerContext
    private var state: State
    /// Nil until stage 0 is closed.
    private var cohort: Cohort?

    /// The signed manifest, the same bytes for everyone.
    public var manifestMessage: [UInt8] { context.manifestMessage }
    public var manifestDigest: Digest { context.manifestDigest }

    /// - Parameters:
    ///   - roster: the roster that the manifest names, or nil when it names none.
    ///   - threads: how many threads unmasking may use; the result does not depend on it.
    public init(manifest: RoundManifest, signingKey: SigningKey, roster: Roster?, threads: Int = 1) {
        precondition(manifest.rosterDigest == roster?.digest, "the manifest names another roster")
        let body = manifest.encodedBody()
        let message = Message(
            .manifest, session: nil, body: body,
            signature: signingKey.sign(
                signedDigest(.manifest, scope: RoundManifest.signatureScope, body: body)))
        context = ServerContext(
            manifest: manifest, manifestDigest: RoundManifest.digest(ofBody: body),
            manifestMessage: message.encoded(), manifestSignature: message.signature,
            signingKey: signingKey, roster: roster, threads: max(1, threads))
        state = .advertising(AdvertiseKeysCollector(context: context))
    }

    /// The stage that is open, or at which the round ended.
    public var stage: Stage {
        switch state {
        case .advertising: .advertiseKeys
        case .sharing: .shareKeys
        case .masking: .submitMaskedInput
        case .confirming: .confirmSurvivors
        case .unmasking: .unmask
        case .ended(let stage): stage
        }
    }

    public var hasEnded: Bool { if case .ended = state { true } else { false } }

    /// Clients whose answer to the open stage is still missing. Empty in stage 0, where the server
    /// does not know who will come; see `advertised`.
    public var awaited: [ClientID] {
        guard let cohort else { return [] }
        let indices: [Int] =
            switch state {
            case .sharing(let stage): stage.awaited
            case .masking(let stage): stage.awaited
            case .confirming(let stage): stage.awaited
            case .unmasking(let stage): stage.awaited
            case .advertising, .ended: []
            }
        return cohort.ids(indices)
    }

    /// How many clients advertised keys so far; the stage can close at the cohort's upper bound.
    public var advertised: Int {
        if case .advertising(let stage) = state { stage.count } else { cohort?.count ?? 0 }
    }

    /// The longest message that the open stage takes, in bytes.
    package var messageLimit: Int { Limits.clientMessage(context.parameters, topology) }

    /// Neighbours and threshold once the cohort is frozen.
    public var topology: Topology? { cohort?.neighbours.topology }

    /// Takes one message from a client. The same bytes again are accepted and change nothing.
    ///
    /// - Throws: a fault that names the sender and the check; the message had no effect, and the round
    ///   goes on.
    public func receive(_ bytes: [UInt8], from sender: ClientID) throws(AggregationFault) {
        let stage = self.stage
        guard !hasEnded else {
            throw AggregationFault(.finished, at: stage, scope: .peer(sender))
        }
        let message: Message
        do {
            message = try Message(
                decoding: bytes, limit: Limits.clientMessage(context.parameters, topology))
        } catch {
            throw error.fault(at: stage, scope: .peer(sender))
        }
        if case .advertising(let collector) = state {
            return try collector.receive(message, from: sender)
        }
        guard let member = cohort?.index(of: sender) else {
            throw AggregationFault(.unknownPeer, at: stage, scope: .peer(sender), culprits: [sender])
        }
        if let expected = message.kind.clientStage, expected != stage {
            throw AggregationFault(
                .wrongStage, at: stage, scope: .peer(sender), culprits: [sender], "for \(expected.name)")
        }
        switch state {
        case .sharing(let collector): try collector.receive(message, from: member)
        case .masking(let collector): try collector.receive(message, from: member)
        case .confirming(let collector): try collector.receive(message, from: member)
        case .unmasking(let collector): try collector.receive(message, from: member)
        case .advertising, .ended: break
        }
    }

    /// Freezes the open stage's set and moves on, or ends the round.
    public func closeStage() -> ServerAction {
        let stage = self.stage
        do {
            let (next, action) = try transition()
            state = next
            return action
        } catch {
            state = .ended(stage)
            return .aborted(error)
        }
    }

    private func transition() throws(AggregationFault) -> (State, ServerAction) {
        switch state {
        case .advertising(let collector):
            let frozen = try collector.close()
            cohort = frozen
            let message = frozen.encoded()
            return (
                .sharing(ShareKeysCollector(context: context, cohort: frozen)),
                .send(
                    stage: .shareKeys,
                    messages: frozen.members.map { OutgoingMessage(recipient: $0.id, bytes: message) })
            )
        case .sharing(let collector):
            let shared = try collector.close()
            return (
                .masking(MaskedInputCollector(context: context, shared: shared)),
                send(.submitMaskedInput, shared.members.map { ($0, shared.delivery(for: $0)) })
            )
        case .masking(let collector):
            let next = ConfirmCollector(context: context, masked: try collector.close())
            return (.confirming(next), send(.confirmSurvivors, next.messages()))
        case .confirming(let collector):
            let confirmed = try collector.close()
            return (
                .unmasking(UnmaskCollector(context: context, confirmed: confirmed)),
                send(.unmask, confirmed.signers.map { ($0, confirmed.evidence(for: $0)) })
            )
        case .unmasking(let collector):
            let opened = try collector.close()
            let sum = AggregateSum(opened, confirmed: collector.confirmed, context: context)
            let message = sum.announcement(context: context, statement: collector.confirmed.statement)
            return (
                .ended(.unmask),
                .released(
                    sum,
                    messages: sum.survivors.map { OutgoingMessage(recipient: $0, bytes: message) })
            )
        case .ended(let stage):
            throw AggregationFault(.finished, at: stage, scope: .misuse)
        }
    }

    private func send(_ stage: Stage, _ messages: [(member: Int, bytes: [UInt8])]) -> ServerAction {
        .send(
            stage: stage,
            messages: messages.map {
                OutgoingMessage(recipient: cohort!.id($0.member), bytes: $0.bytes)
            })
    }

    /// Ends the round on the driver's decision (a shutdown, an operator); nothing was opened.
    public func abandon() -> ServerAction {
        let stage = self.stage
        state = .ended(stage)
        return .aborted(AggregationFault(.abandoned, at: stage))
    }
}

extension MessageKind {
    /// The stage that a client's message of this kind answers.
    var clientStage: Stage? {
        switch self {
        case .advertise: .advertiseKeys
        case .share: .shareKeys
        case .maskedHeader, .maskedChunk: .submitMaskedInput
        case .confirm: .confirmSurvivors
        case .unmask: .unmask
        default: nil
        }
    }
}
