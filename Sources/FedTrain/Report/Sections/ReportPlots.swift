import DP

/// The report's figures, each with the table of its numbers.
enum ReportPlots {
    static func all(_ account: RunAccount) -> [ReportDocument.Figure] {
        var figures = [epsilonFigure(account), curveFigure(account)]
        if let survivors = survivorsFigure(account) { figures.append(survivors) }
        if let noise = noiseFigure(account) { figures.append(noise) }
        figures += scoreFigures(account)
        return figures
    }

    // MARK: ε by round

    static func epsilonByRound(_ account: RunAccount) -> LinePlot {
        let plan = account.plan
        let budget = plan.budgetEpsilon.asDouble
        let planned = account.plannedPath.map { (x: Double($0.rounds), y: $0.epsilon) }
        var spent = [(x: 0.0, y: account.plannedPath[0].epsilon)]
        for round in account.rounds { spent.append((Double(round.round.number), round.epsilonAfter)) }
        let last = max(Double(plan.roundsPlanned), spent[spent.count - 1].x)
        var series: [LinePlot.Series] = [
            .init(name: "planned", tone: .fifth, style: .line, points: planned),
            .init(name: "spent", tone: .first, style: .stairs, points: spent),
            .init(
                name: "budget", tone: .limit, style: .line, dashed: true,
                points: [(0, budget), (last, budget)]),
        ]
        let wasted = account.rounds.filter { $0.round.outcome == .aborted || $0.round.outcome == .unfinished }
        if !wasted.isEmpty {
            series.append(
                .init(
                    name: "charged, nothing released", tone: .second, style: .crosses,
                    points: wasted.map { (Double($0.round.number), $0.epsilonAfter) }))
        }
        return LinePlot(
            title: "Privacy loss by round",
            summary:
                "ε rises to \(ReportSentences.epsilon(account.spent.epsilon)) of \(Figures.text(budget)).",
            horizontal: .linear("round", over: [0, last], wholeNumbers: true, tight: true),
            vertical: .linear(
                "ε at δ = \(ReportSentences.delta(account.spent.delta))",
                over: planned.map(\.y) + spent.map(\.y) + [budget]),
            series: series)
    }

    private static func epsilonFigure(_ account: RunAccount) -> ReportDocument.Figure {
        let planned = Dictionary(uniqueKeysWithValues: account.plannedPath.map { ($0.rounds, $0.epsilon) })
        let rows = account.rounds.map { entry -> [ReportValue] in
            [
                .count(entry.round.number), .text(outcome(entry.round.outcome)),
                .number(entry.epsilonAfter, .up),
                planned[entry.round.number].map { .number($0, .up) } ?? .absent,
                .text(entry.round.reason ?? ""),
            ]
        }
        let before = account.plannedPath[0].epsilon
        return .init(
            title: "Privacy loss by round",
            caption: "ε per \(account.plan.event.unit.rawValue) at δ = "
                + "\(ReportSentences.delta(account.spent.delta)), after each round; planned, spent, and the "
                + "budget that stops the run."
                + (before > 0
                    ? " It starts at \(ReportSentences.epsilon(before)), spent before this run." : ""),
            svg: epsilonByRound(account).svg,
            table: .init(
                key: "epsilonByRound", caption: "ε by round",
                columns: [
                    .init(key: "round", label: "round", condensing: .span),
                    .init(key: "outcome", label: "outcome", isNumber: false, condensing: .tally),
                    .init(key: "epsilon", label: "ε spent"), .init(key: "planned", label: "ε planned"),
                    .init(key: "reason", label: "reason", isNumber: false, condensing: .tally),
                ], rows: rows, notable: notable(account.history.rounds)))
    }

    /// Places of the rounds that did not end as rounds should.
    static func notable(_ rounds: [RunHistory.Round]) -> Set<Int> {
        Set(rounds.indices.filter { rounds[$0].outcome != .released && rounds[$0].outcome != .sent })
    }

    static func outcome(_ outcome: RunHistory.Outcome) -> String {
        switch outcome {
        case .released: "released"
        case .aborted: "aborted, charged"
        case .returned: "returned, nothing had left"
        case .sent: "masked vector sent"
        case .unfinished: "unfinished, charged"
        }
    }

    // MARK: δ(ε)

    private static func curveFigure(_ account: RunAccount) -> ReportDocument.Figure {
        let figures = account.spent
        let points = figures.curve.filter { $0.delta > 0 }.map { (x: $0.epsilon, y: $0.delta) }
        let plot = LinePlot(
            title: "Privacy profile", summary: "δ falls as ε grows.",
            horizontal: .linear("ε", over: points.map(\.x)),
            vertical: .logarithmic("δ", over: points.map(\.y)),
            series: [
                .init(name: "upper bound on δ", tone: .first, style: .line, points: points),
                .init(
                    name: "the plan's δ", tone: .limit, style: .dots,
                    points: [(figures.epsilon, figures.delta)]),
            ])
        return .init(
            title: "Privacy profile",
            caption: "The whole guarantee: for every ε the δ at which it holds, by "
                + "\(ReportSentences.method(figures.accountant)).",
            svg: plot.svg,
            table: .init(
                key: "profile", caption: "δ at each ε",
                columns: [.init(key: "epsilon", label: "ε"), .init(key: "delta", label: "δ, upper bound")],
                rows: figures.curve.map { [.number($0.epsilon), .number($0.delta, .up)] }))
    }

    // MARK: Noise

    private static func noiseFigure(_ account: RunAccount) -> ReportDocument.Figure? {
        guard let noise = account.noise else { return nil }
        let released = account.history.rounds.filter { $0.survivors != nil }
        guard !released.isEmpty else { return nil }
        let required = noise.requiredMultiplier
        let delivered = released.map { round in
            (
                round,
                noise.deliveredMultiplier(
                    survivors: round.survivors ?? 0, colluders: account.plan.colluders)
            )
        }
        let plot = LinePlot(
            title: "Noise delivered and required",
            summary: "Least delivered \(Figures.text(delivered.map(\.1).min() ?? 0, .down)), required "
                + "\(Figures.text(required, .down)).",
            horizontal: .linear(
                "round", over: [0, Double(released.map(\.number).max() ?? 1)], wholeNumbers: true, tight: true
            ),
            vertical: .linear("noise over sensitivity", over: delivered.map(\.1) + [required]),
            series: [
                .init(
                    name: "delivered", tone: .first, style: .dots,
                    points: delivered.map { (Double($0.0.number), $0.1) }),
                .init(
                    name: "required", tone: .limit, style: .line, dashed: true,
                    points: [(0, required), (Double(released.map(\.number).max() ?? 1), required)]),
            ])
        return .init(
            title: "Noise delivered and required",
            caption: "Standard deviation of the noise in each opened sum over the sensitivity of one "
                + "\(ReportSentences.noun(account.unit)), leaving out one share for each possible colluder "
                + "(\(account.plan.colluders)). ε is computed from the required value; more is not claimed."
                + (noise.levels == nil
                    ? "" : " What the survivors' number made superfluous was removed from the sum."),
            svg: plot.svg,
            table: .init(
                key: "noiseByRound", caption: "Noise by round",
                columns: [
                    .init(key: "round", label: "round", condensing: .span),
                    .init(key: "contributions", label: "contributions", condensing: .range),
                    .init(key: "shares", label: "shares counted", condensing: .range),
                    .init(key: "delivered", label: "delivered", condensing: .least),
                    .init(key: "required", label: "required"),
                ],
                rows: delivered.map { round, value in
                    [
                        .count(round.number), .count(round.survivors ?? 0),
                        .count((round.survivors ?? 0) - account.plan.colluders), .number(value, .down),
                        .number(required, .down),
                    ]
                }))
    }
}
