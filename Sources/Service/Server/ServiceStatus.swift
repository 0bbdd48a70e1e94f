import FedTrain
import SecureAgg

/// What anyone may see of a running server: names of stages, counts, bytes and deadlines. No scores or
/// record counts of single clients, which the server does not know.
package struct ServiceStatus: Codable, Equatable, Sendable {
    package struct Member: Codable, Equatable, Sendable {
        package let name: String
        /// Seconds since its latest request.
        package let silentSeconds: Int
    }

    package struct Wait: Codable, Equatable, Sendable {
        /// What is waited for, in words.
        package let what: String
        package let have: Int
        package let need: Int
        package let secondsLeft: Int
    }

    package struct RoundLine: Codable, Equatable, Sendable {
        package let round: Int
        package let outcome: String
        package let invited: Int
        package let survivors: Int
        package let seconds: Double
        package let epsilon: Double
        /// Clients lost at each stage, by the stage's name.
        package let lost: [String: Int]
        package let reason: String?
    }

    package var federation: String
    package var run: String
    package var roundsPlanned: Int
    package var roundsStarted: Int
    package var roundsReleased: Int
    package var minCohort: Int
    package var minSurvivors: Int
    /// ε charged so far; nil when the ledger cannot be priced.
    package var epsilon: Double?
    package var epsilonMax: Double
    package var delta: Double
    package var unit: String
    package var openRound: Int?
    package var stage: String?
    package var wait: Wait?
    package var members: [Member]
    package var recent: [RoundLine]
    package var rejected: [String: Int]
    package var requests: Int
    package var bytesIn: Int
    package var isEncrypted: Bool
    package var isFinished: Bool

    /// Seconds without a request after which a client counts as away.
    package static let absentSeconds = 45

    /// Clients that were heard of lately.
    package var presentCount: Int { members.count { $0.silentSeconds < Self.absentSeconds } }
}

/// What a watcher of the server gets to hear.
package enum ServiceEvent: Sendable {
    case joined(name: String, have: Int, need: Int)
    case waiting(ServiceStatus.Wait)
    case roundStarted(Int, of: Int, clients: Int)
    case stageOpened(Stage, round: Int, members: Int, seconds: Int)
    case roundEnded(RoundSummary, epsilon: Double)
    case rejected(kind: String, peer: String?, detail: String)
    case finished(started: Int, released: Int, stopped: Bool)
}
