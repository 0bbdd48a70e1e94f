import DP
import GMP

/// The checklist, items 6 to 8: mechanism, composition and the guarantee that follows.
extension ReportDocument {
    static func mechanism(_ account: RunAccount) -> Section {
        let plan = account.plan
        var facts = [
            Fact(key: "mechanism", label: "Mechanism", value: .text(plan.mechanism)),
            Fact(key: "event", label: "Event per round", value: .code(plan.event.kind.description)),
            Fact(key: "clipNormMax", label: "Clip norm c (L2)", value: .code("\(plan.clipNormMax)")),
            Fact(
                key: "scale", label: "Scale s, integer steps per unit of the update",
                value: .code("\(plan.scale)")),
            Fact(key: "roundingBeta", label: "Conditional rounding, β", value: .code("\(plan.roundingBeta)")),
        ]
        if let noise = account.noise {
            let certificate =
                noise.isSkellam
                ? UnitShiftCertificate.skellam(
                    variance: noise.sigmaLocalSquared * Rational(noise.honestShares))
                : UnitShiftCertificate.discreteGaussianSum(
                    sigmaLocalSquared: noise.sigmaLocalSquared, shares: noise.honestShares)
            facts += [
                Fact(
                    key: "sensitivitySquared", label: "Integer sensitivity, Δ₂²",
                    value: .code("\(noise.delta2Squared)")),
                Fact(
                    key: "localVariance", label: "Noise variance per client, σ² in squared steps",
                    value: .code("\(noise.sigmaLocalSquared)")),
                Fact(
                    key: "honestShares", label: "Noise shares that count, h = floor − colluders",
                    value: .count(noise.honestShares)),
                Fact(
                    key: "noiseMultiplier", label: "Noise over sensitivity, √(h·σ²)/Δ₂",
                    value: .number(noise.requiredMultiplier, .down)),
                Fact(
                    key: "unitShift", label: "μ₁ of the unit-shift certificate (this project's own)",
                    value: .number(certificate.muOne, .up)),
            ]
        } else {
            facts.append(
                Fact(
                    key: "sensitivitySquared", label: "Integer sensitivity",
                    value: .notApplicable("the event is not a sum of clients' noise shares")))
        }
        if let levels = account.noise?.levels {
            facts.append(
                Fact(
                    key: "noiseLevels",
                    label: "Add-then-remove noise: numbers of lost clients at which its levels stand",
                    value: .text(levels.dropouts.map(String.init).joined(separator: ", "))))
        }
        facts += [
            Fact(key: "dimension", label: "Coordinates", value: .count(plan.dimension)),
            Fact(key: "modulusBits", label: "Bits per coordinate", value: .count(plan.modulusBits)),
            Fact(
                key: "wrapProbability", label: "Chance that a round's sum wraps, at most",
                value: .number(plan.wrapProbability.asDouble, .up)),
            Fact(key: "wrapArgument", label: "Why it does not wrap", value: wrapArgument(plan)),
            Fact(key: "algorithm", label: "Training", value: stated(plan, LedgerFacts.algorithm)),
        ]
        return Section(key: "mechanism", title: "Mechanism", facts: facts)
    }

    private static func wrapArgument(_ plan: PlanStatement) -> ReportValue {
        switch plan.facts[LedgerFacts.wrapArgument].flatMap(WrapBound.SignalArgument.init(rawValue:)) {
        case .worstCase:
            .text(
                "for every input: all contributions at their bound in one coordinate, and a tail bound for the noise"
            )
        case .rotation:
            .text(
                "by the random rotation, for updates that do not depend on its seed, and a tail bound for the noise"
            )
        case nil: stated(plan, LedgerFacts.wrapArgument)
        }
    }

    static func composition(_ account: RunAccount) -> Section {
        let plan = account.plan
        let rounds = account.history.rounds
        let bounds = plan.participationBounds
        let limit = plan.participationLimit.map { ReportValue.count($0) } ?? .text("none but the budget")
        let gap = plan.participationGap.map { ReportValue.count($0) } ?? .text("none")
        let filter =
            switch plan.accountant {
            case .zcdp, .gdp:
                "Sums of one number are an exact filter even if each round is chosen after seeing the others."
            default:
                "Every round is the same event, fixed before the first; stopping early only releases less."
            }
        return Section(
            key: "composition", title: "Composition and budget",
            facts: [
                Fact(key: "roundsPlanned", label: "Rounds planned", value: .count(plan.roundsPlanned)),
                Fact(key: "roundsReserved", label: "Rounds reserved", value: .count(rounds.count)),
                Fact(key: "roundsCharged", label: "Rounds charged", value: .count(account.charged)),
                Fact(key: "roundsReleased", label: "Rounds released", value: .count(account.released)),
                Fact(
                    key: "participations", label: "Rounds charged to each unit, at most",
                    value: .count(account.participations)),
                Fact(key: "participationLimit", label: "Participation limit", value: limit),
                Fact(
                    key: "participationGap",
                    label: "Least distance of two participations of a client, in rounds", value: gap),
                Fact(
                    key: "participationRule", label: "Who enforces limit and gap",
                    value: bounds.isBinding
                        ? .text(
                            "Each client's own ledger: it refuses a round past its limit or inside its gap, "
                                + "whatever the server asks. So of the charged rounds a client was in at most "
                                + "\(account.participations), and so many are charged.")
                        : .notApplicable(
                            "every charged round is charged to every client, whether it took part or not")),
                Fact(
                    key: "budget", label: "Budget, ε at δ = \(ReportSentences.delta(account.spent.delta))",
                    value: .number(plan.budgetEpsilon.asDouble)),
                Fact(key: "spent", label: "Spent", value: .number(account.spent.epsilon, .up)),
                Fact(
                    key: "spentBefore", label: "Spent by earlier runs on the same people",
                    value: account.earlier.map { .number($0.epsilon, .up) }
                        ?? .notApplicable("the plan names no earlier run")),
                Fact(
                    key: "total", label: "Together, by basic composition",
                    value: .number(account.totalEpsilon, .up)),
                Fact(
                    key: "totalDelta", label: "At δ, summed over the runs",
                    value: account.totalDelta.map { .number($0, .up) }
                        ?? .notApplicable("the plan does not count the earlier runs")),
                Fact(
                    key: "filter", label: "Filter",
                    value: .text(
                        "The ledger refuses a round that would pass the budget, by "
                            + ReportSentences.method(plan.accountant) + ". " + filter)),
            ])
    }

    static func guarantee(_ account: RunAccount) -> Section {
        let figures = account.spent
        let deltas = figures.lines.first { !$0.epsilons.isEmpty }?.epsilons.map(\.delta) ?? []
        let columns: [Table.Column] =
            [
                .init(key: "accountant", label: "accountant", isNumber: false),
                .init(key: "basis", label: "rests on", isNumber: false),
            ]
            + deltas.map {
                .init(
                    key: "epsilonAt\(Figures.text(Figures.rounded($0)))",
                    label: "ε at \(ReportSentences.delta($0))")
            }
        return Section(
            key: "guarantee", title: "Guarantee",
            facts: [
                Fact(key: "epsilon", label: "ε", value: .number(figures.epsilon, .up)),
                Fact(key: "delta", label: "δ", value: .number(figures.delta)),
                Fact(
                    key: "accountant", label: "Accountant of the budget",
                    value: .text(figures.accountant.rawValue)),
                Fact(key: "basis", label: "Rests on", value: .text(figures.basis.rawValue)),
                Fact(
                    key: "mu", label: "As μ-GDP, at most",
                    value: figures.mu.map { .number($0.value, .up) }
                        ?? .notApplicable("no Gaussian bound is known for sampled rounds")),
                Fact(
                    key: "rho", label: "As ρ-zCDP, at most",
                    value: figures.rho.map { .number($0, .up) }
                        ?? .notApplicable("no published zCDP bound is known for these rounds")),
                Fact(
                    key: "rounding", label: "Rounding",
                    value: .text("every ε, δ and detection rate is an upper bound and rounded up")),
            ],
            tables: [
                Table(
                    key: "lines", caption: "ε at several δ, by every accountant that can bound these events",
                    columns: columns,
                    rows: figures.lines.map { line in
                        let head: [ReportValue] = [
                            .text(line.accountant.rawValue), .text(line.refusal ?? basisText(line)),
                        ]
                        return head
                            + (line.epsilons.isEmpty
                                ? deltas.map { _ in .absent }
                                : line.epsilons.map { .number($0.epsilon, .up) })
                    }),
                Table(
                    key: "bestTests", caption: "What the best possible test against one unit achieves",
                    columns: [
                        .init(key: "falsePositiveRate", label: "false-positive rate"),
                        .init(key: "truePositiveRateMax", label: "true-positive rate, at most"),
                    ],
                    rows: figures.bestTests.map {
                        [.share($0.falsePositiveRate), .share($0.truePositiveRateMax, .up)]
                    }),
            ])
    }

    private static func basisText(_ line: PrivacyFigures.Line) -> String {
        switch line.basis {
        case .published: "published theorems"
        case .ownCertificate: "this project's own certificate"
        case nil: "–"
        }
    }
}
