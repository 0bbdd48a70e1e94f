import Foundation
import SecureAgg
import Sodium

/// What a client with a valid identity can send that its own code would not.
enum LyingClient {
    /// A lie that fits the step, signed with the client's own key; nil when none does.
    static func alter(
        _ step: ClientStepTaken, identity: ClientIdentity
    ) -> (Fault, [[UInt8]])? {
        guard let message = try? Message(decoding: step.messages[0], limit: step.messages[0].count),
            let session = message.session
        else { return nil }
        switch step.stage {
        case .advertiseKeys, .confirmSurvivors: return nil
        case .shareKeys:
            guard var wire = try? decodeWire(message.body) as Secagg_V1_ShareKeys else { return nil }
            wire.selfMaskCommitment[0] ^= 1
            var lie = Message(
                .share, session: session, body: encodeWire(wire), label: .share,
                signer: identity.signingKey)
            lie.attachment = message.attachment
            return (.lieCommitment, [lie.encoded()])
        case .submitMaskedInput:
            // Another header after the first one: the first stands.
            guard var wire = try? decodeWire(message.body) as Secagg_V1_MaskedHeader else { return nil }
            wire.chunkDigests[0] ^= 1
            let second = Message(
                .maskedHeader, session: session, body: encodeWire(wire), label: .masked,
                signer: identity.signingKey)
            return (.secondVector, step.messages + [second.encoded()])
        case .unmask:
            guard var wire = try? decodeWire(message.body) as Secagg_V1_UnmaskShares else { return nil }
            for start in stride(from: 0, to: wire.shares.count, by: Shamir.shareLength) {
                wire.shares[start] ^= 1
            }
            let lie = Message(
                .unmask, session: session, body: encodeWire(wire), label: .unmask,
                signer: identity.signingKey)
            return (.lieShare, [lie.encoded()])
        }
    }
}
