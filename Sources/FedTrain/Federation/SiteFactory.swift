import DP
import Models
import SecureAgg
import Sodium

/// Gives every client of a run an identity and a ledger of its own.
struct SiteFactory {
    let plan: RoundPlan
    let statement: PlanStatement
    let run: RunDirectory
    let randomness: RunRandomness
    let clock: RunClock

    func makeSites(_ data: [SiteData]) throws -> [Site] {
        try AtomicFile.makeDirectory(run.clients)
        return try data.enumerated().map { index, data in
            var random = randomness.stream("identity/\(data.name)")
            let key = SigningKey(generatedBy: &random)
            var statement = statement
            statement.role = .client
            statement.participant = data.name
            statement.participationLimit = plan.rounds
            return Site(
                name: data.name,
                identity: ClientIdentity(id: ClientID(UInt64(index + 1)), signingKey: key),
                examples: data.examples,
                ledger: try LedgerFile.create(
                    in: try FileLedgerStorage(path: run.clientLedger(data.name)), key: key,
                    plan: statement, at: clock.epochSeconds()),
                journal: InMemoryJournal())
        }
    }
}
