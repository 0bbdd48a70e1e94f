import DP
import GMP

/// The checklist, items 9, 10 and 12 to 17; item 11 has a file of its own.
extension ReportDocument {
    static func amplification(_ account: RunAccount) -> Section {
        let claim: String
        if let rate = account.plan.samplingRate, rate < 1 {
            claim =
                "By secret sampling: in each round every client draws each of its own records with probability "
                + "\(rate), independently, with coins that never leave it. The server sees neither the coins "
                + "nor how many records were drawn, and every client answers whatever the coins said. No "
                + "amplification is claimed for the choice of clients or for shuffling."
        } else {
            claim = "None is claimed: the server picks the clients and knows which took part."
        }
        return Section(
            key: "amplification", title: "Amplification by sampling",
            facts: [Fact(key: "claim", label: "Claim", value: .text(claim))])
    }

    static func sideReleases(_ account: RunAccount) -> Section {
        var section = Section(key: "sideReleases", title: "Other releases")
        let charged = account.history.sideReleases
        section.facts = [
            Fact(
                key: "charged", label: "Charged outside rounds",
                value: charged.isEmpty
                    ? .notApplicable("nothing else touched training data") : .count(charged.count)),
            Fact(
                key: "metrics", label: "Metrics from clients",
                value: .notApplicable("no client reports a metric; nothing is sent beside the masked vector")),
            Fact(
                key: "scores", label: "Scores on held-out data",
                value: account.history.scores.isEmpty
                    ? .notApplicable("no score was recorded")
                    : .text(
                        "\(account.history.scores.count) scores, on data that no client trained on: no charge. "
                            + "Scores of models trained without noise, if any, are for comparison and must not be "
                            + "released with this claim.")),
            Fact(
                key: "tuning", label: "Choice of hyper-parameters",
                value: .text(
                    "only runs recorded in this ledger are charged; earlier runs on the same data add to ε")),
        ]
        if !charged.isEmpty {
            section.tables = [
                Table(
                    key: "chargedEvents", caption: "Charged outside rounds",
                    columns: [
                        .init(key: "name", label: "what", isNumber: false),
                        .init(key: "event", label: "event", isNumber: false),
                        .init(key: "when", label: "when", isNumber: false),
                    ],
                    rows: charged.map {
                        [
                            .text($0.name), .code($0.event.kind.description),
                            .text($0.isBeforeRounds ? "before the first round" : "during the run"),
                        ]
                    })
            ]
        }
        return section
    }

    static func deviations(_ account: RunAccount) -> Section {
        let rounds = account.history.rounds
        func count(_ outcome: RunHistory.Outcome) -> Int { rounds.count { $0.outcome == outcome } }
        var section = Section(
            key: "deviations", title: "Deviations",
            facts: [
                Fact(
                    key: "aborted", label: "Rounds aborted and charged", value: .count(count(.aborted))),
                Fact(
                    key: "returned", label: "Rounds given back before anything left",
                    value: .count(count(.returned))),
                Fact(
                    key: "unfinished", label: "Rounds without an end, charged",
                    value: .count(count(.unfinished))),
                Fact(
                    key: "belowFloor", label: "Sums opened below the survivor floor",
                    value: .text("none: the ledger's rules refuse such an entry")),
                Fact(
                    key: "clock", label: "Clock",
                    value: .text("times in the ledger never run backwards; they are the operator's word")),
                Fact(
                    key: "remarks", label: "Remarks",
                    value: account.history.notes.isEmpty
                        ? .notApplicable("the operator recorded none") : .count(account.history.notes.count)),
            ])
        let lost = rounds.filter { $0.outcome != .released && $0.outcome != .sent }
        if !lost.isEmpty {
            section.tables.append(
                Table(
                    key: "rounds", caption: "Rounds that released nothing",
                    columns: [
                        .init(key: "round", label: "round"),
                        .init(key: "outcome", label: "outcome", isNumber: false),
                        .init(key: "reason", label: "reason", isNumber: false),
                    ],
                    rows: lost.map {
                        [
                            .count($0.number), .text(ReportPlots.outcome($0.outcome)),
                            .text($0.reason ?? "the ledger ends inside this round"),
                        ]
                    }))
        }
        if !account.history.notes.isEmpty {
            section.tables.append(
                Table(
                    key: "notes", caption: "Remarks",
                    columns: [
                        .init(key: "time", label: "time", isNumber: false),
                        .init(key: "text", label: "remark", isNumber: false),
                    ],
                    rows: account.history.notes.map { [.text(UTCTime.text($0.time)), .text($0.text)] }))
        }
        return section
    }

    static func utility(_ account: RunAccount) -> Section {
        let plan = account.plan
        var facts: [Fact] = []
        if let noise = account.noise, plan.scale.sign > 0 {
            let survivors = account.history.rounds.compactMap(\.survivors).max() ?? plan.clients
            let inSum = noise.steps(survivors: survivors) / plan.scale.asDouble
            facts.append(
                Fact(
                    key: "noiseInSum",
                    label: "Noise per coordinate of a sum over \(survivors), in units of the update",
                    value: .number(inSum)))
            if let denominator = plan.facts[LedgerFacts.denominator].flatMap(Double.init), denominator > 0 {
                facts.append(
                    Fact(
                        key: "noiseInMean",
                        label: "Noise per coordinate of the mean (sum over \(Figures.text(denominator)))",
                        value: .number(inSum / denominator)))
            }
        }
        facts.append(
            Fact(
                key: "signalToNoise", label: "Signal to noise",
                value: .notApplicable("the signal is known to nobody but through the noisy sums")))
        facts.append(
            Fact(
                key: "scores", label: "Scores",
                value: account.history.scores.isEmpty
                    ? .notApplicable("no score was recorded")
                    : .text("see the figures; intervals are for held-out sampling")))
        return Section(key: "utility", title: "Utility", facts: facts)
    }

    static func verification(_ account: RunAccount) -> Section {
        Section(
            key: "verification", title: "Verification",
            facts: [
                Fact(
                    key: "ledgerRecords", label: "Ledger records", value: .count(account.history.recordCount)),
                Fact(
                    key: "ledgerHead", label: "Ledger head (BLAKE2b-256 of the last line)",
                    value: .code(account.history.head.hex)),
                Fact(key: "ledgerKey", label: "Ledger key (Ed25519)", value: .code("\(account.history.key)")),
                Fact(
                    key: "command", label: "Recompute every number",
                    value: .code("fedtrain audit RUN-DIRECTORY")),
                Fact(
                    key: "expected", label: "Expected",
                    value: .text(
                        "exit code 0. The ledger's chain and signatures verify, this report is made again byte for "
                            + "byte, and its signature is the ledger key's. Any changed byte gives exit code 13 and "
                            + "the first place that differs.")),
                Fact(
                    key: "limits", label: "What that does not show",
                    value: .text(
                        "that the ledger was true when it was written, that it is the latest state (compare the head "
                            + "with one from elsewhere), or that the key is the operator's (compare it with one you "
                            + "were given)")),
            ])
    }

    static func plainWords(_ account: RunAccount) -> Section {
        Section(
            key: "plainWords", title: "In plain words",
            facts: [Fact(key: "meaning", label: "Meaning", value: .text(ReportSentences.plainWords(account)))]
        )
    }

    static func retention(_ account: RunAccount) -> Section {
        Section(
            key: "retention", title: "Retention and contact",
            facts: [
                Fact(
                    key: "retention", label: "Retention and deletion",
                    value: stated(account.plan, LedgerFacts.retention)),
                Fact(
                    key: "contact", label: "Contact for complaints",
                    value: stated(account.plan, LedgerFacts.contact)),
                Fact(
                    key: "registry", label: "Registry entry",
                    value: account.plan.facts[LedgerFacts.registry].map { .text($0) }
                        ?? .notApplicable("none is named in the plan")),
            ])
    }
}
