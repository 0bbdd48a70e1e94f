import DP
import GMP
import Sodium

/// The first inputs of every target: whole, valid ones, from which mutations reach deep.
public enum Corpus {
    /// Deterministic, so that making the corpus again changes a file only when a format changed.
    public static func seeds() throws -> [FuzzTarget: [[UInt8]]] {
        var seeds = RoundFuzzing.seeds()
        seeds[.ledger] = [try ledger()]
        seeds[.json] = [
            #"{"a":[1,-2.5e3,true,false,null],"b":{"c":"\u00e9\ud83d\ude00\n"},"":[]}"#, "[[[[[0]]]]]",
            "\"x\"",
        ].map { Array($0.utf8) }
        seeds[.safetensors] = [safetensors()]
        seeds[.tokenizer] = [Array(tokenizer.utf8)]
        seeds[.modelConfiguration] = [Array(modelConfiguration.utf8)]
        return seeds
    }

    /// A short history: one round, a note, the end.
    private static func ledger() throws -> [UInt8] {
        var source = StreamRandom(seed: 1, label: "fuzz ledger")
        let event = try PrivacyEvent(
            unit: .client, adjacency: .zeroOut,
            kind: .discreteGaussianSum(
                delta2Squared: 250_000, sigmaLocalSquared: 90_000, honestShares: 5, dimension: 64))
        let plan = PlanStatement(
            run: "fuzz", role: .server, participant: "", event: event, roundsPlanned: 2, budgetEpsilon: 8,
            delta: Rational(1, 100_000), accountant: .gdp, clients: 8, minSurvivors: 6, colluders: 1,
            profile: "malicious-server", participationLimit: nil, participationGap: nil, samplingRate: nil,
            mechanism: "distributed discrete Gaussian", clipNormMax: Rational(1, 2), scale: 1000,
            roundingBeta: Rational(3, 5), dimension: 64, modulusBits: 20,
            wrapProbability: Rational(1, BigInteger.powerOfTwo(40)), baseModel: .of([1]),
            adapterLayout: .of([2]), codeVersion: "0", facts: ["data": "notes"])
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(
            in: storage, key: SigningKey(generatedBy: &source), plan: plan, at: 1)
        _ = try file.reserve(round: 1, at: 2, payload: ["cohort": "8"])
        try file.commit(round: 1, survivors: 7, at: 3)
        try file.note(at: 4, payload: ["text": "one deviation"])
        try file.close(at: 5)
        return try storage.load().log
    }

    private static func safetensors() -> [UInt8] {
        var header =
            #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#
        header += #""b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}}"#
        while header.utf8.count % 8 != 0 { header += " " }
        return littleEndianBytes(UInt64(header.utf8.count)) + Array(header.utf8)
            + [UInt8](repeating: 1, count: 22)
    }

    private static let tokenizer = """
        {"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"<|end|>",\
        "single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":null,\
        "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},\
        "post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,\
        "use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,\
        "end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,\
        "vocab":{"<|end|>":0,"a":1,"b":2,"ab":3},"merges":[["a","b"]]}}
        """

    private static let modelConfiguration = """
        {"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":null,"eos_token_id":0,\
        "head_dim":32,"hidden_act":"silu","hidden_size":128,"intermediate_size":352,\
        "max_position_embeddings":128,"mlp_bias":false,"model_type":"llama","num_attention_heads":4,\
        "num_hidden_layers":4,"num_key_value_heads":2,"rms_norm_eps":1e-05,"rope_theta":10000.0,\
        "tie_word_embeddings":true,"vocab_size":1024}
        """
}

/// Small damage of the kinds that a coverage-guided fuzzer starts with.
public struct Mutator {
    private var random: StreamRandom

    public init(seed: UInt64) { random = StreamRandom(seed: seed, label: "mutator") }

    /// `input` with one to four edits.
    public mutating func mutate(_ input: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0...random.uniform(below: 4) {
            let place = Int(random.uniform(below: UInt64(bytes.count + 1)))
            let value = UInt8(random.uniform(below: 256))
            switch random.uniform(below: 5) {
            case 0 where place < bytes.count: bytes[place] = value
            case 1 where place < bytes.count: bytes[place] ^= 1 << (value & 7)
            case 2 where place < bytes.count: bytes.remove(at: place)
            case 3: bytes.insert(contentsOf: [UInt8](repeating: value, count: Int(value & 15) + 1), at: place)
            default: bytes.removeSubrange(place..<min(bytes.count, place + Int(value)))
            }
        }
        return bytes
    }
}
