import Foundation
import Sodium

// Stage 0. server → client: the signed manifest. client → server: two fresh public keys, signed
// together with the manifest's digest. Learned: who takes part.

/// A client's announcement that passed every check but those against the rest of the cohort.
struct Announcement: Sendable {
    let id: ClientID
    let identityKey: VerifyingKey
    /// X25519 keys: one seals shares, one agrees on masks.
    let encryptionKey: [UInt8]
    let maskKey: [UInt8]
    /// As sent: the cohort carries these bytes on.
    let body: [UInt8]
    let signature: [UInt8]

    /// - Throws: the failed check, without scope: the server blames a peer, a client the round.
    init(body: [UInt8], signature: [UInt8], manifest: Digest, roster: Roster?) throws(CheckFailure) {
        guard body.count <= Limits.advertiseBytes else { throw CheckFailure(.tooLarge) }
        let wire: Secagg_V1_AdvertiseKeys
        do { wire = try decodeWire(body) } catch { throw CheckFailure(.malformed) }
        guard let identityKey = VerifyingKey(bytes: wire.identityKey),
            let encryptionKey = wire.encryptionKey.exactly(KeyAgreement.keyLength),
            let maskKey = wire.maskKey.exactly(KeyAgreement.keyLength)
        else { throw CheckFailure(.malformed) }
        let id = ClientID(wire.client)
        if let roster, roster.key(of: id) != identityKey { throw CheckFailure(.identityMismatch, id) }
        guard
            identityKey.accepts(
                signature: signature, over: signedDigest(.advertise, scope: manifest, body: body))
        else { throw CheckFailure(.badSignature, id) }
        // One spelling for each key, or two different ones could stand for the same point.
        for key in [encryptionKey, maskKey]
        where key.withUnsafeBytes({ FieldElement(canonical: $0) }) == nil {
            throw CheckFailure(.malformed, id)
        }
        self.id = id
        self.identityKey = identityKey
        self.encryptionKey = encryptionKey
        self.maskKey = maskKey
        self.body = body
        self.signature = signature
    }

    static func body(identity: ClientIdentity, encryptionKey: [UInt8], maskKey: [UInt8]) -> [UInt8] {
        var wire = Secagg_V1_AdvertiseKeys()
        wire.client = identity.id.number
        wire.identityKey = Data(identity.verifyingKey.bytes)
        wire.encryptionKey = Data(encryptionKey)
        wire.maskKey = Data(maskKey)
        return encodeWire(wire)
    }
}

/// A failed check before it is known whether a peer or the round is to be dropped.
struct CheckFailure: Error {
    let check: AggregationFault.Check
    let culprit: ClientID?

    init(_ check: AggregationFault.Check, _ culprit: ClientID? = nil) {
        self.check = check
        self.culprit = culprit
    }
}

// MARK: Client

/// What a client holds through the whole round.
struct ClientContext {
    let identity: ClientIdentity
    let roster: Roster?
    let server: VerifyingKey
    let journal: any ClientJournal
    let threads: Int
    /// Nil but in drills: see `CohortCache`.
    let cohortCache: CohortCache?
    let manifest: RoundManifest
    let manifestDigest: Digest

    var parameters: AggregationParameters { manifest.parameters }

    /// Makes a step durable before its message can leave.
    func record(_ message: [UInt8], at stage: Stage) throws(AggregationFault) {
        let entry = JournalEntry(
            task: parameters.task, round: parameters.round, manifest: manifestDigest, stage: stage,
            message: .of(message))
        do { try journal.record(entry) } catch { throw AggregationFault(.journal, at: stage) }
    }

    /// Reads the server's message of a stage.
    func open(
        _ bytes: [UInt8], _ kind: MessageKind, session: Digest?, at stage: Stage, limit: Int
    ) throws(AggregationFault) -> Message {
        let message: Message
        do { message = try Message(decoding: bytes, limit: limit + Limits.envelopeBytes) } catch {
            throw error.fault(at: stage, scope: .round)
        }
        guard message.kind == kind else { throw AggregationFault(.unexpectedKind, at: stage) }
        if let session, message.session != session {
            throw AggregationFault(.wrongSession, at: stage)
        }
        return message
    }
}

/// A step of the client's corridor: the message to send and the state that waits for the answer.
struct ClientStep<Next: ~Copyable>: ~Copyable {
    let message: [UInt8]
    let next: Next
}

/// The client after stage 0: it holds two secret keys and waits for the cohort.
struct AdvertisedClient: ~Copyable {
    let context: ClientContext
    let encryptionSecret: SecretBytes
    /// 31 bytes, shared among the neighbours; the mask key is derived from it.
    let maskSeed: SecretBytes
    let maskSecret: SecretBytes
    /// One for each level of removable noise; shared among the neighbours in stage 1.
    let noiseSeeds: [SecretBytes]
    let announcement: [UInt8]
    let encryptionKey: [UInt8]
    let maskKey: [UInt8]

    /// Checks the manifest against the client's own floors and journal, then makes fresh keys.
    static func enter(
        _ bytes: [UInt8], identity: ClientIdentity, server: VerifyingKey, roster: Roster?,
        policy: ClientPolicy, journal: any ClientJournal, threads: Int, noiseSeeds: [SecretBytes],
        cohortCache: CohortCache?, now: UInt64, random: inout some RandomSource
    ) throws(AggregationFault) -> ClientStep<AdvertisedClient> {
        let (manifest, digest) = try openManifest(bytes, server: server)
        guard now <= manifest.expiry else { throw AggregationFault(.expired, at: .advertiseKeys) }
        try policy.check(manifest, roster: roster)
        let latest: UInt64?
        do { latest = try journal.latestRound(of: manifest.parameters.task) } catch {
            throw AggregationFault(.journal, at: .advertiseKeys)
        }
        if let latest, manifest.parameters.round <= latest {
            throw AggregationFault(
                .replayedRound, at: .advertiseKeys,
                "round \(manifest.parameters.round), journal is at \(latest)")
        }
        let context = ClientContext(
            identity: identity, roster: roster, server: server, journal: journal, threads: threads,
            cohortCache: cohortCache, manifest: manifest, manifestDigest: digest)
        let encryptionSecret = SecretBytes(random: KeyAgreement.keyLength, from: &random)
        let maskSeed = SecretBytes(random: Shamir.secretLength, from: &random)
        let maskSecret = Derivation.maskSecret(seed: maskSeed)
        let encryptionKey = KeyAgreement.publicKey(of: encryptionSecret)
        let maskKey = KeyAgreement.publicKey(of: maskSecret)
        let body = Announcement.body(
            identity: identity, encryptionKey: encryptionKey, maskKey: maskKey)
        let message = Message(
            .advertise, session: digest, body: body, label: .advertise, signer: identity.signingKey
        ).encoded()
        try context.record(message, at: .advertiseKeys)
        return ClientStep(
            message: message,
            next: AdvertisedClient(
                context: context, encryptionSecret: encryptionSecret, maskSeed: maskSeed,
                maskSecret: maskSecret, noiseSeeds: noiseSeeds, announcement: body,
                encryptionKey: encryptionKey,
                maskKey: maskKey))
    }

    private static func openManifest(
        _ bytes: [UInt8], server: VerifyingKey
    ) throws(AggregationFault) -> (RoundManifest, Digest) {
        let message: Message
        do { message = try Message(decoding: bytes, limit: Limits.manifestBytes) } catch {
            throw error.fault(at: .advertiseKeys, scope: .round)
        }
        guard message.kind == .manifest else {
            throw AggregationFault(.unexpectedKind, at: .advertiseKeys)
        }
        guard
            message.isSigned(by: server, label: .manifest, scope: RoundManifest.signatureScope)
        else { throw AggregationFault(.badSignature, at: .advertiseKeys) }
        return (try RoundManifest(body: message.body), RoundManifest.digest(ofBody: message.body))
    }
}

extension ClientPolicy {
    /// The client's own floors, whatever the server announces.
    func check(_ manifest: RoundManifest, roster: Roster?) throws(AggregationFault) {
        let parameters = manifest.parameters
        func refuse(_ detail: String) -> AggregationFault {
            AggregationFault(.policy, at: .advertiseKeys, detail)
        }
        guard parameters.context == context, parameters.vectorLength == vectorLength,
            parameters.modulusBits == modulusBits, parameters.removableNoise == removableNoise
        else { throw AggregationFault(.contextMismatch, at: .advertiseKeys) }
        guard manifest.rosterDigest == roster?.digest else {
            throw AggregationFault(.rosterMismatch, at: .advertiseKeys)
        }
        guard parameters.profile == .maliciousServer || !requireMaliciousServerProfile else {
            throw refuse("the round is only semi-honest")
        }
        guard parameters.cohort.lowerBound >= minCohort else {
            throw refuse("cohorts from \(parameters.cohort.lowerBound), own floor \(minCohort)")
        }
        guard parameters.minSurvivors >= minSurvivors else {
            throw refuse("survivors from \(parameters.minSurvivors), own floor \(minSurvivors)")
        }
        guard parameters.securityBits >= minSecurityBits else {
            throw refuse("\(parameters.securityBits) security bits, own floor \(minSecurityBits)")
        }
        guard parameters.colluderFraction >= minColluderFraction else {
            throw refuse("colluders \(parameters.colluderFraction), own floor \(minColluderFraction)")
        }
        guard allowTinyCohort || !parameters.allowTinyCohort else {
            throw refuse("tiny cohorts are not allowed here")
        }
        if let exactTerms, parameters != exactTerms {
            let names = parameters.differences(from: exactTerms)
            throw refuse("not the own plan's \(names.joined(separator: ", "))")
        }
    }
}

// MARK: Server

/// What the server holds through the whole round.
struct ServerContext {
    let manifest: RoundManifest
    let manifestDigest: Digest
    let manifestMessage: [UInt8]
    let manifestSignature: [UInt8]
    let signingKey: SigningKey
    let roster: Roster?
    let threads: Int

    var parameters: AggregationParameters { manifest.parameters }
}

/// The server in stage 0: collects announcements until the driver closes the stage.
final class AdvertiseKeysCollector {
    let context: ServerContext
    private var announcements: [ClientID: Announcement] = [:]
    private var publicKeys: Set<[UInt8]> = []

    init(context: ServerContext) { self.context = context }

    var isFull: Bool { announcements.count == context.parameters.cohort.upperBound }
    var count: Int { announcements.count }

    func receive(_ message: Message, from sender: ClientID) throws(AggregationFault) {
        func fault(_ check: AggregationFault.Check) -> AggregationFault {
            AggregationFault(check, at: .advertiseKeys, scope: .peer(sender), culprits: [sender])
        }
        guard message.kind == .advertise else { throw fault(.unexpectedKind) }
        guard message.session == context.manifestDigest else { throw fault(.wrongSession) }
        if let earlier = announcements[sender] {
            guard earlier.body == message.body, earlier.signature == message.signature else {
                throw fault(.conflictingRepeat)
            }
            return
        }
        let announcement: Announcement
        do {
            announcement = try Announcement(
                body: message.body, signature: message.signature, manifest: context.manifestDigest,
                roster: context.roster)
        } catch { throw fault(error.check) }
        guard announcement.id == sender else { throw fault(.unknownPeer) }
        guard !isFull else { throw fault(.cohortFull) }
        // A low-order key would make every neighbour abort, so it must not get that far.
        guard KeyAgreement.isUsable(publicKey: announcement.encryptionKey),
            KeyAgreement.isUsable(publicKey: announcement.maskKey)
        else { throw fault(.lowOrderKey) }
        let keys = [
            announcement.encryptionKey, announcement.maskKey, announcement.identityKey.bytes,
        ]
        guard Set(keys).count == 3, publicKeys.isDisjoint(with: keys) else { throw fault(.duplicateKey) }
        publicKeys.formUnion(keys)
        announcements[sender] = announcement
    }

    /// Freezes U1, the cohort.
    func close() throws(AggregationFault) -> Cohort {
        let members = announcements.values.sorted { $0.id < $1.id }
        guard context.parameters.cohort.contains(members.count) else {
            throw AggregationFault(
                .cohortSize, at: .advertiseKeys,
                "\(members.count) clients, at least \(context.parameters.cohort.lowerBound)")
        }
        do {
            return try Cohort(
                members: members, manifest: context.manifestDigest, parameters: context.parameters)
        } catch {
            throw AggregationFault(.parameters, at: .advertiseKeys, error.description)
        }
    }
}
