import DP
import Models
import SecureAgg
import Sodium

/// A few of a run's local steps, by as many clients at a time as in the run, to learn what a round's training takes.
struct TrainingRehearsal {
    private let prepared: PreparedFederation
    private let stopwatch: Stopwatch
    private let lanes: Int
    private let engine: TrainingEngine

    init(_ prepared: PreparedFederation, _ stopwatch: @escaping Stopwatch) {
        self.prepared = prepared
        self.stopwatch = stopwatch
        lanes = LocalFederation.lanes(clients: prepared.data.sites.count)
        engine = LocalFederation.engine(prepared)
    }

    /// Seconds of all clients' training, noise and encoding.
    func secondsPerRound() throws -> Double {
        let plan = prepared.plan
        let encoding = try seconds {
            _ = ProtectiveSteps.genuine.contribution(
                plan.aggregation, rotation: plan.rotation(round: 1, incoming: prepared.base.digest),
                noiseSeeds: plan.noiseSeeds(using: StreamRandom(seed: 1, label: "timing")),
                random: StreamRandom(seed: 2, label: "timing")
            ) { encoder, values in
                let vector = [Float](repeating: 1e-3, count: plan.aggregation.encoding.dimension)
                encoder.encode(vector, addingTo: &values, random: StreamRandom(seed: 3, label: "timing"))
            }
        }
        // Where clients take turns, a round has only some of them.
        let turn = Double(plan.clients) / Double(max(1, prepared.data.sites.count))
        return (try training() * turn + Double(plan.clients) * encoding) / Double(lanes)
    }

    /// All clients' training of one round, one after the other: the middle client's steps, or a few records'
    /// gradients, scaled to all.
    private func training() throws -> Double {
        let sites = prepared.data.sites.sorted { $0.examples.count < $1.examples.count }
        guard !sites.isEmpty else { return 0 }
        let site = sites[sites.count / 2]
        let whole = prepared.configuration.training
        let isPerRecord = prepared.plan.unit == .record
        let work = { [model = prepared.initialModel, engine] (training: FederationConfiguration.Training) in
            model.work(of: site.examples, training: training, engine: engine, round: 1)
        }
        var total = 0.0
        if isPerRecord {
            let records = Array(site.examples.indices.prefix(32))
            let rate = prepared.plan.samplingRate.asDouble
            let sampled = Double(sites.reduce(0) { $0 + $1.examples.count }) * rate
            let gradients = work(whole)
            total =
                try seconds { try gradients.eachGradient(of: records) { _ in } }
                / Double(records.count) * sampled
            guard whole.algorithm == .ditto else { return total }
        }
        var single = whole
        single.localSteps = 1
        single.personalSteps = 1
        let one = work(single)
        let step =
            try seconds {
                var generator = SplitMix64(seed: 1)
                var own: [Float]?
                for _ in 0..<Self.repetitions {
                    if isPerRecord {
                        try one.movePersonal(&own, generator: &generator)
                    } else {
                        _ = try one.update(personal: &own, generator: &generator)
                    }
                }
            } / Double(Self.repetitions)
        let steps: Double =
            switch whole.algorithm {
            case .ditto where isPerRecord: Double(whole.personalSteps)
            case .ditto, .fedRep: Double(whole.localSteps + whole.personalSteps) / 2
            default: Double(whole.localSteps)
            }
        return total + step * steps * Double(sites.count)
    }

    private static let repetitions = 4

    /// Seconds of `body` while every lane does the same, after a first time that fills caches.
    private func seconds(_ body: () throws -> Void) throws -> Double {
        // Each lane works on its own numbers; what the closures hold is only read.
        nonisolated(unsafe) let body = body
        try body()
        // Other programs can only lengthen it: the shorter of two.
        return try (0..<2).map { _ in
            let start = stopwatch()
            for result in concurrentResults(lanes, { _ in try body() }) { try result.get() }
            return stopwatch() - start
        }.min()!
    }
}
