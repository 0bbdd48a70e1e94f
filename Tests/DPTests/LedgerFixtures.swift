import DP
import GMP
import Sodium

/// A plan of eight sites under record-level sampling, and keys, for ledger tests.
enum LedgerFixtures {
    static let key = signingKey(1)

    static func signingKey(_ seed: UInt64) -> SigningKey {
        var source = StreamRandom(seed: seed, label: "ledger tests")
        return SigningKey(generatedBy: &source)
    }

    static func event(rate: Rational? = Rational(1, 10), sigma: Rational = 90_000) throws -> PrivacyEvent {
        let sum = PrivacyEvent.Kind.discreteGaussianSum(
            delta2Squared: 250_000, sigmaLocalSquared: sigma, honestShares: 5, dimension: 4096)
        return try PrivacyEvent(
            unit: rate == nil ? .client : .record, adjacency: .zeroOut,
            kind: rate.map { .poissonSampled(rate: $0, sum) } ?? sum)
    }

    static func plan(
        budget: Rational = 8, accountant: AccountantKind = .rdp, rate: Rational? = Rational(1, 10),
        role: PlanStatement.Role = .server, limit: Int? = nil, gap: Int? = nil
    ) throws -> PlanStatement {
        PlanStatement(
            run: "run-1", role: role, participant: role == .client ? "site-3" : "",
            event: try event(rate: rate), roundsPlanned: 20, budgetEpsilon: budget,
            delta: Rational(1, 100_000), accountant: accountant, clients: 8, minSurvivors: 6,
            colluders: 1, profile: "malicious-server", participationLimit: limit,
            participationGap: gap, samplingRate: rate, mechanism: "distributed discrete Gaussian",
            clipNormMax: Rational(1, 2), scale: 1000, roundingBeta: Rational(3, 5), dimension: 4096,
            modulusBits: 20, wrapProbability: Rational(1, BigInteger.powerOfTwo(40)),
            baseModel: Digest.of(Array("base".utf8)), adapterLayout: Digest.of(Array("layout".utf8)),
            codeVersion: "0.1.0", facts: ["operator": "Nobody \"in particular\"\n", "data": "notes"])
    }

    /// Three rounds: released, aborted before anything left, aborted after; a score, a note, a close.
    static func history(
        in storage: any LedgerStorage = MemoryLedgerStorage()
    ) throws -> LedgerFile {
        let file = try LedgerFile.create(in: storage, key: key, plan: plan(), at: 1000)
        _ = try file.reserve(round: 1, at: 1001, payload: ["cohort": "8"])
        try file.commit(round: 1, survivors: 7, at: 1010, payload: ["sum": "ab12"])
        try file.release(round: 1, at: 1011, payload: ["adapter": "cd34"])
        _ = try file.reserve(round: 2, at: 1020)
        try file.abort(round: 2, beforeAnythingLeft: true, reason: "quorum", at: 1021)
        _ = try file.reserve(round: 3, at: 1030)
        try file.abort(round: 3, beforeAnythingLeft: false, reason: "below the floor", at: 1031)
        try file.score(at: 1040, payload: ["metric": "loss", "data": "public", "value": "3/2"])
        try file.note(at: 1041, payload: ["text": "one deviation"])
        try file.close(at: 1050)
        return file
    }
}

extension LedgerFixtures {
    /// Five lines with every kind of field, for tests that go through all bytes.
    static func shortHistory(in storage: any LedgerStorage) throws -> LedgerFile {
        let file = try LedgerFile.create(
            in: storage, key: key, plan: plan(accountant: .gdp, rate: nil), at: 1000)
        _ = try file.reserve(round: 1, at: 1001, payload: ["cohort": "8"])
        try file.commit(round: 1, survivors: 7, at: 1010)
        try file.note(at: 1041, payload: ["text": "one deviation"])
        try file.close(at: 1050)
        return file
    }
}

/// Storage that fails the n-th operation, having done `part` of it.
final class FaultyLedgerStorage: LedgerStorage {
    let memory: MemoryLedgerStorage
    /// Operations until the fault; nil: none.
    var fuse: Int?
    /// Bytes of an append that get through before it fails.
    let part: Int
    /// Whether every later operation fails too.
    let isDead: Bool
    private var hasBlown = false

    init(_ memory: MemoryLedgerStorage, fuse: Int?, part: Int, isDead: Bool) {
        self.memory = memory
        self.fuse = fuse
        self.part = part
        self.isDead = isDead
    }

    private func burn() -> Bool {
        if hasBlown && isDead { return true }
        guard let left = fuse else { return false }
        fuse = left - 1
        if left == 0 {
            hasBlown = true
            fuse = nil
            return true
        }
        return false
    }

    func load() throws(LedgerError) -> (log: [UInt8], acknowledgement: [UInt8]?) {
        if hasBlown && isDead { throw .storage("the disk is gone") }
        return try memory.load()
    }

    func append(_ bytes: [UInt8]) throws(LedgerError) {
        guard burn() else { return try memory.append(bytes) }
        try memory.append(Array(bytes.prefix(part)))
        throw .storage("no space left on device")
    }

    func truncate(to length: Int) throws(LedgerError) {
        if burn() { throw .storage("input/output error") }
        try memory.truncate(to: length)
    }

    func acknowledge(_ bytes: [UInt8]) throws(LedgerError) {
        guard burn() else { return try memory.acknowledge(bytes) }
        if part > 0 { try memory.acknowledge(bytes) }
        throw .storage("input/output error")
    }
}
