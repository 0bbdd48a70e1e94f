/// Everything that the world does to a round besides running it. Counted as it happens.
public enum Fault: String, CaseIterable, Sendable {
    // The network
    case delay
    case loss
    case duplicate
    case reorder
    case flip
    case truncate
    case replay
    case impersonation = "other-sender"
    case misdelivery = "other-receiver"
    // Processes
    case clientCrash = "client-crash"
    case clientRestart = "client-restart"
    case journalFailure = "journal-failure"
    case serverCrashBeforeStore = "server-crash-before-store"
    case serverCrashAfterStore = "server-crash-after-store"
    case serverCrashBeforeSend = "server-crash-before-send"
    case serverCrashWhileSending = "server-crash-while-sending"
    case serverGivesUp = "server-gives-up"
    // Lying clients
    case lieShare = "lie-share"
    case lieCommitment = "lie-commitment"
    case secondVector = "second-vector"
    // Lying servers
    case forkManifest = "fork-manifest"
    case weakenManifest = "weaken-manifest"
    case rerunRound = "rerun-round"
    case alterCohort = "alter-cohort"
    case swapKey = "swap-key"
    case addSybil = "add-sybil"
    case mirrorKey = "mirror-key"
    case hideFromOne = "hide-live-from-one"
    case rerouteShares = "reroute-shares"
    case equivocateSurvivors = "equivocate-survivors"
    case patchworkLists = "patchwork-lists"
    case dropLive = "drop-live"
    case belowFloor = "below-floor"
    case addDropped = "add-dropped"
    case foreignVector = "foreign-vector"
    case shortEvidence = "short-evidence"
    case forgedEvidence = "forged-evidence"
    case contradictConfirm = "contradict-confirm"
    case contradictUnmask = "contradict-unmask"
    case earlyUnmask = "early-unmask"
    case forgedResult = "forged-result"

    /// What a lying server can choose from.
    static let lies: [Fault] = [
        .forkManifest, .weakenManifest, .rerunRound, .alterCohort, .swapKey, .addSybil, .mirrorKey,
        .hideFromOne, .rerouteShares, .equivocateSurvivors, .patchworkLists, .dropLive, .belowFloor,
        .addDropped,
        .foreignVector, .shortEvidence, .forgedEvidence, .contradictConfirm, .contradictUnmask,
        .earlyUnmask, .forgedResult,
    ]
}

/// How often what goes wrong in one round, per 10,000 opportunities.
struct FaultRates {
    var slow = 0
    var loss = 0
    var duplicate = 0
    var reorder = 0
    var damage = 0
    var replay = 0
    var clientCrash = 0
    var journalFailure = 0
    var serverCrash = 0
    var lyingClient = 0

    static let none = FaultRates()

    /// Some kinds are off in a round and some are frequent, so that every mixture comes up and rounds
    /// still succeed often enough to have something to check.
    init(random: inout SimulationRandom) {
        func rate(_ random: inout SimulationRandom, _ most: Int) -> Int {
            random.below(3) == 0 ? 0 : 1 + random.below(most)
        }
        slow = rate(&random, 300)
        loss = rate(&random, 400)
        duplicate = rate(&random, 500)
        reorder = rate(&random, 1000)
        damage = rate(&random, 60)
        replay = rate(&random, 200)
        clientCrash = rate(&random, 80)
        journalFailure = rate(&random, 30)
        serverCrash = rate(&random, 50)
        lyingClient = rate(&random, 4000)
    }

    private init() {}
}
