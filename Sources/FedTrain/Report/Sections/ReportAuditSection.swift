import DP

/// Item 13 of the checklist: what an attack on the plan's own rounds found, beside the claim.
extension ReportDocument {
    static func audit(_ account: RunAccount) -> Section {
        guard let audit = account.history.audits.last else {
            return Section(
                key: "audit", title: "Empirical audit",
                facts: [
                    Fact(
                        key: "audit", label: "Audit",
                        value: .notApplicable(
                            "none was made. The guarantee rests on the mechanism and its proofs; an attack might "
                                + "reveal an error in them, and none was tried here"))
                ])
        }
        let rounds = audit.participations == 1 ? "one round" : "\(audit.participations) rounds"
        return Section(
            key: "audit", title: "Empirical audit",
            facts: [
                Fact(
                    key: "verdict", label: "Verdict",
                    value: .text(
                        audit.refutesClaim
                            ? "the audit contradicts the claim"
                            : "the audit does not contradict the claim; that is no proof of it")),
                Fact(
                    key: "lowerBound",
                    label:
                        "Lower bound on ε of \(rounds), at \(Figures.percent(audit.confidence, .down)) confidence",
                    value: .number(audit.epsilonLowerBound, .down)),
                Fact(
                    key: "claimed",
                    label: "Claimed ε of \(rounds) at δ = \(ReportSentences.delta(audit.delta))",
                    value: .number(audit.epsilonClaimed, .up)),
                Fact(
                    key: "method", label: "Method",
                    value: .text(
                        "made-up units with fair, secret coins in rounds of the same plan among the auditor's own "
                            + "parties, without anybody's data, at the survivor floor and with the colluders' noise "
                            + "taken off; one-run tests of Steinke, Nasr and Jagielski (2023) and, in trade-off form, "
                            + "of Mahloujifar, Melis and Chaudhuri (2024)")),
                Fact(key: "limits", label: "What it could not have seen", value: .text(audit.limits)),
                Fact(
                    key: "who", label: "Made by",
                    value: .text(
                        "the holder of the ledger's key, with fedtrain \(audit.codeVersion), random numbers from "
                            + "\(audit.randomness); the counts below are that party's word")),
                Fact(key: "count", label: "Audits recorded", value: .count(account.history.audits.count)),
            ],
            tables: [
                Table(
                    key: "tests", caption: "Tests of the latest audit; all bounds hold at once",
                    columns: [
                        .init(key: "canary", label: "canary", isNumber: false),
                        .init(key: "canaries", label: "canaries"), .init(key: "guesses", label: "guesses"),
                        .init(key: "correct", label: "right"),
                        .init(key: "oneRun", label: "ε ≥ (one run)"),
                        .init(key: "tradeOff", label: "ε ≥ (trade-off)"),
                        .init(key: "noticed", label: "noise noticed below"),
                    ],
                    rows: audit.tests.map { test in
                        [
                            .text(test.kind.rawValue), .count(test.canaries), .count(test.guesses),
                            .count(test.correct), .number(test.epsilonOneRun, .down),
                            .number(test.epsilonTradeOff, .down), .share(test.noiseFactorNoticed, .down),
                        ]
                    })
            ])
    }
}
