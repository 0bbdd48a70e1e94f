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
    static let manifestBytes = 1024
    /// One client's announcement: number and three keys.
    static let advertiseBytes = 160
    static let cohortEntryBytes = advertiseBytes + 80

    /// The longest message that a client may send in a stage.
    static func clientMessage(
        _ parameters: AggregationParameters, _ stage: Stage, _ topology: Topology?
    ) -> Int {
        let holders = topology?.holders ?? 0
        let content =
            switch stage {
            case .advertiseKeys: advertiseBytes
            case .shareKeys: 128 + holders * SealedShare.length
            case .submitMaskedInput:
                max(
                    parameters.chunkCount * 32,
                    parameters.packedBytes(min(parameters.chunkLength, parameters.vectorLength)))
            case .confirmSurvivors: 0
            case .unmask: holders * Shamir.shareLength
            }
        return envelopeBytes + 64 + content
    }
}
