import DP
import Models
import SecureAgg

/// One client of a federation in this process: its data, its identity and its own ledger.
final class Site {
    let name: String
    let identity: ClientIdentity
    let examples: [TokenizedExample]
    /// What this client has spent, kept by the client itself.
    let ledger: LedgerFile
    /// What this client has sent, so that it never answers a stage twice.
    let journal: any ClientJournal

    var id: ClientID { identity.id }

    init(
        name: String, identity: ClientIdentity, examples: [TokenizedExample], ledger: LedgerFile,
        journal: any ClientJournal
    ) {
        self.name = name
        self.identity = identity
        self.examples = examples
        self.ledger = ledger
        self.journal = journal
    }
}

/// A client's records before it has joined a run.
public struct SiteData: Sendable {
    public let name: String
    public let examples: [TokenizedExample]
    /// How many records were usable, cut or left out, in words.
    public let summary: String

    public init(name: String, examples: [TokenizedExample], summary: String) {
        self.name = name
        self.examples = examples
        self.summary = summary
    }
}
