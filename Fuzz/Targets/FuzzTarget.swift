import DP
import Foundation
import Models
import SecureAgg
import Sodium

/// Everything that reads bytes from elsewhere, each as a function of the bytes alone.
///
/// A finding is a trap, a hang, or memory beyond the limit that the fuzzer is given: every bad input must
/// end in a typed error. The fuzzer's driver and the normal test suite run the same functions.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// A message at the server: byte 0 picks the stage, byte 1 the sender, the rest is the message.
    case server
    /// A body that its sender really signed: byte 0 picks the kind of message, the rest is the body.
    case serverSigned = "server-signed"
    /// A message at a client: byte 0 picks the stage.
    case client
    /// A body in an envelope of the right kind and session, signed where the server signs.
    case clientSigned = "client-signed"
    /// A roster as it arrives, and, when byte 0 is odd, a body that the authority really signed.
    case roster
    case transcript
    case result
    case chunk
    case ledger
    case json
    case safetensors
    case tokenizer
    case modelConfiguration = "model-configuration"

    /// Reads the bytes; whatever they are, this returns.
    public func run(_ bytes: [UInt8]) {
        switch self {
        case .server: RoundFuzzing.server(bytes)
        case .serverSigned: RoundFuzzing.serverSigned(bytes)
        case .client: RoundFuzzing.client(bytes)
        case .clientSigned: RoundFuzzing.clientSigned(bytes)
        case .roster: RoundFuzzing.roster(bytes)
        case .transcript: RoundFuzzing.transcript(bytes)
        case .result: RoundFuzzing.result(bytes)
        case .chunk: _ = MaskedChunk.packed(in: bytes)
        case .ledger: _ = try? Ledger.verify(bytes)
        case .json: _ = try? JSON.parse(bytes)
        case .safetensors: Self.withFile(bytes) { _ = try? SafeTensorsFile(path: $0) }
        case .tokenizer:
            guard let json = try? JSON.parse(bytes), let tokenizer = try? Tokenizer(json: json, file: "input")
            else { return }
            _ = tokenizer.encode("Two taps are dripping.")
        case .modelConfiguration:
            guard let json = try? JSON.parse(bytes) else { return }
            _ = try? ModelConfiguration(json: json, file: "input")
        }
    }

    /// Lends the bytes as a file, for readers that map it.
    private static func withFile(_ bytes: [UInt8], _ body: (String) -> Void) {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-fuzz-\(UUID().uuidString)").path
        guard FileManager.default.createFile(atPath: path, contents: Data(bytes)) else { return }
        defer { unlink(path) }
        body(path)
    }
}
