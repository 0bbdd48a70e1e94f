import Foundation
import Models

/// The Llama graph with LoRA in double precision, one token and one number at a time, from the formulas.
/// The engine's naive twin: no packing, no fusing, no shortcuts.
struct EngineReference {
    let configuration: ModelConfiguration
    /// Flat vectors laid out as `WeightLayout` and `LoRALayout`.
    var weights: [Double]
    var lora: (configuration: LoRAConfiguration, values: [Double])?

    init(_ configuration: ModelConfiguration, weights: [Double]) {
        self.configuration = configuration
        self.weights = weights
    }

    /// Mean cross-entropy of the example's targets.
    func loss(_ example: TokenizedExample) -> Double {
        let logits = logits(example.tokens)
        let targets = max(1, example.targetStart)..<example.tokens.count
        let losses = targets.map { position -> Double in
            let row = logits[position - 1]
            let maximum = row.max()!
            let sum = row.reduce(0) { $0 + exp($1 - maximum) }
            return log(sum) + maximum - row[Int(example.tokens[position])]
        }
        return losses.reduce(0, +) / Double(losses.count)
    }

    /// One row of logits per token.
    func logits(_ tokens: [Int32]) -> [[Double]] {
        let layout = WeightLayout(configuration)
        var tensors: [String: [Double]] = [:]
        for tensor in layout.tensors { tensors[tensor.name] = Array(weights[tensor.range]) }
        let width = configuration.hiddenSize
        let embedding = tensors["model.embed_tokens.weight"]!
        var stream = tokens.map { Array(embedding[Int($0) * width..<(Int($0) + 1) * width]) }

        for layer in 0..<configuration.layerCount {
            let prefix = "model.layers.\(layer)."
            func linear(_ x: [Double], _ module: LinearModule) -> [Double] {
                var y = multiply(tensors["\(prefix)\(configuration.names.path(module)).weight"]!, x)
                if let bias = tensors["\(prefix)\(configuration.names.path(module)).bias"] {
                    y = zip(y, bias).map(+)
                }
                return zip(y, adapter(x, layer, module) ?? y.map { _ in 0 }).map(+)
            }
            let normed = stream.map { norm($0, tensors["\(prefix)input_layernorm.weight"]!) }
            let queries = normed.enumerated().map { rotate(linear($1, .query), position: $0) }
            let keys = normed.enumerated().map { rotate(linear($1, .key), position: $0) }
            let values = normed.map { linear($0, .value) }
            for position in tokens.indices {
                let attended = attend(queries[position], Array(keys[...position]), Array(values[...position]))
                stream[position] = zip(stream[position], linear(attended, .output)).map(+)
            }
            for position in tokens.indices {
                let x = norm(stream[position], tensors["\(prefix)post_attention_layernorm.weight"]!)
                let gated = zip(linear(x, .gate), linear(x, .up)).map { $0 / (1 + exp(-$0)) * $1 }
                stream[position] = zip(stream[position], linear(gated, .down)).map(+)
            }
        }
        let head = tensors["lm_head.weight"] ?? embedding
        return stream.map { multiply(head, norm($0, tensors["model.norm.weight"]!)) }
    }

    private func adapter(_ x: [Double], _ layer: Int, _ module: LinearModule) -> [Double]? {
        guard let lora,
            let entry = LoRALayout(lora.configuration, base: configuration)
                .entry(layer: layer, module: module)
        else { return nil }
        let a = Array(lora.values[entry.aOffset..<entry.aOffset + entry.aCount])
        let b = Array(lora.values[entry.bOffset..<entry.bOffset + entry.bCount])
        return multiply(b, multiply(a, x)).map { $0 * lora.configuration.scale }
    }

    private func multiply(_ matrix: [Double], _ x: [Double]) -> [Double] {
        (0..<matrix.count / x.count).map { row in
            var sum = 0.0
            for column in x.indices { sum += matrix[row * x.count + column] * x[column] }
            return sum
        }
    }

    private func norm(_ x: [Double], _ gain: [Double]) -> [Double] {
        let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
        let scale = 1 / (mean + Double(configuration.normalisationEpsilon)).squareRoot()
        return zip(x, gain).map { $0 * scale * $1 }
    }

    private func rotate(_ x: [Double], position: Int) -> [Double] {
        guard case .rotary(let rotary) = configuration.positions else { return x }
        let size = configuration.headSize
        let half = size / 2
        var y = x
        for head in 0..<x.count / size {
            for pair in 0..<half {
                let angle = Double(position) * pow(rotary.theta, -2 * Double(pair) / Double(size))
                let (a, b) = (x[head * size + pair], x[head * size + half + pair])
                y[head * size + pair] = a * cos(angle) - b * sin(angle)
                y[head * size + half + pair] = b * cos(angle) + a * sin(angle)
            }
        }
        return y
    }

    private func attend(_ query: [Double], _ keys: [[Double]], _ values: [[Double]]) -> [Double] {
        let size = configuration.headSize
        let group = configuration.headCount / configuration.keyValueHeadCount
        return (0..<configuration.headCount).flatMap { head -> [Double] in
            let shared = head / group * size
            let scores = keys.map { key -> Double in
                var sum = 0.0
                for i in 0..<size { sum += query[head * size + i] * key[shared + i] }
                return sum / Double(size).squareRoot()
            }
            let maximum = scores.max()!
            let weights = scores.map { exp($0 - maximum) }
            let total = weights.reduce(0, +)
            return (0..<size).map { i in
                zip(weights, values).reduce(0) { $0 + $1.0 * $1.1[shared + i] } / total
            }
        }
    }
}
