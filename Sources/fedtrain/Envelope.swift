import Foundation

/// The one JSON object that `--json` prints; other programs rely on its fields.
struct Envelope<Payload: Encodable>: Encodable {
    let schema = "fedtrain/1"
    let ok: Bool
    let command: String
    var data: Payload?
    var error: ErrorPayload?
}

struct ErrorPayload: Encodable {
    let code: String
    let status: Int32
    let message: String
    let location: String?
    let privacy: String?
    let hint: String?

    init(_ failure: CommandFailure) {
        code = failure.status.code
        status = failure.status.rawValue
        message = failure.message
        location = failure.location
        privacy = failure.privacy
        hint = failure.hint
    }
}

struct EmptyPayload: Encodable {}

/// Compact JSON with sorted keys.
func encodeJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // A number that JSON cannot say (an unbounded ε) is said in words rather than refused.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "infinity", negativeInfinity: "-infinity", nan: "nan")
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}
