import Foundation

/// `Tests/Vectors/dp-noise/noise.json`, made by the script beside it.
struct NoiseVectors: Decodable {
    struct Gaussian: Decodable {
        let sigmaSquared: String
        let pmf: [String]
        let variance: String
        let fourthMoment: String
    }
    struct Laplace: Decodable {
        let t: Int
        let s: Int
        let pmf: [String]
    }
    struct Tau: Decodable {
        let sigmaSquared: String
        let shares: Int
        let value: String
    }
    struct NormBound: Decodable {
        let dimension: Int
        let clipSteps: Int
        let roundingExponent: String
        let value: String
    }
    struct RotationCase: Decodable {
        let seed: String
        let input: [Float]
        let output: [Double]
    }

    let discreteGaussian: [Gaussian]
    let discreteLaplace: [Laplace]
    let tau: [Tau]
    let normBoundSquared: [NormBound]
    let rotation: [RotationCase]

    static func load() throws -> NoiseVectors {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Vectors/dp-noise/noise.json")
        return try JSONDecoder().decode(NoiseVectors.self, from: Data(contentsOf: file))
    }
}
