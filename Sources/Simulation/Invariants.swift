import SecureAgg
import Sodium

/// What must hold after every event, whatever the network, the clients' machines and the server do.
public enum Invariant: String, CaseIterable, Sendable {
    /// No honest client releases both kinds of share of one peer in a session.
    case oneKindPerPeer = "one-kind-per-peer"
    /// A released share is of the self-mask seed exactly when its dealer is in the list that was signed.
    case kindFitsList = "kind-fits-list"
    /// Nobody can rebuild both the self-mask seed and the mask-key seed of an honest client.
    case notBothSecrets = "not-both-secrets"
    /// Every set of vectors that the server can open has at least the promised number of contributions.
    case survivorFloor = "survivor-floor"
    /// Noise seeds are opened of survivors only, and of no level that the loss of clients keeps closed.
    case noiseLevels = "noise-levels"
    /// A vector whose owner was declared lost stays masked, even when it arrives afterwards.
    case lateVectorStaysMasked = "late-vector-stays-masked"
    /// A client signs only lists with itself in them, over the vector that it sent.
    case ownVectorSigned = "own-vector-signed"
    /// A cohort that an honest client accepts shows enrolled clients only, each under the keys that it
    /// announced itself, no key twice.
    case keysOfOwners = "keys-of-owners"
    /// A released sum is the plaintext sum of exactly the announced survivors.
    case exactSum = "exact-sum"
    /// All who finish a session learn the same survivors, and from an honest server the same result.
    case oneResult = "one-result"
    /// A client answers a stage of a round with one message only, across restarts.
    case oneAnswer = "one-answer"
    /// A client masks one vector per round.
    case oneVector = "one-vector"
    /// A client signs one survivor list per round.
    case oneList = "one-list"
    /// A client releases shares once per round.
    case oneRelease = "one-release"
    /// A client enters a round only once and never goes back.
    case roundsGrow = "rounds-grow"
    /// What leaves a client was in its journal before.
    case journalFirst = "journal-first"
    /// Keys are new in every session.
    case freshKeys = "fresh-keys"
    /// After a crash the server sends what it sent before.
    case sameAfterCrash = "same-after-crash"
    /// The server blames nobody for a wrong share who did not send one.
    case justBlame = "just-blame"
    /// Every wait has an end.
    case waitsEnd = "waits-end"
    /// A round in which nothing goes wrong is released with everybody in it and waits for nobody.
    case progress
    /// The observer can follow what it watches; else nothing above would mean anything.
    case observable
}

/// One broken invariant.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
    public let invariant: Invariant
    public let round: UInt64
    public let detail: String

    public var description: String { "\(invariant.rawValue): round \(round): \(detail)" }
}

/// The rules about one client's messages and the results of rounds, checked on their history.
///
/// Knows nothing about how the messages came about: tests feed it histories that break each rule.
package struct History {
    private struct Answer: Hashable {
        let client: Int
        let round: UInt64
        let stage: Stage
    }

    package private(set) var violations: [Violation] = []
    private var answers: [Answer: Digest] = [:]
    private var latestRound: [Int: UInt64] = [:]
    private var announcedKeys: Set<[UInt8]> = []
    private var survivors: [Digest: [ClientID]] = [:]
    private var results: [UInt64: Digest] = [:]
    private var sums: [UInt64: [UInt32]] = [:]

    package init() {}

    mutating func report(_ invariant: Invariant, _ round: UInt64, _ detail: String) {
        violations.append(Violation(invariant: invariant, round: round, detail: detail))
    }

    /// A client hands out its answer to a stage: `message` is its first message, `keys` what it announces.
    package mutating func answered(
        client: Int, round: UInt64, stage: Stage, manifest: Digest, message: [UInt8],
        isJournaled: Bool, keys: [[UInt8]] = []
    ) {
        let name = Answer(client: client, round: round, stage: stage)
        let digest = Digest.of(message)
        if !isJournaled {
            report(.journalFirst, round, "client \(client) sent its \(stage.name) answer unrecorded")
        }
        if let earlier = answers[name], earlier != digest {
            let rule: Invariant =
                switch stage {
                case .advertiseKeys: .roundsGrow
                case .shareKeys: .oneAnswer
                case .submitMaskedInput: .oneVector
                case .confirmSurvivors: .oneList
                case .unmask: .oneRelease
                }
            report(rule, round, "client \(client) answered \(stage.name) twice")
        }
        answers[name] = digest
        if stage == .advertiseKeys {
            if let latest = latestRound[client], round < latest {
                report(.roundsGrow, round, "client \(client) was in round \(latest) before")
            }
            latestRound[client] = max(round, latestRound[client] ?? 0)
        }
        for key in keys where !announcedKeys.insert(key).inserted {
            report(.freshKeys, round, "client \(client) announced a key that was announced before")
        }
    }

    /// A client accepted the result of a session. `isHonest`: by a server that follows the protocol.
    package mutating func finished(client: Int, round: UInt64, result: VerifiedResult, isHonest: Bool) {
        finished(
            client: client, round: round, session: result.session, survivors: result.survivors,
            digest: result.resultDigest, isHonest: isHonest)
        if isHonest, let sum = sums[round], !result.covers(elements: sum) {
            report(.oneResult, round, "client \(client) accepted a result that is not the released sum")
        }
    }

    package mutating func finished(
        client: Int, round: UInt64, session: Digest, survivors list: [ClientID], digest: Digest,
        isHonest: Bool
    ) {
        if let known = survivors[session], known != list {
            report(.oneResult, round, "client \(client) finished with other survivors than another")
        }
        survivors[session] = list
        guard isHonest else { return }
        if let known = results[round], known != digest {
            report(.oneResult, round, "client \(client) finished with another result than another")
        }
        results[round] = digest
    }

    /// An honest server released a sum.
    package mutating func released(round: UInt64, elements: [UInt32], expected: [UInt32], digest: Digest) {
        if elements != expected {
            report(.exactSum, round, "the released sum is not the sum of the announced survivors")
        }
        if let known = results[round], known != digest {
            report(.oneResult, round, "the round was released twice")
        }
        results[round] = digest
        sums[round] = elements
    }

    /// What a stage's opening sent: once before a crash and again after it.
    package mutating func resent(round: UInt64, stage: Stage, before: [UInt64], after: [UInt64]) {
        if before != after {
            report(.sameAfterCrash, round, "the \(stage.name) messages differ after the restart")
        }
    }

    package mutating func blamed(round: UInt64, culprits: [ClientID], liars: Set<ClientID>) {
        for culprit in culprits where !liars.contains(culprit) {
            report(.justBlame, round, "\(culprit) is named for a wrong share it did not send")
        }
    }
}
