import GMP
import SecureAgg
import Sodium
import Testing

/// Field, sharing and decoding against the arbitrary-precision twin and against their definitions.
@Suite struct SharingTests {
    static let prime = BigInteger.powerOfTwo(255) - 19
    static let seed: UInt64 = 0x5eed_0001

    private func element(_ value: BigInteger) -> FieldElement {
        value.littleEndianBytes(count: 32).withUnsafeBytes { FieldElement(canonical: $0)! }
    }

    private func integer(_ element: FieldElement) -> BigInteger {
        var bytes = [UInt8](repeating: 0, count: 32)
        bytes.withUnsafeMutableBytes { element.write(into: $0) }
        return BigInteger(littleEndian: bytes)
    }

    /// Edges of the limbs and of the prime, then random values.
    private func samples(_ random: inout StreamRandom) -> [BigInteger] {
        let one = BigInteger(1)
        let edges = [0, 1, 2, 18, 19, 20, 37, 38, 39].map { BigInteger($0) }
        let limbs = [64, 128, 192, 254].flatMap {
            [BigInteger.powerOfTwo($0) - one, .powerOfTwo($0), .powerOfTwo($0) + one]
        }
        let high = (1...40).map { Self.prime - BigInteger($0) }
        let draws = (0..<60).map { _ in
            BigInteger(littleEndian: random.bytes(32)).modulo(Self.prime)
        }
        return edges + limbs + high + draws
    }

    @Test("Sums, differences, products and inverses equal those of GMP")
    func fieldTwin() throws {
        var random = StreamRandom(seed: Self.seed, label: "field")
        let values = samples(&random)
        for a in values {
            #expect(integer(element(a)) == a)
            if !a.isZero { #expect(integer(element(a).inverse) == a.inverse(modulo: Self.prime)!) }
            for b in values {
                #expect(integer(element(a) + element(b)) == (a + b).modulo(Self.prime))
                #expect(integer(element(a) - element(b)) == (a - b).modulo(Self.prime))
                #expect(integer(element(a) * element(b)) == (a * b).modulo(Self.prime))
            }
            for small in [UInt32(0), 1, 2, 0xffff_ffff] {
                #expect(
                    integer(element(a) * small) == (a * BigInteger(UInt64(small))).modulo(Self.prime))
            }
        }
    }

    @Test("Long chains without reduction between steps stay right")
    func fieldChains() {
        var random = StreamRandom(seed: Self.seed, label: "chains")
        let values = samples(&random)
        var fast = FieldElement.one
        var slow = BigInteger(1)
        for (index, value) in (0..<20).flatMap({ _ in values }).enumerated() {
            switch index % 3 {
            case 0: (fast, slow) = (fast * element(value), slow * value)
            case 1: (fast, slow) = (fast + element(value), slow + value)
            default: (fast, slow) = (fast - element(value), slow - value)
            }
            slow = slow.modulo(Self.prime)
            #expect(integer(fast) == slow)
        }
    }

    @Test("Numbers of p and above are refused", arguments: [0, 1, 18, 19])
    func canonical(excess: Int) {
        let bytes = (Self.prime + BigInteger(excess)).littleEndianBytes(count: 32)
        #expect(bytes.withUnsafeBytes { FieldElement(canonical: $0) } == nil)
        let largest = (BigInteger.powerOfTwo(256) - 1).littleEndianBytes(count: 32)
        #expect(largest.withUnsafeBytes { FieldElement(canonical: $0) } == nil)
    }

    private func shares(
        of secret: SecretBytes, threshold: Int, holders: Int, random: inout StreamRandom
    ) -> [FieldElement] {
        Shamir.share(secret, threshold: threshold, holders: holders, random: &random)
            .withUnsafeBytes { bytes in
                (0..<holders).map {
                    FieldElement(canonical: UnsafeRawBufferPointer(rebasing: bytes[$0 * 32..<($0 + 1) * 32]))!
                }
            }
    }

    @Test("Every subset of at least t shares rebuilds the secret, for all t and up to 6 holders")
    func everySubset() {
        var random = StreamRandom(seed: Self.seed, label: "subsets")
        for holders in 1...6 {
            for threshold in 1...holders {
                let secret = SecretBytes(random: Shamir.secretLength, from: &random)
                let dealt = shares(of: secret, threshold: threshold, holders: holders, random: &random)
                for subset in 0..<(1 << holders) where subset.nonzeroBitCount >= threshold {
                    let slots = (0..<holders).filter { subset >> $0 & 1 == 1 }
                    let weights = Shamir.weightsAtZero(slots.map { UInt32($0 + 1) })
                    let rebuilt = Shamir.combine(slots.map { dealt[$0] }, weights: weights)
                    #expect(rebuilt.map { $0 == secret } == true)
                }
            }
        }
    }

    @Test("t − 1 shares fit every secret: the missing share can be solved for any value")
    func fewerSayNothing() throws {
        var random = StreamRandom(seed: Self.seed, label: "hiding")
        let dealt = shares(
            of: SecretBytes(random: 31, from: &random), threshold: 4, holders: 4, random: &random)
        let weights = Shamir.weightsAtZero([1, 2, 3, 4])
        for _ in 0..<50 {
            // The fourth share that would make the first three open to an arbitrary value.
            let target = element(BigInteger(littleEndian: random.bytes(31)))
            var partial = FieldElement.zero
            for slot in 0..<3 { partial = partial + dealt[slot] * weights[slot] }
            let fourth = (target - partial) * weights[3].inverse
            #expect(partial + fourth * weights[3] == target)
        }
    }

    @Test("Up to (m − t)/2 wrong shares are decoded around and their authors named; more are refused")
    func decoding() throws {
        var random = StreamRandom(seed: Self.seed, label: "decoding")
        for (holders, threshold) in [(5, 3), (7, 3), (8, 5), (12, 4), (31, 17), (64, 20)] {
            let bound = (holders - threshold) / 2
            for wrong in 0...bound + 1 {
                let secret = SecretBytes(random: 31, from: &random)
                var dealt = shares(of: secret, threshold: threshold, holders: holders, random: &random)
                var liars: Set<Int> = []
                while liars.count < wrong { liars.insert(Int(random.uniform(below: UInt64(holders)))) }
                for liar in liars {
                    dealt[liar] = dealt[liar] + FieldElement(UInt32(random.uniform(below: 1 << 31)) + 1)
                }
                var recovery = ShareRecovery(threshold: threshold)
                // Liars have to be among the first t for anything to be noticed.
                let order = liars.sorted() + (0..<holders).filter { !liars.contains($0) }
                let released = order.map { ShareRecovery.Share(holder: $0, slot: $0, value: dealt[$0]) }
                let outcome = recovery.recover(released) { $0 == secret }
                switch outcome {
                case .recovered(let seed, let named):
                    #expect(wrong <= bound)
                    #expect(seed == secret)
                    #expect(Set(named) == liars)
                case .tooManyWrong: #expect(wrong > bound)
                case .dealerLied, .tooFew: Issue.record("unexpected outcome for \(wrong) of \(holders)")
                }
            }
        }
    }

    @Test("Consistent shares of another seed than announced point at the dealer")
    func dealerLied() {
        var random = StreamRandom(seed: Self.seed, label: "dealer")
        let dealt = shares(
            of: SecretBytes(random: 31, from: &random), threshold: 3, holders: 6, random: &random)
        var recovery = ShareRecovery(threshold: 3)
        let released = dealt.enumerated().map {
            ShareRecovery.Share(holder: $0.offset, slot: $0.offset, value: $0.element)
        }
        guard case .dealerLied = recovery.recover(released, isRight: { _ in false }) else {
            Issue.record("the dealer was not named")
            return
        }
        guard case .tooFew(2) = recovery.recover(Array(released[..<2]), isRight: { _ in true }) else {
            Issue.record("two shares were enough for a threshold of three")
            return
        }
    }
}
