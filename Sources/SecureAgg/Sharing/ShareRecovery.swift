import Sodium

/// Rebuilds secrets from shares of which some may be wrong.
package struct ShareRecovery {
    package struct Share {
        /// Cohort index of whoever released the share.
        package let holder: Int
        /// The holder's slot: the share belongs to x = slot + 1.
        package let slot: Int
        package let value: FieldElement

        package init(holder: Int, slot: Int, value: FieldElement) {
            self.holder = holder
            self.slot = slot
            self.value = value
        }

        var x: UInt32 { UInt32(slot + 1) }
    }

    package enum Outcome {
        /// The seed passed its check; `liars` released shares that are not on its polynomial. Only
        /// those that stood in the way are named.
        case recovered(SecretBytes, liars: [Int])
        case tooFew(Int)
        /// At most (m − t)/2 shares are off one polynomial, but its value fails the check: unless more
        /// holders than that lied together, the dealer announced something else than it shared.
        case dealerLied
        case tooManyWrong(Int)
    }

    package let threshold: Int
    /// Dealers whose shares come from the same slots have the same weights.
    private var cachedSlots: [UInt32] = []
    private var cachedWeights: [FieldElement] = []

    package init(threshold: Int) { self.threshold = threshold }

    /// - Parameter isRight: compares a candidate with the dealer's commitment or public key.
    package mutating func recover(_ shares: [Share], isRight: (SecretBytes) -> Bool) -> Outcome {
        guard shares.count >= threshold else { return .tooFew(shares.count) }
        let first = shares[..<threshold]
        let xs = first.map(\.x)
        if xs != cachedSlots {
            cachedSlots = xs
            cachedWeights = Shamir.weightsAtZero(xs)
        }
        if let seed = Shamir.combine(first.map(\.value), weights: cachedWeights), isRight(seed) {
            return .recovered(seed, liars: [])
        }
        // With t shares alone any value is possible, so nobody can be blamed.
        guard shares.count > threshold,
            let decoded = ReedSolomon.decode(
                xs: shares.map(\.x), values: shares.map(\.value), dimension: threshold)
        else { return .tooManyWrong(shares.count) }
        guard let seed = Shamir.secret(of: decoded.polynomial.first ?? .zero), isRight(seed) else {
            return .dealerLied
        }
        return .recovered(seed, liars: decoded.errors.map { shares[$0].holder })
    }
}
