import DP
import FedTrain
import Models

/// F(x) = mean over records of ½·Σ_k h_k (x_k − a_k)²: convex, its minimum and every fixed point below known
/// in closed form. Each record has its own centre a; a client's curvature h is shared by its records.
struct Quadratic: LocalObjective {
    var centres: [[Float]]
    var curvature: [Float]

    var dimension: Int { curvature.count }
    var recordCount: Int { centres.count }

    /// Where F is least: the mean of the centres.
    var minimum: [Float] {
        (0..<dimension).map { k in centres.reduce(0) { $0 + $1[k] } / Float(centres.count) }
    }

    func lossAndGradient(of records: [Int], at x: [Float]) throws -> (loss: Double, gradient: [Float]) {
        var gradient = [Float](repeating: 0, count: dimension)
        for record in records {
            for k in x.indices { gradient[k] += curvature[k] * (x[k] - centres[record][k]) }
        }
        return (try loss(of: records, at: x), gradient.map { $0 / Float(records.count) })
    }

    func loss(of records: [Int], at x: [Float]) throws -> Double {
        var sum = 0.0
        for record in records {
            for k in x.indices {
                let distance = Double(x[k]) - Double(centres[record][k])
                sum += 0.5 * Double(curvature[k]) * distance * distance
            }
        }
        return sum / Double(records.count)
    }

    func eachGradient(
        of records: [Int], at x: [Float], _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        for record in records {
            try lossAndGradient(of: [record], at: x).gradient.withUnsafeBufferPointer(body)
        }
    }
}

/// A federation of convex problems, run by the code that runs adapters.
struct ConvexFederation {
    var clients: [Quadratic]
    var training: FederationConfiguration.Training
    var shared: [Range<Int>]?
    var x: [Float]
    var personal: [[Float]?]
    private var optimizer: ServerOptimizer

    init(
        _ clients: [Quadratic], _ training: FederationConfiguration.Training, from x: [Float],
        shared: [Range<Int>]? = nil
    ) {
        self.clients = clients
        self.training = training
        self.shared = shared
        self.x = x
        personal = clients.map { _ in nil }
        let travelling = shared.map { $0.reduce(0) { $0 + $1.count } } ?? x.count
        optimizer = ServerOptimizer(training.server, dimension: travelling)
    }

    /// One round with everybody there, its sum in clear.
    mutating func runRound(seed: UInt64) throws {
        var sum: [Float] = []
        for index in clients.indices {
            let work = ClientWork(
                training: training, objective: clients[index], start: x, shared: shared)
            var generator = SplitMix64(seed: seed &+ UInt64(index))
            let update = try work.update(personal: &personal[index], generator: &generator)
            sum = sum.isEmpty ? update : zip(sum, update).map { $0 + $1 }
        }
        let change = optimizer.step(sum.map { $0 / Float(clients.count) })
        let places = shared?.flatMap { Array($0) } ?? Array(x.indices)
        for (place, step) in zip(places, change) { x[place] += step }
    }

    /// Three clients of four coordinates and five records each; the curvatures differ if `isUneven`.
    static func clients(isUneven: Bool = false, seed: UInt64 = 11) -> [Quadratic] {
        var generator = SplitMix64(seed: seed)
        return (0..<3).map { client in
            Quadratic(
                centres: (0..<5).map { _ in
                    (0..<4).map { _ in Float(Double(client) + standardNormal(&generator)) }
                },
                curvature: (0..<4).map { isUneven ? Float(1 + (client + $0) % 3) : 1 })
        }
    }
}

extension FederationConfiguration.Training {
    /// Whole-batch steps of plain SGD at the client, and the mean as it is at the server.
    static func plain(_ algorithm: FederationConfiguration.Algorithm, steps: Int, rate: Double) -> Self {
        var training = Self(algorithm, rule: .all)
        training.optimizer = .sgd
        training.localSteps = steps
        training.personalSteps = steps
        training.batchSize = 5
        training.learningRate = rate
        training.personalLearningRate = rate
        return training
    }
}

func distance(_ left: [Float], _ right: [Float]) -> Double {
    zip(left, right).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }.squareRoot()
}
