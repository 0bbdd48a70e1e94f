import Foundation
import Sodium

// The end of a round. server → client: which survivors' sum was opened and what its digest is.

extension AggregateSum {
    init(_ opened: OpenedSum, confirmed: ConfirmedCohort, context: ServerContext) {
        let cohort = confirmed.cohort
        parameters = context.parameters
        topology = cohort.neighbours.topology
        session = cohort.session
        self.cohort = cohort.members.map(\.id)
        survivors = cohort.ids(confirmed.statement.bitmap.members)
        elements = opened.elements
        revealedNoise = opened.noise.map {
            RevealedNoise(client: cohort.id($0.member), level: $0.level, seed: $0.seed)
        }
        digest = Self.digest(
            session: cohort.session, bitmap: confirmed.statement.bitmap, elements: opened.elements)
        faults = opened.faults
        transcript = Transcript(opened, confirmed: confirmed, context: context, resultDigest: digest)
    }

    /// TH("result", session ‖ bitmap ‖ elements as little-endian 32-bit integers).
    static func digest(session: Digest, bitmap: BitSet, elements: [UInt32]) -> Digest {
        Labels.result.hash([
            session.bytes, bitmap.bytes,
            elements.withUnsafeBytes { Array($0) },
        ])
    }

    /// The signed result message.
    func announcement(context: ServerContext, statement: SurvivorStatement) -> [UInt8] {
        var wire = Secagg_V1_RoundResult()
        wire.bitmap = Data(statement.bitmap.bytes)
        wire.resultDigest = Data(digest.bytes)
        wire.transcriptRoot = Data(transcript.root.bytes)
        return Message(
            .result, session: session, body: encodeWire(wire), label: .result,
            signer: context.signingKey
        ).encoded()
    }
}

/// What a client knows after the server's signed result: its own survivor set was the one opened.
public struct VerifiedResult: Hashable, Sendable {
    public let session: Digest
    public let survivors: [ClientID]
    public let resultDigest: Digest
    public let transcriptRoot: Digest
    private let bitmap: BitSet

    init(session: Digest, survivors: [ClientID], resultDigest: Digest, transcriptRoot: Digest, bitmap: BitSet)
    {
        self.session = session
        self.survivors = survivors
        self.resultDigest = resultDigest
        self.transcriptRoot = transcriptRoot
        self.bitmap = bitmap
    }

    /// Whether a published sum is the one that the server signed.
    public func covers(elements: [UInt32]) -> Bool {
        AggregateSum.digest(session: session, bitmap: bitmap, elements: elements) == resultDigest
    }
}

extension FinishedClient {
    /// Checks the announced result against the set that this client signed.
    consuming func finish(_ bytes: [UInt8]) throws(AggregationFault) -> VerifiedResult {
        let message = try context.open(
            bytes, .result, session: cohort.session, at: .unmask,
            limit: BitSet.byteCount(cohort.count) + 128)
        guard message.isSigned(by: context.server, label: .result, scope: cohort.session) else {
            throw AggregationFault(.badSignature, at: .unmask)
        }
        let wire: Secagg_V1_RoundResult
        do { wire = try decodeWire(message.body) } catch { throw error.fault(at: .unmask, scope: .round) }
        guard let resultDigest = Digest(bytes: wire.resultDigest),
            let transcriptRoot = Digest(bytes: wire.transcriptRoot)
        else { throw AggregationFault(.malformed, at: .unmask) }
        guard [UInt8](wire.bitmap) == statement.bitmap.bytes else {
            throw AggregationFault(.resultMismatch, at: .unmask)
        }
        return VerifiedResult(
            session: cohort.session, survivors: cohort.ids(statement.bitmap.members),
            resultDigest: resultDigest, transcriptRoot: transcriptRoot, bitmap: statement.bitmap)
    }
}
