import Foundation
import Models

/// Deals the records of one pool to clients. The same seed gives the same split on every machine.
///
/// A federation of real sites has a file per client and needs none of this; splits are for
/// simulations and studies.
public enum RecordSplit: Sendable, Equatable {
    /// Shuffled and dealt evenly.
    case identical
    /// Each category is spread over the clients by proportions from a symmetric Dirichlet
    /// distribution; the smaller `concentration`, the more the clients differ [Hsu et al. 2019].
    case dirichlet(concentration: Double)
    /// Whole categories go to clients, round robin in random order (FS-LLM's `meta`).
    case byCategory

    /// The indices of each client's records, ascending; every record goes to exactly one client, every
    /// client gets at least one.
    /// - Throws: `RecordSplitError` if that is impossible.
    public func indices(
        of records: [Record], clients: Int, seed: UInt64
    ) throws(RecordSplitError) -> [[Int]] {
        precondition(clients >= 1)
        guard records.count >= clients else {
            throw .tooFewRecords(records: records.count, clients: clients)
        }
        var generator = SplitMix64(seed: seed)
        switch self {
        case .identical:
            let order = shuffledOrder(records.count, &generator)
            return Self.dealt(order.map { [$0] }, clients)
        case .byCategory:
            let groups = try Self.groups(records)
            guard groups.count >= clients else {
                throw .tooFewCategories(categories: groups.count, clients: clients)
            }
            return Self.dealt(shuffledOrder(groups.count, &generator).map { groups[$0] }, clients)
        case .dirichlet(let concentration):
            precondition(concentration > 0 && concentration.isFinite)
            let groups = try Self.groups(records)
            // Proportions are drawn anew until no client is left without a record.
            for _ in 0..<Self.attemptsMax {
                var result = [[Int]](repeating: [], count: clients)
                for group in groups {
                    let order = shuffledOrder(group.count, &generator)
                    let shares = dirichletProportions(concentration, count: clients, &generator)
                    var start = 0
                    var cumulative = 0.0
                    for client in 0..<clients {
                        cumulative += shares[client]
                        let isLast = client == clients - 1
                        let end = isLast ? group.count : Int((cumulative * Double(group.count)).rounded())
                        let stop = min(max(start, end), group.count)
                        result[client] += order[start..<stop].map { group[$0] }
                        start = stop
                    }
                }
                if result.allSatisfy({ !$0.isEmpty }) { return result.map { $0.sorted() } }
            }
            throw .clientsLeftEmpty(concentration: concentration, attempts: Self.attemptsMax)
        }
    }

    private static let attemptsMax = 100

    /// Record indices by category, categories in the order of their bytes.
    private static func groups(_ records: [Record]) throws(RecordSplitError) -> [[Int]] {
        var groups: [[UInt8]: [Int]] = [:]
        for (index, record) in records.enumerated() {
            guard let category = record.category else { throw .noCategory(record: index) }
            groups[Array(category.utf8), default: []].append(index)
        }
        return groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    private static func dealt(_ groups: [[Int]], _ clients: Int) -> [[Int]] {
        var result = [[Int]](repeating: [], count: clients)
        for (turn, group) in groups.enumerated() { result[turn % clients] += group }
        return result.map { $0.sorted() }
    }
}

/// Why records cannot be split as asked. Record numbers count from 0.
public enum RecordSplitError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooFewRecords(records: Int, clients: Int)
    case tooFewCategories(categories: Int, clients: Int)
    case noCategory(record: Int)
    case clientsLeftEmpty(concentration: Double, attempts: Int)

    public var description: String {
        switch self {
        case .tooFewRecords(let records, let clients):
            "\(records) records cannot be split over \(clients) clients; use fewer clients"
        case .tooFewCategories(let categories, let clients):
            "\(categories) categories cannot be split over \(clients) clients; "
                + "use fewer clients or a dirichlet split"
        case .noCategory(let record):
            "record \(record) has no \"category\", which this split goes by; use an identical split"
        case .clientsLeftEmpty(let concentration, let attempts):
            "a dirichlet split with concentration \(concentration) left clients without records "
                + "in \(attempts) attempts; use a larger concentration or fewer clients"
        }
    }
}

/// Proportions from the symmetric Dirichlet distribution: normalised gamma variates.
///
/// Computed with logarithms, since for small concentrations every variate may underflow.
package func dirichletProportions(
    _ concentration: Double, count: Int, _ generator: inout some RandomNumberGenerator
) -> [Double] {
    let logs = (0..<count).map { _ in logGamma(shape: concentration, &generator) }
    let largest = logs.max() ?? 0
    let weights = logs.map { exp($0 - largest) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
}

/// The logarithm of a gamma variate of scale 1 [Marsaglia, Tsang 2000]. For shapes below 1:
/// a variate of shape + 1, times u^(1/shape).
private func logGamma(shape: Double, _ generator: inout some RandomNumberGenerator) -> Double {
    if shape < 1 {
        let u = 1 - uniform(&generator)
        return logGamma(shape: shape + 1, &generator) + log(u) / shape
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
        let x = standardNormal(&generator)
        let v = 1 + c * x
        guard v > 0 else { continue }
        let cube = v * v * v
        let u = 1 - uniform(&generator)
        if log(u) < 0.5 * x * x + d - d * cube + d * log(cube) { return log(d * cube) }
    }
}
