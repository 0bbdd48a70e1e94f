import SecureAgg

/// Figures about clients and models: who was left after each stage, and what was scored.
extension ReportPlots {
    // MARK: Survivors

    static func survivorsFigure(_ account: RunAccount) -> ReportDocument.Figure? {
        let rounds = account.history.rounds
        // A client's own ledger counts nobody else.
        guard rounds.contains(where: { $0.counts != nil }) else { return nil }
        func heights(_ body: (RunHistory.Round, RoundCounts) -> Int) -> [Double] {
            rounds.map { round in round.counts.map { Double(max(0, body(round, $0))) } ?? 0 }
        }
        func opened(_ round: RunHistory.Round) -> Bool { round.survivors != nil }
        let plot = StackedBarPlot(
            title: "Clients per round", summary: "How many clients were left after each stage.",
            horizontalTitle: "round", verticalTitle: "clients",
            layers: [
                .init(
                    name: "in the sum, to the end", tone: .first,
                    heights: heights { opened($0) ? $1.completed[.unmask] ?? $1.survivors : 0 }),
                .init(
                    name: "in the sum, lost later", tone: .third,
                    heights: heights {
                        opened($0) ? $1.lost(in: .confirmSurvivors) + $1.lost(in: .unmask) : 0
                    }),
                .init(
                    name: "sum not opened", tone: .fifth,
                    heights: heights { round, counts in
                        opened(round) ? 0 : RoundCounts.stages.compactMap { counts.completed[$0] }.last ?? 0
                    }),
                .init(
                    name: "lost in the mask stage", tone: .second,
                    heights: heights { $1.lost(in: .submitMaskedInput) }),
                .init(
                    name: "lost at another stage", tone: .fourth,
                    heights: heights { round, counts in
                        let early = counts.lost(in: .advertiseKeys) + counts.lost(in: .shareKeys)
                        return opened(round)
                            ? early : early + counts.lost(in: .confirmSurvivors) + counts.lost(in: .unmask)
                    }),
            ],
            limit: .init(
                name: "floor: \(account.plan.minSurvivors)", value: Double(account.plan.minSurvivors)))
        return .init(
            title: "Clients per round",
            caption: "Clients that completed each stage. A sum over fewer than \(account.plan.minSurvivors) "
                + "contributions is not opened. A client lost after the mask stage is still part of the sum.",
            svg: plot.svg,
            table: .init(
                key: "clientsByRound", caption: "Clients after each stage",
                columns: [
                    .init(key: "round", label: "round", condensing: .span),
                    .init(key: "outcome", label: "outcome", isNumber: false, condensing: .tally),
                    .init(key: "invited", label: "invited", condensing: .range),
                ] + RoundCounts.stages.map { .init(key: $0.name, label: $0.name, condensing: .range) },
                rows: rounds.map { round in
                    [
                        .count(round.number), .text(outcome(round.outcome)),
                        round.counts.map { .count($0.invited) } ?? .absent,
                    ]
                        + RoundCounts.stages.map { stage in
                            round.counts?.completed[stage].map { .count($0) } ?? .absent
                        }
                }, notable: notable(rounds)))
    }

    // MARK: Scores

    /// One figure per metric, in the order in which the ledger first names it.
    static func scoreFigures(_ account: RunAccount) -> [ReportDocument.Figure] {
        var metrics: [String] = []
        for score in account.history.scores where !metrics.contains(score.metric) {
            metrics.append(score.metric)
        }
        return metrics.enumerated().map { index, metric in
            let scores = account.history.scores.filter { $0.metric == metric }
            return scoreFigure(scores, metric: metric, key: index == 0 ? "scores" : "scores\(index + 1)")
        }
    }

    private static func scoreFigure(
        _ scores: [ScoreFact], metric: String, key: String
    ) -> ReportDocument.Figure {
        let isShare = scores.allSatisfy { $0.higherIsBetter && (0...1).contains($0.value) }
        func text(_ value: Double) -> String { isShare ? Figures.percent(value) : Figures.text(value) }
        let plot = RankPlot(
            title: metric, summary: "Scores on held-out data.",
            bars: scores.map { score in
                .init(
                    name: score.name, value: score.value, valueText: text(score.value),
                    tone: tone(of: score.name))
            })
        var columns: [ReportDocument.Table.Column] = [
            .init(key: "model", label: "model", isNumber: false), .init(key: "value", label: metric),
        ]
        if isShare { columns.append(.init(key: "interval", label: "95 % interval", isNumber: false)) }
        columns.append(.init(key: "count", label: "held-out items"))
        return .init(
            title: "Score: \(metric)",
            caption: "On held-out data that no client trained on; "
                + (scores.first?.higherIsBetter == false ? "lower is better." : "higher is better.")
                + (isShare ? " Wilson intervals for the sampling of held-out records." : ""),
            svg: plot.svg,
            table: .init(
                key: key, caption: "Scores: \(metric)", columns: columns,
                rows: scores.map { score in
                    var row: [ReportValue] = [
                        .text(score.name), isShare ? .share(score.value) : .number(score.value),
                    ]
                    if isShare { row.append(interval(score)) }
                    return row + [.count(score.count)]
                }))
    }

    private static func tone(of name: String) -> PlotFrame.Tone {
        if name.contains("base") { return .fifth }
        if name.contains("alone") { return .third }
        if name.contains("clear") || name.contains("without") { return .second }
        return .first
    }

    /// Wilson's 95 % interval for a proportion.
    private static func interval(_ score: ScoreFact) -> ReportValue {
        guard score.count > 0 else { return .absent }
        let z = 1.959964
        let n = Double(score.count)
        let centre = (score.value + z * z / (2 * n)) / (1 + z * z / n)
        let half =
            z / (1 + z * z / n) * (score.value * (1 - score.value) / n + z * z / (4 * n * n)).squareRoot()
        let low = Figures.percent(max(0, centre - half))
        let high = Figures.percent(min(1, centre + half))
        return .text("\(low) to \(high)")
    }
}
