/// One exchange between the server and the clients, in protocol order.
public enum Stage: Int, Sendable, Hashable, CaseIterable, Comparable {
    case advertiseKeys = 0
    case shareKeys
    case submitMaskedInput
    case confirmSurvivors
    case unmask

    /// The short name used in files, tables and command lines.
    public var name: String {
        switch self {
        case .advertiseKeys: "advertise"
        case .shareKeys: "share"
        case .submitMaskedInput: "mask"
        case .confirmSurvivors: "confirm"
        case .unmask: "unmask"
        }
    }

    public init?(name: String) {
        guard let stage = Stage.allCases.first(where: { $0.name == name }) else { return nil }
        self = stage
    }

    public static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }

    var next: Stage? { Stage(rawValue: rawValue + 1) }
}

/// A failed check of the protocol: which one, at which stage, whom it concerns and who caused it.
///
/// Carries stages, identities and counts, never values, keys or shares.
public struct AggregationFault: Error, Hashable, Sendable {
    public enum Scope: Hashable, Sendable {
        /// One peer is excluded; the round goes on.
        case peer(ClientID)
        /// The round is over for whoever reports this; nothing was opened.
        case round
        /// The caller broke the order of calls or passed something it could have checked.
        case misuse
    }

    public let stage: Stage
    public let scope: Scope
    public let check: Check
    /// The clients that the check proves or suspects to be at fault; empty when it is the server or nobody.
    public let culprits: [ClientID]
    /// Counts and bounds in words; empty when the check's own sentence says it all.
    public let detail: String

    init(
        _ check: Check, at stage: Stage, scope: Scope = .round, culprits: [ClientID] = [],
        _ detail: String = ""
    ) {
        self.stage = stage
        self.scope = scope
        self.check = check
        self.culprits = culprits
        self.detail = detail
    }
}

extension AggregationFault {
    /// The checks by name. The raw value is the machine-readable reason.
    public enum Check: String, Hashable, Sendable, CaseIterable {
        // Reading a message
        case malformed = "malformed-message"
        case tooLarge = "message-too-large"
        case unexpectedKind = "unexpected-message-kind"
        case wrongStage = "wrong-stage"
        case wrongSession = "wrong-session"
        case unsupportedVersion = "unsupported-version"
        case badSignature = "bad-signature"
        case conflictingRepeat = "conflicting-repeat"

        // Who takes part
        case unknownPeer = "unknown-peer"
        case identityMismatch = "identity-not-in-roster"
        case rosterMismatch = "roster-mismatch"
        case duplicateIdentity = "duplicate-identity"
        case duplicateKey = "duplicate-key"
        case ownEntryMissing = "own-entry-missing"
        case cohortFull = "cohort-full"
        case cohortSize = "cohort-size"

        // The manifest
        case expired = "manifest-expired"
        case contextMismatch = "context-mismatch"
        case policy = "policy"
        case parameters = "parameters"
        case replayedRound = "replayed-round"
        case journal = "journal"

        // Keys, shares and masks
        case lowOrderKey = "low-order-key"
        case shareCount = "share-count"
        case shareRejected = "share-rejected"
        case tooFewNeighbours = "too-few-neighbours"
        case vectorLength = "vector-length"
        case vectorDigest = "vector-digest"

        // Survivors
        case ownVectorMissing = "own-vector-missing"
        case belowSurvivorFloor = "below-survivor-floor"
        case inconsistentNeighbour = "inconsistent-neighbour"
        case dropPattern = "drop-pattern"
        case tooFewSignatures = "too-few-signatures"

        // Opening
        case wrongShare = "wrong-share"
        case unrecoverable = "unrecoverable-secret"
        case resultMismatch = "result-mismatch"
        case transcriptMismatch = "transcript-mismatch"

        // Own side
        case outOfOrder = "out-of-order-call"
        case finished = "session-finished"
        case abandoned = "abandoned"
    }
}

extension AggregationFault.Check {
    /// What the failed check means, in one sentence.
    public var meaning: String {
        switch self {
        case .malformed: "the message does not decode to what this stage expects"
        case .tooLarge: "the message is longer than this stage allows"
        case .unexpectedKind: "the message is of a kind that this stage does not take"
        case .wrongStage: "the message belongs to another stage"
        case .wrongSession:
            "the message belongs to another session: its sender saw another manifest or cohort"
        case .unsupportedVersion: "the protocol version is not one that this build speaks"
        case .badSignature: "the signature does not belong to these bytes and this sender"
        case .conflictingRepeat:
            "the peer already sent a different message for this stage; the first one stands"
        case .unknownPeer: "the sender is not part of this session"
        case .identityMismatch: "the roster does not list this identity key for this client"
        case .rosterMismatch: "the round uses another roster than the one held here"
        case .duplicateIdentity: "one client appears twice"
        case .duplicateKey: "two clients announce the same key, so a mask would be known to a third party"
        case .ownEntryMissing: "the cohort does not carry exactly what this client announced"
        case .cohortFull: "the cohort already has its largest size"
        case .cohortSize: "the cohort is outside the announced bounds"
        case .expired: "the round's manifest has expired"
        case .contextMismatch: "the round's plan is not the plan held here"
        case .policy: "the round's terms are below this client's own floors"
        case .parameters: "the round's parameters are not usable"
        case .replayedRound: "this or a later round of the task was already entered"
        case .journal: "the journal could not make the step durable, so nothing was sent"
        case .lowOrderKey: "a peer announced a key of low order"
        case .shareCount: "the message carries another number of shares than it must"
        case .shareRejected:
            "a sealed share does not open: it was altered, or sealed for another edge or session"
        case .tooFewNeighbours: "fewer neighbours are left than the threshold needs"
        case .vectorLength: "the vector does not have the announced length"
        case .vectorDigest: "a chunk does not match the digest its sender signed"
        case .ownVectorMissing: "the survivor list omits or alters this client's masked vector"
        case .belowSurvivorFloor: "fewer contributions are left than the round promised to open at least"
        case .inconsistentNeighbour: "a neighbour is listed as a survivor but its shares never arrived here"
        case .dropPattern: "the listed dropouts would cut the graph into parts, which chance does not do"
        case .tooFewSignatures: "too few neighbours signed the same survivor list"
        case .wrongShare:
            "a share does not lie on its dealer's polynomial: its holder changed it, or the dealer dealt it so"
        case .unrecoverable: "a secret needed for the sum cannot be rebuilt"
        case .resultMismatch: "the announced result does not belong to the survivors that were signed"
        case .transcriptMismatch: "the published transcript does not reproduce what was announced"
        case .outOfOrder: "the call does not belong to the session's present stage"
        case .finished: "the session has ended; a new round needs a new session"
        case .abandoned: "the round was given up by the caller"
        }
    }
}

extension AggregationFault: CustomStringConvertible {
    public var description: String {
        var text = "\(stage.name): \(check.rawValue): \(check.meaning)"
        if !detail.isEmpty { text += " (\(detail))" }
        if !culprits.isEmpty {
            text += "; concerns \(culprits.map(\.description).joined(separator: ", "))"
        }
        return text
    }
}
