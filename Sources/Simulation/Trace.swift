/// The running digest of everything that happens: equal for two runs exactly when they were the same run.
struct Trace {
    /// A 64-bit digest; trusted code writes it, so it need not resist anybody.
    private(set) var digest: UInt64 = 0x6a09_e667_f3bc_c908
    /// Lines for a person, kept only on request.
    private(set) var lines: [String]?

    init(keepsLines: Bool) { lines = keepsLines ? [] : nil }

    mutating func note(
        _ time: UInt64, _ what: String, _ who: Int = -1, _ bytes: [UInt8] = [],
        detail: @autoclosure () -> String = ""
    ) {
        var text = what
        absorb(time)
        absorb(UInt64(bitPattern: Int64(who)))
        text.withUTF8 { absorb(UnsafeRawBufferPointer($0)) }
        bytes.withUnsafeBytes { absorb($0) }
        guard lines != nil else { return }
        let name = who < 0 ? "" : " \(who)"
        let size = bytes.isEmpty ? "" : ", \(bytes.count) bytes"
        let more = detail()
        lines!.append("\(time): \(what)\(name)\(size)\(more.isEmpty ? "" : ": \(more)")")
    }

    private mutating func absorb(_ word: UInt64) {
        digest = SimulationRandom.mix(digest ^ word) &+ 0x9e37_79b9_7f4a_7c15
    }

    private mutating func absorb(_ bytes: UnsafeRawBufferPointer) {
        var place = 0
        while place + 8 <= bytes.count {
            absorb(bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            place += 8
        }
        var rest = UInt64(bytes.count)
        while place < bytes.count {
            rest = rest << 8 | UInt64(bytes[place])
            place += 1
        }
        absorb(rest)
    }
}
