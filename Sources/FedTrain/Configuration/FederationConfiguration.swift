import DP
import GMP
import Models
import SecureAgg

/// A federation as its operator wrote it down, checked: what `federation.yaml` says.
///
/// Holds choices, not consequences: everything that follows from them (noise, bits, bytes) is computed
/// by `FederationPlan`.
public struct FederationConfiguration: Sendable, Equatable {
    public var name: String
    public var model: Model
    public var data: DataSource
    public var rounds: Rounds
    public var training: Training
    public var privacy: Privacy
    public var aggregation: Aggregation
    public var simulation: Simulation
    /// Trains in this process's clients' place; nil: they train themselves. Never taken from another machine.
    public var trainer: ExternalTrainer.Command?
    /// What only a federation over a network needs; nil without a `network` section.
    public var network: Network?
    /// What the report says in the operator's words, by the names that ledgers use.
    public var statements: [String: String] = [:]

    public struct Model: Sendable, Equatable {
        /// A Hugging Face directory, or nil for the built-in base model.
        public var baseDirectory: String?
        /// What exported adapters call the base where its directory says nothing to others; nil: the directory.
        public var baseLabel: String?
        /// How this process keeps the base's matrices; nil for as the checkpoint has them.
        public var store: WeightStore?
        public var adapter: AdapterConfiguration
        /// A public adapter in `peft` layout that the first round starts from; nil for a fresh one.
        public var startDirectory: String?
        /// The adapter in `startDirectory`, once it is loaded.
        public var start: Adapter?

        /// What exported adapters call the base; nil for the built-in one.
        var baseName: String? { baseLabel ?? baseDirectory }
    }

    public struct DataSource: Sendable, Equatable {
        public enum Clients: Sendable, Equatable {
            /// The generated note-taking sites: how many, and how many records each.
            case builtIn(sites: Int, recordsPerSite: Int, form: NoteTask.Form = .codes)
            /// One JSONL file per client; a `*` in a file name stands for any run of characters.
            case files([String])
        }

        public var clients: Clients
        /// Held-out JSONL files; empty means the built-in held-out notes, or no evaluation.
        public var heldOut: [String]
        public var heldOutCount: Int
        /// Held-out files of single clients, matched by the client's name; scored where the client is.
        public var siteHeldOut: [String]
        /// Built-in held-out notes of each site.
        public var siteHeldOutCount: Int
        public var template: PromptTemplate
        /// Longest record in tokens, at most the model's window.
        public var tokensMax: Int
        public var overlong: OverlongPolicy
    }

    public struct Rounds: Sendable, Equatable {
        /// Rounds started; one that aborts after masked vectors left is not repeated and stays charged.
        public var count: Int
        /// Nothing is opened below this many contributions.
        public var minSurvivors: Int
        /// A round starts with at least this many clients; nil: with all of them.
        public var minCohort: Int?
    }

    public enum Noise: Sendable, Equatable {
        /// Solved by the planner for this ε at the configured δ.
        case forEpsilon(Rational)
        /// σ/Δ, exact.
        case multiplier(Rational)
    }

    public struct Privacy: Sendable, Equatable {
        /// Of a run in clear: what would be clipped.
        public var unit: PrivacyUnit
        /// No noise and no masks: for yardsticks on data that nobody needs to be protected from.
        public var isInClear: Bool
        public var noise: Noise
        /// The filter stops the run above this ε.
        public var epsilonMax: Rational
        public var delta: Rational
        /// c, the L2 bound on one unit's contribution.
        public var clipNorm: Rational
        /// False for a run in clear that names no bound.
        public var clips: Bool
        /// q, the chance that a record takes part in a round (record unit).
        public var samplingRate: Rational
        /// Clients assumed to pool what they know with the server.
        public var colluders: Int
        public var mechanism: NoiseMechanism
        /// How the noise of lost clients is made up for.
        public var dropoutNoise: DropoutNoise
        /// In how many rounds, and how far apart, one client takes part at most.
        public var participation: ParticipationBounds
    }

    public enum Profile: String, Sendable, CaseIterable {
        case maliciousServer = "malicious-server"
        case semiHonest = "semi-honest"
    }

    public struct Aggregation: Sendable, Equatable {
        public var profile: Profile
        /// Cohorts below 32 only with this flag; the output then says what that means.
        public var allowTinyCohort: Bool
        /// Bits per coordinate; nil lets the planner choose.
        public var modulusBits: Int?
        /// Largest tolerated fraction of clients lost in a round.
        public var dropoutFraction: Rational
    }

    public struct Simulation: Sendable, Equatable {
        /// Clients lost on purpose.
        public var lose: [Loss]

        public struct Loss: Sendable, Equatable {
            public var round: Int
            public var stage: Stage
            public var clients: Int
        }
    }

    /// Public constants in place of what a server must not be told, and where and how long it waits.
    public struct Network: Sendable, Equatable {
        /// n, the clients that the plan is made for; nil with built-in data, which says it.
        public var clients: Int?
        /// The most records that any client trains on, since nobody tells the server its own number; nil
        /// with built-in data.
        public var recordsPerClient: Int?
        /// Where the server listens, `host:port`.
        public var listen: String
        /// Names and addresses that the server's certificate is made for.
        public var hosts: [String]
        /// Until enough clients have come, before the first round, in seconds.
        public var gatherSeconds: Int
        /// For fetching the adapter, training and announcing keys, in seconds.
        public var trainSeconds: Int
        /// For each later stage, in seconds.
        public var stageSeconds: Int
        /// Clients that have not fetched a round's adapter after this time are not waited for, in seconds.
        public var graceSeconds: Int
    }
}
