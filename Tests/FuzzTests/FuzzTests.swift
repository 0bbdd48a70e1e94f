import Foundation
import FuzzTargets
import Testing

/// What the fuzzer runs for hours, the test suite runs for seconds: the committed corpus, and seeded damage
/// of it. A trap or a hang is the failure; the targets themselves have nothing to say.
@Suite struct FuzzTests {
    static let corpus = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fuzz/Corpus")

    private static func inputs(of target: FuzzTarget) throws -> [[UInt8]] {
        let directory = corpus.appendingPathComponent(target.rawValue)
        return try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted().map {
            [UInt8](try Data(contentsOf: directory.appendingPathComponent($0)))
        }
    }

    @Test(
        "proto_fuzz, pack_fuzz: the committed corpus and seeded damage of it end in typed errors",
        arguments: FuzzTarget.allCases)
    func replay(target: FuzzTarget) throws {
        let inputs = try Self.inputs(of: target)
        #expect(!inputs.isEmpty)
        target.run([])
        var mutator = Mutator(seed: 0x5eed_0400)
        let slow = ProcessInfo.processInfo.environment["FEDTRAIN_SLOW_TESTS"] == "1"
        for input in inputs {
            target.run(input)
            // The slow setting takes some minutes.
            for _ in 0..<(slow ? 5000 : 50) { target.run(mutator.mutate(input)) }
        }
    }

    /// `FEDTRAIN_WRITE_CORPUS=1` writes the first inputs of every target; inputs that a fuzzer found stay.
    @Test(
        "The corpus can be made again",
        .enabled(if: ProcessInfo.processInfo.environment["FEDTRAIN_WRITE_CORPUS"] == "1"))
    func write() throws {
        for (target, inputs) in try Corpus.seeds() {
            let directory = Self.corpus.appendingPathComponent(target.rawValue)
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            for (index, input) in inputs.enumerated() {
                try Data(input).write(to: directory.appendingPathComponent("seed-\(index)"))
            }
        }
    }
}
