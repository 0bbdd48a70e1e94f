import Glibc

extension AggregationPlan {
    /// A size that Poisson sampling of `records` at `rate` exceeds with probability at most 2^−failureBits.
    ///
    /// For `Request.unitsPerClientMax`. The probability is that of one client in one round; a plan for n clients
    /// adds it n times to that of a wrap. Chernoff: P[X ≥ k] ≤ exp(−N·KL(k/N ‖ q)).
    ///
    /// - Precondition: `records` ≥ 0, `rate` in 0 … 1, `failureBits` ≥ 0.
    public static func sampleSizeMax(records: Int, rate: Double, failureBits: Int) -> Int {
        precondition(records >= 0 && (0...1).contains(rate) && failureBits >= 0)
        guard records > 0, rate > 0, rate < 1 else { return rate > 0 ? records : 0 }
        let limit = Double(failureBits) * log(2.0)
        func exponent(_ size: Int) -> Double {
            let fraction = Double(size) / Double(records)
            let rest = 1 - fraction
            return Double(records)
                * (fraction * log(fraction / rate) + (rest > 0 ? rest * log(rest / (1 - rate)) : 0))
        }
        var low = Int(Double(records) * rate) + 1
        var high = records
        guard low < high else { return records }
        while low < high {
            let middle = (low + high) / 2
            if exponent(middle) >= limit * (1 + 1e-9) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
