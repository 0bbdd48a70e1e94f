import Models

/// The yardsticks of the demo: what the base, each site alone, and a federation in clear reach on the
/// same held-out notes.
///
/// They use the sites' notes without any privacy, which only generated data allows.
public struct DemoComparison {
    public let prepared: PreparedFederation

    public init(_ prepared: PreparedFederation) {
        self.prepared = prepared
    }

    /// Trains and scores every yardstick; `progress` names the one under way.
    public func scores(progress: (String) -> Void) throws -> [ScoreFact] {
        guard let heldOut = prepared.data.heldOut else { return [] }
        let clear = ClearFederation(of: prepared)
        var scores: [ScoreFact] = []
        for site in prepared.data.sites {
            progress("\(site.name) on its own")
            let adapter = try clear.trainAlone(site)
            scores.append(
                ScoreFact(
                    name: "\(site.name) alone", try heldOut.score(base: prepared.base, adapter: adapter)))
        }
        progress("the federation with its sum in clear")
        let adapter = try clear.train().adapter
        scores.append(
            ScoreFact(
                name: "federation in clear", try heldOut.score(base: prepared.base, adapter: adapter)))
        return scores
    }
}
