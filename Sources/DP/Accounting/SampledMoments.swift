import GMP
import Glibc

/// Rényi divergences of a Poisson-sampled mechanism from those of the mechanism itself.
///
/// Let Q and P₁ be the outputs without and with the unit, L = P₁/Q, P = (1−q)Q + qP₁ and
/// r = q/(1−q). Then E_Q[(P/Q)^α] = (1−q)^α E_Q[(1 + rL)^α], and with M_k = E_Q[L^k] =
/// e^{(k−1)D_k}, so that M₀ = M₁ = 1:
///
/// *Integer α* ([MTZ19], [ZW19]): the binomial theorem, exact in the M_k.
/// E = 1 + Σ_{k=2}^{α} C(α,k)(1−q)^{α−k}q^k(M_k − 1); all terms positive, nothing cancels.
///
/// *Other α*, n = ⌊α⌋: let R(t) = (1+t)^α − Σ_{k≤n} C(α,k)t^k for t ≥ 0. Comparing n-th derivatives
/// ((1+t)^{α−n} − 1 ≤ t^{α−n}) gives R(t) ≤ t^α, and Taylor's remainder gives
/// R(t) ≤ C(α,n+1)t^{n+1}. The same two inequalities for α−2 say that t^α − R(t) and
/// C(α,n+1)t^{n+1} − R(t) are convex, so by Jensen, as E_Q[L] = 1,
/// E[R(rL)] − R(r) ≤ min{r^α(M_α − 1), C(α,n+1)r^{n+1}(M_{n+1} − 1)}.
/// The sum above up to n plus that minimum bounds E; it is exact again as α reaches n or n+1.
///
/// *Direction.* Every base mechanism here has an involution that exchanges Q and P₁ (x ↦ v − x for
/// symmetric noise, also for integer vectors and for sums of several parties' noise; the exchange
/// of two answers for randomised response), and then D_α(Q‖P) ≤ D_α(P‖Q) ([MTZ19] theorem 5).
/// Upper bounds on D_k enter through M_k, which only grows with them.
struct SampledMoments {
    private let base: (Double) -> Double
    private let logRate: Double
    private let logRest: Double
    /// ln(M_k − 1) for k = 0 ... orderMax.
    private let excess: [Double]

    /// Largest order at which sampling is expanded.
    static let orderMax = 1024.0

    init(rate: Rational, base: @escaping (Double) -> Double) {
        self.base = base
        // E_Q[(1−q+qL)^α] is convex in q with slope 0 at q = 0, so rounding q up is safe.
        let q = min(Rounding.up(rate), 1 - 0x1p-53)
        logRate = log(q)
        logRest = log1p(-q)
        excess = (0...Int(Self.orderMax) + 1).map { k in
            k < 2 ? -.infinity : Self.logExcess(Double(k), base(Double(k)))
        }
    }

    /// D_α(P‖Q), rounded up.
    func divergence(order: Double) -> Double {
        let below = Int(order.rounded(.down))
        var terms: [Double] = []
        terms.reserveCapacity(below + 1)
        let isInteger = Double(below) == order
        // ln C(α, k), from the table or by C(α, k) = C(α, k−1)·(α−k+1)/k.
        var logBinomial = log(order)
        for k in stride(from: 2, through: isInteger ? below : below + 1, by: 1) {
            logBinomial =
                isInteger
                ? LogGamma.factorials[below] - LogGamma.factorials[k] - LogGamma.factorials[below - k]
                : logBinomial + log((order - Double(k) + 1) / Double(k))
            terms.append(logBinomial + weight(order, Double(k)) + excess[k])
        }
        if !isInteger {
            let power = weight(order, order) + Self.logExcess(order, base(order))
            terms.append(min(power, terms.popLast() ?? .infinity))
        }
        // Each logarithm is good to a few units of its largest part; the recurrence adds one per
        // step, but only below order 40.
        let size = LogGamma.of(order + 1) + order * (abs(logRate) + abs(logRest)) + 1
        let sum = LogSpace.sum(terms) + (isInteger ? 16 : 64) * size * Rounding.ulp
        return Rounding.up(LogSpace.onePlusExp(sum), ulps: 16) / (order - 1)
    }

    /// ln((1−q)^{α−k} q^k); k may be α, and also α rounded up.
    private func weight(_ order: Double, _ k: Double) -> Double {
        (order - k) * logRest + k * logRate
    }

    /// ln(e^{(k−1)D_k} − 1).
    private static func logExcess(_ order: Double, _ divergence: Double) -> Double {
        let exponent = (order - 1) * divergence
        return exponent < .infinity ? LogSpace.expMinusOne(exponent) : .infinity
    }
}

/// ln Γ through the C library's re-entrant entry.
enum LogGamma {
    /// ln n! for n = 0 ... 1025.
    static let factorials: [Double] = (0...Int(SampledMoments.orderMax) + 1).map { of(Double($0) + 1) }

    static func of(_ x: Double) -> Double {
        var sign: Int32 = 0
        return lgamma_r(x, &sign)
    }
}
