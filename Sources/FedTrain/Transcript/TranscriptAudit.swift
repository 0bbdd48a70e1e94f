import Foundation
import Models
import SecureAgg
import Sodium

/// Recomputes a published round from its files alone, without trusting whoever wrote them.
///
/// Checked are every signature, root, set and seed of the transcript, the server's signed result, the sum's
/// digest, and for the chosen chunks that the survivors' signed vectors, with the masks taken off, give the
/// published sum. The reader brings the server's and the authority's keys; keys that lie beside the
/// transcript only show that the files agree with one another.
public struct TranscriptAudit: Sendable {
    /// One reason why the round does not verify.
    public struct Finding: Hashable, Sendable, CustomStringConvertible {
        public let file: String
        /// The failed check by name: an `AggregationFault.Check`, or `roster`, `key`, `length`, `sum`.
        public let check: String
        public let what: String

        public var description: String { "\(file): \(what)" }
    }

    /// The keys and the roster that the reader trusts; nil takes what lies beside the transcript.
    public struct Trust: Sendable {
        public var server: VerifyingKey?
        public var authority: VerifyingKey?
        public var rosterPath: String?

        public init(
            server: VerifyingKey? = nil, authority: VerifyingKey? = nil, rosterPath: String? = nil
        ) {
            self.server = server
            self.authority = authority
            self.rosterPath = rosterPath
        }
    }

    /// Empty when everything verifies. The first one found ends the audit: what follows rests on it.
    public private(set) var findings: [Finding] = []
    /// Nil when the transcript itself does not verify.
    public private(set) var transcript: VerifiedTranscript?
    public private(set) var server: VerifyingKey?
    public private(set) var authority: VerifyingKey?
    /// The chunks that were recomputed.
    public private(set) var recomputed: [Int] = []

    private let round: PublishedRound

    /// - Parameters:
    ///   - sample: how many chunks to recompute, drawn at random; nil recomputes all, 0 none.
    ///   - random: for the draw.
    /// - Throws: `CheckpointError` for a file that is missing or cannot be read.
    public init(
        _ round: PublishedRound, trusting trust: Trust = Trust(), sample: Int? = nil, threads: Int = 1,
        random: inout some RandomSource
    ) throws(CheckpointError) {
        self.round = round
        let transcriptBytes = try Self.read(round.transcript)
        guard let server = try key(trust.server, or: round.serverKey) else { return }
        self.server = server
        let roster: Roster?
        switch try self.roster(trust) {
        case .some(let read): roster = read
        case .none: return
        }
        let verified: VerifiedTranscript
        do {
            verified = try VerifiedTranscript(transcriptBytes, server: server, roster: roster)
        } catch {
            // A round that names a roster cannot be judged without it.
            if error.check == .rosterMismatch, roster == nil {
                throw Self.missing(trust.rosterPath ?? round.roster)
            }
            find(round.transcript, error)
            return
        }
        let result = try Self.read(round.result)
        do { try verified.check(result: result) } catch {
            // Of two files that contradict, the one whose own signature fails is named.
            find(error.check == .transcriptMismatch ? round.transcript : round.result, error)
            return
        }
        transcript = verified
        guard let elements = try sum(verified) else { return }
        let all = Array(0..<verified.chunkCount)
        let chosen = sample.map { Self.draw($0, from: all, &random) } ?? all
        try recompute(chosen, verified, elements, threads)
    }

    private mutating func find(_ file: String, _ fault: AggregationFault) {
        findings.append(Finding(file: file, check: fault.check.rawValue, what: "\(fault)"))
    }

    private mutating func find(_ file: String, _ check: String, _ what: String) {
        findings.append(Finding(file: file, check: check, what: what))
    }

    // MARK: Keys and roster

    /// The key that the reader brought, else the published one; nil after a finding.
    private mutating func key(
        _ trusted: VerifyingKey?, or path: String
    ) throws(CheckpointError) -> VerifyingKey? {
        if let trusted { return trusted }
        let text = String(decoding: try Self.read(path), as: UTF8.self)
        // One line, nothing else: a value has one spelling, so every changed byte shows.
        guard text.hasSuffix("\n"), let bytes = bytesFromHex(String(text.dropLast())),
            let key = VerifyingKey(bytes: bytes)
        else {
            find(path, "key", "is not one line of 64 hexadecimal digits in lower case")
            return nil
        }
        return key
    }

    /// The roster, `.some(nil)` when there is none, nil after a finding.
    private mutating func roster(_ trust: Trust) throws(CheckpointError) -> Roster?? {
        let path = trust.rosterPath ?? round.roster
        guard trust.rosterPath != nil || FileManager.default.fileExists(atPath: path) else {
            return .some(nil)
        }
        let bytes = try Self.read(path)
        guard let authority = try key(trust.authority, or: round.authorityKey) else { return nil }
        self.authority = authority
        do throws(RosterError) {
            return .some(try Roster(signedBytes: bytes, authority: authority))
        } catch {
            find(path, "roster", "\(error)")
            return nil
        }
    }

    // MARK: The sum

    private mutating func sum(_ verified: VerifiedTranscript) throws(CheckpointError) -> [UInt32]? {
        let bytes = try Self.read(round.sum)
        let count = verified.parameters.vectorLength
        guard bytes.count == 4 * count else {
            find(round.sum, "length", "has \(bytes.count) bytes, not four for each of \(count) coordinates")
            return nil
        }
        let elements = bytes.withUnsafeBytes { raw in
            (0..<count).map {
                UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
            }
        }
        guard verified.covers(elements: elements) else {
            find(round.sum, "result-mismatch", "the sum does not have the digest that the server signed")
            return nil
        }
        return elements
    }

    private mutating func recompute(
        _ chosen: [Int], _ verified: VerifiedTranscript, _ elements: [UInt32], _ threads: Int
    ) throws(CheckpointError) {
        guard !chosen.isEmpty else { return }
        let path = round.vectors
        guard let file = FileHandle(forReadingAtPath: path) else { throw Self.missing(path) }
        defer { try? file.close() }
        let vectorBytes = verified.packedVectorBytes
        let expected = UInt64(vectorBytes) * UInt64(verified.survivors.count)
        guard let size = try? file.seekToEnd(), size == expected else {
            return find(
                path, "length",
                "does not have \(expected) bytes, \(vectorBytes) for each of \(verified.survivors.count) survivors"
            )
        }
        let places = Dictionary(uniqueKeysWithValues: verified.survivors.enumerated().map { ($1, $0) })
        var offsets: [Int] = [0]
        for chunk in 0..<verified.chunkCount {
            offsets.append(offsets[chunk] + verified.packedBytes(ofChunk: chunk))
        }
        for chunk in chosen {
            do {
                let part = try verified.recompute(chunk: chunk, threads: threads) { client in
                    try file.seek(toOffset: UInt64(places[client]! * vectorBytes + offsets[chunk]))
                    let bytes = try file.read(upToCount: verified.packedBytes(ofChunk: chunk))
                    return [UInt8](bytes ?? Data())
                }
                guard part[...] == elements[verified.coordinates(ofChunk: chunk)] else {
                    return find(
                        round.sum, "sum",
                        "chunk \(chunk) is not the sum of the survivors' vectors without their masks")
                }
                recomputed.append(chunk)
            } catch let fault as AggregationFault {
                return find(path, fault)
            } catch {
                throw CheckpointError(
                    .unreadable, file: path, "cannot be read", hint: "Check permissions and the disk")
            }
        }
    }

    /// `count` different members of `all` in ascending order, each subset equally likely.
    private static func draw(_ count: Int, from all: [Int], _ random: inout some RandomSource) -> [Int] {
        var left = all
        var drawn: [Int] = []
        while drawn.count < count, !left.isEmpty {
            drawn.append(left.remove(at: Int(random.uniform(below: UInt64(left.count)))))
        }
        return drawn.sorted()
    }

    private static func read(_ path: String) throws(CheckpointError) -> [UInt8] {
        guard FileManager.default.fileExists(atPath: path) else { throw missing(path) }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CheckpointError(
                .unreadable, file: path, "cannot be read", hint: "Check that it is a file you may read")
        }
        return [UInt8](data)
    }

    private static func missing(_ path: String) -> CheckpointError {
        CheckpointError(
            .missingFile, file: path, "there is no such file",
            hint: "Get all files of the round from whoever published it")
    }
}
