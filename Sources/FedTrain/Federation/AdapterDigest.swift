import Models
import Sodium

extension Adapter {
    /// Names an adapter's exact numbers: the next round's masks are bound to it.
    public var digest: Digest {
        var hasher = Hasher256()
        hasher.updateLengthPrefixed(Array("fedtrain/v1/adapter".utf8))
        values.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }
}

extension Adapter {
    /// Names an adapter's shape: its kind's terms, and where each tensor lies.
    public var layoutDigest: Digest {
        switch self {
        case .lora(let adapter): return adapter.layoutDigest
        case .inserted(let adapter):
            let head = "\(adapter.configuration)"
            let entries = adapter.layout.tensors.map { "\($0.layer ?? -1) \($0.name) \($0.shape)" }
            return Digest.labelled(
                "fedtrain/v1/adapter-layout", ([head] + entries).map { Array($0.utf8) })
        }
    }
}

extension LoRAAdapter {
    /// Names an adapter's exact numbers.
    public var digest: Digest { Adapter.lora(self).digest }

    /// Names an adapter's shape: rank, scaling, and where each matrix lies.
    public var layoutDigest: Digest {
        let entries = layout.entries.map {
            "\($0.layer) \($0.module.rawValue) \($0.inputs) \($0.outputs) \($0.rank)"
        }
        let head = "rank \(configuration.rank) alpha \(configuration.alpha) rslora \(configuration.useRSLoRA)"
        return Digest.labelled("fedtrain/v1/adapter-layout", ([head] + entries).map { Array($0.utf8) })
    }
}
