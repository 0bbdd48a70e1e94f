import Models

/// The owner's disclosure report: what an emulator hands out, what it can do alone, what attackers make of
/// it, and what tuning it was worth. One document as JSON and HTML.
public struct DisclosureReport: Sendable {
    public let recipe: String
    public let shape: EmulatorShape
    public let disclosure: Disclosure
    public let scores: OffsiteScores?
    public let rungs: [AttackLadder.Rung]
    /// Loss of the full model and of the emulator on the held-out public text.
    public let fullLoss: Double
    public let emulatorLoss: Double
    /// The same of a public model of the emulator's size; nil when none was given.
    public let controlLoss: Double?

    public init(
        recipe: String, shape: EmulatorShape, disclosure: Disclosure, scores: OffsiteScores?,
        rungs: [AttackLadder.Rung], fullLoss: Double, emulatorLoss: Double, controlLoss: Double?
    ) {
        self.recipe = recipe
        self.shape = shape
        self.disclosure = disclosure
        self.scores = scores
        self.rungs = rungs
        self.fullLoss = fullLoss
        self.emulatorLoss = emulatorLoss
        self.controlLoss = controlLoss
    }

    /// The best point of all rungs.
    public var worst: (rung: String, point: AttackLadder.Point)? {
        rungs.flatMap { rung in rung.points.map { (rung.name, $0) } }
            .max { $0.1.recovery < $1.1.recovery }.map { (rung: $0.0, point: $0.1) }
    }

    /// Fixed in advance: it claims convenience, never secrecy.
    public var verdict: String {
        guard let worst else {
            return "No attack was tried, so nothing is said about copying. The emulator gives no "
                + "cryptographic and no differential-privacy guarantee for the owner."
        }
        let missing = Figures.percent(1 - worst.point.recovery, .down)
        return
            "Copying is made less convenient: the best attack tried (\(worst.rung)) stays \(missing) short "
            + "of the full model's per-token probability after \(Figures.count(worst.point.tokens)) tokens "
            + "and \(Figures.count(worst.point.queries)) queries. The emulator gives no cryptographic and no "
            + "differential-privacy guarantee for the owner."
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
                .init(key: "retained", label: "gain kept by the emulator", value: .share(retained, .up)))
        }
        return tiles
    }

    private var notices: [ReportDocument.Fact] {
        var notices: [ReportDocument.Fact] = []
        if controlLoss == nil {
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

    private var figures: [ReportDocument.Figure] {
        var figures: [ReportDocument.Figure] = []
        let curves = rungs.filter { $0.points.count > 1 }
        let flat = rungs.filter { $0.points.count == 1 }
        if !rungs.isEmpty {
            let tokens = rungs.flatMap { $0.points.map { Double($0.tokens) } }
            let tones: [PlotFrame.Tone] = [.first, .second, .third, .fourth, .fifth]
            var series = curves.enumerated().map { index, rung in
                LinePlot.Series(
                    name: rung.name, tone: tones[index % tones.count], style: .line,
                    points: rung.points.map { (Double($0.tokens), $0.recovery) })
            }
            series += flat.enumerated().map { index, rung in
                LinePlot.Series(
                    name: rung.name, tone: tones[(index + curves.count) % tones.count],
                    style: index.isMultiple(of: 2) ? .dots : .crosses,
                    points: [(0, rung.points[0].recovery)])
            }
            let plot = LinePlot(
                title: "What attackers recover",
                summary: "Recovery ratio of each attack against the tokens it trains on.",
                horizontal: .linear("tokens trained on", over: tokens),
                vertical: .linear("recovery ratio", over: rungs.flatMap { $0.points.map(\.recovery) } + [1]),
                series: series)
            figures.append(
                .init(
                    title: "What attackers recover",
                    caption: "exp(loss of the full model − loss of the recovered model) on held-out public "
                        + "text; 1 is a perfect copy. More budget than shown recovers more.",
                    svg: plot.svg, table: attackTable))
        }
        return figures
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
            .init(key: "fullLoss", label: "Loss of the full model, public text", value: .number(fullLoss)),
            .init(key: "emulatorLoss", label: "Loss of the emulator", value: .number(emulatorLoss)),
        ]
        if let controlLoss {
            facts.append(
                .init(
                    key: "controlLoss", label: "Loss of the public control", value: .number(controlLoss)))
            facts.append(
                .init(
                    key: "beyondControl", label: "What the emulator gives beyond the control",
                    value: .number(controlLoss - emulatorLoss)))
        }
        return .init(key: "capability", title: "What the emulator can do alone", facts: facts)
    }

    private var tuning: ReportDocument.Section? {
        guard let scores else { return nil }
        var facts: [ReportDocument.Fact] = []
        if let retained = scores.retained {
            facts.append(
                .init(
                    key: "retained", label: "R: gain that the tuned emulator has by itself",
                    value: .share(retained, .up)))
            facts.append(
                .init(
                    key: "withheld", label: "1 − R: gain that needs the full model",
                    value: .share(1 - retained, .down)))
        }
        if let control = scores.retainedByControl {
            facts.append(
                .init(
                    key: "retainedByControl", label: "The same of the tuned control", value: .share(control)))
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
