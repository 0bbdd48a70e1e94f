import Sodium

/// The rebuilding of one seed from its shares, alone: for measuring it.
public struct RecoveryWorkload {
    private let threshold: Int
    private let secret: SecretBytes
    private let shares: [ShareRecovery.Share]

    public init(threshold: Int, holders: Int, seed: UInt64) {
        precondition(1 <= threshold && threshold <= holders)
        var random = StreamRandom(seed: seed, label: "recovery workload")
        self.threshold = threshold
        secret = SecretBytes(random: Shamir.secretLength, from: &random)
        let all = Shamir.share(secret, threshold: threshold, holders: holders, random: &random)
        shares = (0..<holders).map { slot in
            ShareRecovery.Share(
                holder: slot, slot: slot, value: all.withShare(slot) { FieldElement(canonical: $0)! })
        }
    }

    /// Rebuilds the seed from the shares from `offset` on, as a dealer whose first neighbours were lost;
    /// whether it came out right.
    public func run(offset: Int) -> Bool {
        var recovery = ShareRecovery(threshold: threshold)
        let left = Array(shares[min(offset, shares.count - threshold)...])
        guard case .recovered(let seed, _) = recovery.recover(left, isRight: { $0 == secret }) else {
            return false
        }
        return seed == secret
    }
}
