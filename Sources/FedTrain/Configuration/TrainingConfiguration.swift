import Models

extension FederationConfiguration {
    /// What a client computes from its records, its copy of the shared numbers and what it keeps to itself.
    public enum Algorithm: String, Sendable, CaseIterable {
        /// Local training; the client's whole update is one contribution [McMahan et al. 2017].
        case fedAvg = "fedavg"
        /// FedAvg, each step pulled back to the shared numbers [Li et al. 2020].
        case fedProx = "fedprox"
        /// One clipped gradient per sampled record and round [Abadi et al. 2016], summed over sites.
        case dpFedSGD = "dp-fedsgd"
        /// Beside the shared model a personal one, held near it [Li et al. 2021]. What travels is FedAvg's
        /// update (unit client) or DP-FedSGD's gradients (unit record), and never sees the personal model.
        case ditto
        /// The shared numbers move towards the solutions of each client's own problem [Dinh et al. 2020].
        case pFedMe = "pfedme"
        /// Some tensors stay private; they are trained first, the shared ones after [Collins et al. 2021].
        case fedRep = "fedrep"
        /// Some tensors stay private and are trained along with the shared ones [Li et al. 2021, FedBN].
        case partial
        /// Zeroth-order steps along K shared directions; K numbers travel [Qin et al. 2024].
        case fedKSeed = "fedkseed"

        /// Whether a client keeps numbers of its own from round to round.
        public var isPersonal: Bool {
            switch self {
            case .ditto, .pFedMe, .fedRep, .partial: true
            case .fedAvg, .fedProx, .dpFedSGD, .fedKSeed: false
            }
        }

        /// Whether `training.share` says which tensors travel.
        public var sharesPart: Bool { self == .fedRep || self == .partial }
    }

    public enum ServerOptimizer: String, Sendable, CaseIterable {
        /// With a momentum FedAvgM.
        case sgd
        /// FedAdam.
        case adam
        /// FedYogi.
        case yogi
    }

    public enum ClientOptimizer: String, Sendable, CaseIterable {
        case adamW = "adamw"
        case sgd
    }

    /// Which of an adapter's numbers are trained and averaged.
    public enum AggregationRule: String, Sendable, CaseIterable {
        /// A stays at its shared random start, B is averaged: exact under averaging [Sun et al. 2024].
        case ffa
        /// B in odd rounds, A in even ones: exact under averaging [Chen et al. 2024].
        case roLoRA = "rolora"
        /// A and B: the mean of the factors is not the factor of the mean product [Zhang et al. 2024].
        case fedIT = "fedit"
        /// Every number of an adapter that is no LoRA.
        case all
    }

    /// How contributions become one.
    public enum Combination: String, Sendable, CaseIterable {
        /// The sum over a public constant: the only one that masks allow.
        case mean
        /// Weighted by each client's number of records.
        case weighted
        /// The median of each coordinate.
        case median
        /// The update that lies nearest to most others [Blanchard et al. 2017].
        case krum
    }

    /// Who trains with whom.
    public enum Scope: String, Sendable, CaseIterable {
        case federated
        /// A yardstick: every client on its own.
        case localOnly = "local-only"
        /// A yardstick: all records in one place.
        case centralised
    }

    public struct Training: Sendable, Equatable {
        public var algorithm: Algorithm
        public var rule: AggregationRule
        public var combination: Combination
        public var scope: Scope
        /// Steps, records per step, learning rate and optimiser at the client.
        public var localSteps: Int
        public var batchSize: Int
        public var learningRate: Double
        public var optimizer: ClientOptimizer
        /// Of the client's SGD.
        public var momentum: Double
        /// μ of FedProx.
        public var mu: Double
        /// λ of Ditto and pFedMe.
        public var lambda: Double
        /// Steps of Ditto's personal model, or of FedRep's private tensors.
        public var personalSteps: Int
        public var personalLearningRate: Double
        /// pFedMe: K, the steps that solve the client's own problem, and η, how far the shared numbers follow.
        public var innerSteps: Int
        public var outerLearningRate: Double
        /// Names of the tensors that travel, `*` for any run of characters; empty for all.
        public var share: [String]
        /// FedKSeed: K, and the length of a step aside in each coordinate.
        public var directions: Int
        public var perturbation: Double
        public var server: Server

        public struct Server: Sendable, Equatable {
            public var optimizer: ServerOptimizer
            public var learningRate: Double
            public var momentum: Double
            /// β₂ of Adam and Yogi.
            public var secondMomentum: Double
            /// τ, added to the root of the second moment.
            public var epsilon: Double
            /// Rounds over which the learning rate falls linearly to a tenth; 0 keeps it constant.
            public var decayRounds: Int

            public init(
                optimizer: ServerOptimizer, learningRate: Double, momentum: Double,
                secondMomentum: Double = 0.999, epsilon: Double = 1e-8, decayRounds: Int
            ) {
                self.optimizer = optimizer
                self.learningRate = learningRate
                self.momentum = momentum
                self.secondMomentum = secondMomentum
                self.epsilon = epsilon
                self.decayRounds = decayRounds
            }
        }

        /// FedAvg with the file format's defaults.
        public init(_ algorithm: Algorithm, rule: AggregationRule) {
            self.algorithm = algorithm
            self.rule = rule
            combination = .mean
            scope = .federated
            localSteps = 10
            batchSize = 8
            learningRate = 1e-3
            optimizer = .adamW
            momentum = 0
            mu = 0.1
            lambda = 0.1
            personalSteps = 10
            personalLearningRate = 1e-3
            innerSteps = 5
            outerLearningRate = 1
            share = []
            directions = 1024
            perturbation = 1e-3
            server = Server(optimizer: .sgd, learningRate: 1, momentum: 0, decayRounds: 0)
        }
    }
}

extension FederationConfiguration.Training {
    /// - Parameter adapter: whose kind decides what is averaged when the file does not say.
    init(
        reading section: inout ConfigurationSection, adapter: AdapterConfiguration
    ) throws(ConfigurationError) {
        var isLoRA = false
        if case .lora = adapter { isLoRA = true }
        let defaults = Self(.dpFedSGD, rule: isLoRA ? .ffa : .all)
        self = defaults
        algorithm = try section.choice("algorithm", default: defaults.algorithm)
        rule = try section.choice("aggregation", default: defaults.rule)
        combination = try section.choice("combine", default: defaults.combination)
        scope = try section.choice("scope", default: defaults.scope)
        localSteps = try section.integer("localSteps", in: 1...1_000_000, default: defaults.localSteps)
        batchSize = try section.integer("batchSize", in: 1...100_000, default: defaults.batchSize)
        learningRate = try section.double(
            "learningRate", above: 0, upTo: 100, default: defaults.learningRate)
        optimizer = try section.choice("optimizer", default: defaults.optimizer)
        momentum = try section.double("momentum", above: -1e-12, upTo: 0.999, default: defaults.momentum)
        mu = try section.double("mu", above: -1e-12, upTo: 1e12, default: defaults.mu)
        lambda = try section.double("lambda", above: 0, upTo: 1e12, default: defaults.lambda)
        personalSteps = try section.integer("personalSteps", in: 1...1_000_000, default: localSteps)
        personalLearningRate = try section.double(
            "personalLearningRate", above: 0, upTo: 100, default: learningRate)
        innerSteps = try section.integer("innerSteps", in: 1...100_000, default: defaults.innerSteps)
        outerLearningRate = try section.double(
            "outerLearningRate", above: 0, upTo: 1e12, default: defaults.outerLearningRate)
        share = try section.strings("share")
        directions = try section.integer("directions", in: 1...1_000_000, default: defaults.directions)
        perturbation = try section.double(
            "perturbation", above: 0, upTo: 1, default: defaults.perturbation)
        var server = try section.section("server")
        self.server = Server(
            optimizer: try server.choice("optimizer", default: .sgd),
            learningRate: try server.double("learningRate", above: 0, upTo: 1e6, default: 1),
            momentum: try server.double("momentum", above: -1e-12, upTo: 0.999, default: 0),
            secondMomentum: try server.double("secondMomentum", above: 0, upTo: 0.999_999, default: 0.999),
            epsilon: try server.double("epsilon", above: 0, upTo: 1, default: 1e-8),
            decayRounds: try server.integer("decayRounds", in: 0...1_000_000, default: 0))
        try server.finish()
        try section.finish()
        if algorithm == .pFedMe, lambda * outerLearningRate > 1 {
            throw section.error(
                "outerLearningRate",
                "times lambda is \(lambda * outerLearningRate): above 1 the shared numbers overshoot",
                suggestion: "at most \(1 / lambda) for this lambda")
        }
    }

    /// What clients must agree on beyond the terms that every version of the plan had; empty for settings
    /// that earlier versions could express.
    var laterTerms: [String] {
        let plain = Self(algorithm, rule: rule)
        var terms: [String] = []
        if optimizer != plain.optimizer { terms += ["client optimizer", optimizer.rawValue, "\(momentum)"] }
        switch algorithm {
        case .fedAvg, .dpFedSGD: break
        case .fedProx: terms += ["mu", "\(mu)"]
        case .ditto: terms += ["lambda", "\(lambda)", "\(personalSteps)", "\(personalLearningRate)"]
        case .pFedMe:
            terms += ["lambda", "\(lambda)", "\(innerSteps)", "\(outerLearningRate)"]
        case .fedRep, .partial:
            terms += ["share"] + share + ["\(personalSteps)", "\(personalLearningRate)"]
        case .fedKSeed: terms += ["directions", "\(directions)", "\(perturbation)"]
        }
        if server.optimizer != .sgd, (server.secondMomentum, server.epsilon) != (0.999, 1e-8) {
            terms += ["server moments", "\(server.secondMomentum)", "\(server.epsilon)"]
        }
        return terms
    }
}
