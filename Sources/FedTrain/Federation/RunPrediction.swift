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

    /// The largest of the moments when much is held at once, on top of what always is.
    private static func peakMemory(
        plan: RoundPlan, base: BaseModel, data: FederationData, adapterCount: Int
    ) -> Int {
        let vector = 4 * plan.aggregation.length
        let tokens = data.sites.flatMap(\.examples).map(\.tokens.count).reduce(0, +)
        // Weights once as floats, once as mapped file pages that loading touched.
        let weights = 8 * base.model.layout.count
        let records = 4 * tokens + 64 * data.sites.map(\.examples.count).reduce(0, +)
        // Every client's contribution waits for stage 2; masks come on top one client at a time.
        let contributions = (plan.clients + 8) * vector
        let adapters = 8 * 4 * adapterCount
        return processBytes + weights + records + contributions + adapters
    }

    /// What the executable and its libraries take before anything is loaded.
    private static let processBytes = 40 << 20
}
