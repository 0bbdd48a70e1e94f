import Foundation
import GMP
import Sodium

/// One client's key work in a round of n, alone: for measuring it.
///
/// The client and the server are real. The others only say what the server needs to move on: their
/// announcements, signatures and the boxes for the measured client are genuine, their other boxes and
/// vectors are random bytes, which nobody opens.
public final class KeyWorkload {
    public let parameters: AggregationParameters
    public let topology: Topology
    private let identity: ClientIdentity
    private let serverKey: VerifyingKey
    private let roster: Roster
    private let seed: UInt64
    /// The server's message of each stage for the measured client.
    private var inbox: [Stage: [UInt8]] = [:]

    /// - Parameter parameters: a malicious-server round with a cohort of exactly one size; the vector
    ///   should be short, so that masks weigh nothing.
    public init(_ parameters: AggregationParameters, seed: UInt64) throws {
        precondition(
            parameters.cohort.count == 1 && parameters.profile == .maliciousServer
                && parameters.removableNoise == nil)
        self.parameters = parameters
        self.seed = seed
        let count = parameters.cohort.lowerBound
        topology = try parameters.topology(cohortSize: count)
        var random = StreamRandom(seed: seed, label: "key workload")
        let identities = (0..<count).map {
            ClientIdentity(id: ClientID(UInt64($0)), signingKey: SigningKey(generatedBy: &random))
        }
        let signer = SigningKey(generatedBy: &random)
        serverKey = signer.verifyingKey
        roster = try Roster(
            epoch: 1, entries: identities.map { Roster.Entry(id: $0.id, key: $0.verifyingKey) })
        // The last client, so that the others are known when it is its turn.
        identity = identities[count - 1]
        let manifest = RoundManifest(
            parameters: parameters, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: roster.digest, expiry: .max)
        let server = ServerSession(manifest: manifest, signingKey: signer, roster: roster)
        try rehearse(server, others: identities.dropLast(), &random)
    }

    /// The client's five answers, with the seconds that each took.
    public func seconds(threads: Int, _ stopwatch: () -> Double) throws -> [Stage: Double] {
        var (session, random) = client(threads: threads)
        return try Dictionary(
            uniqueKeysWithValues: Stage.allCases.map { stage in
                let start = stopwatch()
                _ = try answer(stage, session, &random)
                return (stage, stopwatch() - start)
            })
    }

    /// The same client with the same draws each time, so that one cohort serves all repetitions.
    private func client(threads: Int) -> (ClientSession, StreamRandom) {
        let policy = ClientPolicy(exactly: parameters)
        let session = ClientSession(
            identity: identity, server: serverKey, roster: roster, policy: policy,
            journal: InMemoryJournal(), threads: threads)
        return (session, StreamRandom(seed: seed, label: "key workload client"))
    }

    private func answer(
        _ stage: Stage, _ session: ClientSession, _ random: inout StreamRandom
    ) throws(AggregationFault) -> [[UInt8]] {
        let message = inbox[stage]!
        switch stage {
        case .advertiseKeys: return [try session.advertiseKeys(message, now: 0, random: &random)]
        case .shareKeys: return [try session.shareKeys(message, random: &random)]
        case .submitMaskedInput:
            let values = [Int32](repeating: 0, count: parameters.vectorLength)
            return Array(try session.maskedInput(message, values: values).messages)
        case .confirmSurvivors: return [try session.confirmSurvivors(message)]
        case .unmask: return [try session.unmask(message)]
        }
    }

    /// Plays the round once up to stage 4 and keeps what the measured client is sent.
    private func rehearse(
        _ server: ServerSession, others: ArraySlice<ClientIdentity>, _ random: inout StreamRandom
    ) throws {
        var (session, clientRandom) = client(threads: 1)
        inbox[.advertiseKeys] = server.manifestMessage
        var encryptionSecrets: [SecretBytes] = []
        var encryptionKeys: [[UInt8]] = []
        for other in others {
            let secret = SecretBytes(random: KeyAgreement.keyLength, from: &random)
            let key = KeyAgreement.publicKey(of: secret)
            encryptionSecrets.append(secret)
            encryptionKeys.append(key)
            let maskKey = KeyAgreement.publicKey(
                of: SecretBytes(random: KeyAgreement.keyLength, from: &random))
            let body = Announcement.body(identity: other, encryptionKey: key, maskKey: maskKey)
            let message = Message(
                .advertise, session: server.manifestDigest, body: body, label: .advertise,
                signer: other.signingKey)
            try server.receive(message.encoded(), from: other.id)
        }
        for stage in Stage.allCases {
            for message in try answer(stage, session, &clientRandom) {
                try server.receive(message, from: identity.id)
            }
            guard stage != .unmask, case .send(let next, let messages) = server.closeStage() else { return }
            let own = messages.first { $0.recipient == identity.id }!.bytes
            inbox[next] = own
            switch next {
            case .shareKeys:
                let wire = try Message(decoding: own, limit: own.count)
                let cohort = try Cohort(
                    try decodeWire(wire.body), manifest: server.manifestDigest, parameters: parameters,
                    roster: roster)
                for (index, other) in others.enumerated() {
                    let message = share(
                        other, index, encryptionSecrets[index], encryptionKeys[index], cohort, &random)
                    try server.receive(message, from: other.id)
                }
            case .submitMaskedInput:
                for (index, other) in others.enumerated() {
                    for message in vector(other, index, own, &random) {
                        try server.receive(message, from: other.id)
                    }
                }
            case .confirmSurvivors:
                let set: Secagg_V1_SurvivorSet = try decodeWire(Message(decoding: own, limit: own.count).body)
                let session = try Message(decoding: own, limit: own.count).session!
                let statement = SurvivorStatement(
                    body: [UInt8](set.survivors), cohortSize: others.count + 1)!
                for other in others {
                    let signature = statement.signature(by: other.signingKey, session: session)
                    let message = Message(.confirm, session: session, body: [], signature: signature)
                    try server.receive(message.encoded(), from: other.id)
                }
            case .advertiseKeys, .unmask: break
            }
        }
    }

    /// Random boxes but for the measured client, whose box opens.
    private func share(
        _ dealer: ClientIdentity, _ index: Int, _ secret: SecretBytes, _ key: [UInt8], _ cohort: Cohort,
        _ random: inout StreamRandom
    ) -> [UInt8] {
        let graph = cohort.neighbours
        let own = cohort.count - 1
        var boxes: [UInt8] = []
        for holder in graph.holders(of: index) where holder != index {
            guard holder == own else {
                boxes += random.bytes(SealedShare.length(shares: parameters.sharesPerHolder))
                continue
            }
            let agreed = KeyAgreement.sharedSecret(
                secretKey: secret, peerPublicKey: cohort.members[own].encryptionKey)!
            let channel = Derivation.channel(
                session: cohort.session, from: index, to: own, agreed: agreed, fromKey: key,
                toKey: cohort.members[own].encryptionKey)
            let zeros = [UInt8](
                repeating: 0, count: SealedShare.plaintextLength(shares: parameters.sharesPerHolder))
            boxes += SealedShare.seal(
                SecretBytes(copying: zeros), key: channel, session: cohort.session, from: index, to: own,
                nonce: random.bytes(SealedBox.nonceLength))
        }
        var wire = Secagg_V1_ShareKeys()
        wire.selfMaskCommitment = Data(random.bytes(Digest.length))
        wire.boxesDigest = Data(Digest.of(boxes).bytes)
        var message = Message(
            .share, session: cohort.session, body: encodeWire(wire), label: .share, signer: dealer.signingKey)
        message.attachment = boxes
        return message.encoded()
    }

    private func vector(
        _ sender: ClientIdentity, _ index: Int, _ delivery: [UInt8], _ random: inout StreamRandom
    ) -> [[UInt8]] {
        let session = try! Message(decoding: delivery, limit: delivery.count).session!
        let packed = (0..<parameters.chunkCount).map { chunk in
            random.bytes(parameters.packedBytes(parameters.chunk(chunk).count))
        }
        var wire = Secagg_V1_MaskedHeader()
        wire.chunkDigests = Data(
            packed.enumerated().flatMap { chunk, bytes in
                VectorDigest.chunk(session: session, member: index, index: chunk, packed: bytes).bytes
            })
        let header = Message(
            .maskedHeader, session: session, body: encodeWire(wire), label: .masked,
            signer: sender.signingKey
        ).encoded()
        let upload = MaskedUpload(header: header, session: session, packed: packed)
        return Array(upload.messages)
    }
}
