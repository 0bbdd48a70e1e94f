import Models
import SecureAgg
import Sodium

/// What a run will move and hold, computed before it: printed by `plan`, compared with what `simulate`
/// measures.
public struct RunPrediction: Sendable, Equatable {
    /// Protocol bytes of a client that stays for a whole round.
    public let bytesUpPerClient: Int
    public let bytesDownPerClient: Int
    /// The most memory that this process will hold, in bytes.
    public let peakMemory: Int

    init(plan: RoundPlan, base: BaseModel, data: FederationData, adapterCount: Int) throws {
        let traffic = try Traffic(
            plan.secureAggregation(round: 1, incoming: base.digest), advertised: plan.clients)
        bytesUpPerClient = traffic.upPerClient
        bytesDownPerClient = traffic.downPerClient
        peakMemory = Self.peakMemory(plan: plan, base: base, data: data, adapterCount: adapterCount)
    }

    /// What removable noise adds to the bytes that a client sends in a round when nobody is lost: its shares
    /// and commitments in stage 1, its neighbours' shares in stage 4. 0 without it.
    public static func removableNoiseBytesUp(_ plan: RoundPlan) throws -> Int {
        guard plan.removableNoise != nil else { return 0 }
        func bytesUp(_ parameters: AggregationParameters) throws -> Int {
            try Traffic(parameters, advertised: plan.clients).upPerClient
        }
        let with = try plan.secureAggregation(round: 1, incoming: plan.baseDigest)
        return try bytesUp(with) - bytesUp(try with.withoutRemovableNoise())
    }

    /// What is held at the busiest moment: a site's records in training while the others' contributions
    /// wait. The constants were measured; the sum is right within a quarter.
    private static func peakMemory(
        plan: RoundPlan, base: BaseModel, data: FederationData, adapterCount: Int
    ) -> Int {
        let shape = base.model.configuration
        let engine = TrainingEngine(model: base.model)
        let vector = 4 * plan.aggregation.length
        let lengths = data.sites.map { $0.examples.map(\.tokens.count) }
        let records = lengths.joined().reduce(0) { $0 + 6 * $1 + 128 }
        // Floats, mapped file pages, and the copy that carries the adapter.
        let weights = 10 * base.model.parameterCount

        // Records of the site that samples most, and the rows they make.
        let sampled = lengths.map { Double($0.count) * plan.samplingRate.asDouble }.max() ?? 0
        let meanLength = Double(lengths.joined().reduce(0, +)) / Double(max(1, lengths.joined().count))
        let rows = min(Double(engine.threads * engine.packRows), sampled * meanLength)
        let states = rows * Double(stateBytesPerRow(shape))
        // Gradients of a wave of packs wait for the encoder.
        let waveRecords = min(sampled, Double(8 * engine.threads * engine.packRows) / max(1, meanLength))
        let gradients = plan.algorithm == .dpFedSGD ? waveRecords * Double(vector) : 3 * Double(vector)

        let contributions = (plan.clients + 3) * vector
        let adapters = 6 * 4 * adapterCount
        let edges = plan.clients * plan.topology.neighbours * bytesPerEdge(plan)
        let clients = plan.clients * (bytesPerClient + plan.rounds * bytesPerRoundOfAClient)
        return processBytes + weights + records + Int(states + gradients) + contributions + adapters + edges
            + clients
    }

    /// What each neighbour of each client costs between stages 1 and 2: its sealed box at the server and on
    /// its way, a client's own and its neighbours' shares, and the key of the channel.
    private static func bytesPerEdge(_ plan: RoundPlan) -> Int {
        let shares = 32 * (2 + (plan.removableNoise?.count ?? 0))
        let box = shares + 40
        return 2 * box + 2 * shares + 32
    }

    /// A client's session, plan and streams; and what each round adds to its ledger and journal, which a simulation
    /// keeps in memory. Measured with 1,000 clients over 1, 4 and 20 rounds.
    private static let bytesPerClient = 12 << 10
    private static let bytesPerRoundOfAClient = 3400

    /// What a pack keeps of each token: every block's states for the way back, and scratch.
    private static func stateBytesPerRow(_ shape: ModelConfiguration) -> Int {
        let (hidden, inner) = (shape.hiddenSize, shape.intermediateSize)
        let keyValue = shape.keyValueHeadCount * shape.headSize
        let block = 4 * hidden + 2 * keyValue + 3 * inner
        return 4 * (shape.layerCount * block + 2 * inner + 4 * hidden)
    }

    /// The executable and its libraries, the tokenizer, and what evaluation needs.
    private static let processBytes = 53 << 20
}
