import GMP
import Sodium

/// A rehearsal of one round in this process: real clients, real server, random vectors, chosen losses.
///
/// Everything but the transport is what a networked round runs. Reports cost per stage and whether the
/// sum equals the plaintext sum of the survivors, bit for bit.
public struct Drill: Sendable {
    public var clients: Int
    public var dimension: Int
    public var modulusBits: Int
    /// Which part of all clients is lost at a stage, that is, receives its message and never answers.
    public var drops: [Stage: Rational]
    public var seed: UInt64
    public var profile: SecurityProfile
    public var colluderFraction: Rational
    public var dropoutFraction: Rational
    /// Nil: the least that the parameters allow.
    public var minSurvivors: Int?
    public var threads: Int
    /// Whether the drill's clients check the cohort's signatures once together, not each for itself:
    /// n² checks become n. Chosen by default above 2000 clients.
    public var sharesCohortChecks: Bool
    /// What goes wrong on purpose besides the losses.
    public var faults: [DrillFault]
    /// Coordinates per chunk of a masked vector.
    public var chunkLength = AggregationParameters.defaultChunkLength
    /// Noise levels between none lost and as many as the survivor floor allows, at most this many: every
    /// client brings random seeds, and the report says whether exactly those were opened that should be.
    public var noiseLevels = 0

    public init(
        clients: Int, dimension: Int, modulusBits: Int = 16, drops: [Stage: Rational] = [:],
        seed: UInt64, profile: SecurityProfile = .maliciousServer,
        colluderFraction: Rational = Rational(1, 10), dropoutFraction: Rational? = nil,
        minSurvivors: Int? = nil, threads: Int = 1, faults: [DrillFault] = []
    ) {
        self.clients = clients
        self.dimension = dimension
        self.modulusBits = modulusBits
        self.drops = drops
        self.seed = seed
        self.profile = profile
        self.colluderFraction = colluderFraction
        self.dropoutFraction =
            dropoutFraction ?? Self.provision(for: drops, colluders: colluderFraction)
        self.minSurvivors = minSurvivors
        self.threads = threads
        self.faults = faults
        sharesCohortChecks = clients > 2000
    }

    /// The δ that a planner who expects these losses would choose: their total and 5 points more, at
    /// least 1/10, at most what the fractions' bound γ + 2δ ≤ 9/10 leaves. Provisioning for more makes the
    /// graph denser and every stage dearer.
    public static func provision(for drops: [Stage: Rational], colluders: Rational) -> Rational {
        let expected = drops.values.reduce(Rational(1, 20)) { $0 + $1 }
        return min(max(expected, Rational(1, 10)), (Rational(9, 10) - colluders) * Rational(1, 2))
    }

    public struct StageFigures: Hashable, Sendable {
        /// Both sides' work, one after the other, in this process.
        public var nanoseconds: UInt64 = 0
        /// The server's work of closing the stage, part of the above.
        public var closingNanoseconds: UInt64 = 0
        /// All clients together; the result message counts as the last stage's.
        public var bytesUp = 0
        public var bytesDown = 0
        /// Clients that answered and whose answer the server took.
        public var answers = 0
    }

    public struct Report: Sendable {
        public let clients: Int
        public let modulusBits: Int
        /// Whether a round of this size needs the explicit permission for tiny cohorts.
        public let isTinyCohort: Bool
        /// Nil when the round ended before the cohort was frozen.
        public let topology: Topology?
        public let stages: [Stage: StageFigures]
        /// The sum, when the round was released.
        public let sum: AggregateSum?
        /// Why nothing was opened, when it was aborted.
        public let abort: AggregationFault?
        /// Messages that the server refused.
        public let refusals: [AggregationFault]
        /// Why clients left that were not lost on purpose.
        public let departures: [AggregationFault]
        public let trace: Trace
        public let checks: Checks
        /// The signed result as every survivor received it, when the round was released.
        public let resultMessage: [UInt8]?
        public let serverKey: VerifyingKey
        /// Who signed the roster, and its signed bytes; nil for a semi-honest round.
        public let authorityKey: VerifyingKey?
        public let signedRoster: [UInt8]?

        /// Whether the sum equals the survivors' plaintext sum in every coordinate and every survivor that
        /// stayed to the end agreed, and exactly the noise seeds were
        /// opened that the number of survivors calls for; false when aborted.
        public var isExact: Bool {
            checks.unitsExact && checks.randomExact && checks.clientsAgree && checks.noiseIsRight
        }

        public var survivors: Int { sum?.survivors.count ?? 0 }
    }

    /// The parameters that the drill's round runs under.
    public func parameters() throws(ParameterError) -> AggregationParameters {
        let colluders = (colluderFraction * Rational(clients)).floor.asInt ?? 0
        // The floor holds for everyone who is left at the first freeze.
        let left = clients - lost(at: .advertiseKeys)
        let usual =
            clients < AggregationParameters.defaultCohortFloor
            ? clients / 2 + 1 : colluders + AggregationParameters.defaultSurvivorsBeyondColluders
        // Losing nearly everybody at once still is a round, one that aborts.
        let smallest = max(AggregationParameters.hardCohortFloor, left)
        let floor = minSurvivors ?? min(smallest, max(2, usual))
        let isTiny =
            smallest < AggregationParameters.defaultCohortFloor
            || floor - colluders < AggregationParameters.defaultSurvivorsBeyondColluders
        return try AggregationParameters(
            task: "drill", round: 1, context: Digest.labelled("drill", [littleEndianBytes(seed)]),
            vectorLength: dimension, modulusBits: modulusBits,
            cohort: min(smallest, clients)...clients, minSurvivors: floor, profile: profile,
            colluderFraction: colluderFraction, dropoutFraction: dropoutFraction,
            allowTinyCohort: isTiny, chunkLength: chunkLength,
            removableNoise: try removableNoise(lostMax: clients - floor))
    }

    /// Levels at even distances, the last one at the most clients that may be lost.
    private func removableNoise(lostMax: Int) throws(ParameterError) -> RemovableNoise? {
        let count = min(noiseLevels, lostMax)
        guard count > 0 else { return nil }
        return try RemovableNoise(
            dropouts: (1...count).map { ($0 * lostMax + count - 1) / count }, derivation: .of([]))
    }

    func lost(at stage: Stage) -> Int {
        min(clients, ((drops[stage] ?? 0) * Rational(clients) + Rational(1, 2)).floor.asInt ?? 0)
    }

    /// Runs the round.
    ///
    /// - Parameters:
    ///   - clock: nanoseconds from an arbitrary start; only used to measure.
    ///   - onChunk: is lent each chunk of a masked vector that the server took, packed as it was sent; for
    ///     writing the vectors beside a transcript.
    /// - Throws: `ParameterError` when the drill's parameters cannot be used.
    public func run(
        clock: () -> UInt64, onChunk: (ClientID, _ index: Int, _ packed: [UInt8]) -> Void = { _, _, _ in }
    ) throws(ParameterError) -> Report {
        let world = DrillWorld(self, parameters: try parameters())
        return world.run(clock: clock, onChunk: onChunk)
    }
}
