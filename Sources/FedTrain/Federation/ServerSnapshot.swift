import Foundation
import Models
import Sodium

/// What a server needs after a crash to continue from its latest opened round: the adapter's numbers
/// and the optimiser's memory, in one file that is written whole.
///
/// Layout: a line of magic, a line of JSON, little-endian 32-bit floats (adapter, then the optimiser's
/// two vectors), 32 bytes of BLAKE2b-256 over everything before.
package struct ServerSnapshot: Equatable {
    package var round: Int
    package var adapter: [Float]
    package var steps: Int
    package var first: [Float]
    package var second: [Float]
    /// The ledger's release record of the round, should the crash have come before it was written.
    package var release: [String: String]

    private static let magic = "fedtrain-server-state/1\n"

    private struct Header: Codable {
        let round: Int
        let adapter: Int
        let steps: Int
        let first: Int
        let second: Int
        let release: [String: String]
    }

    package var bytes: [UInt8] {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let header = try encoder.encode(
                Header(
                    round: round, adapter: adapter.count, steps: steps, first: first.count,
                    second: second.count, release: release))
            var bytes = Array(Self.magic.utf8) + header + [UInt8(ascii: "\n")]
            bytes += (adapter + first + second).littleEndianBytes
            return bytes + Digest.of(bytes).bytes
        }
    }

    package init(
        round: Int, adapter: [Float], optimizer: (steps: Int, first: [Float], second: [Float]),
        release: [String: String]
    ) {
        self.round = round
        self.adapter = adapter
        (steps, first, second) = optimizer
        self.release = release
    }

    /// Reads a snapshot; nil when the bytes are damaged or not one.
    package init?(bytes: [UInt8]) {
        let body = bytes.dropLast(Digest.length)
        guard bytes.count > Digest.length + Self.magic.utf8.count,
            Digest.of(body).bytes == Array(bytes.suffix(Digest.length)),
            body.starts(with: Self.magic.utf8)
        else { return nil }
        let rest = body.dropFirst(Self.magic.utf8.count)
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")),
            let header = try? JSONDecoder().decode(Header.self, from: Data(rest[..<end])),
            let floats = [Float](littleEndianBytes: rest[(end + 1)...]),
            [header.adapter, header.first, header.second].allSatisfy({ $0 >= 0 && $0 <= floats.count }),
            header.adapter + header.first + header.second == floats.count
        else { return nil }
        round = header.round
        steps = header.steps
        release = header.release
        adapter = Array(floats[..<header.adapter])
        first = Array(floats[header.adapter..<header.adapter + header.first])
        second = Array(floats[(header.adapter + header.first)...])
    }
}

extension [Float] {
    /// The numbers' bits as little-endian 32-bit words.
    package var littleEndianBytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 4 * count) { buffer, initialised in
            for (index, value) in enumerated() {
                UnsafeMutableRawPointer(buffer.baseAddress!).storeBytes(
                    of: value.bitPattern.littleEndian, toByteOffset: 4 * index, as: UInt32.self)
            }
            initialised = 4 * count
        }
    }

    /// Nil when the length is no multiple of four.
    package init?(littleEndianBytes bytes: some Collection<UInt8>) {
        guard bytes.count % 4 == 0 else { return nil }
        let bytes = Array<UInt8>(bytes)
        self = bytes.withUnsafeBytes { raw in
            (0..<bytes.count / 4).map {
                Float(
                    bitPattern: UInt32(
                        littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
    }
}
