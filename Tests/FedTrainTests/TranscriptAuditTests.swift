import FedTrain
import Foundation
import GMP
import Models
import SecureAgg
import Sodium
import Testing

/// A published round verifies from its files alone, and no byte of them can change.
@Suite struct TranscriptAuditTests {
    /// The round that an independent program in another language verified.
    static let committed = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Vectors/transcript")
    static let parts = [
        "round", "round.result", "round.sum", "round.vectors", "round.roster", "round.server-key",
        "round.authority-key",
    ]

    private func audit(
        _ directory: URL, _ trust: TranscriptAudit.Trust = .init(), sample: Int? = nil
    ) throws -> TranscriptAudit {
        var random = StreamRandom(seed: 1, label: "transcript audit")
        return try TranscriptAudit(
            PublishedRound(transcript: directory.appendingPathComponent("round").path), trusting: trust,
            sample: sample, random: &random)
    }

    /// A copy that a test may damage, gone when the body returns.
    private func withCopy(of source: URL = committed, _ body: (URL) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-transcript-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for part in Self.parts {
            try FileManager.default.copyItem(
                at: source.appendingPathComponent(part), to: directory.appendingPathComponent(part))
        }
        try body(directory)
    }

    @Test("The committed round verifies to the digest that the independent verifier printed")
    func committedRound() throws {
        let audit = try audit(Self.committed)
        #expect(audit.findings.isEmpty)
        #expect(audit.recomputed == [0, 1, 2])
        #expect(audit.transcript?.survivors.count == 4)
        let sum = try Data(contentsOf: Self.committed.appendingPathComponent("round.sum"))
        let printed = try String(
            contentsOf: Self.committed.appendingPathComponent("digest"), encoding: .utf8)
        #expect(Digest.of(sum).hex + "\n" == printed)
    }

    @Test("audit_tamper: every flipped byte of every published file is found, whatever the bit")
    func everyByte() throws {
        try withCopy { directory in
            for part in Self.parts {
                let file = directory.appendingPathComponent(part)
                let bytes = try Data(contentsOf: file)
                // A prime step and a turning bit reach every field; the small files are done whole.
                for position in stride(from: 0, to: bytes.count, by: bytes.count > 500 ? 5 : 1) {
                    var flipped = bytes
                    flipped[position] ^= 1 << UInt8(position % 8)
                    try flipped.write(to: file)
                    let found = try audit(directory).findings
                    #expect(!found.isEmpty, "\(part), byte \(position)")
                }
                try bytes.write(to: file)
            }
            #expect(try audit(directory).findings.isEmpty)
        }
    }

    @Test("Cut and lengthened files are found; missing ones are named")
    func lengths() throws {
        try withCopy { directory in
            for part in Self.parts {
                let file = directory.appendingPathComponent(part)
                let bytes = try Data(contentsOf: file)
                for changed in [bytes.dropLast(), bytes + [0], Data()] {
                    try Data(changed).write(to: file)
                    let found = try audit(directory).findings
                    #expect(!found.isEmpty, "\(part) with \(changed.count) bytes")
                }
                try FileManager.default.removeItem(at: file)
                do {
                    _ = try audit(directory)
                    Issue.record("\(part) is not missed")
                } catch let error as CheckpointError {
                    #expect(error.kind == .missingFile && error.file == file.path)
                }
                try bytes.write(to: file)
            }
        }
    }

    @Test("Another server's or authority's key is found, whatever lies beside the transcript")
    func trust() throws {
        var random = StreamRandom(seed: 2, label: "other keys")
        let other = SigningKey(generatedBy: &random).verifyingKey
        #expect(try audit(Self.committed, .init(server: other)).findings.first?.check == "bad-signature")
        #expect(try audit(Self.committed, .init(authority: other)).findings.first?.check == "roster")
    }

    @Test("A sample recomputes that many chunks, and none needs no vectors")
    func sample() throws {
        #expect(try audit(Self.committed, sample: 2).recomputed.count == 2)
        #expect(try audit(Self.committed, sample: 99).recomputed == [0, 1, 2])
        try withCopy { directory in
            try FileManager.default.removeItem(at: directory.appendingPathComponent("round.vectors"))
            let audit = try audit(directory, sample: 0)
            #expect(audit.findings.isEmpty && audit.recomputed.isEmpty)
        }
    }

    @Test("What a drill publishes verifies: on the ring, with every width of lane, without a roster")
    func published() throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-transcript-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (clients, bits, profile) in [
            (104, 9, SecurityProfile.maliciousServer), (5, 16, .semiHonest), (6, 27, .maliciousServer),
        ] {
            var drill = Drill(
                clients: clients, dimension: 130, modulusBits: bits,
                drops: [.submitMaskedInput: Rational(1, 20), .unmask: Rational(1, 50)], seed: 5,
                profile: profile)
            drill.chunkLength = 64
            drill.noiseLevels = clients == 6 ? 3 : 0
            let path = directory.appendingPathComponent("drill\(clients)").path
            let spool = try VectorSpool(path: path + ".spool")
            let report = try drill.run(clock: { 0 }) { spool.append($0, $1, $2) }
            try PublishedRound(transcript: path).write(report, vectors: spool)
            var random = SystemRandom()
            let audit = try TranscriptAudit(PublishedRound(transcript: path), random: &random)
            #expect(audit.findings.isEmpty && audit.recomputed == [0, 1, 2])
            #expect(audit.transcript?.revealedNoise.isEmpty == (clients != 6))
        }
    }
}
