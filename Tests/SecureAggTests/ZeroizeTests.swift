import Foundation
import SecureAgg
import Sodium
import Testing

/// Draws as its base does and keeps each draw of key size, disguised, so that looking for a secret in
/// memory does not find the record of it.
private final class WitnessedRandom: RandomSource {
    static let disguise: UInt8 = 0xa7
    private var base: StreamRandom
    private(set) var draws: [[UInt8]] = []

    init(_ base: StreamRandom) { self.base = base }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        base.fill(buffer)
        if (31...32).contains(buffer.count) { draws.append(buffer.map { $0 ^ Self.disguise }) }
    }
}

/// No draw of a client's session is left in this process's memory when the session is over.
///
/// Looked at are all writable mappings, the heap and libsodium's locked pages among them, but stacks: what
/// a register was spilled to is overwritten by the next calls, not wiped.
@Suite(.serialized) struct ZeroizeTests {
    /// How many of the disguised secrets lie somewhere in writable memory.
    private func found(_ secrets: [[UInt8]]) -> Int {
        // Their first eight bytes, still disguised.
        let heads = Dictionary(grouping: secrets.indices) { index in
            secrets[index].prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        // Most words are told apart by their low 16 bits.
        var isCandidate = [Bool](repeating: false, count: 1 << 16)
        for head in heads.keys { isCandidate[Int((head ^ 0xa7a7) & 0xffff)] = true }
        let disguise = UInt64(0x0101_0101_0101_0101) &* UInt64(WitnessedRandom.disguise)
        var hits = Set<Int>()
        let maps = Self.mappings()
        let memory = open("/proc/self/mem", O_RDONLY)
        defer { close(memory) }
        let window = 1 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: window + 64, alignment: 64)
        defer { buffer.deallocate() }
        for line in maps.split(separator: "\n") where line.contains(" rw") && !line.contains("[stack") {
            let bounds = line.prefix { $0 != " " }.split(separator: "-").map { UInt64($0, radix: 16)! }
            // Thread stacks are mappings of 8 MiB behind a guard page; the heap's arenas are not.
            if bounds[1] - bounds[0] == 8 << 20 { continue }
            for start in stride(from: bounds[0], to: bounds[1], by: window) {
                let wanted = Int(min(UInt64(window + 64), bounds[1] - start))
                let count = pread(memory, buffer.baseAddress, wanted, off_t(start))
                guard count >= 32 else { continue }
                // Secrets begin where allocations or slots do, or follow a 32-byte share: multiples of 8.
                for offset in stride(from: 0, through: count - 32, by: 8) {
                    let word = buffer.load(fromByteOffset: offset, as: UInt64.self)
                    guard isCandidate[Int(word & 0xffff)], let candidates = heads[word ^ disguise] else {
                        continue
                    }
                    for index in candidates
                    where secrets[index].indices.allSatisfy({
                        buffer[offset + $0] ^ WitnessedRandom.disguise == secrets[index][$0]
                    }) {
                        hits.insert(index)
                    }
                }
            }
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
        }
        return hits.count
    }

    /// The lines of /proc/self/maps, read until their end as its size is not known before.
    private static func mappings() -> String {
        let file = open("/proc/self/maps", O_RDONLY)
        defer { close(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(file, &part, part.count), count > 0 { bytes += part[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("The scan sees a secret that is alive, and no longer when it is released")
    func control() {
        var random = WitnessedRandom(StreamRandom(seed: 0x5eed_0600, label: "zeroize control"))
        var secret: SecretBytes? = SecretBytes(random: 31, from: &random)
        withExtendedLifetime(secret) { #expect(found(random.draws) == 1) }
        secret = nil
        #expect(found(random.draws) == 0)
    }

    @Test(
        "zeroize: nothing that a client drew is in memory after it finished, left or was stopped",
        arguments: [Stage.shareKeys, .submitMaskedInput, .confirmSurvivors, .unmask, nil])
    func client(leavingAt end: Stage?) throws {
        // The server's messages are recorded first, so that no server that rebuilds seeds is alive.
        let script = try script()
        var random = WitnessedRandom(StreamRandom(seed: 0x5eed_0601, label: "zeroize client"))
        let session = script.session()
        for stage in Stage.allCases {
            if stage == end {
                session.leave()
                break
            }
            try script.answer(stage, session, &random)
        }
        if end == nil { _ = try session.finish(script.result) }
        // Two keys, the self-mask seed and, from stage 1 on, two coefficients.
        #expect(random.draws.count == (end == .shareKeys ? 2 : 5))
        #expect(found(random.draws) == 0)
        // The session itself may live on; it holds nothing.
        withExtendedLifetime(session) {}
    }

    /// What one client is sent in a round of three.
    private struct Script {
        let round: LoopbackRound
        var inbox: [Stage: [UInt8]] = [:]
        var result: [UInt8] = []

        func session() -> ClientSession {
            ClientSession(
                identity: round.identities[0], server: round.serverKey.verifyingKey, roster: round.roster,
                policy: round.policy(), journal: InMemoryJournal())
        }

        func answer(_ stage: Stage, _ session: ClientSession, _ random: inout some RandomSource) throws {
            let bytes = inbox[stage]!
            switch stage {
            case .advertiseKeys: _ = try session.advertiseKeys(bytes, now: 0, random: &random)
            case .shareKeys: _ = try session.shareKeys(bytes, random: &random)
            case .submitMaskedInput: _ = try session.maskedInput(bytes, values: round.values[0])
            case .confirmSurvivors: _ = try session.confirmSurvivors(bytes)
            case .unmask: _ = try session.unmask(bytes)
            }
        }
    }

    private func script() throws -> Script {
        let round = try LoopbackRound(clients: 3)
        var script = Script(round: round)
        // Client 0 draws from a stream of its own, the one that the witnessed client will draw from.
        round.clientRandom[0] = StreamRandom(seed: 0x5eed_0601, label: "zeroize client")
        round.tamperDown = { stage, index, bytes in
            if index == 0 { script.inbox[stage] = bytes }
            return bytes
        }
        // The other answers never arrive, so that no seed of client 0 is rebuilt, let alone published.
        round.lossStage = [1: .unmask, 2: .unmask]
        let outcome = round.run()
        #expect(outcome.abort?.check == .unrecoverable)
        let session = try #require(Message(decoding: script.inbox[.unmask]!, limit: 10_000).session)
        var wire = Secagg_V1_RoundResult()
        wire.bitmap = Data(BitSet(count: 3, members: 0..<3).bytes)
        wire.resultDigest = Data(Digest.of([1]).bytes)
        wire.transcriptRoot = Data(Digest.of([2]).bytes)
        script.result = Message(
            .result, session: session, body: encodeWire(wire), label: .result, signer: round.serverKey
        ).encoded()
        round.forgetServer()
        return script
    }
}
