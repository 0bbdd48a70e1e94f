import Foundation
import SecureAgg
import Sodium

/// One session that a lying server leads: the protocol's messages written by hand, with the lies in them.
final class LyingBranch {
    let scene: LyingServer.Scene
    /// What its manifest says, which may be weaker than the plan.
    let terms: AggregationParameters
    let lies: Set<Fault>
    let manifest: [UInt8]
    let manifestDigest: Digest
    let invited: [ClientID]
    var told: Set<Fault> = []
    private var random: SimulationRandom
    /// Shows too few signatures as they are, or adds wrong ones to them.
    private let topsUp: Bool

    private var adverts: [ClientID: Message] = [:]
    private var members: [ClientID] = []
    private var session: Digest?
    private var dealt: [ClientID: [UInt8]] = [:]
    private var headers: [ClientID: [UInt8]] = [:]
    /// Survivor lists and who is shown which.
    private var lists: [SurvivorList] = []
    private var shown: [ClientID: Int] = [:]
    private var signatures: [[ClientID: [UInt8]]] = []
    private var released: Set<ClientID> = []
    private var live: Set<ClientID> = []

    private struct SurvivorList {
        let bitmap: BitSet
        let body: [UInt8]
        let tree: MerkleTree
    }

    init(
        scene: LyingServer.Scene, terms: AggregationParameters, lies: Set<Fault>, manifest: [UInt8],
        manifestDigest: Digest, invited: [ClientID], random: SimulationRandom
    ) {
        self.scene = scene
        self.terms = terms
        self.lies = lies
        self.manifest = manifest
        self.manifestDigest = manifestDigest
        self.invited = invited
        self.random = random
        topsUp = self.random.below(2) == 0
    }

    private var count: Int { members.count }
    private func index(_ id: ClientID) -> Int? { members.firstIndex(of: id) }
    private func isColluder(_ id: ClientID) -> Bool { scene.colluders[id] != nil }
    private var honest: [ClientID] { members.filter { !isColluder($0) } }

    func awaited(_ stage: Stage) -> [ClientID] {
        switch stage {
        case .advertiseKeys: invited.filter { adverts[$0] == nil }
        case .shareKeys: members.filter { dealt[$0] == nil }
        case .submitMaskedInput: live.sorted().filter { headers[$0] == nil }
        case .confirmSurvivors:
            shown.keys.sorted().filter { id in !signatures.contains { $0[id] != nil } }
        case .unmask: shown.keys.sorted().filter { !released.contains($0) }
        }
    }

    // MARK: Listening

    func receive(_ message: Message, from sender: ClientID) {
        switch message.kind {
        case .advertise where message.session == manifestDigest && members.isEmpty:
            if adverts[sender] == nil { adverts[sender] = message }
        case .share where message.session == session:
            if dealt[sender] == nil { dealt[sender] = message.attachment }
        case .maskedHeader where message.session == session:
            if headers[sender] == nil { headers[sender] = message.body }
        case .confirm where message.session == session: noteSignature(message.signature, of: sender)
        case .unmask where message.session == session: released.insert(sender)
        default: break
        }
    }

    private func noteSignature(_ signature: [UInt8], of sender: ClientID) {
        guard let key = scene.roster.key(of: sender) else { return }
        for (place, list) in lists.enumerated()
        where key.accepts(
            signature: signature, over: signedDigest(.survivors, scope: session!, body: list.body))
        {
            signatures[place][sender] = signature
        }
    }

    // MARK: Talking

    func messages(for stage: Stage) -> [ServerEffect] {
        switch stage {
        case .advertiseKeys: []
        case .shareKeys: cohortMessages()
        case .submitMaskedInput: deliveries()
        case .confirmSurvivors: survivorLists()
        case .unmask: evidence()
        }
    }

    private func lie(_ fault: Fault) -> Bool {
        guard lies.contains(fault) else { return false }
        told.insert(fault)
        return true
    }

    // MARK: Stage 1

    private func cohortMessages() -> [ServerEffect] {
        members = adverts.keys.sorted()
        guard count >= 3 else { return [] }
        let entries = members.map { entry(adverts[$0]!.body, adverts[$0]!.signature) }
        let (bytes, digest) = cohort(entries)
        session = digest
        var replaced: [ClientID: [UInt8]] = [:]
        if let lied = altered(entries) {
            // Everyone, or only some, see the other cohort.
            let some = random.below(2) == 0
            for id in members where !some || random.below(2) == 0 { replaced[id] = lied }
        }
        return members.map { .send($0, replaced[$0] ?? bytes) }
    }

    private func entry(_ body: [UInt8], _ signature: [UInt8]) -> Secagg_V1_CohortEntry {
        var entry = Secagg_V1_CohortEntry()
        entry.advertise = Data(body)
        entry.signature = Data(signature)
        return entry
    }

    private func cohort(_ entries: [Secagg_V1_CohortEntry]) -> (bytes: [UInt8], session: Digest) {
        var wire = Secagg_V1_Cohort()
        wire.entries = entries
        let tree = MerkleTree(
            entries.enumerated().map {
                cohortLeaf(
                    $0.offset, body: [UInt8]($0.element.advertise),
                    signature: [UInt8]($0.element.signature))
            })
        let session = Derivation.session(manifest: manifestDigest, cohortRoot: tree.root)
        return (Message(.cohort, session: session, body: encodeWire(wire)).encoded(), session)
    }

    private func altered(_ honest: [Secagg_V1_CohortEntry]) -> [UInt8]? {
        var entries = honest
        var lied = false
        let victim = random.below(count)
        if lie(.alterCohort) {
            lied = true
            entries.remove(at: victim)
        } else if lie(.swapKey) {
            lied = true
            entries[victim].advertise = Data(withOtherKey(members[victim], key: random.bytes(32)))
        } else if lie(.addSybil) {
            lied = true
            let identity = ClientIdentity(
                id: ClientID(members.last!.number + 1), signingKey: SigningKey(generatedBy: &random))
            entries.append(announcement(of: identity, encryption: random.bytes(32), mask: random.bytes(32)))
        } else if let colluder = scene.colluders.keys.sorted().first, let place = index(colluder),
            let target = members.first(where: { !isColluder($0) }), lie(.mirrorKey),
            let keys = try? decodeWire(adverts[target]!.body) as Secagg_V1_AdvertiseKeys
        {
            lied = true
            entries[place] = announcement(
                of: ClientIdentity(id: colluder, signingKey: scene.colluders[colluder]!),
                encryption: random.bytes(32), mask: [UInt8](keys.maskKey))
        }
        return lied ? cohort(entries).bytes : nil
    }

    private func withOtherKey(_ id: ClientID, key: [UInt8]) -> [UInt8] {
        guard var keys = try? decodeWire(adverts[id]!.body) as Secagg_V1_AdvertiseKeys else { return [] }
        if random.below(2) == 0 { keys.maskKey = Data(key) } else { keys.encryptionKey = Data(key) }
        return encodeWire(keys)
    }

    private func announcement(
        of identity: ClientIdentity, encryption: [UInt8], mask: [UInt8]
    ) -> Secagg_V1_CohortEntry {
        var keys = Secagg_V1_AdvertiseKeys()
        keys.client = identity.id.number
        keys.identityKey = Data(identity.verifyingKey.bytes)
        keys.encryptionKey = Data(encryption)
        keys.maskKey = Data(mask)
        let body = encodeWire(keys)
        return entry(
            body,
            identity.signingKey.sign(signedDigest(.advertise, scope: manifestDigest, body: body)))
    }

    // MARK: Stage 2

    private func deliveries() -> [ServerEffect] {
        live = Set(dealt.keys.filter { index($0) != nil && dealt[$0]!.count == (count - 1) * boxLength })
        let victim = live.isEmpty ? nil : random.pick(live.sorted())
        let blind = Set(members.filter { _ in random.below(3) == 0 })
        return live.sorted().map { receiver in
            var seen = live
            if let victim, victim != receiver, blind.contains(receiver), lie(.hideFromOne) {
                seen.remove(victim)
            }
            return .send(receiver, delivery(to: receiver, seen: seen))
        }
    }

    private var boxLength: Int {
        SealedBox.nonceLength + SealedBox.tagLength
            + Shamir.shareLength * (2 + (scene.parameters.removableNoise?.count ?? 0))
    }

    private func box(from dealer: ClientID, to holder: ClientID) -> ArraySlice<UInt8> {
        let (from, to) = (index(dealer)!, index(holder)!)
        let place = to > from ? to - 1 : to
        return dealt[dealer]![place * boxLength..<(place + 1) * boxLength]
    }

    private func delivery(to receiver: ClientID, seen: Set<ClientID>) -> [UInt8] {
        var bits = BitSet(count: count)
        var boxes: [UInt8] = []
        let rerouted = random.below(2) == 0 && lie(.rerouteShares)
        for (place, id) in members.enumerated() where seen.contains(id) {
            bits[place] = true
            guard id != receiver else { continue }
            // Rerouted: the box that another holder should get.
            let holder = rerouted ? members.first { $0 != id && $0 != receiver }! : receiver
            boxes += box(from: id, to: holder)
        }
        var wire = Secagg_V1_ShareDelivery()
        wire.live = Data(bits.bytes)
        wire.boxes = Data(boxes)
        return Message(.delivery, session: session, body: encodeWire(wire)).encoded()
    }

    // MARK: Stage 3

    private func survivorLists() -> [ServerEffect] {
        let everyone = Set(headers.keys.filter { live.contains($0) })
        guard everyone.count >= 3 else { return [] }
        let candidates = everyone.sorted().filter { !isColluder($0) }
        guard let victim = candidates.isEmpty ? nil : random.pick(candidates) else { return [] }
        var main = everyone
        if lie(.dropLive) { main.subtract(candidates.filter { _ in random.below(8) == 0 }) }
        if lie(.belowFloor) {
            let least = random.within(2...max(2, scene.parameters.minSurvivors - 1))
            main = Set(everyone.sorted().prefix(least))
        }
        if lie(.addDropped), let absent = members.first(where: { !everyone.contains($0) }) {
            main.insert(absent)
        }
        lists = [list(main)]
        signatures = [[:]]
        for id in main.sorted() { shown[id] = 0 }
        if lie(.equivocateSurvivors) {
            // One side sees everybody, the other side everybody but the victim.
            lists.append(list(main.subtracting([victim])))
            signatures.append([:])
            let others = main.sorted().filter { $0 != victim && !isColluder($0) }
            let order = random.sample(others.count, below: others.count)
            for place in order.prefix((others.count + 1) / 2) { shown[others[place]] = 1 }
            if random.below(4) == 0 { shown[victim] = 1 }
        } else if lie(.patchworkLists) {
            patchwork(main)
        }
        for place in lists.indices { signInColludersNames(place) }
        return shown.keys.sorted().flatMap { id -> [ServerEffect] in
            let message = ServerEffect.send(id, survivorMessage(to: id, shown[id]!))
            guard random.below(3) == 0, lie(.earlyUnmask) else { return [message] }
            return [.send(id, signatureMessage(to: id, shown[id]!)), message]
        }
    }

    /// Every client is shown a list of its own: each leaves out as many as the floor lets it, in turns,
    /// so that for each member outside a small target as many clients as possible count it as lost.
    private func patchwork(_ everyone: Set<ClientID>) {
        let floor = max(scene.parameters.minSurvivors, threshold)
        let target = Set(everyone.sorted().filter { _ in random.below(2) == 0 })
        let rest = everyone.sorted().filter { !target.contains($0) }
        var turn = 0
        for id in everyone.sorted() where !isColluder(id) {
            var left = everyone
            for _ in rest where left.count > floor {
                let candidate = rest[turn % rest.count]
                turn += 1
                if candidate != id { left.remove(candidate) }
            }
            shown[id] = lists.count
            lists.append(list(left))
            signatures.append([:])
        }
    }

    private func signInColludersNames(_ place: Int) {
        for (id, key) in scene.colluders where index(id).map({ lists[place].bitmap[$0] }) ?? false {
            signatures[place][id] = key.sign(
                signedDigest(.survivors, scope: session!, body: lists[place].body))
        }
    }

    private func list(_ ids: Set<ClientID>) -> SurvivorList {
        let places = members.indices.filter { ids.contains(members[$0]) }
        let leaves = places.map { place -> [UInt8] in
            let root = vectorRoot(headers[members[place]] ?? [])
            return lengthPrefixed(ByteOrder.bytes(place)) + lengthPrefixed(root.bytes)
        }
        let tree = MerkleTree(leaves)
        let bitmap = BitSet(count: count, members: places)
        var wire = Secagg_V1_Survivors()
        wire.bitmap = Data(bitmap.bytes)
        wire.vectorsRoot = Data(tree.root.bytes)
        return SurvivorList(bitmap: bitmap, body: encodeWire(wire), tree: tree)
    }

    private func vectorRoot(_ header: [UInt8]) -> Digest {
        guard let wire = try? decodeWire(header) as Secagg_V1_MaskedHeader, !wire.chunkDigests.isEmpty
        else { return .of([]) }
        var bytes = [UInt8](wire.chunkDigests)
        if lie(.foreignVector), random.below(6) == 0 { bytes[0] ^= 1 }
        return MerkleTree(
            stride(from: 0, to: bytes.count, by: Digest.length).map { Array(bytes[$0..<$0 + Digest.length]) }
        ).root
    }

    private func survivorMessage(to id: ClientID, _ place: Int) -> [UInt8] {
        let list = lists[place]
        var set = Secagg_V1_SurvivorSet()
        set.survivors = Data(list.body)
        if let own = index(id), let leaf = list.bitmap.members.firstIndex(of: own) {
            set.path = Data(list.tree.path(to: leaf).flatMap(\.bytes))
        }
        return Message(.survivors, session: session, body: encodeWire(set)).encoded()
    }

    // MARK: Stage 4

    private func evidence() -> [ServerEffect] {
        guard !lists.isEmpty else { return [] }
        var effects: [ServerEffect] = []
        for id in shown.keys.sorted() {
            let place = shown[id]!
            let other = lists.count > 1 ? (place + 1) % lists.count : place
            if lie(.contradictConfirm) {
                effects.append(
                    .send(id, survivorMessage(to: id, lists.count > 1 ? other : addList(without: id))))
            }
            effects.append(.send(id, signatureMessage(to: id, place)))
            if lie(.contradictUnmask) {
                // Asked again: under the other list, and with other signatures under the same.
                effects.append(.send(id, survivorMessage(to: id, other)))
                effects.append(.send(id, signatureMessage(to: id, other)))
            }
        }
        return effects
    }

    /// A list that leaves one more honest member out, for a client that has already signed another.
    private func addList(without id: ClientID) -> Int {
        guard lists.count == 1 else { return 1 }
        let ids = Set(lists[0].bitmap.members.map { members[$0] })
        let victim = honest.first { $0 != id && ids.contains($0) }
        lists.append(list(victim.map { ids.subtracting([$0]) } ?? ids))
        signatures.append([:])
        signInColludersNames(1)
        return 1
    }

    private func signatureMessage(to id: ClientID, _ place: Int) -> [UInt8] {
        var available = signatures[place].filter { $0.key != id }
        let survives = lists[place].bitmap
        for others in signatures where topsUp && available.count < threshold - 1 {
            // Short of signatures: those over another list may pass.
            for (other, signature) in others where other != id && index(other).map({ survives[$0] })! {
                if available[other] == nil { available[other] = signature }
            }
        }
        if lie(.forgedEvidence) {
            for other in members where other != id && available[other] == nil {
                available[other] = scene.serverKey.sign(
                    signedDigest(.survivors, scope: session!, body: lists[place].body))
            }
        }
        var needed = threshold - 1
        if lie(.shortEvidence) { needed -= 1 + random.below(3) }
        var bits = BitSet(count: count)
        var joined: [UInt8] = []
        for (slot, member) in members.enumerated() {
            guard bits.population < needed, let signature = available[member] else { continue }
            bits[slot] = true
            joined += signature
        }
        var wire = Secagg_V1_SurvivorSignatures()
        wire.signers = Data(bits.bytes)
        wire.signatures = Data(joined)
        return Message(.signatures, session: session, body: encodeWire(wire)).encoded()
    }

    private var threshold: Int {
        (try? terms.topology(cohortSize: count))?.threshold ?? count
    }

    // MARK: The end

    func results() -> [ServerEffect] {
        guard !lists.isEmpty, let session else { return [] }
        return shown.keys.sorted().map { id in
            var wire = Secagg_V1_RoundResult()
            var bitmap = lists[shown[id]!].bitmap
            if lie(.forgedResult) { bitmap[random.below(count)] = false }
            wire.bitmap = Data(bitmap.bytes)
            wire.resultDigest = Data(Digest.of(bitmap.bytes).bytes)
            wire.transcriptRoot = wire.resultDigest
            return .send(
                id,
                Message(
                    .result, session: session, body: encodeWire(wire), label: .result,
                    signer: scene.serverKey
                ).encoded())
        }
    }
}
