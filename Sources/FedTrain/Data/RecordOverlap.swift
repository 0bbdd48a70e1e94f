import Models
import Sodium

/// What training and test records have in common. A test that was trained on measures memory.
public struct RecordOverlap: Sendable, Equatable {
    /// Test records that are also training records: same prompt and same answer.
    public let records: Int
    /// Test records whose prompt occurs in training, whatever the answer.
    public let prompts: Int

    public init(trained: [Record], tested: [Record]) {
        let whole = Set(trained.map(\.fingerprint))
        let prompts = Set(trained.map(\.promptFingerprint))
        records = tested.count { whole.contains($0.fingerprint) }
        self.prompts = tested.count { prompts.contains($0.promptFingerprint) }
    }
}

extension Record {
    /// Equal for records that differ in white space or letter case only.
    package var fingerprint: Digest {
        switch content {
        case .text(let text): Self.fingerprint([text])
        case .instruction(let instruction, let input, let output):
            Self.fingerprint([instruction, input, output])
        }
    }

    /// The same without the answer; of running text its first hundred characters.
    package var promptFingerprint: Digest {
        switch content {
        case .text(let text): Self.fingerprint([String(text.prefix(100))])
        case .instruction(let instruction, let input, _): Self.fingerprint([instruction, input])
        }
    }

    private static func fingerprint(_ fields: [String]) -> Digest {
        Digest.labelled(
            "fedtrain/v1/record",
            fields.map { field in
                let words = field.lowercased().split(whereSeparator: \.isWhitespace)
                return Array(words.joined(separator: " ").utf8)
            })
    }
}
