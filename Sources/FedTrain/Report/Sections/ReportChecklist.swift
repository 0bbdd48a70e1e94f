import DP
import GMP

/// The checklist of what a report must say, items 1 to 5. An item that does not apply says so.
///
/// The list follows the reporting sections of "How to DP-fy ML" (Ponomareva et al. 2023) and NIST SP
/// 800-226, and the schema of the DP deployments registry.
extension ReportDocument {
    static func checklist(_ account: RunAccount) -> [Section] {
        [
            identity(account), releases(account), unit(account), adjacency(account), adversaries(account),
            mechanism(account), composition(account), guarantee(account), amplification(account),
            sideReleases(account), assumptions(account), deviations(account), audit(account),
            utility(account), verification(account), plainWords(account), retention(account),
        ]
    }

    /// A fact that the operator states in the plan, or that nobody stated.
    static func stated(_ plan: PlanStatement, _ fact: String) -> ReportValue {
        plan.facts[fact].map { .text($0) } ?? ReportValue(json: .null, text: "not stated", mark: "absent")
    }

    private static func identity(_ account: RunAccount) -> Section {
        let plan = account.plan
        let adapter = account.history.rounds.last { $0.outcome == .released }?.adapter
        return Section(
            key: "identity", title: "Identity",
            facts: [
                Fact(key: "project", label: "Project", value: stated(plan, LedgerFacts.project)),
                Fact(key: "run", label: "Run", value: .code(plan.run)),
                Fact(
                    key: "ledgerOf", label: "Ledger of",
                    value: .text(plan.role == .server ? "the run" : "client \(plan.participant)")),
                Fact(key: "started", label: "Started", value: .text(UTCTime.text(account.history.startedAt))),
                Fact(key: "ended", label: "Last entry", value: .text(UTCTime.text(account.history.endedAt))),
                Fact(key: "closed", label: "Run closed", value: .flag(account.history.isClosed)),
                Fact(key: "operator", label: "Operator", value: stated(plan, LedgerFacts.operatorName)),
                Fact(key: "contact", label: "Contact", value: stated(plan, LedgerFacts.contact)),
                Fact(key: "baseModel", label: "Base model", value: stated(plan, LedgerFacts.baseModelName)),
                Fact(key: "baseModelDigest", label: "Base model, digest", value: .code(plan.baseModel.hex)),
                Fact(key: "adapter", label: "Adapter", value: stated(plan, LedgerFacts.adapterName)),
                Fact(
                    key: "adapterLayoutDigest", label: "Adapter layout, digest",
                    value: .code(plan.adapterLayout.hex)),
                Fact(
                    key: "adapterDigest", label: "Last released adapter, digest of its numbers",
                    value: adapter.map { .code($0) } ?? .notApplicable("no round released one")),
                Fact(
                    key: "adapterFilesDigest", label: "Adapter files, digest",
                    value: account.history.adapterFiles.map { .code($0) }
                        ?? .notApplicable("the ledger names no files")),
                Fact(key: "software", label: "Software", value: .text("fedtrain \(plan.codeVersion)")),
                Fact(
                    key: "build", label: "Executable, digest",
                    value: plan.facts[LedgerFacts.build].map { .code($0) } ?? stated(plan, LedgerFacts.build)),
                Fact(key: "reportSchema", label: "Report schema", value: .code(Self.schema)),
            ])
    }

    private static func releases(_ account: RunAccount) -> Section {
        let setting = account.plan.facts[LedgerFacts.setting] == LedgerFacts.oneProcess
        return Section(
            key: "releases", title: "What was released, to whom, and what is not covered",
            facts: [
                Fact(
                    key: "server", label: "To the server",
                    value: .text(
                        "the noisy sum of every released round (\(account.released)), and who took part in "
                            + "which stage")),
                Fact(
                    key: "clients", label: "To the clients",
                    value: .text("the adapter after every released round")),
                Fact(
                    key: "public", label: "To the public",
                    value: .text("at most the adapters, the scores, this report and the ledger")),
                Fact(
                    key: "data", label: "Data", value: stated(account.plan, LedgerFacts.data)),
                Fact(
                    key: "notCovered", label: "Not covered",
                    value: .text(
                        "what the base model learned in pre-training; participation, timing, message sizes and "
                            + "network addresses; logs of the operator; anything computed from the data "
                            + "elsewhere" + (setting ? "; the machine that ran all parties" : ""))),
            ])
    }

    private static func unit(_ account: RunAccount) -> Section {
        let enforced =
            switch account.unit {
            case .client: "each client clips its whole update and adds it once to one round's vector"
            case .record: "each site clips, rounds and checks the contribution of every record by itself"
            }
        return Section(
            key: "unit", title: "Unit of privacy",
            facts: [
                Fact(key: "unit", label: "Unit", value: .text(account.unit.rawValue)),
                Fact(key: "means", label: "One unit is", value: .text(unitMeaning(account.unit))),
                Fact(key: "enforcedBy", label: "How it is bounded", value: .text(enforced)),
            ],
            tables: [
                Table(
                    key: "groups",
                    caption: "Units that belong together (one person with several records, say)",
                    columns: [
                        .init(key: "size", label: "units"), .init(key: "epsilon", label: "ε at the plan's δ"),
                    ],
                    rows: account.spent.groups.map { group in
                        [
                            .count(group.size),
                            group.epsilon.map { .number($0, .up) }
                                ?? ReportValue(json: .null, text: "no useful bound", mark: "absent"),
                        ]
                    })
            ])
    }

    private static func unitMeaning(_ unit: PrivacyUnit) -> String {
        switch unit {
        case .client: "everything that one client contributes to the whole run"
        case .record:
            "one training record of one client, in all rounds together; the client itself is trusted"
        }
    }

    private static func adjacency(_ account: RunAccount) -> Section {
        let others: String
        switch account.plan.event.adjacency {
        case .zeroOut:
            others =
                "Exchanging a unit's data for other data counts as two changes: see the group of 2. Removing a "
                + "client together with its noise share is a larger change and is not claimed."
        case .addRemove: others = "Exchanging a unit's data counts as two changes: see the group of 2."
        case .replaceOne: others = "Setting a unit's contribution to zero is covered as well."
        }
        return Section(
            key: "adjacency", title: "Neighbouring data sets",
            facts: [
                Fact(key: "relation", label: "Relation", value: .text(account.plan.event.adjacency.rawValue)),
                Fact(key: "others", label: "Other relations", value: .text(others)),
                Fact(
                    key: "replaceOneEpsilon", label: "ε if a unit's data are exchanged, at the plan's δ",
                    value: account.plan.event.adjacency == .replaceOne
                        ? .number(account.spent.epsilon, .up)
                        : account.spent.groups.first { $0.size == 2 }?.epsilon.map { .number($0, .up) }
                            ?? ReportValue(json: .null, text: "no useful bound", mark: "absent")),
            ])
    }

    private static func adversaries(_ account: RunAccount) -> Section {
        let plan = account.plan
        let bound = ReportValue.number(account.spent.epsilon, .up)
        func row(_ who: String, _ sees: String, _ remark: String) -> [ReportValue] {
            [.text(who), .text(sees), bound, .text(remark)]
        }
        let floor = "sums over at least \(plan.minSurvivors) contributions"
        return Section(
            key: "adversaries", title: "Adversaries",
            facts: [
                Fact(key: "profile", label: "Aggregation profile", value: .text(plan.profile)),
                Fact(
                    key: "property", label: "What aggregation guarantees",
                    value: .text(
                        "only \(floor) are opened, with at most \(ReportSentences.colludingClients(plan))")
                ),
                Fact(
                    key: "threshold", label: "Shares needed to open",
                    value: stated(plan, LedgerFacts.threshold)),
                Fact(
                    key: "neighbours", label: "Neighbours per client",
                    value: stated(plan, LedgerFacts.neighbours)),
            ],
            tables: [
                Table(
                    key: "bounds", caption: "ε against each, at the plan's δ",
                    columns: [
                        .init(key: "adversary", label: "adversary", isNumber: false),
                        .init(key: "sees", label: "sees", isNumber: false),
                        .init(key: "epsilon", label: "ε, at most"),
                        .init(key: "remark", label: "remark", isNumber: false),
                    ],
                    rows: [
                        row(
                            "server with \(ReportSentences.colludingClients(plan))",
                            "masked vectors, " + floor,
                            "the noise of the colluders is not counted"),
                        row("other clients", "the adapter of each round", "a function of the sums"),
                        row(
                            "reader of the adapter", "the final adapter",
                            "a function of the sums; usually learns far less than the bound"),
                    ])
            ])
    }
}
