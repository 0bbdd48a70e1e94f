import FedTrain
import GMP
import Testing

/// The configuration file: every key checked on its own and against the others, every error placed.
@Suite struct ConfigurationTests {
    private typealias Node = ConfigurationNode

    private static func map(_ entries: [(String, Node)], line: Int = 1) -> Node {
        Node(
            .map(
                entries.enumerated().map { index, entry in
                    Node.Entry(
                        key: entry.0, keyPosition: .init(line: line + index, column: 1), value: entry.1)
                }), at: .init(line: line, column: 1))
    }

    private static func text(_ value: String) -> Node { Node(.scalar(value), at: .init(line: 9, column: 9)) }

    private static var valid: Node {
        map([
            ("schema", text("fedtrain/1")), ("name", text("n")),
            ("rounds", map([("count", text("3")), ("minSurvivors", text("6"))])),
            ("privacy", map([("unit", text("record"))])),
        ])
    }

    private func refusal(_ path: String, _ value: String) throws -> ConfigurationError {
        let node = try Self.valid.setting(path: path, to: Self.text(value))
        do throws(ConfigurationError) {
            _ = try FederationConfiguration(reading: node)
        } catch { return error }
        struct NotRefused: Error {}
        throw NotRefused()
    }

    @Test func theSmallestFileIsReadWithItsDefaults() throws {
        let configuration = try FederationConfiguration(reading: Self.valid)
        #expect(configuration.privacy.delta == Rational(1, 100_000))
        #expect(configuration.privacy.noise == .forEpsilon(8))
        #expect(configuration.training.rule == .ffa)
        #expect(configuration.model.baseDirectory == nil)
    }

    @Test(arguments: [
        ("rounds.count", "0"), ("rounds.count", "three"), ("rounds.minSurvivors", "2"),
        ("privacy.delta", "0"), ("privacy.delta", "0.5"), ("privacy.epsilon", "-1"),
        ("privacy.samplingRate", "3/2"), ("privacy.unit", "person"), ("privacy.clipNorm", "nan"),
        ("privacy.colluders", "6"), ("training.algorithm", "fedavg"), ("secagg.modulusBits", "33"),
        ("model.adapter.targets", "qproj"), ("schema", "fedtrain/2"), ("data.template", "chatty"),
    ])
    func aValueOutOfRangeIsRefusedByName(path: String, value: String) throws {
        let error = try refusal(path, value)
        #expect(!error.message.isEmpty)
        // Contradictions may be told at either of the two keys.
        let last = path.split(separator: ".").last!
        #expect(error.message.contains(last) || path == "training.algorithm")
    }

    @Test(arguments: [("rouns", "rounds"), ("privcy", "privacy"), ("nmae", "name")])
    func anUnknownKeySuggestsTheNearestKnownOne(wrong: String, right: String) throws {
        let error = try refusal(wrong, "x")
        #expect(error.suggestion == "did you mean `\(right)`?")
    }

    @Test func numbersArePreciselyWhatTheFileSays() throws {
        let node = try Self.valid.setting(path: "privacy.delta", to: Self.text("1e-7"))
            .setting(path: "privacy.samplingRate", to: Self.text("0.12"))
        let configuration = try FederationConfiguration(reading: node)
        #expect(configuration.privacy.delta == Rational(1, 10_000_000))
        #expect(configuration.privacy.samplingRate == Rational(3, 25))
    }

    @Test func aKeyGivenTwiceIsRefused() {
        let node = Self.map([("schema", Self.text("fedtrain/1")), ("schema", Self.text("fedtrain/1"))])
        #expect(throws: ConfigurationError.self) { try FederationConfiguration(reading: node) }
    }

    @Test func editDistanceCountsSingleEdits() {
        #expect(editDistance("", "abc") == 3)
        #expect(editDistance("count", "cuont") == 2)
        #expect(editDistance("count", "count") == 0)
        #expect(closest(to: "far away", among: ["count"]) == nil)
    }
}
