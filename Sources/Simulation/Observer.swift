import Foundation
import SecureAgg
import Sodium

/// Watches every honest client from outside and knows what each share is, because it knows the clients'
/// encryption keys: it copied their generators before they drew them.
///
/// So what the invariants say about shares rests on the bytes that left a client, not on what the
/// client's code believes to have sent.
final class Observer {
    /// One session as its members see it.
    private final class Session {
        let round: UInt64
        let identifier: Digest
        let members: [Member]
        /// Enrolled members only, honest ones under their own keys, no key twice.
        let hasOwnersKeys: Bool
        let graph: Neighbours
        var knowledge: ServerKnowledge
        /// Sealed boxes by dealer, as signed.
        var boxes: [Int: [UInt8]] = [:]
        var live: [Int: [Bool]] = [:]
        var lists: [Int: BitSet] = [:]
        var vectors: [Int: [UInt32]] = [:]
        var vectorRoots: [Int: Digest] = [:]
        /// Shares of mask seeds that the server knows, by dealer: the holder's slot and the value.
        var maskSeedShares: [Int: [(slot: Int, share: FieldElement)]] = [:]
        var checkedLate: Set<Int> = []
        /// How many of the knowledge's violations were passed on.
        var reported = 0

        init(
            round: UInt64, identifier: Digest, members: [Member], graph: Neighbours, floor: Int,
            colluders: Set<Int>, ownersKeys: Bool
        ) {
            self.round = round
            self.identifier = identifier
            self.members = members
            self.graph = graph
            hasOwnersKeys = ownersKeys
            knowledge = ServerKnowledge(
                round: round, members: members.count, threshold: graph.topology.threshold, floor: floor,
                colluders: colluders)
        }
    }

    private struct Member {
        let client: Int
        let encryptionKey: [UInt8]
        let maskKey: [UInt8]
    }

    private let parameters: AggregationParameters
    private let clientOf: [ClientID: Int]
    private let colluders: Set<Int>
    private let floor: Int
    /// Self-mask seed, mask-key seed and the noise levels.
    private let sharesPerBox: Int
    /// The terms under which each client entered its present round.
    private var terms: [Int: AggregationParameters] = [:]
    /// Pairs of keys by the client that announced them in this round.
    private var announced: [Int: Set<[[UInt8]]>] = [:]
    /// Encryption secrets by the public key that was announced.
    private var secrets: [[UInt8]: SecretBytes] = [:]
    private var sessions: [Digest: Session] = [:]
    private(set) var violations: [Violation] = []

    /// - Parameter parameters: the plan that clients hold; its floor is the promise.
    init(parameters: AggregationParameters, clientOf: [ClientID: Int], colluders: Set<Int>) {
        self.parameters = parameters
        self.clientOf = clientOf
        self.colluders = colluders
        floor = parameters.minSurvivors
        sharesPerBox = 2 + (parameters.removableNoise?.count ?? 0)
    }

    var openedSums: Int { sessions.values.reduce(0) { $0 + $1.knowledge.openedSums.count } }

    /// Forgets sessions of earlier rounds; their violations stay.
    func startRound() {
        sessions.removeAll()
        secrets.removeAll()
        announced.removeAll()
    }

    private func report(_ invariant: Invariant, _ round: UInt64, _ detail: String) {
        violations.append(Violation(invariant: invariant, round: round, detail: detail))
    }

    /// Stage 0: `request` is the manifest that the client accepted, `random` its generator before the step.
    /// Returns the announced keys.
    func announced(
        _ message: [UInt8], client: Int, request: [UInt8], round: UInt64, random: SimulationRandom
    ) -> [[UInt8]] {
        guard let envelope = try? Message(decoding: message, limit: message.count),
            let manifest = try? Message(decoding: request, limit: request.count),
            let accepted = try? RoundManifest(body: manifest.body),
            let keys = try? decodeWire(envelope.body) as Secagg_V1_AdvertiseKeys
        else {
            report(.observable, round, "an announcement cannot be read")
            return []
        }
        terms[client] = accepted.parameters
        var replay = random
        let secret = SecretBytes(random: KeyAgreement.keyLength, from: &replay)
        if KeyAgreement.publicKey(of: secret) == [UInt8](keys.encryptionKey) {
            secrets[[UInt8](keys.encryptionKey)] = secret
        } else {
            report(.observable, round, "a client's encryption key is not the first thing it draws")
        }
        let pair = [[UInt8](keys.encryptionKey), [UInt8](keys.maskKey)]
        announced[client, default: []].insert(pair)
        return pair
    }

    /// Stage 1: `request` is the cohort message that the client accepted.
    func dealt(_ message: [UInt8], client: Int, request: [UInt8], round: UInt64) {
        guard let envelope = try? Message(decoding: message, limit: message.count),
            let identifier = envelope.session
        else { return report(.observable, round, "a dealing cannot be read") }
        if sessions[identifier] == nil {
            openSession(identifier, request, terms[client] ?? parameters, round)
        }
        guard let session = sessions[identifier], let member = member(client, in: session) else {
            return report(.observable, round, "a dealing belongs to no known session")
        }
        session.boxes[member] = envelope.attachment
        if !colluders.contains(client), !session.hasOwnersKeys {
            report(.keysOfOwners, round, "client \(client) accepted a cohort with foreign or shared keys")
        }
        if colluders.contains(client) {
            for dealer in session.graph.holders(of: member) {
                session.knowledge.colluderHolds(member, of: dealer)
            }
        }
    }

    private func openSession(
        _ identifier: Digest, _ request: [UInt8], _ terms: AggregationParameters, _ round: UInt64
    ) {
        guard let message = try? Message(decoding: request, limit: request.count),
            let wire = try? decodeWire(message.body) as Secagg_V1_Cohort,
            let topology = try? terms.topology(cohortSize: wire.entries.count)
        else { return }
        var members: [Member] = []
        var leaves: [[UInt8]] = []
        for (index, entry) in wire.entries.enumerated() {
            guard let keys = try? decodeWire([UInt8](entry.advertise)) as Secagg_V1_AdvertiseKeys else {
                return
            }
            members.append(
                Member(
                    client: clientOf[ClientID(keys.client)] ?? -1, encryptionKey: [UInt8](keys.encryptionKey),
                    maskKey: [UInt8](keys.maskKey)))
            leaves.append(
                cohortLeaf(index, body: [UInt8](entry.advertise), signature: [UInt8](entry.signature)))
        }
        let graph = Neighbours(topology: topology, seed: MerkleTree(leaves).root)
        let corrupt = Set(
            members.indices.filter { members[$0].client < 0 || colluders.contains(members[$0].client) })
        let keys = members.flatMap { [$0.encryptionKey, $0.maskKey] }
        let areOwn = members.allSatisfy { member in
            member.client >= 0
                && (colluders.contains(member.client)
                    || announced[member.client]?.contains([member.encryptionKey, member.maskKey]) ?? false)
        }
        sessions[identifier] = Session(
            round: round, identifier: identifier, members: members, graph: graph, floor: floor,
            colluders: corrupt, ownersKeys: areOwn && Set(keys).count == keys.count)
    }

    private func member(_ client: Int, in session: Session) -> Int? {
        session.members.firstIndex { $0.client == client }
    }

    private func find(_ message: [UInt8], _ client: Int) -> (Session, Int)? {
        guard let identifier = try? Message(decoding: message, limit: message.count).session,
            let session = sessions[identifier], let member = member(client, in: session)
        else { return nil }
        return (session, member)
    }

    /// Stage 2: the delivery it accepted and the vector it masked.
    func masked(_ messages: [[UInt8]], client: Int, request: [UInt8], plain: [Int32], round: UInt64) {
        guard let (session, member) = find(messages[0], client),
            let message = try? Message(decoding: request, limit: request.count),
            let wire = try? decodeWire(message.body) as Secagg_V1_ShareDelivery,
            let slots = BitSet(count: session.graph.holderCount, bytes: [UInt8](wire.live))
        else { return report(.observable, round, "a masked vector belongs to no known session") }
        var live = [Bool](repeating: false, count: session.members.count)
        for slot in slots.members { live[session.graph.holder(of: member, slot: slot)] = true }
        session.live[member] = live
        session.knowledge.vectorSent(by: member, live: live)
        session.vectorRoots[member] = vectorRoot(messages[0])
        let vector = unpack(messages.dropFirst())
        session.vectors[member] = vector
        if vector == ringElements(plain) {
            report(.lateVectorStaysMasked, round, "client \(client) sent its vector without a mask")
        }
    }

    private func vectorRoot(_ header: [UInt8]) -> Digest? {
        guard let message = try? Message(decoding: header, limit: header.count),
            let wire = try? decodeWire(message.body) as Secagg_V1_MaskedHeader
        else { return nil }
        let bytes = [UInt8](wire.chunkDigests)
        return MerkleTree(
            stride(from: 0, to: bytes.count, by: Digest.length).map {
                Array(bytes[$0..<min(bytes.count, $0 + Digest.length)])
            }
        ).root
    }

    private func unpack(_ chunks: some Sequence<[UInt8]>) -> [UInt32] {
        var vector = RingVector<UInt32>(zeros: parameters.vectorLength, bits: parameters.modulusBits)
        for message in chunks {
            guard let (index, packed) = MaskedChunk.packed(in: message) else { continue }
            let start = index * parameters.chunkLength
            vector.add(
                packed: packed, to: start..<min(parameters.vectorLength, start + parameters.chunkLength))
        }
        return vector.elements
    }

    private func ringElements(_ values: [Int32]) -> [UInt32] {
        RingVector<UInt32>(values, bits: parameters.modulusBits).elements
    }

    /// Stage 3: the survivor list it accepted.
    func confirmed(_ message: [UInt8], client: Int, request: [UInt8], round: UInt64) {
        guard let (session, member) = find(message, client),
            let envelope = try? Message(decoding: request, limit: request.count),
            let set = try? decodeWire(envelope.body) as Secagg_V1_SurvivorSet,
            let survivors = try? decodeWire([UInt8](set.survivors)) as Secagg_V1_Survivors,
            let list = BitSet(count: session.members.count, bytes: [UInt8](survivors.bitmap))
        else { return report(.observable, round, "a signed list belongs to no known session") }
        session.lists[member] = list
        if !colluders.contains(client), !proves(set, survivors, list, member, in: session) {
            report(.ownVectorSigned, round, "client \(client) signed a list without its vector")
        }
    }

    /// Whether the accepted message shows the member's own vector in the list.
    private func proves(
        _ set: Secagg_V1_SurvivorSet, _ survivors: Secagg_V1_Survivors, _ list: BitSet, _ member: Int,
        in session: Session
    ) -> Bool {
        guard let place = list.members.firstIndex(of: member), let own = session.vectorRoots[member],
            let root = Digest(bytes: survivors.vectorsRoot)
        else { return false }
        let bytes = [UInt8](set.path)
        let path = stride(from: 0, to: bytes.count, by: Digest.length).compactMap {
            Digest(bytes: bytes[$0..<$0 + Digest.length])
        }
        return MerkleTree.verify(
            lengthPrefixed(ByteOrder.bytes(member)) + lengthPrefixed(own.bytes), index: place,
            count: list.population, path: path, root: root)
    }

    /// Stage 4: looks up what each released value is.
    func released(_ message: [UInt8], client: Int, round: UInt64, plain: (Int) -> [Int32]) {
        guard let (session, holder) = find(message, client), let list = session.lists[holder],
            let envelope = try? Message(decoding: message, limit: message.count),
            let wire = try? decodeWire(envelope.body) as Secagg_V1_UnmaskShares
        else { return report(.observable, round, "released shares belong to no known session") }
        let table = heldShares(holder, in: session)
        let bytes = [UInt8](wire.shares)
        var unknown = 0
        for start in stride(from: 0, to: bytes.count - 31, by: 32) {
            let share = Array(bytes[start..<start + 32])
            guard let (dealer, held) = table[share] else {
                unknown += 1
                continue
            }
            guard case .seed(let kind) = held else {
                report(.noiseLevels, round, "client \(client) released a noise share in a seed's place")
                continue
            }
            session.knowledge.released(kind, by: holder, of: dealer, signedAsSurvivor: list[dealer])
            if kind == .maskSeed { keep(share, of: dealer, from: holder, in: session) }
        }
        // The own share never travels in a box; it is the one value that may be unknown.
        if session.graph.includesSelf, unknown > 0 {
            unknown -= 1
            session.knowledge.released(.selfMask, by: holder, of: holder, signedAsSurvivor: list[holder])
        }
        if unknown > 0 { report(.observable, round, "client \(client) released \(unknown) unknown values") }
        checkNoise([UInt8](wire.noiseShares), table, list, client, round)
        violations += session.knowledge.violations.dropFirst(session.reported)
        session.reported = session.knowledge.violations.count
        checkLateVectors(in: session, plain: plain)
    }

    /// Noise shares may be those of survivors, of the levels above the one that the own list keeps closed.
    private func checkNoise(
        _ bytes: [UInt8], _ table: [[UInt8]: (dealer: Int, share: Held)], _ list: BitSet, _ client: Int,
        _ round: UInt64
    ) {
        let lost = parameters.cohort.upperBound - list.population
        let closed = parameters.removableNoise?.kept(lost: lost) ?? .max
        for start in stride(from: 0, to: bytes.count - 31, by: 32) {
            // The own shares never travel; they follow the same rule as those around them.
            guard let (dealer, held) = table[Array(bytes[start..<start + 32])] else { continue }
            guard case .noise(let level) = held, level > closed, list[dealer] else {
                report(
                    .noiseLevels, round,
                    "client \(client) released a \(held) share of member \(dealer), levels to "
                        + "\(closed) stay closed")
                continue
            }
        }
    }

    /// Every share that `holder` was sent, by its bytes.
    private func heldShares(_ holder: Int, in session: Session) -> [[UInt8]: (dealer: Int, share: Held)] {
        var table: [[UInt8]: (dealer: Int, share: Held)] = [:]
        for dealer in session.boxes.keys.sorted() where dealer != holder {
            guard let pair = openBox(from: dealer, to: holder, in: session) else { continue }
            for place in 0..<sharesPerBox {
                table[Array(pair[32 * place..<32 * (place + 1)])] = (dealer, Held(place: place))
            }
        }
        return table
    }

    private func openBox(from dealer: Int, to holder: Int, in session: Session) -> [UInt8]? {
        let boxLength = SealedBox.nonceLength + 32 * sharesPerBox + SealedBox.tagLength
        guard let boxes = session.boxes[dealer],
            var place = session.graph.slot(of: holder, amongHoldersOf: dealer),
            let secret = secrets[session.members[holder].encryptionKey],
            let agreed = KeyAgreement.sharedSecret(
                secretKey: secret, peerPublicKey: session.members[dealer].encryptionKey)
        else { return nil }
        if session.graph.includesSelf, place > dealer { place -= 1 }
        let key = Derivation.channel(
            session: session.identifier, from: dealer, to: holder, agreed: agreed,
            fromKey: session.members[dealer].encryptionKey, toKey: session.members[holder].encryptionKey)
        let opened = SealedBox.open(
            Array(boxes[place * boxLength..<(place + 1) * boxLength]), key: key,
            associatedData: Derivation.shareAssociatedData(
                session: session.identifier, from: dealer, to: holder))
        return opened?.withUnsafeBytes { Array($0) }
    }

    private func keep(_ share: [UInt8], of dealer: Int, from holder: Int, in session: Session) {
        guard let slot = session.graph.slot(of: holder, amongHoldersOf: dealer),
            let value = share.withUnsafeBytes({ FieldElement(canonical: $0) })
        else { return }
        session.maskSeedShares[dealer, default: []].append((slot, value))
    }

    /// The attack on a client that was declared lost although its vector exists: its pairwise masks are
    /// known now, and only its self mask is left between the server and the vector.
    private func checkLateVectors(in session: Session, plain: (Int) -> [Int32]) {
        for dealer in session.members.indices
        where session.knowledge.knowsMaskSeed(of: dealer) && !session.knowledge.colluders.contains(dealer) {
            guard let vector = session.vectors[dealer], !session.checkedLate.contains(dealer),
                let seed = maskSeed(of: dealer, in: session)
            else { continue }
            session.checkedLate.insert(dealer)
            let secret = Derivation.maskSecret(seed: seed)
            var terms: [MaskTerm] = []
            for peer in session.members.indices where peer != dealer && session.live[dealer]![peer] {
                guard
                    let key = Derivation.pairMask(
                        session: session.identifier, own: dealer, peer: peer, ownSecret: secret,
                        ownKey: session.members[dealer].maskKey, peerKey: session.members[peer].maskKey)
                else { continue }
                terms.append(MaskTerm(key: key, sign: peer < dealer ? .minus : .plus))
            }
            if takeOff(terms, from: vector) == ringElements(plain(session.members[dealer].client)) {
                report(
                    .lateVectorStaysMasked, session.round,
                    "the vector of member \(dealer), declared lost, opens without its self mask")
            }
        }
    }

    private func takeOff(_ terms: [MaskTerm], from vector: [UInt32]) -> [UInt32] {
        let values = vector.map { Int32(bitPattern: $0) }
        if parameters.modulusBits <= 16 {
            var lanes = RingVector<UInt16>(values, bits: parameters.modulusBits)
            MaskSum.add(terms, to: &lanes, threads: 1)
            return lanes.elements
        }
        var lanes = RingVector<UInt32>(values, bits: parameters.modulusBits)
        MaskSum.add(terms, to: &lanes, threads: 1)
        return lanes.elements
    }

    /// Rebuilds a mask-key seed from released shares and those that colluders hold.
    private func maskSeed(of dealer: Int, in session: Session) -> SecretBytes? {
        var shares = session.maskSeedShares[dealer] ?? []
        for holder in session.knowledge.colluders.sorted() where holder != dealer {
            guard let slot = session.graph.slot(of: holder, amongHoldersOf: dealer),
                let pair = openBox(from: dealer, to: holder, in: session),
                let value = pair[32..<64].withUnsafeBytes({ FieldElement(canonical: $0) })
            else { continue }
            shares.append((slot, value))
        }
        let threshold = session.graph.topology.threshold
        guard shares.count >= threshold else { return nil }
        let used = shares[..<threshold]
        return Shamir.combine(
            used.map(\.share), weights: Shamir.weightsAtZero(used.map { UInt32($0.slot + 1) }))
    }
}

/// What a share in a box belongs to.
private enum Held {
    case seed(ShareKind)
    case noise(level: Int)

    /// - Parameter place: its place in the box.
    init(place: Int) {
        self = place == 0 ? .seed(.selfMask) : place == 1 ? .seed(.maskSeed) : .noise(level: place - 1)
    }
}

/// One member's leaf in the cohort's tree, as the protocol defines it.
func cohortLeaf(_ index: Int, body: [UInt8], signature: [UInt8]) -> [UInt8] {
    lengthPrefixed(ByteOrder.bytes(index)) + lengthPrefixed(body) + lengthPrefixed(signature)
}
