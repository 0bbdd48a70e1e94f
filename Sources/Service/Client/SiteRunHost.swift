import DP
import FedTrain
import Foundation
import GMP
import Models
import SecureAgg
import Sodium

/// A real client: its workspace, its records, and the run it is in.
package final class SiteRunHost: SiteHost {
    /// What the person at this client has decided.
    package struct Choices: Sendable {
        package var name: String
        package var data: PreparedSite.DataSource
        /// This client's copy of the base model; nil: where the federation's file says.
        package var base: String?
        /// This client's own program to train with. Never taken from a server.
        package var trainer: ExternalTrainer.Command?
        /// ε that this client will not pass over all runs.
        package var epsilonLimit: Rational
        /// Makes this client's noise and keys replayable, hence known to whoever knows the seed. Never
        /// taken from a server.
        package var seed: UInt64?

        package init(
            name: String, data: PreparedSite.DataSource, base: String?,
            trainer: ExternalTrainer.Command? = nil, epsilonLimit: Rational, seed: UInt64? = nil
        ) {
            self.trainer = trainer
            self.seed = seed
            self.name = name
            self.data = data
            self.base = base
            self.epsilonLimit = epsilonLimit
        }
    }

    private let workspace: Workspace
    private let choices: Choices
    private let server: VerifyingKey
    private let epochSeconds: @Sendable () -> Int
    private let monotonic: @Sendable () -> Double
    private let announce: @Sendable (PreparedSite, _ epsilonBefore: Double) -> Void
    private var entered: (identifier: Digest, run: SiteRun)?

    /// - Parameter announce: told the terms that this client worked out, before anything is spent.
    package init(
        workspace: Workspace, choices: Choices, server: VerifyingKey,
        epochSeconds: @escaping @Sendable () -> Int, monotonic: @escaping @Sendable () -> Double,
        announce: @escaping @Sendable (PreparedSite, Double) -> Void
    ) {
        self.workspace = workspace
        self.choices = choices
        self.server = server
        self.epochSeconds = epochSeconds
        self.monotonic = monotonic
        self.announce = announce
    }

    package func enter(_ terms: HostTerms, identity: ClientIdentity, roster: Roster) throws {
        try RosterMemory(in: workspace).see(roster)
        guard entered?.identifier != terms.identifier else { return }
        guard let json = try? JSON.parse(terms.configuration), let node = ConfigurationNode(json: json),
            let spent = Rational(terms.spentBefore)
        else { throw ClientFailure.serverBroke("the run's terms cannot be read") }
        let configuration = try FederationConfiguration(reading: node)
        // The server's seed says which built-in notes there are; this client's own bits never follow it.
        let notes: RunRandomness = terms.seed.map { .seeded($0) } ?? .system
        let randomness: RunRandomness = choices.seed.map { .seeded($0) } ?? .system
        let site = try PreparedSite(
            configuration, prior: PriorSpending(runs: terms.runsBefore, epsilon: spent),
            baseDirectory: choices.base, source: choices.data, trainer: choices.trainer,
            randomness: notes)
        guard site.base.digest == terms.baseDigest else {
            throw FederationError.baseModelDiffers(directory: site.base.directory)
        }
        guard site.plan.digest == terms.planDigest else {
            throw ClientFailure.planDiffers(here: site.plan.digest.hex, there: terms.planDigest.hex)
        }
        let directory = try findOrMakeDirectory(of: terms)
        let prior = try PriorSpending(
            of: workspace, privacy: site.configuration.privacy, except: directory)
        announce(site, prior.epsilon.asDouble)
        let planned = try site.plan.epsilon(rounds: site.plan.rounds)
        guard prior.epsilon.asDouble + planned <= choices.epsilonLimit.asDouble else {
            throw FederationError.overBudget(
                planned: "\(prior.epsilon.asDouble + planned)", budget: "\(choices.epsilonLimit.asDouble)",
                affordable: 0)
        }
        let journal = try FileJournal(path: "\(directory.path)/journal.jsonl")
        let (epochSeconds, monotonic) = (epochSeconds, monotonic)
        let run = try SiteRun(
            site, name: choices.name, run: terms.run, files: directory.siteFiles(), identity: identity,
            server: server, roster: roster, journal: journal, prior: prior,
            limit: choices.epsilonLimit, randomness: randomness,
            clock: RunClock(epochSeconds: { epochSeconds() }, monotonic: { monotonic() }))
        try run.settleLeftovers(sentMaskedInput: journal.sentMaskedInput)
        entered = (terms.identifier, run)
        self.directory = directory
    }

    private var run: SiteRun {
        guard let entered else { preconditionFailure("no round comes before the terms") }
        return entered.run
    }

    package func mayEnter(_ round: Int) -> Bool { run.mayEnter(round) }

    package func contribution(round: Int, adapter: [UInt8], digest: Digest) throws -> [Int32] {
        guard let values = [Float](littleEndianBytes: adapter),
            let model = run.site.model(numbers: values), model.digest == digest
        else { throw ClientFailure.serverBroke("the adapter's numbers are not those of its digest") }
        return try run.contribution(round: round, model: model)
    }

    package func session(
        round: Int, incoming: Digest
    ) throws -> (session: ClientSession, random: StreamRandom) {
        try run.session(round: round, incoming: incoming)
    }

    package func commit(_ round: Int) throws { try run.commit(round) }

    package func settle(_ round: Int) throws {
        if entered != nil { try run.settle(round) }
    }

    package func close() throws { try run.close() }

    /// ε that this client's own ledger charges for the run so far, and rounds taken part in.
    package var spent: (epsilon: Double, participations: Int)? {
        get throws { try entered.map { (try $0.run.epsilonSpent, $0.run.participations) } }
    }

    /// This client's directory of the run, once it has entered one.
    package private(set) var directory: RunDirectory?

    // MARK: The workspace

    /// This client's directory of a run: found by the run's identifier, or made.
    private func findOrMakeDirectory(of terms: HostTerms) throws -> RunDirectory {
        for run in workspace.runs() {
            if let data = FileManager.default.contents(atPath: Self.identifierFile(run)),
                String(decoding: data, as: UTF8.self) == terms.identifier.hex + "\n"
            {
                return run
            }
        }
        let run = try workspace.makeRun()
        try AtomicFile.write(terms.identifier.hex + "\n", to: Self.identifierFile(run))
        return run
    }

    private static func identifierFile(_ run: RunDirectory) -> String { "\(run.path)/server-run" }
}
