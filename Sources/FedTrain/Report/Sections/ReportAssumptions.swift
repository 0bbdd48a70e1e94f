import DP

/// Item 11 of the checklist: what the guarantee rests on, each with how far it is checked.
extension ReportDocument {
    /// How an assumption is backed.
    private enum Status: String {
        /// Code refuses to go on otherwise.
        case enforced
        /// Nobody checks it.
        case trusted
        /// Anyone can check it afterwards from published files.
        case audited
    }

    private struct Assumption {
        let key: String
        let text: String
        let status: Status
        let evidence: String
    }

    static func assumptions(_ account: RunAccount) -> Section {
        let rows = list(account).map { assumption -> [ReportValue] in
            [
                .text(assumption.key), .text(assumption.text),
                ReportValue(
                    json: .string(assumption.status.rawValue), text: assumption.status.rawValue,
                    mark: assumption.status.rawValue),
                .text(assumption.evidence),
            ]
        }
        return Section(
            key: "assumptions", title: "Assumptions",
            tables: [
                Table(
                    key: "assumptions", caption: "What the guarantee rests on",
                    columns: [
                        .init(key: "key", label: "key", isNumber: false),
                        .init(key: "assumption", label: "assumption", isNumber: false),
                        .init(key: "status", label: "status", isNumber: false),
                        .init(key: "evidence", label: "by what", isNumber: false),
                    ], rows: rows)
            ])
    }

    private static func list(_ account: RunAccount) -> [Assumption] {
        let plan = account.plan
        let malicious = plan.profile == "malicious-server"
        var list = [
            Assumption(
                key: "sumOnly",
                text: "The server learns only sums over at least \(plan.minSurvivors) contributions.",
                status: .enforced,
                evidence: malicious
                    ? "clients check manifest, roster, survivors and signatures before they release a share"
                    : "by the protocol, against a server that follows it"),
            Assumption(
                key: "floorKept", text: "No round below the floor was opened in this run.", status: .audited,
                evidence: "every commit record names its contributions; the ledger's rules refuse fewer"),
            Assumption(
                key: "colluders",
                text: "Of the survivors, \(ReportSentences.noiseKept(plan)).",
                status: .trusted, evidence: "choose the number with the participants; it costs noise"),
            Assumption(
                key: "sensitivity",
                text: "One \(ReportSentences.noun(account.unit)) changes the integer sum by at most Δ₂.",
                status: .enforced, evidence: "exact integer check of the norm in every client, before masking"
            ),
            Assumption(
                key: "noiseExact",
                text:
                    "Noise is exactly \(account.noise?.isSkellam == true ? "Skellam" : "discrete Gaussian"): "
                    + "no floating point from bits to noise.",
                status: .enforced,
                evidence: "rational arithmetic; exhaustive and statistical tests of the samplers"),
            Assumption(
                key: "noWrap", text: "The sum does not wrap around the modulus.", status: .enforced,
                evidence: "by the plan's bound; a wrap would spoil the result, not the guarantee"),
            Assumption(
                key: "spendFirst", text: "No round began before its charge was durable.", status: .enforced,
                evidence: "a round needs a permit, and only a synced ledger entry gives one"),
            Assumption(
                key: "budgetKept", text: "The budget was not passed.", status: .audited,
                evidence: "replaying the ledger applies the same filter to every line"),
            Assumption(
                key: "code", text: "Clients and server run the published code.", status: .trusted,
                evidence: "not attested; \(plan.codeVersion) is what the run says of itself"),
            Assumption(
                key: "randomness", text: "The operating system's random numbers and libsodium are sound.",
                status: .trusted,
                evidence: "not testable from outside; source in this run: "
                    + (plan.facts[LedgerFacts.randomness] ?? "not stated")),
            Assumption(
                key: "timing", text: "Times and sizes of messages do not depend on the data.",
                status: .trusted,
                evidence:
                    "vectors have a fixed size and noise is drawn before training; no timing was measured"),
            Assumption(
                key: "participation", text: "Whether a client answers does not depend on its data.",
                status: .trusted, evidence: "not checked"),
            Assumption(
                key: "complete", text: "Everything released about the training data is in the ledger.",
                status: .trusted, evidence: "not checkable by the ledger itself"),
        ]
        if plan.participationBounds.isBinding {
            list.append(
                Assumption(
                    key: "participationBound",
                    text: "No client was in more than \(account.participations) of the charged rounds.",
                    status: .enforced,
                    evidence: "each client's own ledger refuses a round past its limit or inside its gap"))
        }
        if let rate = plan.samplingRate, rate < 1 {
            list.append(
                Assumption(
                    key: "coins", text: "Clients draw their records with secret, independent coins.",
                    status: .trusted, evidence: "done by the client's code; nobody else can see it"))
        }
        if account.unit == .record {
            list.append(
                Assumption(
                    key: "site", text: "A client is trusted with its own records.", status: .trusted,
                    evidence: "the unit is a record: the client sees its data in the clear"))
        }
        if malicious {
            list.append(
                Assumption(
                    key: "roster", text: "The roster's root and the server's key reached clients unaltered.",
                    status: .trusted, evidence: "compare fingerprints by another channel"))
        }
        if account.spent.basis == .ownCertificate {
            list.append(
                Assumption(
                    key: "certificate", text: "The unit-shift certificate for integer noise is right.",
                    status: .trusted, evidence: "this project's argument with numerical evidence; unreviewed")
            )
        }
        return list
    }
}
