import GMP
import SecureAgg
import Sodium

/// Who takes part in a world and under which terms; fixed for all of its rounds.
struct Cast {
    let identities: [ClientIdentity]
    let clientOf: [ClientID: Int]
    let serverKey: SigningKey
    let roster: Roster
    /// Clients that work for the attacker.
    let colluders: Set<Int>
    let dimension: Int
    let modulusBits: Int
    let minCohort: Int
    let minSurvivors: Int
    let colluderFraction: Rational
    let dropoutFraction: Rational
    /// In some worlds clients bring noise that is opened when few are lost.
    let removableNoise: RemovableNoise?

    static let task = "simulation"
    static let context = Digest.of(Array("simulated plan".utf8))

    init(clients: Int, random: inout SimulationRandom) {
        // Numbers with gaps and in no order, so that a number is never taken for an index.
        let numbers = random.sample(clients, below: clients).map { UInt64($0 * 10 + 3) }
        var identities: [ClientIdentity] = []
        for number in numbers {
            identities.append(
                ClientIdentity(id: ClientID(number), signingKey: SigningKey(generatedBy: &random)))
        }
        self.identities = identities
        clientOf = Dictionary(
            uniqueKeysWithValues: identities.enumerated().map { ($0.element.id, $0.offset) })
        serverKey = SigningKey(generatedBy: &random)
        // Keys of a seeded generator are distinct.
        roster = try! Roster(epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.verifyingKey) })
        let corrupt = random.below(clients / 4 + 1)
        colluders = Set(random.sample(corrupt, below: clients))
        // γ is a fraction of the cohort, and the attacker can see to it that the cohort is small and all
        // of its clients are in it: C must cover them at the least size.
        let safeCohort = (clients + corrupt) / 2 + 2
        minCohort = random.within(min(safeCohort, clients)...clients)
        colluderFraction = Rational(BigInteger(corrupt), BigInteger(minCohort))
        let assumed = clients * corrupt / minCohort
        let threshold = (clients + assumed) / 2 + 1
        // γ + 2δ ≤ 9/10, and t clients must be left.
        let losses = max(0, min(clients - threshold, (9 * clients / 10 - assumed - 1) / 2))
        dropoutFraction = Rational(BigInteger(random.below(losses + 1)), BigInteger(clients))
        minSurvivors = random.within(min(threshold, minCohort)...minCohort)
        // The last level covers every loss down to the floor.
        let lossesMax = clients - minSurvivors
        if random.below(3) == 0, lossesMax >= 1 {
            let levels = (1..<lossesMax).filter { _ in random.below(2) == 0 } + [lossesMax]
            removableNoise = try! RemovableNoise(dropouts: levels, derivation: .of([]))
        } else {
            removableNoise = nil
        }
        modulusBits = random.pick([8, 11, 16, 20, 24, 32])
        // Now and then several chunks, the last of them short.
        dimension = random.below(8) == 0 ? 129 + random.below(8) : 4 + random.below(12)
    }

    func parameters(round: UInt64) -> AggregationParameters {
        // The ranges above keep every bound.
        try! AggregationParameters(
            task: Self.task, round: round, context: Self.context, vectorLength: dimension,
            modulusBits: modulusBits, cohort: minCohort...identities.count, minSurvivors: minSurvivors,
            colluderFraction: colluderFraction, dropoutFraction: dropoutFraction,
            allowTinyCohort: true, chunkLength: 64, removableNoise: removableNoise)
    }

    var policy: ClientPolicy {
        ClientPolicy(
            context: Self.context, vectorLength: dimension, modulusBits: modulusBits,
            minCohort: minCohort, minSurvivors: minSurvivors, allowTinyCohort: true,
            minColluderFraction: colluderFraction, removableNoise: removableNoise)
    }
}
