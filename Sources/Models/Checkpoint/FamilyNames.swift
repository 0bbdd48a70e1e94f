/// What a family calls its tensors in a Hugging Face checkpoint, and how it stores them.
package struct FamilyNames: Sendable {
    private let family: ModelConfiguration.Family

    package init(_ family: ModelConfiguration.Family) { self.family = family }

    /// What stands before every name but the head's; checkpoints of the bare model leave it out.
    package var prefix: String {
        switch family {
        case .llama, .mistral, .qwen2: "model."
        case .gpt2: "transformer."
        case .gptNeoX: "gpt_neox."
        }
    }

    package var embedding: String {
        switch family {
        case .llama, .mistral, .qwen2: "\(prefix)embed_tokens"
        case .gpt2: "\(prefix)wte"
        case .gptNeoX: "\(prefix)embed_in"
        }
    }

    /// Learned positions; only GPT-2 has them.
    package var positions: String { "\(prefix)wpe" }

    package var finalNorm: String {
        switch family {
        case .llama, .mistral, .qwen2: "\(prefix)norm"
        case .gpt2: "\(prefix)ln_f"
        case .gptNeoX: "\(prefix)final_layer_norm"
        }
    }

    package var head: String { family == .gptNeoX ? "embed_out" : "lm_head" }

    /// The list of blocks, without the index: `model.layers`.
    package var blocks: String { family == .gpt2 ? "\(prefix)h" : "\(prefix)layers" }

    package func block(_ layer: Int) -> String { "\(blocks).\(layer)." }

    package var inputNorm: String { family == .gpt2 ? "ln_1" : "input_layernorm" }

    package var attentionNorm: String { family == .gpt2 ? "ln_2" : "post_attention_layernorm" }

    /// Path of a linear inside its block (`self_attn.q_proj`, `mlp.c_fc`).
    package func path(_ module: LinearModule) -> String {
        switch (family, module) {
        case (.gpt2, .queryKeyValue): "attn.c_attn"
        case (.gpt2, .output): "attn.c_proj"
        case (.gpt2, .up): "mlp.c_fc"
        case (.gpt2, .down): "mlp.c_proj"
        case (.gptNeoX, .queryKeyValue): "attention.query_key_value"
        case (.gptNeoX, .output): "attention.dense"
        case (.gptNeoX, .up): "mlp.dense_h_to_4h"
        case (.gptNeoX, .down): "mlp.dense_4h_to_h"
        case (_, .queryKeyValue), (_, .query), (_, .key), (_, .value), (_, .output):
            "self_attn.\(module.rawValue)"
        case (_, .gate), (_, .up), (_, .down): "mlp.\(module.rawValue)"
        }
    }

    /// Last part of a linear's path; GPT-2 has two linears called `c_proj`.
    package func name(_ module: LinearModule) -> String {
        String(path(module).split(separator: ".").last!)
    }

    /// The shortest names that `peft` matches with these linears and no others.
    package func targetNames(_ modules: [LinearModule]) -> [String] {
        let both = modules.contains(.output) && modules.contains(.down)
        return Set(
            modules.map { module in
                // GPT-2's two `c_proj` need their paths when only one of them is meant.
                family == .gpt2 && [.output, .down].contains(module) && !both ? path(module) : name(module)
            }
        ).sorted()
    }

    /// Whether linears are stored inputs × outputs; `peft` calls it `fan_in_fan_out`.
    package var storesTransposed: Bool { family == .gpt2 }

    /// The linears that `peft` adapts with LoRA when nobody names any.
    package var defaultTargets: [LinearModule] {
        switch family {
        case .llama, .mistral, .qwen2: [.query, .value]
        case .gpt2, .gptNeoX: [.queryKeyValue]
        }
    }

    /// Tensors of older checkpoints that hold no weights: causal masks and rotary frequencies.
    package func isBuffer(_ name: String) -> Bool {
        switch family {
        case .gpt2: name.hasSuffix(".attn.bias") || name.hasSuffix(".attn.masked_bias")
        case .gptNeoX:
            name.hasSuffix(".attention.bias") || name.hasSuffix(".attention.masked_bias")
                || name.hasSuffix(".rotary_emb.inv_freq")
        case .llama, .mistral, .qwen2: name.hasSuffix(".rotary_emb.inv_freq")
        }
    }

    /// How the family stores a linear's weight and bias.
    package func stored(_ module: LinearModule) -> WeightLayout.StoredForm {
        switch (family, module) {
        case (.gpt2, _): .transposed
        case (.gptNeoX, .queryKeyValue): .headInterleaved
        default: .plain
        }
    }
}

extension LinearModule {
    /// The linears that a name of any family means; nil for a name that none uses.
    ///
    /// GPT-2's `c_proj` means two; their paths, `attn.c_proj` and `mlp.c_proj`, mean one each.
    public static func named(_ name: String) -> [LinearModule]? {
        for family in ModelConfiguration.Family.allCases {
            let names = FamilyNames(family)
            let found = allCases.filter { names.name($0) == name || names.path($0) == name }
            if !found.isEmpty { return found }
        }
        return nil
    }

    /// Every name that `named` knows, without paths.
    public static var knownNames: [String] {
        var known: [String] = []
        for family in ModelConfiguration.Family.allCases {
            for name in allCases.map(FamilyNames(family).name) where !known.contains(name) {
                known.append(name)
            }
        }
        return known
    }
}

extension ModelConfiguration {
    package var names: FamilyNames { FamilyNames(family) }

    /// The linears of this model's blocks, in canonical order.
    public var linearModules: [LinearModule] {
        Site.allCases.flatMap { modules(of: $0) }
    }

    /// What the family calls an adapter's linears, as `peft`'s `target_modules` has them.
    public func targetNames(of lora: LoRAConfiguration) -> [String] {
        names.targetNames(lora.targetModules)
    }

    /// The linears that share one product.
    package func modules(of site: Site) -> [LinearModule] {
        switch site {
        case .queryKeyValue: hasFusedQueryKeyValue ? [.queryKeyValue] : [.query, .key, .value]
        case .output: [.output]
        case .gateUp: isGated ? [.gate, .up] : [.up]
        case .down: [.down]
        }
    }

    /// Whether query, key and value are one linear of the checkpoint.
    package var hasFusedQueryKeyValue: Bool { family == .gpt2 || family == .gptNeoX }
}
