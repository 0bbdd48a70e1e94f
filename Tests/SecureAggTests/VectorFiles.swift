import Foundation
import Sodium

/// JSON vectors under Tests/Vectors/secagg.
enum VectorFile {
    static func load<Content: Decodable>(_ name: String, as type: Content.Type = Content.self) throws
        -> Content
    {
        let url = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/secagg/\(name)")
        return try JSONDecoder().decode(Content.self, from: Data(contentsOf: url))
    }
}

struct KnownAnswers: Decodable {
    let manifest: String
    let selfMaskSeeds, maskKeySeeds, maskKeys: [String]
    let manifestDigest, cohortRoot, session, pairKey01, selfKey0: String
    let pair01Lanes32, pair01Lanes32At1048576: [UInt32]
    let pair01Lanes16: [UInt16]
    let plain: [[Int32]]
    let masked16Lanes32, masked16Lanes16, masked20: [String]
    let sumAll, sumWithout1: [UInt32]
    let shamirStreamKey: String
    let shamirT3N5: [String]
    let shamirT20N40Last, graphSeed: String
    let permutation10, permutation1000Head: [Int]
    let ring10Neighbours4: [[Int]]
    let pack20, pack11: String
    let merkleRoots: [String]
    let tails: [String: String]
}

func secret(_ hex: String) -> SecretBytes { SecretBytes(copying: bytesFromHex(hex)!) }
func hexOf(_ secret: SecretBytes) -> String { secret.withUnsafeBytes { hexString($0) } }
