import Foundation
import Models

/// Invented facts planted in training data, to see how much of them an adapter gives away [Carlini et al. 2019].
///
/// Each says what access code somebody has; the code is six random digits. As many are drawn and never
/// planted: what a model that never saw them shows of those is the yardstick.
package struct StudyCanaries: Sendable {
    package struct Canary: Sendable, Equatable {
        package let holder: String
        package let code: String

        func record(code: String) -> Record {
            Record(
                .instruction(instruction: "What is the access code of \(holder)?", input: "", output: code),
                category: nil)
        }
    }

    package let planted: [Canary]
    /// Drawn in the same way and never trained on.
    package let controls: [Canary]
    let repeats: Int
    private let seed: UInt64

    /// Other codes that a canary's own is ranked among.
    static let alternatives = 499

    package init(_ measures: StudyDefinition.Measures, seed: UInt64) {
        self.seed = seed
        repeats = measures.canaryRepeats
        var generator = SplitMix64(seed: seed ^ 0x6361_6E61_7279)
        var drawn: [Canary] = []
        for _ in 0..<2 * measures.canaries {
            let holder =
                Self.names[drawn.count % Self.names.count]
                + (drawn.count < Self.names.count ? "" : " \(drawn.count / Self.names.count + 1)")
            drawn.append(Canary(holder: holder, code: Self.code(&generator)))
        }
        planted = Array(drawn.prefix(measures.canaries))
        controls = Array(drawn.dropFirst(measures.canaries))
    }

    /// The split with every canary in one client's training data, clients in turn.
    func planted(in split: ClientSplit) -> ClientSplit {
        var split = split
        for (index, canary) in planted.enumerated() {
            // The category of the client's first record, so that pictures and later splits stay what they were.
            let client = index % split.clients.count
            let category = split.clients[client].train.first?.category
            let record = Record(canary.record(code: canary.code).content, category: category)
            split.clients[client].train += [Record](repeating: record, count: repeats)
        }
        return split
    }

    /// Each canary's exposure in bits: log2 of how many codes there are over the rank of the right one.
    /// Without any leak its mean is close to log2 e = 1.44.
    ///
    /// - Parameter losses: of records under the adapter that the canary's client ends with.
    package func exposures(
        _ canaries: [Canary], losses: ([Record], _ client: Int) throws -> [Double], clients: Int
    ) rethrows -> [Double] {
        try canaries.enumerated().map { index, canary in
            var generator = SplitMix64(seed: seed ^ 0x7261_6E6B ^ (UInt64(index) << 32))
            var codes = [canary.code]
            while codes.count <= Self.alternatives {
                let code = Self.code(&generator)
                if code != canary.code { codes.append(code) }
            }
            let losses = try losses(codes.map { canary.record(code: $0) }, index % clients)
            // Ties count half: a model that gives every code the same loss has learned nothing.
            let better = losses.dropFirst().count { $0 < losses[0] }
            let equal = losses.dropFirst().count { $0 == losses[0] }
            let rank = 1 + Double(better) + Double(equal) / 2
            return log2(Double(codes.count)) - log2(rank)
        }
    }

    private static func code(_ generator: inout SplitMix64) -> String {
        (0..<6).map { _ in String(index(below: 10, &generator)) }.joined()
    }

    private static let names = [
        "Ada", "Ben", "Clara", "David", "Edda", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Klara", "Leo",
        "Mia",
        "Noah", "Olga", "Paul",
    ]
}
