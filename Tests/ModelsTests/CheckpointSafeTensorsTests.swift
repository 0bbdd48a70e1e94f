import Foundation
import Models
import Testing

@Suite struct CheckpointSafeTensorsTests {
    // MARK: Against the Rust library

    @Test func filesAreByteForByteThoseOfTheRustLibraryAndReadBack() throws {
        let rows = try Fixtures.json(Fixtures.vectors + "/safetensors/golden.json")["files"]!.array!
        #expect(rows.count == 20)
        try Fixtures.withDirectory { directory in
            let path = directory + "/file.safetensors"
            for row in rows {
                let tensors = row["tensors"]!.array!.map { tensor in
                    SafeTensor(
                        name: tensor["name"]!.string!,
                        type: TensorDataType(rawValue: tensor["dtype"]!.string!)!,
                        shape: tensor["shape"]!.array!.map { $0.integer! }, bytes: bytes(tensor["hex"]!))
                }
                let metadata = row["metadata"]!.members.map { members in
                    Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value.string!) })
                }
                try SafeTensorsFile.write(tensors, metadata: metadata, to: path)
                #expect(try Fixtures.read(path) == bytes(row["file"]!))

                let file = try SafeTensorsFile(path: path)
                #expect(file.tensors.count == tensors.count)
                #expect(file.metadata == metadata ?? [:])
                for tensor in tensors {
                    let entry = try #require(file[tensor.name])
                    #expect(entry.type == tensor.type && entry.shape == tensor.shape)
                    #expect(file.withBytes(of: entry) { Array($0) } == tensor.bytes)
                }
            }
        }
    }

    private func bytes(_ hex: JSON) -> [UInt8] {
        let digits = Array(hex.string!.utf8)
        return stride(from: 0, to: digits.count, by: 2).map { index in
            UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16)!
        }
    }

    // MARK: Malformed files

    /// A file with the given header and number of data bytes.
    static func file(_ header: String, data: Int, claimedLength: UInt64? = nil) -> [UInt8] {
        let length = claimedLength ?? UInt64(header.utf8.count)
        return withUnsafeBytes(of: length.littleEndian, Array.init) + Array(header.utf8)
            + [UInt8](repeating: 0, count: data)
    }

    static let valid = #"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#

    /// What is wrong, a word of the message, the file.
    static let malformed: [(String, String, [UInt8])] = [
        ("shorter than its length field", "at least 8", [1, 2, 3]),
        ("huge header", "at most 100000000", file(valid, data: 8, claimedLength: 100_000_001)),
        ("length with the top bit set", "at most 100000000", file(valid, data: 8, claimedLength: 1 << 63)),
        ("cut off in the header", "cut off inside its header", file(valid, data: 0, claimedLength: 200)),
        ("does not start with a brace", "'{'", file(" " + valid, data: 8)),
        ("empty header", "'{'", file("", data: 8)),
        ("header is no JSON", "not valid JSON", file(#"{"t":{"dtype":"F32",}"#, data: 0)),
        ("header is no UTF-8", "not valid JSON", [4, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x22]),
        (
            "same name twice", "twice",
            file(
                #"{"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#,
                data: 0)
        ),
        (
            "unknown element type", "unknown dtype",
            file(#"{"t":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#, data: 8)
        ),
        (
            "size unlike shape", "needs 8 bytes",
            file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}"#, data: 12)
        ),
        (
            "overflowing shape", "overflows",
            file(
                #"{"t":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,8]}}"#,
                data: 8)
        ),
        (
            "negative extent", "bad shape",
            file(#"{"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, data: 8)
        ),
        (
            "reversed offsets", "bad data_offsets",
            file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, data: 8)
        ),
        (
            "half a byte", "needs 1 bytes",
            file(#"{"t":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#, data: 1)
        ),
        (
            "hole", "leaves a hole",
            file(
                #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#,
                data: 3)
        ),
        (
            "overlap", "overlaps",
            file(
                #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
                data: 3)
        ),
        (
            "starts late", "leaves a hole",
            file(#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, data: 2)
        ),
        ("cut off in the data", "cut off", file(valid, data: 7)),
        ("bytes after the data", "1 bytes after", file(valid, data: 9)),
        ("metadata with a number", "__metadata__", file(#"{"__metadata__":{"a":1}}"#, data: 0)),
        ("metadata that is a list", "__metadata__", file(#"{"__metadata__":[]}"#, data: 0)),
    ]

    @Test(arguments: malformed)
    func malformedFilesAreRefusedWithTheReason(name: String, word: String, content: [UInt8]) throws {
        try Fixtures.withDirectory { directory in
            let path = directory + "/bad.safetensors"
            try Fixtures.write(content, to: path)
            let error = #expect(throws: CheckpointError.self) { try SafeTensorsFile(path: path) }
            #expect(error?.kind == .malformed)
            #expect(error?.file == path)
            #expect(error?.reason.contains(word) == true, "\(error?.reason ?? "")")
        }
    }

    /// Cutting a good file anywhere, or flipping a header byte, gives an error or a file whose tensors
    /// lie inside the data; it never traps. Seed 1.
    @Test func damagedFilesNeverTrap() throws {
        try Fixtures.withDirectory { directory in
            let path = directory + "/damaged.safetensors"
            let good = Self.file(Self.valid, data: 8)
            var generator = SplitMix64(seed: 1)
            for length in 0..<good.count {
                try Fixtures.write(Array(good.prefix(length)), to: path)
                #expect(throws: CheckpointError.self) { try SafeTensorsFile(path: path) }
            }
            for _ in 0..<150 {
                var bad = good
                bad[Int(generator.next() % UInt64(bad.count))] = UInt8(truncatingIfNeeded: generator.next())
                try Fixtures.write(bad, to: path)
                if let file = try? SafeTensorsFile(path: path) {
                    for entry in file.tensors { #expect(entry.range.upperBound <= 8) }
                }
            }
        }
    }

    @Test func missingFilesAndDirectoriesAreToldApart() throws {
        try Fixtures.withDirectory { directory in
            let missing = #expect(throws: CheckpointError.self) {
                try SafeTensorsFile(path: directory + "/none.safetensors")
            }
            #expect(missing?.kind == .missingFile)
            let folder = #expect(throws: CheckpointError.self) { try SafeTensorsFile(path: directory) }
            #expect(folder?.kind == .unreadable)
        }
    }

    // MARK: Numbers

    @Test func everyHalfAndEveryBrainFloatExpandsExactly() throws {
        try Fixtures.withDirectory { directory in
            let path = directory + "/all.safetensors"
            let patterns = (0...UInt16.max).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            try SafeTensorsFile.write(
                [
                    SafeTensor(name: "half", type: .f16, shape: [65536], bytes: patterns),
                    SafeTensor(name: "brain", type: .bf16, shape: [256, 256], bytes: patterns),
                ], to: path)
            let file = try SafeTensorsFile(path: path)
            let half = try file.floats("half")
            let brain = try file.floats("brain")
            for pattern in 0...UInt16.max {
                let value = half[Int(pattern)]
                #if arch(arm64) || os(Linux)
                    let expected = Float(Float16(bitPattern: pattern))
                    #expect(value.bitPattern == expected.bitPattern || (value.isNaN && expected.isNaN))
                #endif
                #expect(brain[Int(pattern)].bitPattern == UInt32(pattern) << 16)
            }
        }
    }

    /// Nearest, ties to even, judged in Double against the two neighbours. 20,000 values, seed 2.
    @Test func brainFloatsAreRoundedToTheNearest() throws {
        var generator = SplitMix64(seed: 2)
        var values = (0..<20_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: generator.next())) }
        values += [
            0, -0, 1, 1.00390625, 1.01171875, .greatestFiniteMagnitude, .infinity, .nan,
            .leastNonzeroMagnitude,
        ]
        try Fixtures.withDirectory { directory in
            let path = directory + "/rounded.safetensors"
            try SafeTensorsFile.write(
                [SafeTensor(name: "t", shape: [values.count], values: values, as: .bf16)], to: path)
            let rounded = try SafeTensorsFile(path: path).floats("t")
            for (value, result) in zip(values, rounded) {
                if value.isNaN {
                    #expect(result.isNaN)
                    continue
                }
                let down = Float(bitPattern: value.bitPattern & 0xFFFF_0000)
                let up = Float(bitPattern: (value.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
                guard down.isFinite, up.isFinite else { continue }
                let below = abs(Double(value) - Double(down))
                let above = abs(Double(up) - Double(value))
                let isDownEven = down.bitPattern >> 16 & 1 == 0
                let expected = below < above || (below == above && isDownEven) ? down : up
                #expect(result.bitPattern == expected.bitPattern)
            }
        }
    }

    @Test func integersAreNotExpanded() throws {
        try Fixtures.withDirectory { directory in
            let path = directory + "/ints.safetensors"
            try SafeTensorsFile.write(
                [SafeTensor(name: "t", type: .i32, shape: [], bytes: [1, 0, 0, 0])], to: path)
            let error = #expect(throws: CheckpointError.self) { try SafeTensorsFile(path: path).floats("t") }
            #expect(error?.kind == .unsupported)
        }
    }
}
