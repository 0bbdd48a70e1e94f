import FedTrain
import Foundation
import Models

/// Studies on generated records, small enough for a test.
enum StudyFixture {
    /// A map from a short notation: `a: 1` lines would need YAML, which the library does not read.
    static func node(_ json: String) throws -> ConfigurationNode {
        func text(_ json: JSON) -> JSON {
            switch json {
            case .integer(let value): .string("\(value)")
            case .real(let value): .string("\(value)")
            case .bool(let value): .string("\(value)")
            case .array(let elements): .array(elements.map(text))
            case .object(let members): .object(members.map { .init($0.key, text($0.value)) })
            default: json
            }
        }
        return ConfigurationNode(json: text(try JSON.parse(Array(json.utf8))))!
    }

    static let federation = """
        {"schema": "fedtrain/1", "name": "t",
         "model": {"adapter": {"rank": 2, "targets": ["q_proj"]}},
         "rounds": {"count": 2, "minSurvivors": 3},
         "training": {"algorithm": "dp-fedsgd", "server": {"learningRate": 50}},
         "privacy": {"unit": "record", "epsilon": 8, "clipNorm": 0.1, "samplingRate": "1/4"},
         "secagg": {"allowTinyCohort": true}}
        """

    static func definition(_ more: String = "", seeds: String = "[1]") throws -> StudyDefinition {
        try StudyDefinition(
            reading: try node(
                """
                {"schema": "fedtrain-study/1", "name": "t", "federation": \(federation),
                 "tasks": {"notes": {"builtIn": "notes", "sites": 3, "recordsPerSite": 24, "heldOut": 24,
                           "validationShare": 0.25}},
                 "splits": {"iid": {"kind": "iid", "clients": 3}},
                 "seeds": \(seeds)\(more.isEmpty ? "" : ", " + more)}
                """))
    }

    static func directory(_ name: String) -> String {
        NSTemporaryDirectory() + "fedtrain-study-\(name)-\(UUID().uuidString)"
    }

    /// Names and bytes of the files that must be the same every time.
    static func results(_ directory: String) -> [String: Data] {
        var files: [String: Data] = [:]
        for name in ["results.jsonl", "results.csv", "results.md", "results.html"] {
            files[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
        }
        return files
    }

    @discardableResult
    static func run(
        _ definition: StudyDefinition, in directory: String, stopAfter cells: Int = .max
    ) throws -> StudyOutcome {
        let run = StudyRun(
            try StudyMatrix(definition, root: ""), directory: directory,
            clock: { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 })
        var left = cells
        return try run.run(
            try run.plan(),
            shouldStop: {
                left -= 1
                return left < 0
            })
    }
}
