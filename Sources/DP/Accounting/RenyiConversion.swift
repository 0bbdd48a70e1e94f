import Glibc

/// From Rényi divergences to (ε, δ). Every order gives a valid bound; callers take the best.
package enum RenyiConversion {
    /// ε at `delta` from D_order ≤ `divergence` ([CKS20] proposition 12):
    /// ε = r + ln((α−1)/α) − (ln δ + ln α)/(α−1).
    ///
    /// When the divergence is so small that even total variation stays below δ, ε is 0
    /// (Bretagnolle–Huber: TV² ≤ 1 − e^{−r}).
    package static func epsilon(order: Double, divergence: Double, delta: Double) -> Double {
        guard divergence < .infinity else { return .infinity }
        if -expm1(-Rounding.up(divergence)) * (1 + 0x1p-48) <= delta * delta { return 0 }
        guard order > 1 else { return .infinity }
        let first = divergence
        let second = log1p(-1 / order)
        let third = (-log(delta) - log(order)) / (order - 1)
        let slack = (abs(first) + abs(second) + (abs(log(delta)) + log(order)) / (order - 1)) * 8
        return max(0, first + second + third + slack * Rounding.ulp)
    }

    /// δ at `epsilon` from D_order ≤ `divergence`:
    /// δ = e^{(α−1)(r−ε)}/(α−1)·(1 − 1/α)^α.
    package static func delta(order: Double, divergence: Double, epsilon: Double) -> Double {
        guard divergence < .infinity else { return 1 }
        let variation = (-expm1(-Rounding.up(divergence))).squareRoot() * (1 + 0x1p-48)
        guard order > 1 else { return min(1, variation) }
        let exponent = (order - 1) * (divergence - epsilon)
        let correction = order * log1p(-1 / order) - log(order - 1)
        let slack =
            ((order - 1) * (divergence + epsilon) + abs(order * log1p(-1 / order))
                + abs(log(order - 1))) * 8
        return min(1, variation, exp(exponent + correction + slack * Rounding.ulp) * (1 + 0x1p-50))
    }

    /// ε at `delta` for `rho`-zCDP, optimal over all orders.
    package static func epsilon(rho: Double, delta: Double) -> Double {
        guard rho > 0 else { return 0 }
        // dε/dα = ρ + (ln δ + ln α)/(α−1)² vanishes once: ρ(α−1)² = ln(1/δ) − ln α. With
        // x = α − 1 the left side rises and the right side falls, so bisection cannot fail;
        // any order near the root is nearly optimal and every one is valid.
        let logInverse = -log(delta)
        let high = (logInverse / rho).squareRoot()
        let root = Solve.bracketOfDecreasing(low: 0, high: high) { x in
            logInverse - log1p(x) - rho * x * x
        }
        let order = 1 + max(root.above, 1e-12)
        return epsilon(order: order, divergence: order * rho, delta: delta)
    }

    /// δ at `epsilon` for `rho`-zCDP, optimal over all orders.
    package static func delta(rho: Double, epsilon: Double) -> Double {
        guard rho > 0 else { return 0 }
        // d ln δ/dα = (2α−1)ρ − ε + ln(1−1/α) rises in α; its root lies below (ε/ρ + 1)/2 + 1/ρ + 2.
        let high = epsilon / rho + 2 + 2 / rho.squareRoot()
        let root = Solve.bracketOfDecreasing(low: 0, high: high) { x in
            epsilon - (2 * x + 1) * rho - log1p(-1 / (1 + x))
        }
        let order = 1 + max(root.above, 1e-12)
        return delta(order: order, divergence: order * rho, epsilon: epsilon)
    }
}
