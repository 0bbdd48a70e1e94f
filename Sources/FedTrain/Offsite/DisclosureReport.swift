import Models

/// The owner's disclosure report: what an emulator hands out, what it can do alone, what attackers make of
/// it, and what tuning it was worth. One document as JSON and HTML.
public struct DisclosureReport: Sendable {
    public let recipe: String
    public let shape: EmulatorShape
    public let disclosure: Disclosure
    public let scores: OffsiteScores?
    public let rungs: [AttackLadder.Rung]
    public let losses: PublicLosses

    public init(
        recipe: String, shape: EmulatorShape, disclosure: Disclosure, scores: OffsiteScores?,
        rungs: [AttackLadder.Rung], losses: PublicLosses
    ) {
        self.recipe = recipe
        self.shape = shape
        self.disclosure = disclosure
        self.scores = scores
        self.rungs = rungs
        self.losses = losses
    }

    /// The best point of all rungs.
    public var worst: (rung: String, point: AttackLadder.Point)? { Self.worst(rungs) }

    private static func worst(
        _ rungs: [AttackLadder.Rung]
    ) -> (rung: String, point: AttackLadder.Point)? {
        rungs.flatMap { rung in rung.points.map { (rung.name, $0) } }
            .max { $0.1.recovery < $1.1.recovery }.map { (rung: $0.0, point: $0.1) }
    }

    /// Fixed in advance: it claims convenience, never secrecy, and not even convenience where an attack
    /// reaches the full model.
    public var verdict: String { Self.verdict(rungs) }

    package static func verdict(_ rungs: [AttackLadder.Rung]) -> String {
        let guarantee =
            "The emulator gives no cryptographic and no differential-privacy guarantee for the owner."
        guard let worst = worst(rungs) else {
            return "No attack was tried, so nothing is said about copying. \(guarantee)"
        }
        let budget =
            "after \(Figures.count(worst.point.tokens)) tokens and "
            + "\(Figures.count(worst.point.queries)) queries"
        let missing = 1 - worst.point.recovery
        // Below what the figure shows, nothing is missing.
        guard missing >= 0.001 else {
            return
                "Copying is not made less convenient: the best attack tried (\(worst.rung)) reaches the full "
                + "model's per-token probability \(budget). \(guarantee)"
        }
        return "Copying is made less convenient: the best attack tried (\(worst.rung)) stays "
            + "\(Figures.percent(missing, .down)) short of the full model's per-token probability \(budget). "
            + guarantee
    }

    public func html() -> [UInt8] { document.html }
    public func json() -> [UInt8] { document.json }

    private var document: ReportDocument {
        ReportDocument(
            title: "Emulator disclosure report",
            subtitle: "For the owner of the model. Recipe: \(recipe)",
            headline: [
                .init(key: "verdict", label: "Verdict", value: .text(verdict)),
                .init(
                    key: "travels", label: "What travels",
                    value: .text(
                        "\(Figures.percent(disclosure.exactFraction, .up)) of the model's parameters bit for bit, "
                            + "\(Figures.percent(disclosure.nearFraction, .up)) nearly (cosine above "
                            + "\(Disclosure.nearCosine)); of the withheld middle "
                            + "\(Figures.percent(disclosure.exactMiddleFraction, .up)) and "
                            + "\(Figures.percent(disclosure.nearMiddleFraction, .up)).")),
            ],
            tiles: tiles, notices: notices, figures: figures, sections: sections)
    }

    private var tiles: [ReportDocument.Fact] {
        var tiles: [ReportDocument.Fact] = [
            .init(key: "exact", label: "bit-identical", value: .share(disclosure.exactFraction, .up)),
            .init(
                key: "exactMiddle", label: "of the middle", value: .share(disclosure.exactMiddleFraction, .up)
            ),
        ]
        if let worst {
            tiles.append(
                .init(key: "recovery", label: "best recovery", value: .share(worst.point.recovery, .up)))
        }
        if let retained = scores?.retained {
            tiles.append(
                .init(
                    key: "retained", label: "gain kept by the emulator", value: .share(retained.value, .up)))
        }
        return tiles
    }

    private var notices: [ReportDocument.Fact] {
        var notices: [ReportDocument.Fact] = []
        if losses.control == nil {
            notices.append(
                .init(
                    key: "control", label: "No control",
                    value: .text(
                        "Without a public model of the emulator's size nobody can say what the emulator gives "
                            + "away beyond what is public. Give one with --control.")))
        }
        if scores == nil {
            notices.append(
                .init(
                    key: "scores", label: "No scores",
                    value: .text(
                        "No tuned adapter was given, so the four scores are missing. Give one with --adapter."
                    )))
        }
        return notices
    }

    /// Recovery against each of the three budgets. All three plots show the same table.
    private var figures: [ReportDocument.Figure] {
        guard !rungs.isEmpty else { return [] }
        return Budget.allCases.enumerated().map { index, budget in
            .init(
                title: "What attackers recover, by \(budget.rawValue)",
                caption: "exp(loss of the full model − loss of the recovered model) on held-out public "
                    + "text; 1 is a perfect copy. \(budget.caption) More budget than shown recovers more.",
                svg: plot(against: budget).svg, table: index == 0 ? attackTable : summary(budget))
        }
    }

    /// What an attack is paid in.
    private enum Budget: String, CaseIterable {
        case tokens, queries
        case operations = "FLOPs"

        var axis: String {
            switch self {
            case .tokens: "tokens trained on"
            case .queries: "labels asked of the owner's service"
            case .operations: "floating-point operations"
            }
        }

        var caption: String {
            switch self {
            case .tokens: "Attacks without training stand at 0."
            case .queries: "Only A5 asks the deployed model; the others stand at 0 with the best they reach."
            case .operations: "6 per weight and token trained, 2 per weight and label asked for."
            }
        }

        func spent(_ point: AttackLadder.Point) -> Double {
            switch self {
            case .tokens: Double(point.tokens)
            case .queries: Double(point.queries)
            case .operations: point.flops
            }
        }
    }

    private func plot(against budget: Budget) -> LinePlot {
        let tones: [PlotFrame.Tone] = [.first, .second, .third, .fourth, .fifth]
        let series = rungs.enumerated().map { index, rung in
            let best = rung.points.max { $0.recovery < $1.recovery }!
            let isCurve = Set(rung.points.map(budget.spent)).count > 1
            return LinePlot.Series(
                name: rung.name, tone: tones[index % tones.count],
                style: isCurve ? .line : index.isMultiple(of: 2) ? .dots : .crosses,
                points: (isCurve ? rung.points : [best]).map { (budget.spent($0), $0.recovery) })
        }
        let points = rungs.flatMap(\.points)
        return LinePlot(
            title: "What attackers recover, by \(budget.rawValue)",
            summary: "Recovery ratio of each attack against its budget in \(budget.rawValue).",
            horizontal: .linear(budget.axis, over: points.map(budget.spent)),
            vertical: .linear("recovery ratio", over: points.map(\.recovery) + [1]), series: series)
    }

    /// The best point of each rung.
    private func summary(_ budget: Budget) -> ReportDocument.Table {
        .init(
            key: "attacksBy\(budget.rawValue.prefix(1).uppercased())\(budget.rawValue.dropFirst())",
            caption: "The best that each attack reached, and its budget in \(budget.rawValue)",
            columns: [
                .init(key: "rung", label: "attack", isNumber: false),
                .init(key: "spent", label: budget.axis), .init(key: "recovery", label: "recovery"),
            ],
            rows: rungs.map { rung in
                let best = rung.points.max { $0.recovery < $1.recovery }!
                return [.text(rung.name), .number(budget.spent(best)), .number(best.recovery)]
            })
    }

    private var attackTable: ReportDocument.Table {
        .init(
            key: "attacks", caption: "Attacks against their budgets",
            columns: [
                .init(key: "rung", label: "attack", isNumber: false),
                .init(key: "what", label: "how", isNumber: false),
                .init(key: "tokens", label: "tokens"), .init(key: "queries", label: "queries"),
                .init(key: "flops", label: "FLOPs"), .init(key: "loss", label: "loss"),
                .init(key: "recovery", label: "recovery"), .init(key: "divergence", label: "KL to full"),
                .init(key: "agreement", label: "same token"),
                .init(key: "alignment", label: "CKA of the middle"),
            ],
            rows: rungs.flatMap { rung in
                rung.points.enumerated().map { index, point in
                    [
                        .text(rung.name), .text(rung.what), .count(point.tokens), .count(point.queries),
                        .number(point.flops), .number(point.loss), .number(point.recovery),
                        .number(point.divergence), .share(point.agreement),
                        index == rung.points.count - 1
                            ? rung.middleAlignment.map { .number($0) } ?? .absent : .absent,
                    ]
                }
            })
    }

    private var sections: [ReportDocument.Section] {
        [shipped, capability] + [tuning].compactMap { $0 } + [notCovered]
    }

    private var shipped: ReportDocument.Section {
        .init(
            key: "shipped", title: "What is shipped",
            facts: [
                .init(key: "recipe", label: "Recipe", value: .text(recipe)),
                .init(key: "fullBlocks", label: "Blocks of the full model", value: .count(shape.fullCount)),
                .init(
                    key: "emulatorBlocks", label: "Blocks of the emulator", value: .count(shape.sources.count)
                ),
                .init(
                    key: "adapterBlocks", label: "Adapter blocks of the emulator",
                    value: .text(shape.adapterBlocks.map(String.init).joined(separator: ", "))),
                .init(
                    key: "ownerParameters", label: "Parameters of the full model",
                    value: .count(disclosure.ownerParameters)),
                .init(
                    key: "shippedParameters", label: "Parameters of the emulator",
                    value: .count(disclosure.shippedParameters)),
                .init(
                    key: "exactFraction", label: "Owner's parameters bit-identical",
                    value: .share(disclosure.exactFraction, .up)),
                .init(
                    key: "nearFraction", label: "Owner's parameters nearly identical",
                    value: .share(disclosure.nearFraction, .up)),
                .init(
                    key: "exactMiddleFraction", label: "Of the middle bit-identical",
                    value: .share(disclosure.exactMiddleFraction, .up)),
                .init(
                    key: "nearMiddleFraction", label: "Of the middle nearly identical",
                    value: .share(disclosure.nearMiddleFraction, .up)),
                .init(
                    key: "always", label: "Always handed out",
                    value: .text("embeddings, final norm, head, tokenizer, configuration, adapter blocks")),
            ])
    }

    private var capability: ReportDocument.Section {
        var facts: [ReportDocument.Fact] = [
            .init(
                key: "fullLoss", label: "Loss of the full model, public text", value: .number(losses.full)),
            .init(key: "emulatorLoss", label: "Loss of the emulator", value: .number(losses.emulator)),
        ]
        if let control = losses.control {
            facts.append(
                .init(key: "controlLoss", label: "Loss of the public control", value: .number(control)))
        }
        if let beyond = losses.beyondControl {
            facts += interval(
                "beyondControl", "What the emulator gives beyond the control (loss)", beyond
            ) { .number($0, $1) }
        }
        return .init(key: "capability", title: "What the emulator can do alone", facts: facts)
    }

    /// A figure and, beside it, its 95 % interval.
    private func interval(
        _ key: String, _ label: String, _ estimate: Estimate,
        _ value: (Double, Figures.Direction) -> ReportValue
    ) -> [ReportDocument.Fact] {
        [
            .init(key: key, label: label, value: value(estimate.value, .nearest)),
            .init(
                key: key + "Lower", label: "… at least (95 %)",
                value: estimate.lower.map { value($0, .down) } ?? .absent),
            .init(
                key: key + "Upper", label: "… at most (95 %)",
                value: estimate.upper.map { value($0, .up) } ?? .absent),
        ]
    }

    private var tuning: ReportDocument.Section? {
        guard let scores else { return nil }
        var facts = interval("gap", "Plug-in better than the tuned emulator by", scores.gap) {
            .number($0, $1)
        }
        if let retained = scores.retained {
            facts += interval("retained", "R: gain that the tuned emulator has by itself", retained) {
                .share($0, $1)
            }
            facts.append(
                .init(
                    key: "withheld", label: "1 − R: gain that needs the full model",
                    value: .share(1 - retained.value, .down)))
        }
        if let control = scores.retainedByControl {
            facts += interval("retainedByControl", "The same of the tuned control", control) {
                .share($0, $1)
            }
        }
        if let beyond = scores.retainedBeyondControl {
            facts += interval("retainedBeyondControl", "R beyond the control's", beyond) { .share($0, $1) }
        }
        return .init(
            key: "scores", title: "What tuning was worth", facts: facts,
            tables: [
                .init(
                    key: "scores", caption: "Scores on the held-out test, with 95 % intervals",
                    columns: [
                        .init(key: "model", label: "model", isNumber: false),
                        .init(key: "metric", label: "metric", isNumber: false),
                        .init(key: "value", label: "value"), .init(key: "lower", label: "from"),
                        .init(key: "upper", label: "to"), .init(key: "count", label: "over"),
                    ],
                    rows: scores.rows.map { row in
                        [
                            .text(row.name), .text(row.metric), .number(row.value), .number(row.lower),
                            .number(row.upper), .count(row.count),
                        ]
                    })
            ])
    }

    private var notCovered: ReportDocument.Section {
        .init(
            key: "limits", title: "What this does not say",
            facts: [
                .init(
                    key: "guarantee", label: "No guarantee",
                    value: .text(
                        "Attacks only show what was tried. A stronger attacker, more text, or queries to the "
                            + "deployed model recover more.")),
                .init(
                    key: "coalition", label: "Coalitions",
                    value: .text(
                        "Two emulators with different kept blocks reveal the union of both. Never ship "
                            + "different subsets of the same weights; re-shipped emulators add up.")),
                .init(
                    key: "sites", label: "The sites' side",
                    value: .text(
                        "The adapter that comes back is covered by the federation's own privacy report.")),
            ])
    }
}
