import DP
import Foundation
import GMP
import Models

extension RoundPlan {
    /// The plan as the ledger's first record states it: everything the report needs.
    ///
    /// - Parameter runsInClear: how many runs of the workspace had no protection at all.
    func statement(
        run: String, adapter: Adapter, base: BaseModel, data: DataStatement,
        randomness: RunRandomness, prior: PriorSpending, setting: String = LedgerFacts.oneProcess,
        runsInClear: Int = 0
    ) -> PlanStatement {
        var facts: [String: String] = [
            LedgerFacts.project: name,
            LedgerFacts.algorithm: algorithm.rawValue,
            LedgerFacts.data: data.text,
            LedgerFacts.recordCount: "\(data.recordCount)",
            LedgerFacts.baseModelName: base.name,
            LedgerFacts.adapterName: adapter.configuration.title,
            LedgerFacts.setting: setting,
            LedgerFacts.planDigest: digest.hex,
            LedgerFacts.denominator: "\(denominator)",
            LedgerFacts.wrapArgument: aggregation.wrap.argument.rawValue,
            LedgerFacts.tinyCohort: "\(isTinyCohort)",
            LedgerFacts.threshold: "\(topology.threshold)",
            LedgerFacts.neighbours: "\(topology.neighbours)",
            LedgerFacts.randomness: randomness.statement,
        ]
        if let levels = aggregation.noise.levels {
            facts[LedgerFacts.noiseLevels] = levels.dropouts.map(String.init).joined(separator: ",")
        }
        facts.merge(statements) { fact, _ in fact }
        facts[LedgerFacts.build] = BuildDigest.hex
        if population > clients { facts[LedgerFacts.population] = "\(population)" }
        if prior.runs > 0 {
            facts[LedgerFacts.spentBefore] = "\(prior.epsilon)"
            facts[LedgerFacts.runsBefore] = "\(prior.runs)"
        }
        if runsInClear > 0 { facts[LedgerFacts.runsInClear] = "\(runsInClear)" }
        return PlanStatement(
            run: run, role: .server, event: event, roundsPlanned: rounds, budgetEpsilon: epsilonMax,
            delta: delta, accountant: accountantKind, clients: clients, minSurvivors: minSurvivors,
            colluders: colluders, profile: profile.name, participationLimit: participation.limit,
            participationGap: participation.gap > 1 ? participation.gap : nil,
            samplingRate: samplingRate < 1 ? samplingRate : nil,
            mechanism: aggregation.noise.name, clipNormMax: aggregation.encoding.clipNorm,
            scale: aggregation.encoding.scale,
            roundingBeta: Self.roundingBeta(exponent: aggregation.encoding.roundingExponent),
            dimension: aggregation.length, modulusBits: aggregation.modulusBits,
            wrapProbability: wrapProbability, baseModel: baseDigest, adapterLayout: adapter.layoutDigest,
            codeVersion: FedTrainVersion.text, facts: facts)
    }

    /// What is said of the data: in words, and how many records at most.
    package struct DataStatement: Sendable {
        let text: String
        let recordCount: Int
    }

    /// 2 to the proven exponent, rounded up to a whole power of two, plus the chance that some client
    /// sampled more records than the proof assumed.
    public var wrapProbability: Rational {
        let bits = Int(min(1000, max(0, (-aggregation.wrap.failureLog2).rounded(.down))))
        let wraps = Rational(1, .powerOfTwo(bits))
        guard samplingRate < 1 else { return wraps }
        return wraps + Rational(BigInteger(clients), .powerOfTwo(Self.oversamplingBits(clients: clients)))
    }

    /// β = e^−exponent, rounded up to six digits: the acceptance it promises is then no smaller.
    private static func roundingBeta(exponent: Rational) -> Rational {
        Rational(BigInteger(Int((exp(-exponent.asDouble) * 1e6).rounded(.up))), 1_000_000)
    }
}

extension FederationData {
    var planStatement: RoundPlan.DataStatement {
        RoundPlan.DataStatement(text: statement, recordCount: recordCounts.reduce(0, +))
    }
}

extension BaseModel {
    /// The last part of the model's path, for people.
    var name: String { (directory as NSString).lastPathComponent }
}
