import DP
import GMP
import Models
import SecureAgg
import Sodium

/// A client's half of a run that others drive: its own ledger, its training and its sessions.
///
/// The client pays before it trains, marks the payment as final before the first part of a masked
/// vector leaves, and takes it back only for rounds in which nothing left.
package final class SiteRun {
    package let site: PreparedSite
    package let name: String
    private let run: String
    private let identity: ClientIdentity
    private let server: VerifyingKey
    private let roster: Roster
    private let journal: any ClientJournal
    private let randomness: RunRandomness
    private let clock: RunClock
    private let ledger: LedgerFile
    private let personal: PersonalFile
    private let engine: TrainingEngine
    private let cohortCache: CohortCache?
    /// Of the noise in a contribution that has no session yet.
    private var noiseSeeds: (round: Int, seeds: [SecretBytes])?

    /// - Parameters:
    ///   - run: the server's name for the run.
    ///   - files: where this client keeps what is its own; a ledger that is there is continued.
    ///   - prior: what this client spent in earlier runs, by its own ledgers.
    ///   - limit: ε that this client will not pass, earlier runs included.
    ///   - engine: for training; clients in one process may share one.
    ///   - cohortCache: of the clients in one process; a client of a network has none.
    /// - Throws: `FederationError.overBudget` or `budgetSpent` when the planned rounds would pass the limit.
    package init(
        _ site: PreparedSite, name: String, run: String, files: SiteFiles,
        identity: ClientIdentity, server: VerifyingKey, roster: Roster, journal: any ClientJournal,
        prior: PriorSpending, limit: Rational, randomness: RunRandomness, clock: RunClock,
        setting: String = LedgerFacts.network, engine: TrainingEngine? = nil,
        cohortCache: CohortCache? = nil
    ) throws {
        self.site = site
        self.name = name
        self.run = run
        self.identity = identity
        self.server = server
        self.roster = roster
        self.journal = journal
        self.randomness = randomness
        self.clock = clock
        self.cohortCache = cohortCache
        self.engine = engine ?? TrainingEngine(model: site.base.model)
        personal = files.personal
        let storage = files.ledger
        if try storage.load().log.contains(UInt8(ascii: "\n")) {
            ledger = try LedgerFile.open(storage, key: identity.signingKey)
            guard ledger.ledger.plan.facts[LedgerFacts.planDigest] == site.plan.digest.hex else {
                throw ServerRunError.planChanged(run: run)
            }
        } else {
            guard let left = prior.runs > 0 ? prior.remaining(of: limit) : limit else {
                throw FederationError.budgetSpent(spent: printed(prior.epsilon), budget: printed(limit))
            }
            var statement = site.plan.statement(
                run: run, adapter: site.zeroAdapter, base: site.base, data: site.data,
                randomness: randomness, prior: prior, setting: setting)
            statement.role = .client
            statement.participant = name
            statement.participationLimit = site.plan.participationsMax
            statement.budgetEpsilon = left < statement.budgetEpsilon ? left : statement.budgetEpsilon
            ledger = try LedgerFile.create(
                in: storage, key: identity.signingKey, plan: statement, at: clock.epochSeconds())
            if let trainer = site.configuration.trainer {
                let reliance =
                    site.plan.unit == .record
                    ? "ε relies on each of its gradients being of one record" : "ε does not rely on it"
                try ledger.note(
                    at: clock.epochSeconds(),
                    payload: ["what": "another program trains, `\(trainer.arguments[0])`: \(reliance)"])
            }
        }
    }

    /// Closes what an earlier process left open: a round whose masked vector was about to leave is
    /// spent, any other is returned.
    ///
    /// - Parameter sentMaskedInput: what the journal says of a round.
    package func settleLeftovers(sentMaskedInput: (_ round: Int) -> Bool) throws {
        for round in ledger.ledger.openRounds {
            if sentMaskedInput(round) {
                try ledger.commit(round: round, at: clock.epochSeconds())
            } else {
                try settle(round)
            }
        }
    }

    /// Pays for the round, then trains: the integers that are to be masked.
    ///
    /// This client's own numbers move on as well, and are durable when this returns.
    package func contribution(round: Int, model: GlobalModel) throws -> [Int32] {
        let permit = try ledger.reserve(round: round, at: clock.epochSeconds())
        let client = ClientRound(
            plan: site.plan, training: site.configuration.training, engine: engine,
            external: site.configuration.trainer.map {
                ExternalTrainer($0, base: site.base, monotonic: clock.monotonic)
            })
        let random = randomness.stream("\(run)/round \(round)/\(name)")
        let seeds = site.plan.noiseSeeds(using: random)
        let isPersonal = site.configuration.training.algorithm.isPersonal
        var own = isPersonal ? try personal.read() : nil
        if let numbers = own?.count, numbers != model.trained(round: round).count {
            throw ServerRunError.stateUnreadable(personal.path)
        }
        let values = try client.contribution(
            of: site.examples, model: model, round: round, personal: &own,
            rotation: site.plan.rotation(round: round, incoming: model.digest), permit: permit,
            noiseSeeds: seeds, random: random)
        if isPersonal, let own { try personal.write(own, round: round) }
        noiseSeeds = (round, seeds)
        return values
    }

    /// The session of a round whose contribution was made, and the stream that its keys are drawn from.
    package func session(
        round: Int, incoming: Digest
    ) throws -> (session: ClientSession, random: StreamRandom) {
        guard let (owner, seeds) = noiseSeeds, owner == round else {
            preconditionFailure("a session follows its contribution")
        }
        noiseSeeds = nil
        let session = ClientSession(
            identity: identity, server: server, roster: roster,
            policy: try site.plan.clientPolicy(round: round, incoming: incoming), journal: journal,
            threads: cohortCache == nil ? 2 : 1, noiseSeeds: seeds, cohortCache: cohortCache)
        return (session, randomness.stream("round \(round)/\(name)/keys"))
    }

    /// Must return before any part of the masked vector leaves.
    package func commit(_ round: Int) throws {
        try ledger.commit(round: round, at: clock.epochSeconds())
    }

    /// Takes the round's price back, if it was never made final.
    package func settle(_ round: Int, reason: String = "left before the masked vector") throws {
        guard ledger.ledger.openRounds.contains(round) else { return }
        try ledger.abort(
            round: round, beforeAnythingLeft: true, reason: reason,
            at: clock.epochSeconds())
    }

    /// Whether this client may take part: its turn has come, its own limit and gap allow it, and the round
    /// was not paid for already, by this process or an earlier one.
    package func mayEnter(_ round: Int) -> Bool {
        ledger.ledger.rounds[round] == nil && site.plan.isTurn(of: identity.id, round: round)
            && ledger.ledger.admits(round: round)
    }

    /// Ends this client's part; its ledger cannot grow any more.
    package func close() throws {
        guard !ledger.ledger.isClosed else { return }
        try ledger.close(at: clock.epochSeconds())
    }

    /// ε charged in this run so far, by this client's own ledger.
    package var epsilonSpent: Double {
        get throws { try ledger.ledger.budget.epsilonSpent().upper }
    }

    /// Rounds that count as taken part in.
    package var participations: Int { ledger.ledger.participations }

    /// This client's own model around the shared one; nil when its algorithm has none, or before its first
    /// round. It stays where the client is.
    package func personalAdapter(_ model: GlobalModel) throws -> Adapter? {
        guard site.configuration.training.algorithm.isPersonal else { return nil }
        return try personal.read().map { model.personalised(by: $0, round: 1) }
    }
}

extension PreparedSite {
    /// An adapter of the plan's shape, for what depends on the shape alone.
    fileprivate var zeroAdapter: Adapter {
        let shape = base.model.configuration
        let adapter = configuration.model.adapter
        return adapter.adapter(
            base: shape, values: [Float](repeating: 0, count: adapter.count(base: shape)))!
    }
}
