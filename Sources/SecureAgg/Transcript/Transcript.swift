import Foundation
import Sodium

/// What the server publishes after a round: its own view of it, so that anyone can recompute the sum.
///
/// Reveals nothing that the protocol did not already show the server; its readers count as one corrupt
/// client.
public struct Transcript: Sendable {
    /// The file's bytes.
    public let bytes: [UInt8]

    /// The root that the signed result names: TH("log", bytes).
    public var root: Digest { Labels.transcript.hash([bytes]) }

    init(_ opened: OpenedSum, confirmed: ConfirmedCohort, context: ServerContext, resultDigest: Digest) {
        let cohort = confirmed.cohort
        var wire = Secagg_V1_Transcript()
        wire.manifest = Data(context.manifest.encodedBody())
        wire.manifestSignature = Data(context.manifestSignature)
        wire.cohort.entries = cohort.members.map { member in
            var entry = Secagg_V1_CohortEntry()
            entry.advertise = Data(member.body)
            entry.signature = Data(member.signature)
            return entry
        }
        wire.shared = confirmed.masked.shared.members.map { index in
            let dealt = confirmed.masked.shared.dealt[index]!
            var member = Secagg_V1_SharedMember()
            member.index = UInt32(index)
            member.share = Data(dealt.body)
            member.signature = Data(dealt.signature)
            return member
        }
        wire.survivors = Data(confirmed.statement.body)
        wire.signatures = confirmed.signers.map { index in
            var signature = Secagg_V1_SurvivorSignature()
            signature.index = UInt32(index)
            signature.signature = Data(confirmed.signatures[index]!)
            return signature
        }
        wire.vectors = confirmed.statement.bitmap.members.map { index in
            let header = confirmed.masked.headers[index]!
            var vector = Secagg_V1_SurvivorVector()
            vector.header = Data(header.body)
            vector.signature = Data(header.signature)
            return vector
        }
        for revealed in opened.seeds {
            revealed.seed.withUnsafeBytes { wire.seeds.append(contentsOf: $0) }
        }
        for revealed in opened.noise {
            revealed.seed.withUnsafeBytes { wire.noiseSeeds.append(contentsOf: $0) }
        }
        wire.resultDigest = Data(resultDigest.bytes)
        bytes = encodeWire(wire)
    }
}
