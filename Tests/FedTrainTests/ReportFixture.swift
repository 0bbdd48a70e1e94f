import DP
import FedTrain
import GMP
import SecureAgg
import Sodium

/// A small run of eight sites, written as the federation writes it: one round with two sites lost, one
/// that falls below the floor and is charged, one that is given back.
struct ReportFixture {
    let key: SigningKey
    let ledger: [UInt8]

    static let start = 1_795_000_000

    /// In which rounds clients are lost.
    enum Losses {
        /// In three of the first rounds.
        case scripted
        /// Besides, in every round another number at another stage.
        case everyRound
    }

    init(
        unit: PrivacyUnit = .record, rounds: Int = 8, seed: UInt64 = 7, close: Bool = true,
        facts: [String: String] = [:], remark: String = "site 3 was restarted by hand in round 4",
        losses: Losses = .scripted
    ) throws {
        let random = StreamRandom(seed: seed, label: "report fixture")
        var source = random
        key = SigningKey(generatedBy: &source)
        let plan = try Self.plan(unit: unit, rounds: rounds, facts: facts)
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(in: storage, key: key, plan: plan, at: Self.start)
        for round in 1...rounds { try Self.run(round, in: file, losses) }
        let end = Self.start + 60 * (rounds + 1)
        for (name, value) in [("base", 0.0817), ("site 1 alone", 0.2303), ("federation", 0.7412)] {
            try file.score(
                at: end,
                payload: ScoreFact(
                    name: name, metric: "exact match", value: value, count: 360, higherIsBetter: true
                )
                .payload)
        }
        if !remark.isEmpty { try file.note(at: end + 1, payload: ["text": remark]) }
        if close { try file.close(at: end + 2) }
        ledger = storage.log
    }

    static func plan(unit: PrivacyUnit, rounds: Int, facts: [String: String]) throws -> PlanStatement {
        let sum = PrivacyEvent.Kind.discreteGaussianSum(
            delta2Squared: 1_050_625, sigmaLocalSquared: 170_000, honestShares: 5, dimension: 4096)
        let rate = Rational(1, 20)
        let event = try PrivacyEvent(
            unit: unit, adjacency: .zeroOut, kind: unit == .record ? .poissonSampled(rate: rate, sum) : sum)
        var all = [
            LedgerFacts.project: "notes <of> eight & sites", LedgerFacts.setting: LedgerFacts.oneProcess,
            LedgerFacts.denominator: "400", LedgerFacts.recordCount: "8000",
        ]
        all.merge(facts) { $1 }
        return PlanStatement(
            run: "0001", role: .server, event: event, roundsPlanned: rounds,
            budgetEpsilon: rounds > 100 ? 1000 : unit == .record ? 8 : 40, delta: Rational(1, 100_000),
            accountant: unit == .record ? .rdp : .zcdp, clients: 8, minSurvivors: 6, colluders: 1,
            profile: "malicious-server", samplingRate: unit == .record ? rate : nil,
            mechanism: "distributed discrete Gaussian", clipNormMax: 1, scale: 1024,
            roundingBeta: Rational(3, 5), dimension: 4096, modulusBits: 24,
            wrapProbability: Rational(1, BigInteger.powerOfTwo(40)),
            baseModel: .of([1]), adapterLayout: .of([2]), codeVersion: FedTrainVersion.text, facts: all)
    }

    private static func run(_ round: Int, in file: LedgerFile, _ losses: Losses) throws {
        let time = start + round * 60
        let permit = try file.reserve(round: round, at: time)
        _ = consume permit
        var counts = RoundCounts(invited: 8, completed: [:])
        func complete(_ stages: [Stage], _ clients: Int) {
            for stage in stages { counts.completed[stage] = clients }
        }
        switch round {
        case 4:
            complete([.advertiseKeys, .shareKeys], 8)
            complete([.submitMaskedInput], 5)
            try file.abort(
                round: round, beforeAnythingLeft: false, reason: "5 contributions, the floor is 6",
                at: time + 9, payload: counts.payload)
        case 6:
            complete([.advertiseKeys], 4)
            try file.abort(
                round: round, beforeAnythingLeft: true, reason: "4 of 8 sites answered", at: time + 3,
                payload: counts.payload)
        default:
            complete([.advertiseKeys, .shareKeys], 8)
            complete([.submitMaskedInput], round == 3 ? 6 : 8)
            complete([.confirmSurvivors, .unmask], round == 3 ? 6 : round == 5 ? 7 : 8)
            if losses == .everyRound, round > 6 {
                counts.completed[.shareKeys] = 8 - round % 2
                complete([.submitMaskedInput], 8 - round % 2 - round / 2 % 2)
                complete([.confirmSurvivors], 8 - round % 2 - round / 2 % 2)
                complete([.unmask], 8 - round % 2 - round / 2 % 2 - round / 4 % 2)
            }
            try file.commit(round: round, survivors: counts.survivors, at: time + 8, payload: counts.payload)
            var payload = counts.payload
            payload["adapter"] = Digest.of([UInt8(truncatingIfNeeded: round)]).hex
            try file.release(round: round, at: time + 9, payload: payload)
        }
    }

    /// The four files of the run.
    func files() throws -> (ledger: [UInt8], json: [UInt8], html: [UInt8], signature: [UInt8]) {
        let report = try PrivacyReport(ledger: ledger)
        let (json, html) = (report.json(), report.html())
        let signature = ReportSignature(ledger: ledger, json: json, html: html, key: key)
        return (ledger, json, html, signature.fileBytes)
    }
}
