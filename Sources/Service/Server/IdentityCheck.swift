import Foundation
import SecureAgg
import Sodium

/// Whether a request to open a session comes from a client of the roster, was made for this server, now,
/// and only once.
package struct IdentityCheck {
    let server: VerifyingKey
    let roster: RosterFile
    /// Nonces of requests that could still be replayed, with the time at which they cannot any more.
    private var nonces: [Digest: UInt64] = [:]

    /// - Parameter nonces: of requests that an earlier process accepted.
    package init(server: VerifyingKey, roster: RosterFile, nonces: [Digest: UInt64] = [:]) {
        self.server = server
        self.roster = roster
        self.nonces = nonces
    }

    /// The client that made the request, its nonce, and until when the nonce must be remembered.
    ///
    /// - Parameter now: seconds since 1970.
    package mutating func client(
        of signed: Fedtrain_Service_V1_SignedSessionRequest, now: UInt64
    ) throws(Problem) -> (client: RosterFile.Client, nonce: Digest, until: UInt64) {
        let request: Fedtrain_Service_V1_SessionRequest = try decodeBody([UInt8](signed.body))
        guard request.version == ServiceProtocol.version else {
            throw Problem(.unsupportedVersion, "version \(request.version); this server speaks 1")
        }
        guard let nonce = Digest(bytes: request.nonce), let key = VerifyingKey(bytes: request.identityKey)
        else { throw Problem(.malformed, "key or nonce has another length") }
        guard [UInt8](request.serverKey) == server.bytes else {
            throw Problem(.wrongServer, "the request names another server's key")
        }
        guard let client = roster.client(key) else {
            throw Problem(.unknownIdentity, "the roster does not have this key")
        }
        guard
            key.accepts(
                signature: [UInt8](signed.signature),
                over: ServiceProtocol.signed(ServiceProtocol.requestLabel, [UInt8](signed.body)))
        else { throw Problem(.badSignature, "not signed by \(client.name)") }
        guard client.revoked == nil else { throw Problem(.revoked, "\(client.name) was revoked") }
        guard Int(clamping: now) < client.expires else {
            throw Problem(.expired, "\(client.name)'s enrolment has expired")
        }
        let skew = request.time > now ? request.time - now : now - request.time
        guard skew <= ServiceProtocol.clockSkewMax else {
            throw Problem(
                .clockSkew,
                "the clocks are \(skew) s apart; at most \(ServiceProtocol.clockSkewMax) s are allowed")
        }
        nonces = nonces.filter { $0.value >= now }
        let until = now + 2 * ServiceProtocol.clockSkewMax
        guard nonces.updateValue(until, forKey: nonce) == nil else {
            throw Problem(.replayed, "this request was made before")
        }
        return (client, nonce, until)
    }
}
