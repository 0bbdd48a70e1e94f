import Sodium

/// Upper bounds that hold before anything is allocated for a message.
enum Limits {
    static let taskNameBytes = 64
    static let vectorLength = 1 << 30
    static let chunkLength = 1 << 22
    static let cohortSize = 1 << 17
    static let rosterEntries = 1 << 20
    static let rosterBytes = 64 + 16 + rosterEntries * 40

    /// The envelope around a body: kind, session, signature and the lengths of all fields.
    static let envelopeBytes = 128
    static let manifestBytes = 1024 + 4 * RemovableNoise.levelsMax
    /// One client's announcement: number and three keys.
    static let advertiseBytes = 160
    static let cohortEntryBytes = advertiseBytes + 80

    /// The longest message that a client may send; before the cohort is frozen only announcements fit.
    ///
    /// One bound for all later stages, so that a message that comes too late is named as such; each
    /// stage then checks the exact length that it expects.
    static func clientMessage(_ parameters: AggregationParameters, _ topology: Topology?) -> Int {
        let overhead = envelopeBytes + 64
        guard let holders = topology?.holders else { return overhead + advertiseBytes }
        let share =
            128 + holders * SealedShare.length(shares: parameters.sharesPerHolder)
            + (parameters.removableNoise?.count ?? 0) * Digest.length
        let released = holders * (parameters.sharesPerHolder - 1) * Shamir.shareLength
        let header = parameters.chunkCount * 32
        let chunk = parameters.packedBytes(min(parameters.chunkLength, parameters.vectorLength))
        return overhead + max(advertiseBytes, share, released, header, chunk)
    }
}
