import DP
import Foundation
import GMP
import Testing

/// Values of the reference collection beside the accountants': laws, rounding bounds, a published run; and
/// the small shifts at which the Gaussian formula's two terms cancel.
@Suite struct AccountReferenceTests {
    private func digits(_ value: Any?) -> Double { Double(value as? String ?? "")! }

    @Test func discreteGaussianProbabilitiesAreThoseOfFortyDigits() throws {
        let vectors = AccountVectorFile.shared.of("discrete_gaussian_pmf")
        #expect(vectors.count == 8)
        for vector in vectors {
            let variance = try #require(Rational(vector.params["sigma2"] as? String ?? ""))
            let bits = 100
            let limits = IntegerLaw.discreteGaussian(variance: variance).cumulativeThresholds(bits: bits)
            let exact = try #require(vector.results[0].object?["pmf"] as? [String])
            for (k, text) in exact.enumerated() where k < limits.count {
                let mass =
                    k == 0
                    ? Rational(limits[0]) : (Rational(limits[k]) - Rational(limits[k - 1])) / Rational(2)
                let found = (mass / Rational(.powerOfTwo(bits))).asDouble
                // Thresholds are rounded down to 2^-100.
                #expect(abs(found - Double(text)!) <= 1e-14 * Double(text)! + 0x1p-99, "\(vector.id) \(k)")
            }
        }
    }

    @Test func roundedNormsAreThePublishedBounds() throws {
        let vectors = AccountVectorFile.shared.of("rounded_l2_norm_bound")
        #expect(vectors.count == 4)
        for vector in vectors {
            // β = e^−exponent, to nine digits.
            let exponent = Rational(
                BigInteger(Int((-log(vector.number("beta")) * 1e9).rounded())), 1_000_000_000)
            let plan = try EncodingPlan(
                dimension: vector.integer("dim"), clipNorm: 1, clipSteps: Int(vector.number("l2_scaled")),
                roundingExponent: exponent)
            let theirs = try #require(vector.results[0].object?["l2"] as? NSNumber).doubleValue
            let ours = Double(plan.normBoundSquared).squareRoot()
            // Ours is the square rounded down to an integer, since an integer norm cannot lie between.
            #expect(
                ours <= theirs * (1 + 1e-8) && ours * ours > theirs * theirs * (1 - 1e-8) - 1, "\(vector.id)")
        }
    }

    @Test func aPublishedRunsEpsilonIsReproduced() throws {
        let vector = try #require(AccountVectorFile.shared.of("bandmf_gboard").first)
        let rho = try #require(vector.results[0].object?["zcdp"] as? NSNumber).doubleValue
        let found = GaussianTradeOff.epsilon(mu: (2 * rho).squareRoot(), delta: vector.delta)
        let exact = try #require(vector.first(kind: "exact_gdp"))
        #expect(abs(found.upper / exact - 1) < 1e-12 && found.upper >= found.lower)
    }

    /// ε by 60-digit arithmetic: for small μ the two terms of δ(ε) agree in up to five digits.
    @Test func smallShiftsKeepTwelveDigits() {
        let cases: [(mu: Double, delta: Double, epsilon: Double)] = [
            (1.0 / 1500, 7e-6, 0.0012799925957957463794), (1.0 / 1500, 1e-6, 0.0017284060379638913426),
            (1.0 / 500, 1e-15, 0.013711954653721938822), (1.0 / 128, 2e-4, 0.012198053499339662368),
            (5.0 / 8, 1e-3, 1.7684463182261865896), (3.0 / 4, 1e-3, 2.2056406172544788033),
            (1.0 / 2, 0.1, 0.2864961017568258822), (2.5.squareRoot() / 2, 1e-6, 3.7472179914268127038),
        ]
        for (mu, delta, epsilon) in cases {
            let found = GaussianTradeOff.epsilon(mu: mu, delta: delta)
            #expect(found.upper >= epsilon * (1 - 1e-15) && found.lower <= epsilon * (1 + 1e-15), "μ = \(mu)")
            #expect(found.upper / found.lower - 1 < 1e-12, "μ = \(mu): \(found)")
        }
    }

    @Test func theTwoFormsMeet() {
        // Where one takes over from the other δ must not jump by more than their errors.
        for epsilon in [0.0, 0.01, 0.2, 1, 3] {
            let below = GaussianTradeOff.delta(mu: 0.7, epsilon: epsilon)
            let above = GaussianTradeOff.delta(mu: 0.7.nextUp, epsilon: epsilon)
            #expect(below.lower <= above.upper && above.lower <= below.upper, "ε = \(epsilon)")
            #expect(abs(below.upper / above.upper - 1) < 1e-12, "ε = \(epsilon)")
        }
    }
}
