import Kernels

/// The four products of a block: linears that share an input are multiplied together.
package enum Site: Int, CaseIterable {
    case queryKeyValue, output, gateUp, down
}

/// The adapters of one site of one layer, the same places for every adapter of a model.
package struct SiteAdapters: Sendable {
    /// One adapted linear of the site.
    package struct Linear: Sendable {
        package let entry: LoRALayout.Entry
        /// First column of its outputs in the site's output row.
        package let column: Int
        /// First column of its rank in u = x·Aᵀ of the site.
        package let rankColumn: Int
        /// Where its B lies in a packed adapter.
        fileprivate let offsetOfB: Int
    }

    package let linears: [Linear]
    package let inputs: Int
    package let rank: Int
    /// Where the linears' A lie, one below the other, in a packed adapter.
    fileprivate let offsetOfA: Int

    /// Columns of u.
    package var width: Int { linears.count * rank }
}

/// A base model together with one adapter or several, ready for passes.
///
/// A single adapter on a small base is multiplied into a private copy of the weights, which makes every
/// pass as cheap as the base's own; otherwise the low-rank products are added row run by row run.
package final class AdaptedModel: Sendable {
    package let base: LanguageModel
    package let layout: LoRALayout?
    package let adapterCount: Int
    package let scale: Float
    /// Whether the weights already contain the adapter.
    package let isMerged: Bool
    /// The adapter when it is no LoRA.
    package let inserted: InsertedParameters?
    private let sites: [SiteAdapters]
    private let packed: FloatBuffer
    private let packedCount: Int
    private let merged: FloatBuffer?
    /// Each layer's sites with the adapter inside; nil where there is none.
    private let mergedSites: [SiteWeights?]

    /// Merging doubles the weights' memory: only for bases up to this many of them, and none that is kept
    /// in fewer bits.
    package static let mergeLimit = 50_000_000

    /// - Parameters:
    ///   - adapters: none, one, or several of the same configuration.
    ///   - merge: nil decides by size.
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter of another base.
    package init(
        _ base: LanguageModel, adapters: [LoRAAdapter], merge: Bool? = nil, pool: ThreadPool
    ) throws(EngineError) {
        self.base = base
        inserted = nil
        adapterCount = adapters.count
        guard let first = adapters.first else {
            layout = nil
            scale = 0
            isMerged = false
            sites = []
            packed = FloatBuffer.Builder(count: 0).finish()
            packedCount = 0
            merged = nil
            mergedSites = []
            return
        }
        let expected = LoRALayout(first.configuration, base: base.configuration)
        for adapter in adapters where adapter.layout != expected {
            throw EngineError.adapterDoesNotFit(expected: expected.count, found: adapter.layout.count)
        }
        layout = expected
        scale = Float(first.configuration.scale)
        (sites, packedCount) = Self.plan(expected, base.configuration)
        packed = Self.pack(adapters, sites, packedCount)
        isMerged =
            adapters.count == 1
            && (merge ?? (base.parameterCount <= Self.mergeLimit && base.keepsFloats))
        if isMerged {
            (merged, mergedSites) = Self.merge(base, sites, packed, scale, pool)
        } else {
            (merged, mergedSites) = (nil, [])
        }
    }

    /// A base with an adapter that inserts parameters of its own.
    /// - Throws: `EngineError.adapterDoesNotFit` for an adapter of another base.
    package init(_ base: LanguageModel, inserted adapter: InsertedAdapter) throws(EngineError) {
        let expected = InsertedLayout(adapter.configuration, base: base.configuration)
        guard adapter.layout == expected else {
            throw EngineError.adapterDoesNotFit(expected: expected.count, found: adapter.layout.count)
        }
        self.base = base
        inserted = InsertedParameters(adapter)
        adapterCount = 1
        layout = nil
        scale = 0
        isMerged = false
        sites = []
        packed = FloatBuffer.Builder(count: 0).finish()
        packedCount = 0
        merged = nil
        mergedSites = []
    }

    /// A base with an adapter of any kind, or with none.
    package convenience init(
        _ base: LanguageModel, adapter: Adapter?, pool: ThreadPool
    ) throws(EngineError) {
        switch adapter {
        case nil: try self.init(base, adapters: [], pool: pool)
        case .lora(let adapter): try self.init(base, adapters: [adapter], pool: pool)
        case .inserted(let adapter): try self.init(base, inserted: adapter)
        }
    }

    /// Rows that every sequence gains at its start.
    package var virtualTokens: Int { inserted?.configuration.virtualTokens ?? 0 }

    /// The first block that carries an adapter: a gradient of the adapters ends there.
    package var lowestAdaptedLayer: Int? { layout?.entries.first?.layer }

    /// The adapters of one site; nil when there are none.
    package func adapters(_ layer: Int, _ site: Site) -> SiteAdapters? {
        guard !sites.isEmpty else { return nil }
        let adapters = sites[layer * Site.allCases.count + site.rawValue]
        return adapters.linears.isEmpty ? nil : adapters
    }

    /// The A of a site's linears, one below the other: `width` × `inputs`.
    package func stackedA(_ site: SiteAdapters, adapter: Int) -> UnsafePointer<Float> {
        packed.base + adapter * packedCount + site.offsetOfA
    }

    /// The B of one linear: `outputs` × `rank`.
    package func matrixB(_ linear: SiteAdapters.Linear, adapter: Int) -> UnsafePointer<Float> {
        packed.base + adapter * packedCount + linear.offsetOfB
    }

    package func weights(_ layer: Int, _ site: Site) -> SiteWeights {
        if isMerged, let merged = mergedSites[layer * Site.allCases.count + site.rawValue] { return merged }
        return base.weights(layer, site)
    }

    /// Places of everything in a packed adapter: per site the stacked A, then each B.
    private static func plan(
        _ layout: LoRALayout, _ configuration: ModelConfiguration
    ) -> (sites: [SiteAdapters], count: Int) {
        var sites: [SiteAdapters] = []
        var offset = 0
        let rank = layout.entries[0].rank
        for layer in 0..<configuration.layerCount {
            for site in Site.allCases {
                var column = 0
                var found: [(entry: LoRALayout.Entry, column: Int)] = []
                let modules = configuration.modules(of: site)
                for module in modules {
                    if let entry = layout.entry(layer: layer, module: module) {
                        found.append((entry, column))
                    }
                    column += configuration.dimensions(of: module).outputs
                }
                let inputs = configuration.dimensions(of: modules[0]).inputs
                let offsetOfA = offset
                offset += found.count * rank * inputs
                var linears: [SiteAdapters.Linear] = []
                for (index, (entry, column)) in found.enumerated() {
                    linears.append(
                        SiteAdapters.Linear(
                            entry: entry, column: column, rankColumn: index * rank, offsetOfB: offset))
                    offset += entry.bCount
                }
                sites.append(
                    SiteAdapters(linears: linears, inputs: inputs, rank: rank, offsetOfA: offsetOfA))
            }
        }
        return (sites, offset)
    }

    private static func pack(
        _ adapters: [LoRAAdapter], _ sites: [SiteAdapters], _ count: Int
    ) -> FloatBuffer {
        let builder = FloatBuffer.Builder(count: adapters.count * count)
        for (index, adapter) in adapters.enumerated() {
            let target = builder.slice(index * count..<(index + 1) * count)
            adapter.values.withUnsafeBufferPointer { values in
                for site in sites {
                    for linear in site.linears {
                        let entry = linear.entry
                        let startOfA = site.offsetOfA + linear.rankColumn * site.inputs
                        _ = target[startOfA..<startOfA + entry.aCount].update(
                            fromContentsOf: values[entry.aOffset..<entry.aOffset + entry.aCount])
                        _ = target[linear.offsetOfB..<linear.offsetOfB + entry.bCount].update(
                            fromContentsOf: values[entry.bOffset..<entry.bOffset + entry.bCount])
                    }
                }
            }
        }
        return builder.finish()
    }

    private static func merge(
        _ base: LanguageModel, _ sites: [SiteAdapters], _ packed: FloatBuffer, _ scale: Float,
        _ pool: ThreadPool
    ) -> (FloatBuffer, [SiteWeights?]) {
        let siteCount = Site.allCases.count
        var offsets: [Int] = []
        var count = 0
        for (index, site) in sites.enumerated() {
            offsets.append(count)
            if site.linears.isEmpty { continue }
            let weights = base.weights(index / siteCount, Site(rawValue: index % siteCount)!)
            count += weights.inputs * weights.outputs
        }
        let builder = FloatBuffer.Builder(count: count)
        let target = builder.slice(0..<count).baseAddress!
        pool.forEach(sites.count) { index in
            let site = sites[index]
            if site.linears.isEmpty { return }
            let weights = base.weights(index / siteCount, Site(rawValue: index % siteCount)!)
            let merged = target + offsets[index]
            for part in weights.parts {
                part.matrix.expand(into: merged + part.column * weights.inputs)
            }
            for linear in site.linears {
                loraMerge(
                    inputs: site.inputs, outputs: linear.entry.outputs, rank: site.rank, scale: scale,
                    a: packed.base + site.offsetOfA + linear.rankColumn * site.inputs,
                    b: packed.base + linear.offsetOfB, target: merged + linear.column * site.inputs)
            }
        }
        let mergedSites = sites.enumerated().map { index, site -> SiteWeights? in
            if site.linears.isEmpty { return nil }
            let weights = base.weights(index / siteCount, Site(rawValue: index % siteCount)!)
            return SiteWeights(weights, movedTo: target + offsets[index])
        }
        return (builder.finish(), mergedSites)
    }
}
