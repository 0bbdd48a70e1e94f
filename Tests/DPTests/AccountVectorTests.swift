import DP
import Foundation
import GMP
import Testing

/// Rule for all of them: ours is never below a number known to be exact.
@Suite struct AccountVectorTests {
    let file = AccountVectorFile.shared

    @Test func gaussianEpsilonEncloses40DigitValues() throws {
        for vector in file.of("gaussian_composed") {
            let exact = vector.first(kind: "exact")!
            let sigma = vector.rational("sigma") / vector.rational("sensitivity")
            let events = try tally(.gaussian(noiseMultiplier: sigma), count: vector.integer("k"))
            let gdp = try GDPAccountant().epsilon(of: events, delta: vector.delta)
            // The reference is printed with 16 or 17 digits, so half a unit may be missing.
            #expect(gdp.upper >= exact * (1 - 0x1p-52), "\(vector.id)")
            #expect(gdp.lower <= exact * (1 + 0x1p-52), "\(vector.id)")
            #expect(relative(gdp.upper, exact) <= 1e-12, "\(vector.id) \(gdp.upper) \(exact)")
            #expect(relative(gdp.lower, exact) <= 1e-12, "\(vector.id) \(gdp.lower) \(exact)")
            #expect(gdp.basis == .published)

            let zcdp = try ZCDPAccountant().epsilon(of: events, delta: vector.delta)
            #expect(zcdp.upper >= exact && zcdp.lower <= exact)
            if let ibm = vector.first(method: "cdp_eps") {
                // IBM's bisection stops within 1e-12 or so of the optimum over real orders.
                #expect(relative(zcdp.upper, ibm) <= 1e-9, "\(vector.id) \(zcdp.upper) \(ibm)")
            }
            let rdp = try RDPAccountant().epsilon(of: events, delta: vector.delta)
            #expect(rdp.upper >= zcdp.upper * (1 - 1e-13), "a grid of orders cannot beat the best one")
            #expect(rdp.upper <= zcdp.upper * 1.01, "\(vector.id) \(rdp.upper) \(zcdp.upper)")
        }
    }

    @Test func gaussianComposedByFourierTransformUndershootsAreNotCopied() throws {
        for vector in file.of("gaussian_composed_by_fft") {
            let exact = vector.first(kind: "exact")!
            let events = try tally(
                .gaussian(noiseMultiplier: vector.rational("sigma")), count: vector.integer("k"))
            let gdp = try GDPAccountant().epsilon(of: events, delta: vector.delta)
            #expect(gdp.upper >= exact * (1 - 0x1p-52) && relative(gdp.upper, exact) <= 1e-12, "\(vector.id)")
        }
    }

    @Test func zcdpConversionMatchesTwoLibraries() throws {
        for vector in file.of("zcdp_to_eps") {
            let rho = vector.number("rho")
            let ours = RenyiConversion.epsilon(rho: rho, delta: vector.delta)
            for library in ["cdp_eps", "make_zCDP"] {
                guard let theirs = vector.first(method: library) else { continue }
                #expect(relative(ours, theirs) <= 1e-9, "\(vector.id) \(library) \(ours) \(theirs)")
            }
            if let gaussian = vector.first(kind: "exact_gdp") { #expect(ours >= gaussian) }
        }
    }

    @Test func rdpOfThePoissonSampledGaussianIsExactAtIntegerOrders() throws {
        for vector in file.of("rdp_poisson_subsampled_gaussian") {
            let order = vector.number("order")
            guard let exact = vector.first(kind: "exact"), order > 1 else { continue }
            let kind = PrivacyEvent.Kind.poissonSampled(
                rate: vector.rational("q"),
                .gaussian(noiseMultiplier: vector.rational("noise_multiplier")))
            let divergence = try RenyiDivergence(kind)
            let ours = divergence.upper(order: order)
            #expect(ours >= exact * (1 - 1e-13), "\(vector.id) \(ours) \(exact)")
            if order == order.rounded() {
                #expect(relative(ours, exact) <= 1e-9, "\(vector.id) order \(order) \(ours) \(exact)")
            } else {
                // Between integers the bound is not exact; measured, worst at orders below 2.
                #expect(
                    ours <= exact * (order < 2 ? 2 : 1.25), "\(vector.id) order \(order) \(ours) \(exact)")
            }
        }
    }

    @Test func poissonSampledGaussianIsBoundedByRDP() throws {
        for vector in file.of("poisson_subsampled_gaussian_composed") {
            let events = try tally(
                .poissonSampled(
                    rate: vector.rational("q"),
                    .gaussian(noiseMultiplier: vector.rational("noise_multiplier"))),
                count: vector.integer("T"))
            let rdp = try RDPAccountant().epsilon(of: events, delta: vector.delta)
            if let theirs = vector.first(method: "RdpAccountant(default orders)") {
                // Theirs is exact at fractional orders, where ours is a bound; the grids differ too.
                #expect(rdp.upper <= theirs * 1.03 + 1e-12, "\(vector.id) \(rdp.upper) \(theirs)")
            }
            for bracket in vector.results.compactMap(\.bracket) where bracket.count == 3 {
                #expect(rdp.upper >= bracket[0] - 1e-9, "\(vector.id)")
                #expect(rdp.lower <= bracket[2] + 1e-9, "\(vector.id) \(rdp.lower) \(bracket)")
            }
            if let exact = vector.first(kind: "exact") {
                #expect(rdp.upper >= exact && rdp.lower <= exact, "\(vector.id)")
            }
            if let pld = vector.first(method: "PLDAccountant(1e-4)") {
                #expect(rdp.lower <= pld, "\(vector.id) \(rdp.lower) \(pld)")
            }
        }
    }

    @Test func laplaceDivergencesAreExact() throws {
        for vector in file.of("rdp_laplace") {
            let exact = vector.first(kind: "exact")!
            let kind = PrivacyEvent.Kind.laplace(
                noiseMultiplier: Rational(1) / vector.rational("eps0"))
            let ours = try RenyiDivergence(kind).upper(order: vector.number("order"))
            #expect(ours >= exact * (1 - 1e-12), "\(vector.id) \(ours) \(exact)")
            #expect(relative(ours, exact) <= 1e-9, "\(vector.id) \(ours) \(exact)")
        }
    }

    @Test func laplaceCompositionsLieBetweenTruthAndPureLoss() throws {
        for vector in file.of("laplace_composed") {
            let events = try tally(
                .laplace(noiseMultiplier: vector.rational("scale") / vector.rational("sensitivity")),
                count: vector.integer("k"))
            let pure = vector.first(method: "k/scale")!
            for accountant in [AccountantKind.rdp, .zcdp, .gdp] {
                let ours = try accountant.accountant.epsilon(of: events, delta: vector.delta)
                #expect(ours.upper <= pure * (1 + 1e-12), "\(vector.id) \(accountant)")
                for bracket in vector.results.compactMap(\.bracket) where bracket.count == 3 {
                    #expect(ours.upper >= bracket[0] - 1e-9, "\(vector.id) \(accountant)")
                }
            }
            if let theirs = vector.first(method: "RdpAccountant") {
                let rdp = try RDPAccountant().epsilon(of: events, delta: vector.delta)
                #expect(rdp.upper <= theirs * 1.001, "\(vector.id) \(rdp.upper) \(theirs)")
            }
        }
    }

    @Test func discreteMechanismsAreBounded() throws {
        for vector in file.of("discrete_laplace_composed") {
            let events = try tally(
                .discreteLaplace(
                    scale: vector.rational("scale_t"), sensitivity: vector.integer("sensitivity")),
                count: vector.integer("k"))
            let ours = try RDPAccountant().epsilon(of: events, delta: vector.delta)
            #expect(ours.upper <= vector.first(method: "pure DP")! * (1 + 1e-12), "\(vector.id)")
            #expect(ours.upper >= vector.first(method: "from_discrete_laplace")! * (1 - 1e-3), "\(vector.id)")
        }
        for vector in file.of("discrete_gaussian_scalar_composed") {
            let sigma = vector.rational("sigma_param")
            let shift = vector.integer("sensitivity")
            let squared = BigInteger(shift * shift)
            // The same noise on one integer, and on a vector of the same norm.
            let scalar = try tally(
                .discreteGaussianSum(
                    delta2Squared: squared, sigmaLocalSquared: sigma * sigma, honestShares: 1, dimension: 1),
                count: vector.integer("k"))
            let whole = try tally(
                .discreteGaussian(delta2Squared: squared, sigmaSquared: sigma * sigma),
                count: vector.integer("k"))
            for (accountant, events) in AccountantKind.allCases.flatMap({ [($0, scalar), ($0, whole)] }) {
                let ours = try accountant.accountant.epsilon(of: events, delta: vector.delta)
                if let exact = vector.first(kind: "exact") {
                    #expect(ours.upper >= exact, "\(vector.id) \(accountant) \(ours.upper) \(exact)")
                    #expect(ours.lower <= exact * (1 + 1e-12), "\(vector.id) \(accountant) \(ours.lower)")
                }
                if accountant == .gdp { #expect(ours.basis == .ownCertificate) }
                if accountant == .rdp || accountant == .zcdp { #expect(ours.basis == .published) }
            }
            let pld = try PLDAccountant().epsilon(of: scalar, delta: vector.delta)
            #expect(pld.basis == .published, "\(vector.id)")
            for method in ["privacy-buckets", "connect-the-dots"] {
                guard let theirs = vector.first(method: method) else { continue }
                #expect(pld.upper <= theirs * 1.001, "\(vector.id) \(method) \(pld.upper) \(theirs)")
            }
        }
    }

    @Test func rdpPointsConvertAsTheClosedFormSays() throws {
        for vector in file.of("rdp_point_to_eps") {
            let ours = RenyiConversion.epsilon(
                order: vector.number("order"), divergence: vector.number("rdp"), delta: vector.delta)
            // Zero where even total variation stays below δ, else the closed form.
            let theirs = min(
                vector.first(method: "CKS20")!, vector.first(method: "compute_epsilon single order")!)
            #expect(ours >= theirs * (1 - 1e-15) && relative(ours, theirs) <= 1e-12, "\(vector.id)")
        }
    }

    @Test func sumsOfDiscreteGaussiansMatchTheAuthorsFormula() throws {
        for vector in file.of("distributed_discrete") {
            guard let theirs = vector.first(method: "ddgauss_epsilon") else { continue }
            let scale = vector.number("scale")
            let delta2 = vector.number("inflated_l2") * scale
            let local = vector.number("local_sigma_scaled")
            // Their sensitivity is real; the next integer of its square is at most 1e-6 relative off.
            let kind = PrivacyEvent.Kind.discreteGaussianSum(
                delta2Squared: BigInteger(Int((delta2 * delta2).rounded(.up))),
                sigmaLocalSquared: Rational(exactly: local * local)!,
                honestShares: vector.integer("num_clients"), dimension: vector.integer("dim"))
            let q = vector.rational("q")
            let events = try tally(
                q == 1 ? kind : .poissonSampled(rate: q, kind), count: vector.integer("T"))
            let ours = try RDPAccountant().epsilon(of: events, delta: vector.delta)
            // They convert with an older formula at integer orders, so ours is lower, but never
            // below the continuous Gaussian without rounding.
            #expect(ours.upper <= theirs * (1 + 1e-4), "\(vector.id) \(ours.upper) \(theirs)")
            if let continuous = vector.first(kind: "comparison") {
                #expect(ours.upper >= continuous, "\(vector.id) \(ours.upper) \(continuous)")
            }
        }
    }

    @Test func scalarSumsOfDiscreteGaussiansAreBoundedAtEveryOrder() throws {
        for vector in file.of("sum_discrete_gaussian_renyi_scalar") {
            let exact = vector.first(kind: "exact")!
            let shift = vector.integer("shift")
            let kind = PrivacyEvent.Kind.discreteGaussianSum(
                delta2Squared: BigInteger(shift * shift),
                sigmaLocalSquared: vector.rational("sigma2_local"),
                honestShares: vector.integer("n"), dimension: 1)
            let ours = try RenyiDivergence(kind).upper(order: vector.number("order"))
            #expect(ours >= exact * (1 - 1e-12), "\(vector.id) \(ours) \(exact)")
        }
        for vector in file.of("skellam_renyi_scalar") {
            let exact = vector.first(kind: "exact")!
            let shift = vector.integer("shift")
            let kind = PrivacyEvent.Kind.skellamSum(
                delta2Squared: BigInteger(shift * shift), variance: vector.rational("variance"),
                dimension: 1)
            let ours = try RenyiDivergence(kind).upper(order: vector.number("order"))
            #expect(ours >= exact * (1 - 1e-12), "\(vector.id) \(ours) \(exact)")
        }
    }

    /// "DiscreteGaussian(sigma=4)…", "DG s2=0.49", "Skellam var=1", "sum 8 x DG s2=1" and their like.
    private func certificate(_ noise: String) -> (value: UnitShiftCertificate, tau: Double)? {
        func number(after mark: String) -> Rational? {
            guard let start = noise.range(of: mark)?.upperBound else { return nil }
            return Rational(String(noise[start...].prefix { $0.isNumber || $0 == "." }))
        }
        if let variance = number(after: "var=") { return (.skellam(variance: variance), 0) }
        let shares = number(after: "sum of ") ?? number(after: "sum ") ?? 1
        guard let variance = number(after: "s2=") ?? number(after: "sigma=").map({ $0 * $0 }),
            let count = Int(shares.description)
        else { return nil }
        return (
            .discreteGaussianSum(sigmaLocalSquared: variance, shares: count),
            SumOfDiscreteGaussians.tau(sigmaLocalSquared: variance, shares: count)
        )
    }

    @Test func certificatesAreNeverBelowTheReferenceAndEqualItWhereTauVanishes() throws {
        for vector in file.of("integer_noise_gdp_per_unit_shift") {
            let noise = vector.params["noise"] as! String
            let (ours, tau) = try #require(certificate(noise), "\(noise)")
            let theirs = vector.results[0].number! / vector.number("sd")
            // Theirs is a maximum over logarithms of tails in doubles, which errs upward by up to 6e-5; the
            // 50-digit values below are the exact ones.
            #expect(ours.muOne >= theirs * (1 - 1e-4), "\(noise) \(ours.muOne) \(theirs)")
            #expect(tau > 1e-9 || ours.muOne <= theirs * (1 + 1e-8), "\(noise) \(ours.muOne) \(theirs)")
        }
        for vector in file.of("integer_noise_gdp_vector_shift") {
            let noise = vector.params["noise"] as! String
            let (ours, tau) = try #require(certificate(noise), "\(noise)")
            let exact = vector.results[0].object!
            let theirs = (exact["mu1"] as! NSNumber).doubleValue
            #expect(exact["violations"] as? Int == 0)
            #expect(ours.muOne >= theirs * (1 - 1e-15), "\(noise) \(ours.muOne) \(theirs)")
            #expect(tau > 1e-12 || relative(ours.muOne, theirs) < 1e-12, "\(noise) \(ours.muOne) \(theirs)")
        }
    }

    @Test func tauCoversTheTrueDistanceOfASumFromOneDiscreteGaussian() {
        for vector in file.of("sum_of_discrete_gaussians") {
            let exact = vector.results[0].object!
            let text = vector.params["sigma2_local"] as! String
            let tau = SumOfDiscreteGaussians.tau(
                sigmaLocalSquared: Rational(text)!, shares: vector.integer("n"))
            let reference = Double(exact["tau"] as! String)!
            #expect(tau >= reference * (1 - 1e-9) && relative(tau, reference) < 1e-8, "\(vector.id) \(tau)")
            #expect(tau >= Double(exact["max_abs_log_ratio"] as! String)! * (1 - 1e-9), "\(vector.id)")
        }
    }
}
