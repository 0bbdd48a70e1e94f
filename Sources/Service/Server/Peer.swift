import SecureAgg

/// One client as the server sees it: its session, what it has still to be told, and what it is sending.
struct Peer {
    let id: ClientID
    let name: String
    /// 32 random bytes; the peer shows them with every request.
    var token: [UInt8]
    /// Number of the latest instruction.
    var sequence: UInt64 = 0
    var mailbox: [WireInstruction] = []
    /// Someone waits for the next instruction, until then.
    var poll: (waiter: CheckedContinuation<Void, Never>, deadline: Double)?
    /// When the latest request came.
    var lastSeen: Double
    /// The latest round whose adapter it fetched.
    var fetchedRound = 0
    var upload: Upload?
    /// Messages of the open stage that were accepted.
    var accepted: (round: Int, stage: Stage, count: Int)?
    var rate: RateLimit
    /// Bodies on their way to or from this client.
    var transfers = 0

    /// One message on its way, piece by piece.
    struct Upload {
        let round: Int
        let stage: Stage
        let index: Int
        let total: Int
        var bytes: [UInt8] = []
    }

    /// How many messages of a stage were accepted.
    func acceptedCount(_ round: Int, _ stage: Stage) -> Int {
        guard let accepted, accepted.round == round, accepted.stage == stage else { return 0 }
        return accepted.count
    }
}
