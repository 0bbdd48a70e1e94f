import Foundation
import Models
import Testing

@Suite struct TokenizerFileTests {
    static let document = #"""
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": [["a", "b"]]},
         "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
         "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null}
        """#

    func load(_ changes: [(String, String)]) throws -> Tokenizer {
        let text = changes.reduce(Self.document) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
        return try Tokenizer(json: JSON.parse(text), file: "tokenizer.json")
    }

    @Test func theSmallestFileWorks() throws {
        let tokenizer = try load([])
        #expect(tokenizer.encode("abba<s>ab") == [2, 1, 0, 3, 2])
        #expect(tokenizer.vocabularySize == 4)
        // A character that is in no vocabulary leaves no trace where there is no unknown token.
        #expect(tokenizer.encode("axb") == [2])
    }

    @Test func mergesMayBeWrittenAsOneStringEach() throws {
        #expect(try load([(#"[["a", "b"]]"#, ##"["#version: 0.2", "a b"]"##)]).encode("ab") == [2])
    }

    /// What is replaced by what, and the component that the message must name.
    static let refused: [(String, String, String)] = [
        (#""type": "BPE""#, #""type": "Unigram""#, "model Unigram"),
        (#""type": "BPE""#, #""type": "WordPiece""#, "model WordPiece"),
        (#""type": "BPE""#, #""type": "BPE", "dropout": 0.1"#, "dropout"),
        (#""type": "BPE""#, #""type": "BPE", "end_of_word_suffix": "</w>""#, "end_of_word_suffix"),
        (#""normalizer": null"#, #""normalizer": {"type": "NFKC"}"#, "normalizer NFKC"),
        (
            #""normalizer": null"#,
            #""normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}"#,
            "normalizer Lowercase"
        ),
        (
            #""normalizer": null"#,
            #""normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"}"#,
            "regular expression"
        ),
        (#""pre_tokenizer": null"#, #""pre_tokenizer": {"type": "Whitespace"}"#, "pre-tokenizer Whitespace"),
        (
            #""pre_tokenizer": null"#,
            #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "x+"}, "behavior": "Isolated"}"#, "x+"
        ),
        (
            #""post_processor": null"#, #""post_processor": {"type": "RobertaProcessing"}"#,
            "post-processor RobertaProcessing"
        ),
        (#""decoder": null"#, #""decoder": {"type": "WordPiece"}"#, "decoder WordPiece"),
    ]

    @Test(arguments: refused)
    func unknownComponentsAreRefusedByName(old: String, new: String, word: String) {
        let error = #expect(throws: CheckpointError.self) { try load([(old, new)]) }
        #expect(error?.kind == .unsupported)
        #expect(error?.reason.contains(word) == true, "\(error?.reason ?? "")")
    }

    static let malformed: [(String, String, String)] = [
        (#""ab": 2"#, #""ab": 1"#, "belongs to two tokens"),
        (#""ab": 2"#, #""a": 2"#, "twice"),
        (#""ab": 2"#, #""ab": -1"#, "whole number"),
        (#""ab": 2"#, #""ab": 1e12"#, "whole number"),
        (#"["a", "b"]"#, #"["a", "x"]"#, "merge 0"),
        (#"["a", "b"]"#, #"["b", "a"]"#, "merge 0"),
        (#"["a", "b"]"#, #"["a"]"#, "merge 0"),
        (#""id": 3, "content": "<s>""#, #""id": 2, "content": "<s>""#, "disagree"),
        (#""id": 3, "content": "<s>""#, #""id": 2, "content": "<t>""#, "disagree"),
        (#""model""#, #""models""#, "no model"),
        (#""vocab""#, #""vocabulary""#, "no vocab"),
    ]

    @Test(arguments: malformed)
    func contradictionsAreRefused(old: String, new: String, word: String) {
        let error = #expect(throws: CheckpointError.self) { try load([(old, new)]) }
        #expect(error?.kind == .malformed)
        #expect(error?.reason.contains(word) == true, "\(error?.reason ?? "")")
    }

    /// Tokens cut out of the text separate what is around them. 200 texts, seed 5.
    @Test(arguments: ["gpt2", "llama3", "qwen2"])
    func aSpecialTokenSeparatesTheTextAroundIt(kind: String) throws {
        let json = try Fixtures.json(Fixtures.vectors + "/tokenizers/\(kind).json")["tokenizer"]!
        let tokenizer = try Tokenizer(json: json, file: kind)
        let special = try #require(tokenizer.id(of: "<|endoftext|>"))
        let alphabet = Array("ab c1 \n's.é猫\u{301}".unicodeScalars)
        var generator = SplitMix64(seed: 5)
        func text() -> String {
            var view = String.UnicodeScalarView()
            for _ in 0..<generator.next() % 12 {
                view.append(alphabet[Int(generator.next() % UInt64(alphabet.count))])
            }
            return String(view)
        }
        for _ in 0..<200 {
            let (before, after) = (text(), text())
            let parts = [before, after].map { tokenizer.encode($0, addSpecialTokens: false) }
            let whole = tokenizer.encode(before + "<|endoftext|>" + after, addSpecialTokens: false)
            #expect(whole == parts[0] + [special] + parts[1])
        }
    }

    @Test func settingsThatContradictTheTemplateAreRefused() throws {
        let settings: [(String, Bool)] = [
            (#"{"bos_token": "<s>"}"#, true),
            (#"{"bos_token": {"content": "<s>"}, "add_bos_token": false}"#, true),
            (#"{"bos_token": "<s>", "add_bos_token": true}"#, false), (#"{"eos_token": "<none>"}"#, false),
            (#"{"eos_token": 3}"#, false),
        ]
        for (text, isFine) in settings {
            try Fixtures.withDirectory { directory in
                try Fixtures.write(Self.document, to: directory + "/tokenizer.json")
                try Fixtures.write(text, to: directory + "/tokenizer_config.json")
                if isFine {
                    #expect(try Tokenizer(directory: directory).beginTokenID == 3)
                } else {
                    let error = #expect(throws: CheckpointError.self) { try Tokenizer(directory: directory) }
                    #expect(error?.file == directory + "/tokenizer_config.json")
                }
            }
        }
    }
}
