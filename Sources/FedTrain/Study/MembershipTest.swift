import Foundation

/// How well an attacker who holds the adapter tells training records from others, by their losses.
///
/// Two attacks, neither of which trains shadow models: the loss itself [Yeom et al. 2018], and how much the
/// adapter lowered it against the base model, which everybody has [the reference attack of Carlini et al.
/// 2022 with the base as its one reference]. An area of 0.5 is guessing.
public struct MembershipTest: Sendable, Equatable {
    /// The chance that a random member scores above a random other record, with its 95 % interval.
    public struct Area: Sendable, Equatable {
        public let value: Double
        public let low: Double
        public let high: Double
    }

    public let loss: Area
    public let calibrated: Area
    /// Members found at 5 % false alarms by the calibrated attack, with its 95 % interval (Wilson).
    public let foundAtFivePercent: Area
    public let members: Int
    public let others: Int

    /// - Parameters:
    ///   - members: loss under base and adapter of records that were trained on.
    ///   - others: of records from the same source that were not.
    public init?(
        members: [(base: Double, adapter: Double)], others: [(base: Double, adapter: Double)]
    ) {
        guard members.count >= 2, others.count >= 2 else { return nil }
        self.members = members.count
        self.others = others.count
        loss = Self.area(members.map { -$0.adapter }, others.map { -$0.adapter })
        let own = members.map { $0.base - $0.adapter }
        let foreign = others.map { $0.base - $0.adapter }
        calibrated = Self.area(own, foreign)
        let allowed = foreign.count / 20
        let threshold = foreign.sorted(by: >)[allowed]
        foundAtFivePercent = Self.share(own.count { $0 > threshold }, of: own.count)
    }

    /// The area under the curve, ties counting half, with the interval of DeLong, DeLong and Clarke-Pearson
    /// (1988).
    package static func area(_ members: [Double], _ others: [Double]) -> Area {
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        func variance(_ values: [Double]) -> Double {
            let mean = mean(values)
            return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
        }
        let placed = placements(members, among: others)
        let mirrored = placements(others, among: members).map { 1 - $0 }
        let area = mean(placed)
        let deviation =
            (variance(placed) / Double(members.count) + variance(mirrored) / Double(others.count))
            .squareRoot()
        return Area(
            value: area, low: max(0, area - 1.96 * deviation), high: min(1, area + 1.96 * deviation))
    }

    /// For each value the share of `others` below it.
    private static func placements(_ values: [Double], among others: [Double]) -> [Double] {
        values.map { value in
            let below = others.count { $0 < value }
            let equal = others.count { $0 == value }
            return (Double(below) + Double(equal) / 2) / Double(others.count)
        }
    }

    /// Wilson's 95 % interval of a share.
    static func share(_ found: Int, of count: Int) -> Area {
        let (n, p, z) = (Double(count), Double(found) / Double(count), 1.96)
        let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return Area(value: p, low: max(0, centre - half), high: min(1, centre + half))
    }
}

/// A mean with its 95 % interval by Student's t.
public struct MeanEstimate: Sendable, Equatable {
    public let mean: Double
    /// Half of the interval's width; nil for a single value, of which nothing is known.
    public let half: Double?
    public let count: Int

    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        count = values.count
        let n = Double(values.count)
        let mean = values.reduce(0, +) / n
        self.mean = mean
        guard values.count > 1 else {
            half = nil
            return
        }
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1)
        half = Self.quantile(degrees: values.count - 1) * (variance / n).squareRoot()
    }

    /// The 0.975 quantile of Student's distribution: tabulated, then within 0.001 by Cornish and Fisher's
    /// expansion.
    package static func quantile(degrees: Int) -> Double {
        let table = [
            12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
            2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        ]
        if degrees <= table.count { return table[degrees - 1] }
        let (z, n) = (1.959964, Double(degrees))
        let (z3, z5) = (z * z * z, z * z * z * z * z)
        return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n)
    }
}
