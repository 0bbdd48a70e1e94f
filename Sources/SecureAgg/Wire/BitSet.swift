/// A set of small indices as it travels: bit i of byte i/8, unused bits of the last byte zero.
package struct BitSet: Hashable, Sendable {
    package let count: Int
    package private(set) var bytes: [UInt8]

    package init(count: Int) {
        self.count = count
        bytes = [UInt8](repeating: 0, count: Self.byteCount(count))
    }

    package init(count: Int, members: some Sequence<Int>) {
        self.init(count: count)
        for member in members { self[member] = true }
    }

    /// Nil unless `bytes` has exactly the length for `count` bits and no bit beyond them.
    package init?(count: Int, bytes: [UInt8]) {
        guard bytes.count == Self.byteCount(count) else { return nil }
        if count % 8 != 0, let last = bytes.last, last >> UInt8(count % 8) != 0 { return nil }
        self.count = count
        self.bytes = bytes
    }

    package static func byteCount(_ count: Int) -> Int { (count + 7) / 8 }

    package subscript(index: Int) -> Bool {
        get { bytes[index >> 3] >> UInt8(index & 7) & 1 == 1 }
        set {
            precondition((0..<count).contains(index))
            let bit = UInt8(1) << UInt8(index & 7)
            if newValue { bytes[index >> 3] |= bit } else { bytes[index >> 3] &= ~bit }
        }
    }

    package var population: Int { bytes.reduce(0) { $0 + $1.nonzeroBitCount } }

    package var members: [Int] { (0..<count).filter { self[$0] } }
}
