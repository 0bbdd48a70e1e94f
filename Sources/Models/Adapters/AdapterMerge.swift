import Kernels

extension LanguageModel {
    /// The base with an adapter multiplied in: W + s·B·A for every adapted linear [Hu et al. 2021].
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter of another base.
    public func merging(_ adapter: LoRAAdapter) throws(EngineError) -> LanguageModel {
        let expected = LoRALayout(adapter.configuration, base: configuration)
        guard adapter.layout == expected else {
            throw .adapterDoesNotFit(expected: expected.count, found: adapter.layout.count)
        }
        var weights = flatWeights
        weights.withUnsafeMutableBufferPointer { weights in
            adapter.values.withUnsafeBufferPointer { values in
                for entry in expected.entries {
                    let names = configuration.names
                    let name = "\(names.block(entry.layer))\(names.path(entry.module)).weight"
                    let place = layout.named(name).offset
                    loraMerge(
                        inputs: entry.inputs, outputs: entry.outputs, rank: entry.rank,
                        scale: Float(adapter.configuration.scale),
                        a: values.baseAddress! + entry.aOffset, b: values.baseAddress! + entry.bOffset,
                        target: weights.baseAddress! + place)
                }
            }
        }
        return LanguageModel(like: self, weights: weights)
    }
}
