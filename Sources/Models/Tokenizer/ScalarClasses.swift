/// Which of the classes that tokenizers split on a Unicode scalar belongs to.
///
/// The tables are pinned to what the `tokenizers` package uses (its parts differ in their version of
/// Unicode) and independent of the Swift runtime, so that token ids never depend on the platform.
struct ScalarClasses: Sendable {
    struct Class: OptionSet {
        let rawValue: UInt8

        /// `\p{L}`.
        static let letter = Class(rawValue: 1)
        /// `\p{N}`.
        static let number = Class(rawValue: 2)
        /// `\s`, White_Space.
        static let space = Class(rawValue: 4)
        /// `\w` of UTS 18.
        static let word = Class(rawValue: 8)
        /// What the Digits splitter isolates: `\p{N}` of a later Unicode version.
        static let digit = Class(rawValue: 16)
    }

    static let shared = ScalarClasses()

    /// Planes 0 and 1, where nearly all text lives, have one byte per scalar.
    private let low: [UInt8]
    /// Beyond those planes: `first, last, class` triples, ascending.
    private let high: [(first: UInt32, last: UInt32, classes: UInt8)]

    private static let lowCount = 0x20000

    private init() {
        var low = [UInt8](repeating: 0, count: Self.lowCount)
        var high: [UInt32: UInt8] = [:]
        func change(_ table: [UInt32], _ action: (inout UInt8) -> Void) {
            for index in stride(from: 0, to: table.count, by: 2) {
                for scalar in table[index]...table[index + 1] {
                    if scalar < Self.lowCount {
                        action(&low[Int(scalar)])
                    } else {
                        action(&high[scalar, default: 0])
                    }
                }
            }
        }
        let letterBits = Class.letter.union(.word).rawValue
        let numberBits = Class([.number, .word, .digit]).rawValue
        change(UnicodeClassTables.letters) { $0 |= letterBits }
        change(UnicodeClassTables.numbers) { $0 |= numberBits }
        change(UnicodeClassTables.laterNumbers) { $0 |= Class.digit.rawValue }
        change(UnicodeClassTables.spaces) { $0 |= Class.space.rawValue }
        change(UnicodeClassTables.wordsBeyond) { $0 |= Class.word.rawValue }
        change(UnicodeClassTables.numbersOutsideWords) { $0 &= ~Class.word.rawValue }
        self.low = low
        self.high = Self.runs(high)
    }

    private static func runs(
        _ classes: [UInt32: UInt8]
    ) -> [(first: UInt32, last: UInt32, classes: UInt8)] {
        var runs: [(first: UInt32, last: UInt32, classes: UInt8)] = []
        for scalar in classes.keys.sorted() {
            let value = classes[scalar]!
            if let last = runs.last, last.last + 1 == scalar, last.classes == value {
                runs[runs.count - 1].last = scalar
            } else {
                runs.append((scalar, scalar, value))
            }
        }
        return runs
    }

    subscript(scalar: Unicode.Scalar) -> Class {
        let value = scalar.value
        if value < Self.lowCount { return Class(rawValue: low[Int(value)]) }
        var bottom = 0
        var top = high.count
        while bottom < top {
            let middle = (bottom + top) / 2
            if high[middle].last < value { bottom = middle + 1 } else { top = middle }
        }
        guard bottom < high.count, high[bottom].first <= value else { return [] }
        return Class(rawValue: high[bottom].classes)
    }
}
