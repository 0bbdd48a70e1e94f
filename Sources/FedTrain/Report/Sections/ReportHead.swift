import DP
import GMP
import SecureAgg

extension ReportDocument {
    /// The whole document of a run: guarantee, figures, then the checklist in its order.
    init(_ account: RunAccount) {
        let plan = account.plan
        title = "Privacy report of \(plan.facts[LedgerFacts.project] ?? plan.run)"
        subtitle =
            "Run \(plan.run) · \(UTCTime.text(account.history.startedAt)) to "
            + "\(UTCTime.text(account.history.endedAt)) · fedtrain \(plan.codeVersion)"
        headline = Self.headline(account)
        tiles = Self.tiles(account)
        notices = Self.notices(account)
        figures = ReportPlots.all(account)
        sections = Self.checklist(account)
    }

    private static func headline(_ account: RunAccount) -> [Fact] {
        [
            Fact(key: "guarantee", label: "Guarantee", value: .text(ReportSentences.guarantee(account))),
            Fact(
                key: "equivalent", label: "Equivalent",
                value: .text(ReportSentences.equivalents(account.spent))),
            Fact(
                key: "bestTest", label: "Best possible test", value: .text(ReportSentences.bestTest(account))),
            Fact(key: "groups", label: "Groups", value: .text(ReportSentences.groups(account))),
            Fact(key: "assumes", label: "Assumes", value: .text(ReportSentences.assumes(account))),
        ]
    }

    private static func tiles(_ account: RunAccount) -> [Fact] {
        let plan = account.plan
        var tiles = [
            Fact(
                key: "epsilon", label: "ε spent, at δ = \(ReportSentences.delta(account.spent.delta))",
                value: .number(account.spent.epsilon, .up)),
            Fact(
                key: "epsilonPlanned", label: "ε planned, for \(plan.roundsPlanned) rounds",
                value: .number(account.plannedEpsilon, .up)),
            Fact(
                key: "budget", label: "ε that may not be passed", value: .number(plan.budgetEpsilon.asDouble)),
            Fact(key: "unit", label: "unit of privacy", value: .text(plan.event.unit.rawValue)),
            Fact(key: "roundsReleased", label: "rounds released", value: .count(account.released)),
            Fact(key: "roundsCharged", label: "rounds charged", value: .count(account.charged)),
        ]
        let survivors = account.history.rounds.filter { $0.outcome == .released }.compactMap(\.survivors)
        if let fewest = survivors.min() {
            tiles.append(
                Fact(
                    key: "fewestContributions", label: "fewest contributions in a sum", value: .count(fewest))
            )
        }
        return tiles
    }

    /// Above this ε the report calls a guarantee weak: e^10 is a factor of 22,000.
    static let weakEpsilon = 10.0

    private static func notices(_ account: RunAccount) -> [Fact] {
        let plan = account.plan
        var notices: [Fact] = []
        func add(_ key: String, _ label: String, _ text: String) {
            notices.append(Fact(key: key, label: label, value: .text(text)))
        }
        if let audit = account.history.audits.last(where: \.refutesClaim) {
            add(
                "refuted", "Contradicted by an audit",
                "An empirical audit of this run's plan found a leak of at least ε = "
                    + "\(ReportSentences.epsilon(audit.epsilonLowerBound)), more than the mechanism can have if it is "
                    + "built as it is described. Do not rely on the guarantee below before the cause is known."
            )
        }
        if let earlier = account.earlier {
            let runs =
                earlier.runs.map { $0 == 1 ? "One earlier run" : "\($0) earlier runs" } ?? "Earlier runs"
            let delta = account.totalDelta.map { "δ = \(ReportSentences.delta($0)), " } ?? ""
            add(
                "earlierRuns", "Earlier runs",
                "\(runs) on the same people spent ε = \(ReportSentences.epsilon(earlier.epsilon)). Together with "
                    + "this run: at most ε = \(ReportSentences.epsilon(account.totalEpsilon)), at \(delta)the "
                    + "sum of all runs' δ (basic composition).")
        }
        if let runs = plan.facts[LedgerFacts.runsInClear].flatMap({ Int($0) }) {
            add(
                "runsInClear", "Earlier runs in clear",
                (runs == 1 ? "One earlier run" : "\(runs) earlier runs")
                    + " of the same workspace had neither noise nor masks. No ε bounds what was learned there, "
                    + "and nothing here covers it.")
        }
        if account.totalEpsilon > weakEpsilon {
            add(
                "weakGuarantee", "Weak guarantee",
                """
                ε = \(ReportSentences.epsilon(account.totalEpsilon)) per \(plan.event.unit.rawValue) permits \
                an observer to become almost certain about one \(ReportSentences.noun(account.unit)). \
                Treat the releases as if they could identify it
                """ + ".")
        }
        if plan.clients < AggregationParameters.defaultCohortFloor
            || plan.minSurvivors - plan.colluders < AggregationParameters.defaultSurvivorsBeyondColluders
        {
            add("smallCohort", "Small cohort", smallCohort(account))
        }
        if plan.facts[LedgerFacts.setting] == LedgerFacts.oneProcess {
            add(
                "oneProcess", "One process",
                "All parties of this run lived in one process on one machine. The figures say what a server "
                    + "and other clients would have learned; the operator of that machine saw everything.")
        }
        if let randomness = plan.facts[LedgerFacts.randomness], randomness != LedgerFacts.operatingSystem {
            add(
                "knownRandomness", "Replayable noise",
                "The random numbers of this run came from a \(randomness), so that it can be replayed. Whoever knows "
                    + "the seed can compute the noise and take it off: the guarantee describes the mechanism, and "
                    + "protects real data only in a run without a seed.")
        }
        if plan.profile != "malicious-server" {
            add(
                "semiHonest", "Semi-honest server",
                "The guarantee holds only if the server followed the protocol.")
        }
        if let records = plan.facts[LedgerFacts.recordCount].flatMap({ Int($0) }), records > 0,
            account.unit == .record, account.spent.delta > 1 / (10 * Double(records))
        {
            add("largeDelta", "Large δ", largeDelta(account.spent.delta, units: records, "training records"))
        } else if account.unit == .client, account.spent.delta > 1 / (10 * Double(account.population)) {
            add(
                "largeDelta", "Large δ", largeDelta(account.spent.delta, units: account.population, "clients")
            )
        }
        if !account.history.isClosed {
            add(
                "openLedger", "Unfinished run",
                "The ledger is not closed. Later rounds may raise ε; this report covers what it holds now.")
        }
        return notices
    }

    private static func smallCohort(_ account: RunAccount) -> String {
        let plan = account.plan
        let noun = ReportSentences.noun(account.unit)
        let beyond = plan.minSurvivors - plan.colluders
        var text =
            "\(plan.clients) clients took part, and a sum may hold as few as \(plan.minSurvivors) contributions. "
            + "Each member can subtract its own contribution from an opened sum; what then hides the other "
            + "\(beyond) or more is the noise alone, not the number of people."
        switch account.unit {
        case .client:
            text +=
                " So few clients cannot hide one of them without drowning what they learned: "
                + "ε = \(ReportSentences.epsilon(account.spent.epsilon)) per client is a weak guarantee."
        case .record:
            text +=
                " The ε per \(noun) above assumes exactly that. It does not hide a client: what all records "
                + "of one client have in common is not covered."
        }
        return text
    }

    private static func largeDelta(_ delta: Double, units: Int, _ noun: String) -> String {
        "δ should lie well below one over the number of \(noun) (\(Figures.count(units))); here it is "
            + "\(ReportSentences.delta(delta)), so the guarantee tolerates failures for some of them."
    }
}
