import Foundation
import Models
import Sodium

/// What a server needs after a crash to continue from its latest opened round: the model's numbers and
/// the optimisers' memory, in one file that is written whole.
///
/// Layout: a line of magic, a line of JSON, little-endian 32-bit floats (model, then each optimiser's two
/// vectors), 32 bytes of BLAKE2b-256 over everything before.
package struct ServerSnapshot: Equatable {
    package var round: Int
    package var model: [Float]
    package var optimizers: [ServerOptimizer.State]
    /// The ledger's release record of the round, should the crash have come before it was written.
    package var release: [String: String]

    private static let magic = "fedtrain-server-state/2\n"

    private struct Header: Codable {
        let round: Int
        let model: Int
        let optimizers: [Moments]
        let release: [String: String]
    }

    private struct Moments: Codable {
        let steps: Int
        let first: Int
        let second: Int
    }

    package var bytes: [UInt8] {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let header = try encoder.encode(
                Header(
                    round: round, model: model.count,
                    optimizers: optimizers.map {
                        Moments(steps: $0.steps, first: $0.first.count, second: $0.second.count)
                    }, release: release))
            var bytes = Array(Self.magic.utf8) + header + [UInt8(ascii: "\n")]
            bytes += (model + optimizers.flatMap { $0.first + $0.second }).littleEndianBytes
            return bytes + Digest.of(bytes).bytes
        }
    }

    package init(
        round: Int, model: [Float], optimizers: [ServerOptimizer.State], release: [String: String]
    ) {
        self.round = round
        self.model = model
        self.optimizers = optimizers
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
            case let counts = [header.model] + header.optimizers.flatMap({ [$0.first, $0.second] }),
            counts.allSatisfy({ $0 >= 0 && $0 <= floats.count }),
            counts.reduce(0, +) == floats.count
        else { return nil }
        round = header.round
        release = header.release
        var next = floats[...]
        func take(_ count: Int) -> [Float] {
            defer { next = next.dropFirst(count) }
            return Array(next.prefix(count))
        }
        model = take(header.model)
        optimizers = header.optimizers.map { moments in
            let first = take(moments.first)
            return ServerOptimizer.State(
                steps: moments.steps, first: first, second: take(moments.second))
        }
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
