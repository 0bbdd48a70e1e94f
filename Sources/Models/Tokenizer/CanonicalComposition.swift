/// Unicode normalisation form C (UAX 15), with pinned tables (`UnicodeCompositionTables`).
struct CanonicalComposition: Sendable {
    static let shared = CanonicalComposition()

    /// One step of decomposition; `second` is 0 if a single scalar replaces the first.
    private let parts: [UInt32: (first: UInt32, second: UInt32)]
    private let composites: [UInt64: UInt32]
    private let combiningClass: [UInt32: UInt8]

    // Hangul syllables are composed by arithmetic.
    private static let syllables: Range<UInt32> = 0xAC00..<0xAC00 + 11172
    private static let leading: Range<UInt32> = 0x1100..<0x1100 + 19
    private static let vowels: Range<UInt32> = 0x1161..<0x1161 + 21
    /// The first stands for "no trailing consonant" and is not a scalar of its own here.
    private static let trailing: Range<UInt32> = 0x11A7..<0x11A7 + 28

    private init() {
        var parts: [UInt32: (first: UInt32, second: UInt32)] = [:]
        var composites: [UInt64: UInt32] = [:]
        var combiningClass: [UInt32: UInt8] = [:]
        let composed = UnicodeCompositionTables.composed
        for index in stride(from: 0, to: composed.count, by: 3) {
            parts[composed[index]] = (composed[index + 1], composed[index + 2])
            composites[Self.key(composed[index + 1], composed[index + 2])] = composed[index]
        }
        let replaced = UnicodeCompositionTables.replaced
        for index in stride(from: 0, to: replaced.count, by: 3) {
            parts[replaced[index]] = (replaced[index + 1], replaced[index + 2])
        }
        let classes = UnicodeCompositionTables.combiningClasses
        for index in stride(from: 0, to: classes.count, by: 3) {
            for scalar in classes[index]...classes[index + 1] {
                combiningClass[scalar] = UInt8(classes[index + 2])
            }
        }
        self.parts = parts
        self.composites = composites
        self.combiningClass = combiningClass
    }

    private static func key(_ first: UInt32, _ second: UInt32) -> UInt64 {
        UInt64(first) << 32 | UInt64(second)
    }

    /// The text in form C.
    func normalised(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        // Below U+0300 every scalar is its own form C and nothing combines.
        if text.allSatisfy({ $0.value < 0x300 }) { return text }
        var scalars: [UInt32] = []
        scalars.reserveCapacity(text.count)
        for scalar in text { decompose(scalar.value, into: &scalars) }
        let classes = reorder(&scalars)
        return compose(scalars, classes).map { Unicode.Scalar($0)! }
    }

    private func decompose(_ scalar: UInt32, into result: inout [UInt32]) {
        if Self.syllables.contains(scalar) {
            let index = scalar - Self.syllables.lowerBound
            result.append(Self.leading.lowerBound + index / 588)
            result.append(Self.vowels.lowerBound + index % 588 / 28)
            if index % 28 != 0 { result.append(Self.trailing.lowerBound + index % 28) }
        } else if scalar >= 0xC0, let (first, second) = parts[scalar] {
            decompose(first, into: &result)
            if second != 0 { decompose(second, into: &result) }
        } else {
            result.append(scalar)
        }
    }

    /// Sorts each run of marks by combining class, stably; returns the classes.
    private func reorder(_ scalars: inout [UInt32]) -> [UInt8] {
        var classes = scalars.map { $0 < 0x300 ? 0 : combiningClass[$0] ?? 0 }
        for index in scalars.indices where classes[index] != 0 {
            var position = index
            while position > 0, classes[position - 1] > classes[position] {
                scalars.swapAt(position - 1, position)
                classes.swapAt(position - 1, position)
                position -= 1
            }
        }
        return classes
    }

    private func compose(_ scalars: [UInt32], _ classes: [UInt8]) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(scalars.count)
        var starter: Int?
        /// Class of the last scalar kept since the starter; nil right after the starter.
        var lastClass: UInt8?
        for (scalar, scalarClass) in zip(scalars, classes) {
            if let starter, lastClass == nil || lastClass! < scalarClass,
                let composite = composite(result[starter], scalar)
            {
                result[starter] = composite
                continue
            }
            if scalarClass == 0 {
                starter = result.count
                lastClass = nil
            } else {
                lastClass = scalarClass
            }
            result.append(scalar)
        }
        return result
    }

    private func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if Self.leading.contains(first), Self.vowels.contains(second) {
            let leading = first - Self.leading.lowerBound
            let vowel = second - Self.vowels.lowerBound
            return Self.syllables.lowerBound + (leading * 21 + vowel) * 28
        }
        if Self.syllables.contains(first), (first - Self.syllables.lowerBound) % 28 == 0,
            Self.trailing.contains(second), second != Self.trailing.lowerBound
        {
            return first + second - Self.trailing.lowerBound
        }
        return composites[Self.key(first, second)]
    }
}
