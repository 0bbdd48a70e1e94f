import SecureAgg
import Sodium

/// The server of a federation in this process: its key, the roster it works with, and the sessions of
/// each round.
struct FederationServer {
    let key: SigningKey
    let plan: RoundPlan
    let sites: [Site]
    let roster: Roster
    let randomness: RunRandomness

    /// Enrols the sites: an authority signs the roster, everyone else verifies it.
    init(key: SigningKey, plan: RoundPlan, sites: [Site], randomness: RunRandomness) throws {
        var random = randomness.stream("authority")
        let authority = SigningKey(generatedBy: &random)
        let listed = try Roster(
            epoch: 1, entries: sites.map { .init(id: $0.id, key: $0.identity.verifyingKey) })
        roster = try Roster(
            signedBytes: listed.signed(by: authority), authority: authority.verifyingKey)
        self.key = key
        self.plan = plan
        self.sites = sites
        self.randomness = randomness
    }

    /// The round's sessions, ready to run.
    func round(
        _ round: Int, incoming: Digest, contributions: [ClientID: Contribution], lost: [ClientID: Stage],
        clock: RunClock
    ) throws -> LoopbackRound {
        let now = UInt64(max(0, clock.epochSeconds()))
        var random = randomness.stream("round \(round)/server")
        let manifest = try plan.manifest(
            round: round, incoming: incoming, roster: roster,
            nonce: Digest(bytes: random.bytes(Digest.length))!, now: now)
        let policy = try plan.clientPolicy(round: round, incoming: incoming)
        let noSeeds = plan.noiseSeeds(using: randomness.stream("round \(round)/absent"))
        let participants = sites.map { site in
            LoopbackRound.Participant(
                id: site.id,
                session: ClientSession(
                    identity: site.identity, server: key.verifyingKey, roster: roster, policy: policy,
                    journal: site.journal, threads: 2,
                    noiseSeeds: contributions[site.id]?.noiseSeeds ?? noSeeds),
                random: randomness.stream("round \(round)/\(site.name)/keys"),
                values: { contributions[site.id]!.values })
        }
        return LoopbackRound(
            server: ServerSession(manifest: manifest, signingKey: key, roster: roster, threads: 2),
            participants: participants, losses: lost, now: now, clock: clock.monotonic)
    }

    /// Who is lost in this round, by the configuration's script: random sites, drawn per round.
    func losses(
        round: Int, _ script: [FederationConfiguration.Simulation.Loss]
    ) -> [ClientID: Stage] {
        var generator = randomness.generator("round \(round)/losses")
        var order = sites.map(\.id)
        order.shuffle(using: &generator)
        var losses: [ClientID: Stage] = [:]
        for loss in script where loss.round == round {
            for id in order.filter({ losses[$0] == nil }).prefix(loss.clients) {
                losses[id] = loss.stage
            }
        }
        return losses
    }
}
