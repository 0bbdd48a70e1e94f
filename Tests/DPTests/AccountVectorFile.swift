import DP
import Foundation
import GMP

/// Reference numbers by other libraries: Tests/Vectors/dp/accounting.json, or the whole reference
/// collection when it is there.
struct AccountVectorFile {
    struct Result {
        let library: String
        let method: String
        let kind: String
        let value: Any?

        var number: Double? { (value as? NSNumber)?.doubleValue }
        var bracket: [Double]? { value as? [Double] }
        var object: [String: Any]? { value as? [String: Any] }
    }

    struct Vector {
        let id: String
        let mechanism: String
        let params: [String: Any]
        let query: [String: Any]
        let results: [Result]

        func number(_ name: String) -> Double { (params[name] as! NSNumber).doubleValue }
        func integer(_ name: String) -> Int { (params[name] as! NSNumber).intValue }
        /// The parameter's shortest decimal spelling as an exact fraction.
        func rational(_ name: String) -> Rational { Rational(shortest: number(name)) }
        var delta: Double { (query["delta"] as! NSNumber).doubleValue }

        func first(kind: String) -> Double? { results.first { $0.kind == kind }?.number }
        func first(method: String) -> Double? {
            results.first { $0.method.contains(method) }?.number
        }
    }

    let vectors: [Vector]

    /// Read once; immutable afterwards.
    nonisolated(unsafe) static let shared = AccountVectorFile()

    private init() {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let inRepository = root.appendingPathComponent("Tests/Vectors/dp/accounting.json")
        let sharedFolder =
            ProcessInfo.processInfo.environment["FEDTRAIN_SHARED"].map { URL(fileURLWithPath: $0) }
            ?? root.deletingLastPathComponent().appendingPathComponent("shared")
        let whole = sharedFolder.appendingPathComponent("reference/dp/vectors.json")
        let data = (try? Data(contentsOf: whole)) ?? (try! Data(contentsOf: inRepository))
        let json = try! JSONSerialization.jsonObject(with: data) as! [String: Any]
        vectors = (json["vectors"] as! [[String: Any]]).map { entry in
            Vector(
                id: entry["id"] as! String, mechanism: entry["mechanism"] as! String,
                params: entry["params"] as! [String: Any], query: entry["query"] as! [String: Any],
                results: (entry["results"] as! [[String: Any]]).map {
                    Result(
                        library: $0["library"] as? String ?? "", method: $0["method"] as? String ?? "",
                        kind: $0["kind"] as? String ?? "", value: $0["value"])
                })
        }
    }

    func of(_ mechanism: String) -> [Vector] {
        let found = vectors.filter { $0.mechanism == mechanism }
        precondition(!found.isEmpty, "no vectors for \(mechanism)")
        return found
    }
}

extension Rational {
    /// The fraction of a double's shortest decimal spelling: 0.1 is one tenth.
    init(shortest value: Double) {
        let text = "\(value)"
        if let mark = text.firstIndex(of: "e") {
            let mantissa = Rational(String(text[..<mark]))!
            let exponent = Int(text[text.index(after: mark)...])!
            let power = Rational(BigInteger(10).power(UInt(abs(exponent))))
            self = exponent < 0 ? mantissa / power : mantissa * power
        } else {
            self = Rational(text)!
        }
    }
}

/// A zero-out client event and its tally.
func tally(_ kind: PrivacyEvent.Kind, count: Int = 1) throws -> EventTally {
    try EventTally(
        PrivacyEvent(unit: .client, adjacency: .zeroOut, kind: kind), count: count)
}

func relative(_ left: Double, _ right: Double) -> Double {
    left == right ? 0 : abs(left - right) / max(abs(left), abs(right))
}
