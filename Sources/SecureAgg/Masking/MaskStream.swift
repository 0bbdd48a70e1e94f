import Sodium

/// Whether a mask enters a vector as it is or negated.
package enum MaskSign: Sendable {
    case plus
    case minus

    package var negated: MaskSign { self == .plus ? .minus : .plus }
}

/// One mask: the ChaCha20 key stream of `key` read as lanes, little-endian, from coordinate 0.
package struct MaskTerm: Sendable {
    package let stream: ChaChaStream
    package let sign: MaskSign

    package init(key: SecretBytes, sign: MaskSign) {
        self.init(stream: ChaChaStream(key: key), sign: sign)
    }

    package init(stream: ChaChaStream, sign: MaskSign) {
        self.stream = stream
        self.sign = sign
    }
}

/// Adds many masks to a vector: where nearly all of a round's time goes.
package enum MaskSum {
    /// Key stream per step: with the coordinates it is added to, it stays in the first cache level.
    package static let tileBytes = 8 << 10

    /// vector += Σ sign · PRG(key), using up to `threads` threads; the result does not depend on them.
    ///
    /// - Parameter offset: the coordinate of the whole vector at which `vector` begins; a multiple of 64.
    package static func add<Lane: RingLane>(
        _ terms: [MaskTerm], to vector: inout RingVector<Lane>, startingAt offset: Int = 0, threads: Int
    ) {
        precondition(offset % 64 == 0 && threads >= 1)
        let laneBytes = MemoryLayout<Lane>.size
        let tileLanes = tileBytes / laneBytes
        let tiles = (vector.count + tileLanes - 1) / tileLanes
        guard threads > 1, terms.count > 0, vector.count * terms.count > tileLanes else {
            vector.lanes.withUnsafeMutableBufferPointer { addTiles(terms[...], to: $0, startingAt: offset) }
            return
        }
        if tiles >= 2 * threads {
            addByRange(terms, to: &vector, startingAt: offset, tiles: tiles, threads: threads)
        } else {
            addByTerm(terms, to: &vector, startingAt: offset, threads: threads)
        }
    }

    /// Long vectors: each thread owns a run of coordinates and walks all terms.
    private static func addByRange<Lane: RingLane>(
        _ terms: [MaskTerm], to vector: inout RingVector<Lane>, startingAt offset: Int, tiles: Int,
        threads: Int
    ) {
        let tileLanes = tileBytes / MemoryLayout<Lane>.size
        // Many more pieces than threads, so that none waits long for the last one.
        let pieces = min(tiles, 16 * threads)
        vector.lanes.withUnsafeMutableBufferPointer { lanes in
            nonisolated(unsafe) let target = lanes
            parallel(pieces, threads: threads) { piece in
                let start = min(target.count, tiles * piece / pieces * tileLanes)
                let end = min(target.count, tiles * (piece + 1) / pieces * tileLanes)
                guard start < end else { return }
                addTiles(
                    terms[...], to: UnsafeMutableBufferPointer(rebasing: target[start..<end]),
                    startingAt: offset + start)
            }
        }
    }

    /// Short vectors with many terms: each thread sums its share of the terms apart.
    private static func addByTerm<Lane: RingLane>(
        _ terms: [MaskTerm], to vector: inout RingVector<Lane>, startingAt offset: Int, threads: Int
    ) {
        let count = vector.count
        var partials = [Lane](repeating: 0, count: count * threads)
        partials.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let target = buffer
            parallel(threads, threads: threads) { piece in
                let share = terms[terms.count * piece / threads..<terms.count * (piece + 1) / threads]
                let slice = UnsafeMutableBufferPointer(
                    rebasing: target[piece * count..<(piece + 1) * count])
                addTiles(share, to: slice, startingAt: offset)
            }
        }
        for piece in 0..<threads {
            for index in 0..<count { vector.lanes[index] &+= partials[piece * count + index] }
        }
        wipe(&partials)
    }

    /// The single-threaded kernel: tile by tile, all terms on a tile while it is in cache.
    private static func addTiles<Lane: RingLane>(
        _ terms: ArraySlice<MaskTerm>, to lanes: UnsafeMutableBufferPointer<Lane>, startingAt offset: Int
    ) {
        let laneBytes = MemoryLayout<Lane>.size
        let tileLanes = tileBytes / laneBytes
        withUnsafeTemporaryAllocation(byteCount: tileBytes, alignment: 64) { scratch in
            defer { wipe(scratch) }
            for start in stride(from: 0, to: lanes.count, by: tileLanes) {
                let width = min(tileLanes, lanes.count - start)
                let keystream = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(width * laneBytes)])
                let mask = keystream.bindMemory(to: Lane.self)
                let target = UnsafeMutableBufferPointer(rebasing: lanes[start..<start + width])
                for term in terms {
                    term.stream.generate(
                        into: keystream, atByteOffset: UInt64((offset + start) * laneBytes))
                    combine(mask, into: target, term.sign)
                }
            }
        }
    }

    @inline(__always)
    private static func combine<Lane: RingLane>(
        _ mask: UnsafeMutableBufferPointer<Lane>, into target: UnsafeMutableBufferPointer<Lane>,
        _ sign: MaskSign
    ) {
        guard let source = mask.baseAddress, let destination = target.baseAddress else { return }
        switch sign {
        case .plus:
            for index in 0..<target.count { destination[index] &+= source[index].littleEndian }
        case .minus:
            for index in 0..<target.count { destination[index] &-= source[index].littleEndian }
        }
    }
}
