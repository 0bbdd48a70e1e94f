import Sodium

/// Shamir's sharing of 248-bit secrets over the field of 2^255 − 19 elements.
///
/// A dealer's polynomial of degree t − 1 has the secret at 0; the holder in slot i gets its value at
/// x = i + 1. Any t values determine the secret, t − 1 say nothing about it.
package enum Shamir {
    /// Secrets have 31 bytes, so that every one of them is below p.
    package static let secretLength = 31
    package static let shareLength = FieldElement.byteCount

    /// Shares for slots 0 ..< `holders`, 32 bytes each, concatenated.
    ///
    /// - Complexity: O(holders · threshold) multiplications by a small factor.
    package static func share(
        _ secret: SecretBytes, threshold: Int, holders: Int, random: inout some RandomSource
    ) -> SecretBytes {
        precondition(secret.count == secretLength)
        precondition(1 <= threshold && threshold <= holders && holders < 1 << 31)
        var coefficients = [secretElement(secret)]
        coefficients.reserveCapacity(threshold)
        while coefficients.count < threshold { coefficients.append(uniformElement(&random)) }
        defer { wipe(&coefficients) }
        return SecretBytes(count: holders * shareLength) { output in
            coefficients.withUnsafeBufferPointer { polynomial in
                for slot in 0..<holders {
                    evaluate(polynomial, at: UInt32(slot + 1)).write(
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: output[slot * shareLength..<(slot + 1) * shareLength]))
                }
            }
        }
    }

    /// The polynomial's value at `x` by Horner's rule, constant term first in memory.
    package static func evaluate(
        _ coefficients: UnsafeBufferPointer<FieldElement>, at x: UInt32
    ) -> FieldElement {
        var value = FieldElement.zero
        for coefficient in coefficients.reversed() { value = value * x + coefficient }
        return value
    }

    /// The weights w with secret = Σ wᵢ·yᵢ for shares at the distinct points `xs`.
    ///
    /// wᵢ = ∏ xⱼ / (xᵢ · ∏ (xⱼ − xᵢ)), j ≠ i; the points are small, so differences are too, and one inversion
    /// serves all denominators.
    ///
    /// - Complexity: O(t²); shared by all dealers whose shares come from the same slots.
    package static func weightsAtZero(_ xs: [UInt32]) -> [FieldElement] {
        var product = FieldElement.one
        for x in xs { product = product * x }
        let denominators = xs.map { x -> FieldElement in
            var value = FieldElement(x)
            var isNegative = false
            for other in xs where other != x {
                value = value * (other > x ? other - x : x - other)
                if other < x { isNegative.toggle() }
            }
            return isNegative ? .zero - value : value
        }
        return inverses(denominators).map { product * $0 }
    }

    /// The inverse of every element by a single inversion: prefix products, then backwards.
    private static func inverses(_ elements: [FieldElement]) -> [FieldElement] {
        var prefixes: [FieldElement] = []
        prefixes.reserveCapacity(elements.count)
        var product = FieldElement.one
        for element in elements {
            prefixes.append(product)
            product = product * element
        }
        var inverse = product.inverse
        var result = elements
        for index in elements.indices.reversed() {
            result[index] = inverse * prefixes[index]
            inverse = inverse * elements[index]
        }
        return result
    }

    /// Σ wᵢ·yᵢ as a 31-byte secret; nil when the value needs more than 248 bits, which no honest
    /// dealer's secret does.
    package static func combine(_ shares: [FieldElement], weights: [FieldElement]) -> SecretBytes? {
        precondition(shares.count == weights.count)
        var value = FieldElement.zero
        for (share, weight) in zip(shares, weights) { value = value + share * weight }
        return secret(of: value)
    }

    /// The 31-byte secret that a field element stands for, or nil.
    package static func secret(of value: FieldElement) -> SecretBytes? {
        withUnsafeTemporaryAllocation(byteCount: shareLength, alignment: 8) { buffer in
            defer { wipe(buffer) }
            value.write(into: buffer)
            guard buffer[secretLength] == 0 else { return nil }
            return SecretBytes(count: secretLength) {
                $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<secretLength]))
            }
        }
    }

    private static func secretElement(_ secret: SecretBytes) -> FieldElement {
        withUnsafeTemporaryAllocation(byteCount: shareLength, alignment: 8) { buffer in
            defer { wipe(buffer) }
            secret.withUnsafeBytes { buffer.copyMemory(from: $0) }
            buffer[secretLength] = 0
            return FieldElement(canonical: UnsafeRawBufferPointer(buffer))!
        }
    }

    /// Uniform below p: 255 random bits, drawn again in the rare case that they reach p.
    private static func uniformElement(_ random: inout some RandomSource) -> FieldElement {
        withUnsafeTemporaryAllocation(byteCount: shareLength, alignment: 8) { buffer in
            defer { wipe(buffer) }
            while true {
                random.fill(buffer)
                buffer[31] &= 0x7f
                if let element = FieldElement(canonical: UnsafeRawBufferPointer(buffer)) {
                    return element
                }
            }
        }
    }
}
