import DP
import SecureAgg
import Sodium

extension RoundPlan {
    /// The signed opening of one round, as every party's session starts from it.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - lifetimeSeconds: for how long clients may enter.
    package func manifest(
        round: Int, incoming: Digest, roster: Roster, nonce: Digest, now: UInt64,
        lifetimeSeconds: UInt64 = Self.roundLifetimeSeconds
    ) throws(ParameterError) -> RoundManifest {
        RoundManifest(
            parameters: try secureAggregation(round: round, incoming: incoming), serverNonce: nonce,
            rosterDigest: roster.digest, expiry: now + lifetimeSeconds)
    }

    /// What a client that holds this plan insists on in one round.
    package func clientPolicy(round: Int, incoming: Digest) throws(ParameterError) -> ClientPolicy {
        ClientPolicy(exactly: try secureAggregation(round: round, incoming: incoming))
    }

    /// An hour: for clocks that step where nothing waits, and for an ordinary training time elsewhere.
    package static var roundLifetimeSeconds: UInt64 { 3600 }
}
