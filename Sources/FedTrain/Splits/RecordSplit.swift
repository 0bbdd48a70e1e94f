import Foundation
import Models

/// Deals the records of one pool to clients. The same seed gives the same split on every machine.
///
/// A split is first a table of shares, categories by clients, drawn once; then every part of the data
/// (training, validation, test) is dealt by that one table. So a client is tested on what it trains on,
/// in the same proportions.
public enum RecordSplit: Sendable, Equatable {
    /// Shuffled and dealt evenly.
    case identical
    /// Each category is spread over the clients by proportions from a symmetric Dirichlet
    /// distribution; the smaller `concentration`, the more the clients differ [Hsu et al. 2019].
    case dirichlet(concentration: Double)
    /// Whole categories go to clients, round robin in random order (FS-LLM's `meta`).
    case byCategory
    /// All clients draw from the same records, but how many each has follows a symmetric Dirichlet
    /// distribution.
    case quantity(concentration: Double)

    /// The indices of each client's records in each part, ascending: `result[part][client]`. Every record
    /// goes to exactly one client; every client gets at least one of every part that is not empty.
    ///
    /// - Parameters:
    ///   - parts: training records first.
    ///   - redrawsEachPart: compatibility only: FS-LLM's `MetaSplitter` draws a new table for every part,
    ///     so a client is tested on categories that it never trained on.
    /// - Throws: `RecordSplitError` if that is impossible.
    public func deal(
        _ parts: [[Record]], clients: Int, seed: UInt64, redrawsEachPart: Bool = false
    ) throws(RecordSplitError) -> [[[Int]]] {
        precondition(clients >= 1 && !parts.isEmpty)
        for (part, records) in parts.enumerated() where !records.isEmpty && records.count < clients {
            throw .tooFewRecords(records: records.count, clients: clients, part: part)
        }
        let groups = try Self.groups(parts, byCategory: usesCategories)
        if self == .byCategory, groups.count < clients {
            throw .tooFewCategories(categories: groups.count, clients: clients)
        }
        var generator = SplitMix64(seed: seed)
        var empty = 0
        // Shares are drawn anew until no client is left without a record.
        for _ in 0..<Self.attemptsMax {
            var shares = table(groups: groups.count, clients: clients, &generator)
            var result: [[[Int]]] = []
            for part in parts.indices {
                if redrawsEachPart, part > 0 {
                    shares = table(groups: groups.count, clients: clients, &generator)
                }
                result.append(Self.deal(groups.map { $0[part] }, by: shares, clients, &generator))
            }
            let failed = parts.indices.first { part in
                !parts[part].isEmpty && result[part].contains(where: \.isEmpty)
            }
            guard let failed else { return result }
            empty = failed
            // Nothing random is left in how much each client gets.
            if self == .identical { break }
        }
        throw .clientsLeftEmpty(part: empty, attempts: Self.attemptsMax)
    }

    private static let attemptsMax = 100

    private var usesCategories: Bool {
        switch self {
        case .identical, .quantity: false
        case .dirichlet, .byCategory: true
        }
    }

    /// Shares of each group: `table[group][client]`, each row adding up to 1.
    private func table(
        groups: Int, clients: Int, _ generator: inout SplitMix64
    ) -> [[Double]] {
        switch self {
        case .identical:
            return [[Double]](repeating: [Double](repeating: 1, count: clients), count: groups)
        case .dirichlet(let concentration), .quantity(let concentration):
            precondition(concentration > 0 && concentration.isFinite)
            return (0..<groups).map { _ in dirichletProportions(concentration, count: clients, &generator) }
        case .byCategory:
            var rows = [[Double]](repeating: [Double](repeating: 0, count: clients), count: groups)
            for (turn, group) in shuffledOrder(groups, &generator).enumerated() {
                rows[group][turn % clients] = 1
            }
            return rows
        }
    }

    private static func deal(
        _ groups: [[Int]], by shares: [[Double]], _ clients: Int, _ generator: inout SplitMix64
    ) -> [[Int]] {
        var result = [[Int]](repeating: [], count: clients)
        for (group, shares) in zip(groups, shares) {
            let order = shuffledOrder(group.count, &generator)
            var start = 0
            for (client, count) in apportioned(group.count, by: shares).enumerated() {
                result[client] += order[start..<start + count].map { group[$0] }
                start += count
            }
        }
        return result.map { $0.sorted() }
    }

    /// Record indices by category and part: `groups[category][part]`, categories in the order of their
    /// bytes; without categories one group holds everything.
    private static func groups(
        _ parts: [[Record]], byCategory: Bool
    ) throws(RecordSplitError) -> [[[Int]]] {
        guard byCategory else { return [parts.map { Array($0.indices) }] }
        var groups: [[UInt8]: [[Int]]] = [:]
        for (part, records) in parts.enumerated() {
            for (index, record) in records.enumerated() {
                guard let category = record.category else { throw .noCategory(record: index) }
                groups[Array(category.utf8), default: .init(repeating: [], count: parts.count)][part]
                    .append(index)
            }
        }
        return groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// Cuts a pool into parts with every category in the same proportions, for data that comes as one file.
    ///
    /// - Parameter shares: of each part, adding up to at most 1; what is missing is left out.
    /// - Returns: each part's record indices, ascending.
    public static func cut(_ records: [Record], shares: [Double], seed: UInt64) -> [[Int]] {
        var groups: [[UInt8]: [Int]] = [:]
        for (index, record) in records.enumerated() {
            groups[Array((record.category ?? "").utf8), default: []].append(index)
        }
        var generator = SplitMix64(seed: seed)
        let rest = max(0, 1 - shares.reduce(0, +))
        let sorted = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
        return Array(
            deal(
                sorted, by: .init(repeating: shares + [rest], count: sorted.count), shares.count + 1,
                &generator
            ).dropLast())
    }
}

/// `count` things handed out by shares that need not add up to 1, by largest remainders; ties go to the
/// first.
package func apportioned(_ count: Int, by shares: [Double]) -> [Int] {
    let total = shares.reduce(0, +)
    guard total > 0 else { return [Int](repeating: 0, count: shares.count) }
    let exact = shares.map { $0 / total * Double(count) }
    var counts = exact.map { Int($0.rounded(.down)) }
    let byRemainder = exact.indices.sorted { left, right in
        let (a, b) = (exact[left] - Double(counts[left]), exact[right] - Double(counts[right]))
        return a == b ? left < right : a > b
    }
    for index in byRemainder.prefix(max(0, count - counts.reduce(0, +))) { counts[index] += 1 }
    return counts
}

/// Why records cannot be split as asked. Record numbers count from 0.
public enum RecordSplitError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooFewRecords(records: Int, clients: Int, part: Int)
    case tooFewCategories(categories: Int, clients: Int)
    case noCategory(record: Int)
    case clientsLeftEmpty(part: Int, attempts: Int)

    static func partName(_ part: Int) -> String {
        part < DataPart.allCases.count ? DataPart.allCases[part].rawValue : "part \(part)"
    }

    public var description: String {
        switch self {
        case .tooFewRecords(let records, let clients, let part):
            "\(records) \(Self.partName(part)) records cannot be split over \(clients) clients: some would have "
                + "none; use fewer clients or a larger share for them"
        case .tooFewCategories(let categories, let clients):
            "\(categories) categories cannot be split over \(clients) clients; "
                + "use fewer clients or a dirichlet split"
        case .noCategory(let record):
            "record \(record) has no \"category\", which this split goes by; use an iid or quantity split"
        case .clientsLeftEmpty(let part, let attempts):
            "the split left clients without \(Self.partName(part)) records in \(attempts) attempts; "
                + "use a larger concentration, fewer clients or more records"
        }
    }
}

/// What a record is for.
public enum DataPart: String, Sendable, CaseIterable {
    case train
    case validation
    case test
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
