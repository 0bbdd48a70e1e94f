extension FederationTemplates {
    /// The built-in federation: generated notes, the built-in model, sites lost on purpose.
    public static func demo(_ settings: DemoSettings = .standard) -> String {
        """
        # A private federation of \(settings.sites) sites on generated notes. Each site sees only some categories; the
        # guarantee is about one note. Unknown keys are errors.
        schema: fedtrain/1
        name: demo

        model:
          base: built-in             # or a Hugging Face directory of a Llama
          adapter: {kind: lora, rank: \(settings.rank), alpha: \(settings.alpha), targets: [\(settings.targets.joined(separator: ", "))]}

        data:
          clients: built-in          # or JSONL files, one per client: "data/*.jsonl"
          sites: \(settings.sites)
          recordsPerSite: \(settings.recordsPerSite)
          heldOutCount: \(settings.heldOutCount)        # over all categories; nobody trains on them
          template: plain
          tokensMax: 128

        rounds:
          count: \(settings.rounds)                  # rounds started; an aborted one stays charged
          minSurvivors: \(settings.minSurvivors)            # nothing is opened below this many contributions

        training:
          algorithm: dp-fedsgd       # one clipped gradient per sampled record and round
          aggregation: ffa           # A stays frozen, B is averaged: exact, and noise stays linear
          server: {optimizer: \(settings.optimizer), learningRate: \(settings.learningRate), momentum: \(settings.momentum), decayRounds: \(settings.decayRounds)}

        privacy:
          unit: record
          epsilon: \(settings.epsilon)                 # the run stops before it would spend more
          delta: 0.00001
          clipNorm: \(settings.clipNorm)           # L2 bound on one record's gradient
          samplingRate: \(settings.samplingRate)          # chance that a record takes part; the coins stay at the site
          colluders: \(settings.colluders)               # clients that may pool what they know with the server

        secagg:
          profile: malicious-server
          allowTinyCohort: true      # below 32 clients each member can subtract itself: DP is the only protection

        simulation:
          lose:                      # on purpose: the first round survives, the second opens nothing
            - {round: \(settings.lossRound), stage: mask, clients: 2}
            - {round: \(settings.abortRound), stage: mask, clients: \(settings.sites - settings.minSurvivors + 1)}

        """
    }
}

/// The numbers of the built-in federation, chosen by measurement (`docs/builtin-model.md`).
///
/// Almost every gradient is longer than `clipNorm`, so a round moves the adapter by a bounded length:
/// `learningRate` × `clipNorm` = 10 at most before momentum. Runs stay stable from 7 to 14. A rank or α
/// other than these changes the gradients' length and with it both numbers.
public struct DemoSettings: Sendable, Equatable {
    public var sites = 8
    public var recordsPerSite = 500
    public var heldOutCount = 240
    public var rounds = 30
    public var minSurvivors = 6
    public var colluders = 1
    public var rank = 8
    public var alpha = 16
    public var targets = ["gate_proj", "up_proj", "down_proj"]
    public var optimizer = "sgd"
    public var learningRate = "250"
    public var momentum = "0.7"
    public var decayRounds = 30
    public var epsilon = "8"
    public var clipNorm = "0.04"
    public var samplingRate = "1/10"
    public var lossRound = 6
    public var abortRound = 13

    public static let standard = DemoSettings()

    public init() {}
}
