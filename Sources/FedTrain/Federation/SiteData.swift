import Models

/// A client's records before it has joined a run.
public struct SiteData: Sendable {
    public let name: String
    public let examples: [TokenizedExample]
    /// Never trained on by anyone, and scored only where the client is; empty when there are none.
    public let heldOut: [TokenizedExample]
    /// How many records were usable, cut or left out, in words.
    public let summary: String

    public init(
        name: String, examples: [TokenizedExample], heldOut: [TokenizedExample] = [], summary: String
    ) {
        self.name = name
        self.examples = examples
        self.heldOut = heldOut
        self.summary = summary
    }
}
