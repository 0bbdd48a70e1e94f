import Foundation
import GMP
import SecureAgg
import Sodium
import Testing

/// A server (or network) that shows clients something else than the protocol says: every client that
/// sees it leaves, and nothing is opened. Test names follow the list of attacks in the design notes.
@Suite struct LyingServerTests {
    /// Runs a round of `clients` with one kind of message replaced on its way down.
    func attack(
        _ stage: Stage, clients: Int = 5, victim: Int? = nil,
        setUp: (LoopbackRound) -> Void = { _ in },
        _ change: @escaping (LoopbackRound, Int, [UInt8]) -> [UInt8]?
    ) throws -> (LoopbackRound, LoopbackRound.Outcome) {
        let round = try LoopbackRound(clients: clients)
        setUp(round)
        round.tamperDown = { [unowned round] at, index, bytes in
            at == stage && (victim == nil || victim == index) ? change(round, index, bytes) : bytes
        }
        return (round, round.run())
    }

    func checks(_ outcome: LoopbackRound.Outcome) -> Set<AggregationFault.Check> {
        Set(outcome.clientFaults.values.map(\.check))
    }

    func edit(_ bytes: [UInt8], _ change: (inout Message) -> Void) -> [UInt8] {
        var message = try! Message(decoding: bytes, limit: bytes.count)
        change(&message)
        return message.encoded()
    }

    func editCohort(_ bytes: [UInt8], _ change: (inout Secagg_V1_Cohort) -> Void) -> [UInt8] {
        edit(bytes) { message in
            var cohort = try! decodeWire(message.body) as Secagg_V1_Cohort
            change(&cohort)
            message.body = encodeWire(cohort)
        }
    }

    // MARK: Stage 0

    private func reSigned(_ round: LoopbackRound, _ manifest: RoundManifest, by key: SigningKey? = nil)
        -> [UInt8]
    {
        ServerSession(manifest: manifest, signingKey: key ?? round.serverKey, roster: round.roster)
            .manifestMessage
    }

    private func enter(
        _ manifest: [UInt8], _ round: LoopbackRound, now: UInt64 = 10,
        policy: ((inout ClientPolicy) -> Void)? = nil, roster: Roster?? = .none
    ) -> AggregationFault.Check? {
        var own = round.policy()
        policy?(&own)
        let session = ClientSession(
            identity: round.identities[0], server: round.serverKey.verifyingKey,
            roster: roster ?? round.roster, policy: own, journal: round.journals[0])
        do throws(AggregationFault) {
            _ = try session.advertiseKeys(manifest, now: now, random: &round.random)
            return nil
        } catch { return error.check }
    }

    @Test("A manifest is refused when forged, expired, for another plan or below the client's floors")
    func manifestChecks() throws {
        let round = try LoopbackRound(clients: 5)
        let honest = round.server.manifestMessage
        #expect(enter(honest, round, now: 1001) == .expired)
        #expect(enter(honest, round) { $0.context = .of([9]) } == .contextMismatch)
        #expect(enter(honest, round) { $0.vectorLength += 1 } == .contextMismatch)
        #expect(enter(honest, round) { $0.modulusBits += 1 } == .contextMismatch)
        #expect(enter(honest, round) { $0.minCohort = 4 } == .policy)
        #expect(enter(honest, round) { $0.minSurvivors = 3 } == .policy)
        #expect(enter(honest, round) { $0.allowTinyCohort = false } == .policy)
        #expect(enter(honest, round) { $0.minSecurityBits = 41 } == .policy)
        // tiny_threshold: neighbours and threshold are never taken from the server, and its γ has a floor.
        #expect(enter(honest, round) { $0.minColluderFraction = Rational(1, 10) } == .policy)
        var stranger = StreamRandom(seed: 1, label: "stranger")
        let manifest = RoundManifest(
            parameters: round.parameters, serverNonce: .of([]), rosterDigest: round.roster?.digest,
            expiry: 1000)
        #expect(
            enter(reSigned(round, manifest, by: SigningKey(generatedBy: &stranger)), round) == .badSignature)
        #expect(enter(edit(honest) { $0.body[5] ^= 1 }, round) == .badSignature)
        #expect(enter(edit(honest) { $0.kind = .cohort }, round) == .unexpectedKind)
        #expect(enter([UInt8](repeating: 0, count: 5000), round) == .tooLarge)
        #expect(enter(honest, round) == nil)
    }

    @Test("A semi-honest round is refused by a client that insists on the stronger profile")
    func profileFloor() throws {
        let round = try LoopbackRound(clients: 5, profile: .semiHonest)
        #expect(
            enter(round.server.manifestMessage, round) { $0.requireMaliciousServerProfile = true } == .policy)
    }

    @Test("roster_rollback: a manifest that names another roster than the client's is refused")
    func rosterRollback() throws {
        let round = try LoopbackRound(clients: 5)
        let newer = try Roster(epoch: 2, entries: round.roster!.entries)
        #expect(enter(round.server.manifestMessage, round, roster: newer) == .rosterMismatch)
        #expect(enter(round.server.manifestMessage, round, roster: .some(nil)) == .rosterMismatch)
    }

    @Test("manifest_replay and manifest_fork: a round number is entered once, whatever the bytes")
    func replay() throws {
        let round = try LoopbackRound(clients: 5, round: 7)
        #expect(enter(round.server.manifestMessage, round) == nil)
        #expect(enter(round.server.manifestMessage, round) == .replayedRound)
        let fork = RoundManifest(
            parameters: round.parameters, serverNonce: .of([2]), rosterDigest: round.roster?.digest,
            expiry: 1000)
        #expect(enter(reSigned(round, fork), round) == .replayedRound)
        #expect(round.journals[0].entries.count == 1)
    }

    // MARK: Stage 1

    @Test("key_swap: a replaced key breaks its owner's signature")
    func keySwap() throws {
        let (_, outcome) = try attack(.shareKeys) { _, _, bytes in
            self.editCohort(bytes) { cohort in
                var keys = try! decodeWire([UInt8](cohort.entries[2].advertise)) as Secagg_V1_AdvertiseKeys
                keys.encryptionKey = Data([UInt8](repeating: 9, count: 32))
                cohort.entries[2].advertise = Data(encodeWire(keys))
            }
        }
        #expect(checks(outcome) == [.badSignature] && outcome.sum == nil)
    }

    @Test("mirror_key: a sybil that announces a member's mask key is refused by the server and by clients")
    func mirrorKey() throws {
        // On the way up, the server refuses the second owner of a key.
        let round = try LoopbackRound(clients: 5)
        var stolen: Data?
        round.tamperUp = { stage, index, messages in
            guard stage == .advertiseKeys else { return messages }
            return messages.map { bytes in
                let message = try! Message(decoding: bytes, limit: bytes.count)
                var keys = try! decodeWire(message.body) as Secagg_V1_AdvertiseKeys
                guard let maskKey = stolen else {
                    stolen = keys.maskKey
                    return bytes
                }
                guard index == 4 else { return bytes }
                keys.maskKey = maskKey
                return Message(
                    .advertise, session: message.session!, body: encodeWire(keys), label: .advertise,
                    signer: round.identities[index].signingKey
                ).encoded()
            }
        }
        let outcome = round.run()
        #expect(outcome.refused.map(\.check) == [.duplicateKey])
        #expect(outcome.sum?.elements == round.plainSum(0..<4))

        // A server that lets it through meets the clients' own check.
        let (_, lied) = try attack(.shareKeys) { round, _, bytes in
            self.editCohort(bytes) { cohort in
                let first = try! decodeWire([UInt8](cohort.entries[0].advertise)) as Secagg_V1_AdvertiseKeys
                var keys = try! decodeWire([UInt8](cohort.entries[1].advertise)) as Secagg_V1_AdvertiseKeys
                keys.maskKey = first.maskKey
                let body = encodeWire(keys)
                let owner = round.identities[round.index(of: ClientID(keys.client))]
                cohort.entries[1].advertise = Data(body)
                cohort.entries[1].signature = Data(
                    owner.signingKey.sign(
                        signedDigest(.advertise, scope: round.server.manifestDigest, body: body)))
            }
        }
        #expect(checks(lied).isSuperset(of: [.duplicateKey]) && lied.sum == nil)
    }

    @Test("mirror_key: another spelling of a member's key, the same point for X25519, is no key")
    func secondSpelling() throws {
        for spell in [
            { (key: inout Data) in key[31] |= 0x80 },
            { $0 = Data([UInt8](repeating: 0xff, count: 31) + [0x7f]) },
        ] {
            let round = try LoopbackRound(clients: 5)
            round.tamperUp = { stage, index, messages in
                guard stage == .advertiseKeys, index == 1 else { return messages }
                var keys =
                    try! decodeWire(Message(decoding: messages[0], limit: 1000).body)
                    as Secagg_V1_AdvertiseKeys
                spell(&keys.maskKey)
                return [
                    Message(
                        .advertise, session: round.server.manifestDigest, body: encodeWire(keys),
                        label: .advertise, signer: round.identities[1].signingKey
                    ).encoded()
                ]
            }
            let outcome = round.run()
            #expect(outcome.refused.map(\.check) == [.malformed])
            #expect(outcome.sum?.elements == round.plainSum([0, 2, 3, 4]))
        }
    }

    @Test("low_order_point: a low-order key is refused where it arrives and where it would be used")
    func lowOrder() throws {
        let round = try LoopbackRound(clients: 5)
        round.tamperUp = { stage, index, messages in
            guard stage == .advertiseKeys, index == 1 else { return messages }
            var keys =
                try! decodeWire(Message(decoding: messages[0], limit: 1000).body) as Secagg_V1_AdvertiseKeys
            keys.maskKey = Data([UInt8](repeating: 0, count: 32))
            return [
                Message(
                    .advertise, session: round.server.manifestDigest, body: encodeWire(keys),
                    label: .advertise, signer: round.identities[1].signingKey
                ).encoded()
            ]
        }
        let outcome = round.run()
        #expect(outcome.refused.map(\.check) == [.lowOrderKey])
        #expect(outcome.sum?.elements == round.plainSum([0, 2, 3, 4]))
    }

    @Test("unknown_identity: a cohort member outside the roster makes every client leave")
    func unknownIdentity() throws {
        var random = StreamRandom(seed: 3, label: "sybil")
        let sybil = SigningKey(generatedBy: &random)
        let (_, outcome) = try attack(.shareKeys) { round, _, bytes in
            self.editCohort(bytes) { cohort in
                var keys = try! decodeWire([UInt8](cohort.entries[0].advertise)) as Secagg_V1_AdvertiseKeys
                keys.identityKey = Data(sybil.verifyingKey.bytes)
                let body = encodeWire(keys)
                cohort.entries[0].advertise = Data(body)
                cohort.entries[0].signature = Data(
                    sybil.sign(signedDigest(.advertise, scope: round.server.manifestDigest, body: body)))
            }
        }
        #expect(checks(outcome) == [.identityMismatch] && outcome.sum == nil)
    }

    @Test("Members missing, doubled, reordered or too few: the cohort is refused")
    func cohortShape() throws {
        let (_, own) = try attack(.shareKeys, victim: 0) { round, index, bytes in
            self.editCohort(bytes) { cohort in
                cohort.entries.removeAll { entry in
                    let keys = try! decodeWire([UInt8](entry.advertise)) as Secagg_V1_AdvertiseKeys
                    return keys.client == round.identities[index].id.number
                }
            }
        }
        #expect(checks(own).isSubset(of: [.ownEntryMissing, .wrongSession]) && own.clientFaults.count == 1)
        let (_, doubled) = try attack(.shareKeys) { _, _, bytes in
            self.editCohort(bytes) { $0.entries[1] = $0.entries[0] }
        }
        #expect(checks(doubled) == [.duplicateIdentity])
        let (_, reordered) = try attack(.shareKeys) { _, _, bytes in
            self.editCohort(bytes) { $0.entries.swapAt(0, 1) }
        }
        #expect(checks(reordered) == [.duplicateIdentity])
        let (_, few) = try attack(.shareKeys) { _, _, bytes in
            self.editCohort(bytes) { $0.entries.removeLast(3) }
        }
        #expect(checks(few) == [.cohortSize])
    }

    @Test("merkle_forgery: a session that is not the hash of manifest and cohort is refused")
    func forgedSession() throws {
        let (_, outcome) = try attack(.shareKeys) { _, _, bytes in
            self.edit(bytes) { $0.session = .of([1]) }
        }
        #expect(checks(outcome) == [.wrongSession] && outcome.sum == nil)
    }

    @Test("model_inconsistency: half the clients under another manifest cannot be summed with the rest")
    func modelInconsistency() throws {
        let round = try LoopbackRound(clients: 6)
        let other = RoundManifest(
            parameters: round.parameters, serverNonce: .of([77]), rosterDigest: round.roster?.digest,
            expiry: 1000)
        let fork = reSigned(round, other)
        round.tamperDown = { stage, index, bytes in stage == .advertiseKeys && index < 3 ? fork : bytes }
        let outcome = round.run()
        // Their announcements are bound to the manifest they saw, so they never enter this cohort.
        #expect(outcome.refused.count == 3 && Set(outcome.refused.map(\.check)) == [.wrongSession])
        #expect(outcome.sum?.elements == round.plainSum([3, 4, 5]))
    }
}
