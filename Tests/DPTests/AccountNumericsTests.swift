import DP
import Foundation
import GMP
import Testing

@Suite struct AccountNumericsTests {
    @Test func scaledErfcMatchesHighPrecisionValues() {
        // mpmath 1.4.1, 40 digits: exp(x²)·erfc(x).
        let values: [(Double, Double)] = [
            (0, 1), (0.5, 0.61569034419292587), (1, 0.427583576155807),
            (1.9999, 0.25540635637473408), (2, 0.25539567631050574), (2.5, 0.21080636406114358),
            (5, 0.11070463773306863), (10, 0.056140992743822586), (30, 0.018795888861416751),
            (100, 0.0056416137829894329), (1e6, 5.6418958354747419e-7),
        ]
        for (x, expected) in values {
            #expect(relative(NormalDistribution.scaledErfc(x), expected) < 2e-15, "\(x)")
        }
    }

    @Test func quantilesInvertTails() {
        for p in [1e-300, 1e-100, 1e-17, 1e-5, 0.01, 0.2, 0.2499, 0.26, 0.4, 0.5, 0.7, 0.999] {
            let x = NormalDistribution.upperQuantile(p)
            #expect(relative(NormalDistribution.upperTail(x), p) < 1e-12, "\(p) \(x)")
            #expect(relative(NormalDistribution.quantile(p), -x) < 1e-12, "\(p)")
        }
    }

    @Test func gaussianDeltaInvertsEpsilon() {
        for mu in [0.01, 0.03, 0.3, 1, 4, 30, 300] {
            for delta in [1e-150, 1e-18, 1e-10, 1e-5, 1e-2, 0.3] {
                let epsilon = GaussianTradeOff.epsilon(mu: mu, delta: delta)
                #expect(epsilon.lower <= epsilon.upper)
                #expect(relative(epsilon.lower, epsilon.upper) < 1e-11, "\(mu) \(delta) \(epsilon)")
                guard epsilon.upper > 0 else { continue }
                let back = GaussianTradeOff.delta(mu: mu, epsilon: epsilon.upper)
                #expect(back.upper <= delta * (1 + 1e-15))
                #expect(relative(back.lower, delta) < 1e-6, "\(mu) \(delta) \(back)")
            }
        }
    }

    @Test func skellamCentreMatchesItsSeriesOnBothSidesOfTheSwitch() {
        // e^{−v}I₀(v), mpmath 1.4.1, 40 digits.
        let values: [(Double, Double)] = [
            (0.001, 0.99900074958351556), (1, 0.46575960759364044), (4, 0.2070019212239867),
            (29.999, 0.073147176129132126), (30, 0.073145946482237294),
            (1000, 0.012617240455891257), (1e6, 0.00039894233026924578),
        ]
        for (variance, expected) in values {
            #expect(relative(Skellam.probabilityOfZero(variance: variance), expected) < 4e-15, "\(variance)")
        }
        let below = Skellam.probabilityOfZero(variance: 30 - 1e-12)
        #expect(relative(below, Skellam.probabilityOfZero(variance: 30)) < 1e-12)
    }

    @Test func certificateMatchesPublishedCheckValues() throws {
        let unit = { (sigma: Rational, shares: Int) in
            UnitShiftCertificate.discreteGaussianSum(sigmaLocalSquared: sigma, shares: shares).muOne
        }
        #expect(abs(unit(1, 1) - 1.04576011951597) < 1e-13)
        #expect(abs(unit(Rational(49, 100), 1) - 1.57785538617657) < 1e-13)
        #expect(abs(unit(4, 1) - 0.50532543646928) < 1e-13)
        // Sums: the certificate adds τ, so it lies above the exact value.
        #expect(unit(1, 8) >= 0.35541539700365)
        #expect(
            abs(unit(1, 8) - 0.35541539700365) < 3
                * SumOfDiscreteGaussians.tau(sigmaLocalSquared: 1, shares: 8))
        #expect(unit(4, 8) >= 0.176776695296637)
        // Large noise approaches the continuous Gaussian: (1/σ)(1 + 1/(24σ²)).
        #expect(relative(unit(1_000_000, 1), 1e-3 * (1 + 1 / 24e6)) < 1e-12)
        let skellam = { UnitShiftCertificate.skellam(variance: $0).muOne }
        #expect(abs(skellam(1) - 1.24309213921297) < 1e-12)
        #expect(abs(skellam(4) - 0.52483890067824) < 1e-12)
    }

    @Test(arguments: [0.1, 0.25, 0.49, 0.5, 1, 2, 4, 16, 100])
    func certificateSupremumSitsAtOneStep(sigmaSquared: Double) {
        // All thresholds t with tails above 1e-290; the continuation to t → ∞ is the argument's gap.
        let reach = Int(36 * sigmaSquared.squareRoot()) + 2
        var tail = 0.0
        var tails: [Int: Double] = [:]
        for t in stride(from: reach + 40, through: 0, by: -1) {
            tail += exp(-Double(t * t) / (2 * sigmaSquared))
            tails[t] = tail
        }
        let normaliser = 2 * tails[1]! + 1
        let z = { (t: Int) -> Double in
            t >= 1
                ? NormalDistribution.upperQuantile(tails[t]! / normaliser)
                : -NormalDistribution.upperQuantile(tails[1 - t]! / normaliser)
        }
        let claimed = UnitShiftCertificate.unitShift(sigmaSquared: sigmaSquared)
        for t in 1...reach where tails[t]! / normaliser > 1e-290 {
            #expect(z(t) - z(t - 1) <= claimed * (1 + 1e-11), "σ² \(sigmaSquared) t \(t)")
        }
    }

    @Test func tauMatchesTheFormulaAndVanishesAtOurScales() {
        // 10·Σ_{k=1}^{n−1} e^{−2π²σ²k/(k+1)}, vectors of sum_of_discrete_gaussians.
        let small = SumOfDiscreteGaussians.tau(sigmaLocalSquared: Rational(1, 4), shares: 2)
        #expect(small >= 0.8480497247 - 1e-10 && small < 0.8480497248 + 1e-9)
        let sixteen = SumOfDiscreteGaussians.tau(sigmaLocalSquared: Rational(1, 4), shares: 16)
        #expect(relative(sixteen, 2.971735714) < 1e-8)
        #expect(SumOfDiscreteGaussians.tau(sigmaLocalSquared: 16, shares: 1) == 0)
        #expect(SumOfDiscreteGaussians.tau(sigmaLocalSquared: 16, shares: 1_000_000) * 1e6 < 1e-50)
        #expect(SumOfDiscreteGaussians.tau(sigmaLocalSquared: 1_000_000, shares: 9) > 0)
    }

    @Test func testPowerOfAGaussianMatchesTheHeadline() {
        // Notes' headline example: μ = 0.7906 detects at most 6.2 % at 1 % and 31.2 % at 10 %.
        let mu = (0.3125 * 2).squareRoot()
        #expect(abs(GaussianTradeOff.testPower(mu: mu, falseAlarm: 0.01) - 0.062) < 5e-4)
        #expect(abs(GaussianTradeOff.testPower(mu: mu, falseAlarm: 0.1) - 0.312) < 5e-4)
    }
}

/// Sampled integer noise, summed out term by term: the truth in one dimension.
@Suite struct AccountSampledTruthTests {
    @Test(arguments: [1.05, 1.5, 2, 2.3, 3, 3.75, 6, 11.5, 32])
    func boundsHoldInBothDirections(order: Double) throws {
        for (sigmaSquared, shift, rate) in [
            (4.0, 1, 0.01), (4, 1, 0.3), (1, 1, 0.05), (25, 3, 0.9), (0.25, 1, 0.001), (9, 30, 0.02),
        ] {
            // E_Q[(P/Q)^α] has its mass near α·shift.
            let reach = 40 * Int(sigmaSquared.squareRoot() + 1) + Int(order + 2) * shift
            let log0 = { (x: Int) in -Double(x * x) / (2 * sigmaSquared) }
            var removeTerms: [Double] = []
            var addTerms: [Double] = []
            for x in -reach...reach {
                let q = log0(x)
                let step = log0(x - shift) - q
                let p = q + (step > 600 ? log(rate) + step : log(1 - rate + rate * exp(step)))
                removeTerms.append(order * p + (1 - order) * q)
                addTerms.append(order * q + (1 - order) * p)
            }
            // ln of Σ P^α Q^{1−α} and Σ Q^α P^{1−α} over α − 1.
            let normaliser = logSum((-reach...reach).map(log0))
            let remove = (logSum(removeTerms) - normaliser) / (order - 1)
            let add = (logSum(addTerms) - normaliser) / (order - 1)
            let bound = try RenyiDivergence(
                .poissonSampled(
                    rate: Rational(exactly: rate)!,
                    .discreteGaussian(
                        delta2Squared: BigInteger(shift * shift),
                        sigmaSquared: Rational(exactly: sigmaSquared)!))
            ).upper(order: order)
            let slack = 1e-13 / (order - 1)
            #expect(bound >= remove - slack, "σ² \(sigmaSquared) q \(rate)")
            #expect(bound >= add - slack, "σ² \(sigmaSquared) q \(rate)")
            if order == order.rounded(), remove > 1e-6 {
                #expect(relative(bound, remove) < 1e-6, "exact at integers")
            }
        }
    }

    private func logSum(_ terms: [Double]) -> Double {
        let largest = terms.max()!
        return largest + log(terms.reduce(0) { $0 + exp($1 - largest) })
    }
}
