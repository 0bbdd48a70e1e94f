import DP
import SecureAgg
import Sodium

/// Rounds among parties that exist only for them: the plan's cohort with fresh identities, the real
/// sessions, nobody's data. Used by the empirical audit and by end-to-end tests.
package final class AuditRounds {
    package let plan: RoundPlan
    private let randomness: RunRandomness
    private let authority: SigningKey
    private let server: SigningKey
    private let roster: Roster
    private let clients: [ClientIdentity]
    private let journals: [InMemoryJournal]
    /// Rounds run so far; a round's number is never used twice.
    package private(set) var count = 0

    package init(plan: RoundPlan, randomness: RunRandomness) throws {
        self.plan = plan
        self.randomness = randomness
        var random = randomness.stream("audit/identities")
        authority = SigningKey(generatedBy: &random)
        server = SigningKey(generatedBy: &random)
        var clients: [ClientIdentity] = []
        for index in 1...plan.clients {
            clients.append(
                ClientIdentity(id: ClientID(UInt64(index)), signingKey: SigningKey(generatedBy: &random)))
        }
        self.clients = clients
        journals = clients.map { _ in InMemoryJournal() }
        let listed = try Roster(
            epoch: 1, entries: clients.map { .init(id: $0.id, key: $0.verifyingKey) })
        roster = try Roster(signedBytes: listed.signed(by: authority), authority: authority.verifyingKey)
    }

    /// What the next round is bound to instead of an adapter.
    package var incoming: Digest {
        Digest.labelled("fedtrain/v1/audit-round", [littleEndianBytes(UInt64(count + 1))])
    }

    /// The next round's public rotation.
    package var rotation: Rotation { plan.rotation(round: count + 1, incoming: incoming) }

    /// Runs one round over the first `contributions.count` clients; the others are lost before their
    /// masked vectors.
    ///
    /// - Returns: the opened sum, lifted to the centred window.
    package func open(_ contributions: [Contribution]) throws -> [Int32] {
        let incoming = incoming
        count += 1
        let parameters = try plan.secureAggregation(round: count, incoming: incoming)
        var random = randomness.stream("audit/round \(count)/server")
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: roster.digest, expiry: Self.lifetimeSeconds)
        let policy = ClientPolicy(exactly: parameters)
        let noSeeds = plan.noiseSeeds(using: randomness.stream("audit/round \(count)/absent"))
        let participants = clients.indices.map { index in
            LoopbackRound.Participant(
                id: clients[index].id,
                session: ClientSession(
                    identity: clients[index], server: server.verifyingKey, roster: roster, policy: policy,
                    journal: journals[index], threads: 1,
                    noiseSeeds: index < contributions.count ? contributions[index].noiseSeeds : noSeeds),
                random: randomness.stream("audit/round \(count)/client \(index)/keys"),
                values: { contributions[index].values })
        }
        var losses: [ClientID: Stage] = [:]
        for client in clients.dropFirst(contributions.count) { losses[client.id] = .submitMaskedInput }
        var round = LoopbackRound(
            server: ServerSession(manifest: manifest, signingKey: server, roster: roster, threads: 1),
            participants: participants, losses: losses, now: 0, clock: { 0 })
        switch try round.run(beforeUnmasking: { _, _ in }) {
        case .released(let sum): return plan.opened(sum)
        case .aborted(let fault): throw fault
        }
    }

    private static let lifetimeSeconds: UInt64 = 3600
}
