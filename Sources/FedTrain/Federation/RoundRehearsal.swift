import GMP
import SecureAgg
import Sodium

/// A round of a plan's protocol with vectors of zeros, played as a simulation plays it, to learn what it takes.
///
/// A large cohort is rehearsed with a smaller one under the same rules and scaled: what a client does is done for each
/// of its neighbours, or is small beside it.
package struct RoundRehearsal {
    private let plan: RoundPlan
    private let parameters: AggregationParameters
    private let clients: Int
    /// How much more the plan's own round has to do.
    package let scale: Double

    /// Enough that a cohort's shape is that of a large one.
    private static let clientsMax = 160

    /// A rehearsal that takes longer is not repeated.
    private static let longSeconds = 3.0

    /// - Throws: `ParameterError` where the plan's own round has no parameters either.
    package init(_ plan: RoundPlan) throws(ParameterError) {
        self.plan = plan
        let own = try plan.secureAggregation(round: 1, incoming: plan.baseDigest)
        guard plan.clients > Self.clientsMax, let small = Self.shrunk(plan, to: Self.clientsMax),
            let neighbours = try? small.topology(cohortSize: Self.clientsMax).neighbours
        else {
            (parameters, clients, scale) = (own, plan.clients, 1)
            return
        }
        (parameters, clients) = (small, Self.clientsMax)
        scale =
            Double(plan.clients * (plan.topology.neighbours + 1))
            / Double(Self.clientsMax * (neighbours + 1))
    }

    /// The plan's rules for fewer clients; nil where they cannot be kept.
    private static func shrunk(_ plan: RoundPlan, to clients: Int) -> AggregationParameters? {
        let survivors = (plan.minSurvivors * clients + plan.clients - 1) / plan.clients
        let noise = plan.removableNoise.flatMap {
            try? RemovableNoise(dropouts: Array(1...$0.count), derivation: $0.derivation)
        }
        return try? AggregationParameters(
            task: plan.name, round: 1, context: plan.digest, vectorLength: plan.aggregation.length,
            modulusBits: plan.aggregation.modulusBits, cohort: clients...clients, minSurvivors: survivors,
            profile: plan.profile, colluderFraction: Rational(plan.colluders) / Rational(plan.clients),
            dropoutFraction: plan.dropoutFraction, allowTinyCohort: true, removableNoise: noise)
    }

    /// The seconds of a round, scaled to the plan's own.
    ///
    /// - Throws: `AggregationFault` if the rehearsed round opens nothing.
    package func seconds(_ stopwatch: @escaping Stopwatch) throws -> Double {
        let first = try once(stopwatch)
        // Other programs can only lengthen it; a long round says enough the first time.
        return try (first > Self.longSeconds ? first : min(first, once(stopwatch))) * scale
    }

    private func once(_ stopwatch: @escaping Stopwatch) throws -> Double {
        var random = StreamRandom(seed: 1, label: "rehearsal")
        let identities = (1...clients).map {
            ClientIdentity(id: ClientID(UInt64($0)), signingKey: SigningKey(generatedBy: &random))
        }
        let roster = try Roster(
            epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.signingKey.verifyingKey) })
        let signer = SigningKey(generatedBy: &random)
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: roster.digest, expiry: .max)
        let (policy, cache) = (ClientPolicy(exactly: parameters), CohortCache())
        let zeros = [Int32](repeating: 0, count: parameters.vectorLength)
        let participants = identities.map { identity in
            let seeds = (0..<(parameters.removableNoise?.count ?? 0)).map { _ in
                SecretBytes(random: RemovableNoise.seedLength, from: &random)
            }
            let session = ClientSession(
                identity: identity, server: signer.verifyingKey, roster: roster, policy: policy,
                journal: InMemoryJournal(), threads: 1, noiseSeeds: seeds, cohortCache: cache)
            return LoopbackRound.Participant(
                id: identity.id, session: session, random: StreamRandom(keyedBy: &random),
                values: { zeros })
        }
        var round = LoopbackRound(
            server: ServerSession(manifest: manifest, signingKey: signer, roster: roster, threads: 2),
            participants: participants, losses: [:], now: 0, clock: stopwatch)
        let start = stopwatch()
        if case .aborted(let fault) = try round.run(beforeUnmasking: { _, _ in }) { throw fault }
        return stopwatch() - start
    }
}
