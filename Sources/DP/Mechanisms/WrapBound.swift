import Glibc

/// Why a noisy sum fits its modulus: the proof's numbers, for plan output and report.
///
/// The sum of up to N units, rounded and noised, is read back exactly when every coordinate lies in
/// −2^(b−1) ..< 2^(b−1). A sum that does not costs accuracy in that round and no privacy.
public struct WrapBound: Sendable, Hashable {
    /// How the signal's part of the sum is bounded.
    public enum SignalArgument: String, Sendable, Hashable {
        /// Every unit puts its whole norm into the same coordinate: N·B. Holds always.
        case worstCase
        /// The rotation spreads even N aligned units: sub-Gaussian with deviation N·S/√P, plus one step
        /// and a quarter of rounding for each unit. Holds for updates that do not depend on the rotation's seed.
        case rotation
    }

    /// b
    public let modulusBits: Int
    public let argument: SignalArgument
    /// The part of the sum that is bounded with certainty, in steps: N·B, or what rounding adds.
    public let signalMax: Double
    /// The deviation that bounds the rotated signal; 0 under the worst-case argument.
    public let signalStd: Double
    /// The deviation of the noise in the sum when every client survives, or at its largest if noise is removed.
    public let noiseStd: Double
    /// The margin left for signal deviation and noise: 2^(b−1) − 1 − `signalMax`, in steps.
    public let margin: Double
    /// log2 of an upper bound on the probability that any coordinate of one round's sum wraps.
    public let failureLog2: Double

    /// The proof with the fewest bits in 8 … `bitsMax`, or the bits that would be needed.
    ///
    /// - Parameters:
    ///   - clients: n, all of whom may survive and add noise.
    ///   - unitsPerClient: m; N = n·m.
    ///   - failureBits: a wrap anywhere in the vector has probability at most 2^−failureBits.
    static func fewestBits(
        encoding: EncodingPlan, noise: DistributedNoise, clients: Int, unitsPerClient: Int,
        failureBits: Int, bitsMax: Int, arguments: [SignalArgument]
    ) throws(PlanError) -> WrapBound {
        let noiseVariance = noise.deliveredVarianceMax(clients: clients).asDouble
        for bits in 8...Swift.max(bitsMax, 48) {
            for argument in arguments {
                let bound = WrapBound(
                    bits: bits, argument: argument, encoding: encoding,
                    noise: noise, noiseVariance: noiseVariance, clients: clients,
                    unitsPerClient: unitsPerClient)
                guard bound.failureLog2 <= -Double(failureBits) else { continue }
                guard bits <= bitsMax else {
                    throw .modulusTooSmall(needed: bits, allowed: bitsMax)
                }
                return bound
            }
        }
        throw .modulusTooSmall(needed: 49, allowed: bitsMax)
    }

    /// Chernoff: P[a coordinate exceeds m] ≤ exp(s²λ²/2 + K(λ) − λm) for any λ ≥ 0, with s the deviation of
    /// the rotated signal, m the margin and K bounding the noise's cumulant function; times 2L for both signs
    /// of all coordinates.
    ///
    /// Discrete Gaussian: K(λ) = Vλ²/2, for N_Z(0, σ²) is sub-Gaussian with proxy σ²: E[e^λX] =
    /// e^{λ²σ²/2}·Σe^{−(x−λσ²)²/2σ²}/Σe^{−x²/2σ²}, and by Poisson summation the sum in the numerator is largest
    /// when its shift is an integer. Skellam: K(λ) = V(cosh λ − 1) by definition. A sum from which noise is
    /// removed is read modulo 2^b after the removal, so only what stays counts.
    package init(
        bits: Int, argument: SignalArgument, encoding: EncodingPlan, noise: DistributedNoise,
        noiseVariance: Double, clients: Int, unitsPerClient: Int
    ) {
        let units = Double(clients) * Double(unitsPerClient)
        let signalMax: Double
        let signalStd: Double
        switch argument {
        case .worstCase:
            signalMax = units * Double(encoding.coordinateMax)
            signalStd = 0
        case .rotation:
            // Rounding moves a coordinate by less than one step, and single precision by at most a
            // quarter more. The indicator is not rotated: it may add w for each unit.
            signalMax = units * Swift.max(1.25, Double(encoding.indicatorWeight))
            let block = Double(Rotation.blockLength(for: encoding.dimension))
            // 2^−10 covers single-precision rounding inside the rotation.
            signalStd = units * Double(encoding.clipSteps) / block.squareRoot() * (1 + 0x1p-10)
        }
        modulusBits = bits
        self.argument = argument
        self.signalMax = signalMax
        self.signalStd = signalStd
        noiseStd = noiseVariance.squareRoot()
        margin = Double(sign: .plus, exponent: bits - 1, significand: 1) - 1 - signalMax
        guard margin > 0 else {
            failureLog2 = 1
            return
        }
        let signalVariance = signalStd * signalStd
        let exponent: Double
        switch noise {
        case .discreteGaussian:
            exponent = -margin * margin / (2 * (noiseVariance + signalVariance))
        case .skellam:
            // Newton's method finds where the derivative s²λ + V·sinh λ − m vanishes; a λ that is only close
            // gives a bound that is only close to the best. Beyond 30 the probability has left every scale.
            var rate = Swift.min(30, margin / (noiseVariance + signalVariance))
            for _ in 0..<80 {
                let slope = signalVariance + noiseVariance * cosh(rate)
                rate -= (signalVariance * rate + noiseVariance * sinh(rate) - margin) / slope
                rate = Swift.max(0, Swift.min(30, rate))
            }
            let half = sinh(rate / 2)
            exponent = signalVariance * rate * rate / 2 + 2 * noiseVariance * half * half - rate * margin
        }
        // Rounded up by far more than the few operations can have lost.
        failureLog2 =
            exponent / log(2.0) + abs(exponent) * 1e-9 + log2(2 * Double(encoding.length)) + 1e-9
    }
}
