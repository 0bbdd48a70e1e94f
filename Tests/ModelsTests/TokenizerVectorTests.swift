import Foundation
import Models
import Testing

/// Ids and texts by the Hugging Face `tokenizers` package (Tests/Vectors/tokenizers/make_vectors.py).
@Suite struct TokenizerVectorTests {
    static let kinds = [
        "gpt2", "gpt2-prefix-space", "gpt2-as-split", "llama3", "qwen2", "smollm", "digit-runs", "llama2",
        "metaspace-first", "metaspace-always", "unknown-unfused",
    ]

    @Test(arguments: kinds)
    func handPickedTextsHaveTheSameIDsAndDecodeTheSame(kind: String) throws {
        let vector = try Fixtures.json(Fixtures.vectors + "/tokenizers/\(kind).json")
        let tokenizer = try Tokenizer(json: vector["tokenizer"]!, file: kind)
        for row in vector["cases"]!.array! {
            let text = row["text"]!.string!
            let ids = tokenizer.encode(text)
            #expect(ids.map(Int.init) == row["ids"]!.array!.map { $0.integer! }, "\(text.debugDescription)")
            #expect(
                tokenizer.encode(text, addSpecialTokens: false).map(Int.init)
                    == row["plain"]!.array!.map { $0.integer! })
            let expected = row["ids"]!.array!.map { Int32($0.integer!) }
            #expect(same(tokenizer.decode(expected), row["decoded"]!.string!), "\(text.debugDescription)")
            #expect(
                same(tokenizer.decode(expected, skipSpecialTokens: true), row["skipped"]!.string!),
                "\(text.debugDescription)")
        }
    }

    @Test(arguments: kinds)
    func randomTextsHaveTheSameIDsAndDecodeTheSame(kind: String) throws {
        let vector = try Fixtures.json(Fixtures.vectors + "/tokenizers/\(kind).json")
        let tokenizer = try Tokenizer(json: vector["tokenizer"]!, file: kind)
        let random = vector["random"]!
        let perBlock = random["per_block"]!.integer!
        var source = RandomTexts(seed: UInt64(random["seed"]!.integer!))
        for (block, expected) in random["crc32"]!.array!.enumerated() {
            var sum = TokenSum()
            for _ in 0..<perBlock { sum.add(source.next(), tokenizer) }
            #expect(Int(sum.crc.value) == expected.integer!, "block \(block)")
        }
    }

    @Test(.enabled(if: Fixtures.shared != nil))
    func wholeCorporaHaveTheSameIDsUnderRealVocabularies() throws {
        let shared = Fixtures.shared!
        let vector = try Fixtures.json(Fixtures.vectors + "/tokenizers/shared.json")
        var tokenizers: [String: Tokenizer] = [:]
        for row in vector["rows"]!.array! {
            let name = row["tokenizer"]!.string!
            let tokenizer = try tokenizers[name] ?? load(shared, name)
            tokenizers[name] = tokenizer
            var sum = TokenSum()
            let corpus = row["corpus"]!.string!
            if corpus == "random" {
                var source = RandomTexts(seed: UInt64(vector["random_seed"]!.integer!))
                for _ in 0..<vector["random_count"]!.integer! { sum.add(source.next(), tokenizer) }
            } else {
                let text = String(decoding: try Fixtures.read("\(shared)/\(corpus)"), as: UTF8.self)
                for line in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false) {
                    sum.add(String(line), tokenizer)
                }
                sum.add(String(text.unicodeScalars.prefix(20000)), tokenizer)
            }
            #expect(sum.count == row["tokens"]!.integer!, "\(name) on \(corpus)")
            #expect(Int(sum.crc.value) == row["crc32"]!.integer!, "\(name) on \(corpus)")
        }
    }

    @Test(.enabled(if: Fixtures.shared != nil), arguments: ["llama", "qwen2", "gpt2"])
    func referenceCheckpointsGiveTheExpectedIDs(name: String) throws {
        let folder = Fixtures.shared! + "/reference/checkpoints/\(name)"
        let expected = try Fixtures.json(folder + "/expected.json")
        let tokenizer = try Tokenizer(directory: folder + "/base")
        for (index, text) in expected["texts"]!.array!.enumerated() {
            let ids = tokenizer.encode(text.string!)
            #expect(ids.map(Int.init) == expected["ids"]!.array![index].array!.map { $0.integer! })
            let decoded = tokenizer.decode(ids, skipSpecialTokens: true)
            #expect(same(decoded, expected["decoded"]!.array![index].string!))
        }
        #expect(tokenizer.endTokenID == 0)
    }

    private func load(_ shared: String, _ name: String) throws -> Tokenizer {
        guard name == "data/gpt2-vocab" else { return try Tokenizer(directory: "\(shared)/\(name)") }
        // The vocabulary comes in GPT-2's own two files; this is the tokenizer.json around them.
        let merges = String(decoding: try Fixtures.read("\(shared)/\(name)/merges.txt"), as: UTF8.self)
            .split(separator: "\n").filter { !$0.hasPrefix("#version") }.map { JSON.string(String($0)) }
        let level = JSON.object([
            .init("type", .string("ByteLevel")), .init("add_prefix_space", .bool(false)),
        ])
        let model = JSON.object([
            .init("type", .string("BPE")), .init("merges", .array(merges)),
            .init("vocab", try Fixtures.json("\(shared)/\(name)/vocab.json")),
        ])
        let document = JSON.object([
            .init("model", model), .init("pre_tokenizer", level), .init("decoder", level),
        ])
        return try Tokenizer(json: document, file: name)
    }
}

/// Equality of bytes; `==` on strings would forgive differences of normalisation.
func same(_ first: String, _ second: String) -> Bool {
    first.utf8.elementsEqual(second.utf8)
}

/// Checksum over ids and decoded texts, as `crc_of` in make_vectors.py.
private struct TokenSum {
    var crc = CRC32()
    var count = 0

    mutating func add(_ text: String, _ tokenizer: Tokenizer) {
        let ids = tokenizer.encode(text)
        count += ids.count
        for id in ids { withUnsafeBytes(of: id.littleEndian) { crc.add($0) } }
        crc.add(tokenizer.decode(ids).utf8)
        crc.add([0xFF])
    }
}

/// The checksum of zlib and PNG.
private struct CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ crc >> 1 : crc >> 1 }
    }
    private var state = UInt32.max

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = Self.table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ state >> 8 }
    }

    var value: UInt32 { ~state }
}

/// The random texts of make_vectors.py, from the same generator.
private struct RandomTexts {
    private static let pools: [[Unicode.Scalar]] = [
        "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "  \t\n\r", "  ",
        "''ſsStTrReEvVmMlLdD", ".,;:!?-_()[]{}<>|/\\\"#@&*+=~`^%$", "äöüßéèêçñåøÅéı",
        "\u{300}\u{301}\u{302}\u{308}\u{323}\u{327}\u{345}\u{93c}\u{f71}\u{3099}\u{5b4}\u{20d0}\u{11935}\u{11930}",
        "가각힣\u{1100}\u{1161}\u{11a8}\u{1112}\u{1175}\u{11c2}", "猫今日はカキ漢字。、",
        "١٢٣४५६௧൧Ⅷ½²①\u{11de3}\u{16ff4}", "👩\u{200d}👧\u{fe0f}🇩🇪🏽",
        "\u{a0}\u{2003}\u{3000}\u{2028}\u{85}\u{200b}\u{feff}\u{ad}\u{180e}", "абвАБВабв",
    ].map { Array($0.unicodeScalars) }
    private static let words = [
        "<|endoftext|>", "<s>", "</s>", "<mask>", "[X]", " word", "the", "WORD", "'ll", "\r\n", "▁",
    ]

    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    private mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ z >> 31) % UInt64(bound))
    }

    mutating func next() -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<below(25) {
            let choice = below(Self.pools.count + 2)
            if choice < Self.pools.count {
                let pool = Self.pools[choice]
                text.append(pool[below(pool.count)])
            } else if choice == Self.pools.count {
                text.append(contentsOf: Self.words[below(Self.words.count)].unicodeScalars)
            } else {
                let value = UInt32(below(0x110000 - 0x800))
                text.append(Unicode.Scalar(value < 0xD800 ? value : value + 0x800)!)
            }
        }
        return String(text)
    }
}
