import Models

extension RecipeComparison {
    public func html() -> [UInt8] { document.html }
    public func json() -> [UInt8] { document.json }

    /// A cell per figure of the table, in the order of `columns`.
    package static let columns: [(key: String, label: String, figure: @Sendable (Measured) -> Double?)] = [
        ("exactFraction", "bit-identical", { $0.exactFraction }),
        ("nearFraction", "nearly", { $0.nearFraction }),
        ("exactMiddleFraction", "of the middle", { $0.exactMiddleFraction }),
        ("fullZeroShot", "full, zero-shot", { $0.fullZeroShot }),
        ("emulatorZeroShot", "emulator, zero-shot", { $0.emulatorZeroShot }),
        ("emulatorTuned", "emulator, tuned", { $0.emulatorTuned }),
        ("plugIn", "plug-in", { $0.plugIn }),
        ("fullTuned", "full, tuned", { $0.fullTuned }),
        ("controlTuned", "control, tuned", { $0.controlTuned }),
        ("retained", "R", { $0.retained }),
        ("recovery", "best recovery", { $0.recovery }),
    ]

    private var document: ReportDocument {
        ReportDocument(
            title: "Emulator recipes side by side",
            subtitle: "From \(rows.reduce(0) { $0 + $1.reports.count }) disclosure reports",
            headline: [
                .init(
                    key: "reading", label: "How to read it",
                    value: .text(
                        "Of two recipes with the same plug-in score the better one ships less bit for bit, has a "
                            + "weaker tuned emulator, and lets attackers recover less. Recipes on the frontier "
                            + "are beaten by none in all four."
                    ))
            ],
            tiles: [], notices: [],
            figures: [
                .init(
                    title: "Plug-in against what is shipped",
                    caption:
                        "Further left: less of the model travels bit for bit. Intervals are in the table.",
                    svg: plot("share of parameters shipped bit for bit", \.exactFraction).svg, table: table),
                .init(
                    title: "Plug-in against the tuned emulator",
                    caption: "On the line the owner's model adds nothing to what the tuned emulator can do.",
                    svg: plot("score of the tuned emulator", \.emulatorTuned, diagonal: true).svg,
                    table: gaps),
            ],
            sections: [])
    }

    private func plot(
        _ title: String, _ across: (Measured) -> Double, diagonal: Bool = false
    ) -> LinePlot {
        let tones: [PlotFrame.Tone] = [.first, .second, .third, .fourth, .fifth]
        var series = rows.enumerated().map { index, row in
            LinePlot.Series(
                name: row.name, tone: tones[index % tones.count],
                style: (index / tones.count).isMultiple(of: 2) ? .dots : .crosses,
                points: row.reports.map { (across($0), $0.plugIn) })
        }
        let reports = rows.flatMap(\.reports)
        let (horizontal, vertical) = (reports.map(across), reports.map(\.plugIn))
        let ends = diagonal ? [0, (horizontal + vertical).max() ?? 1] : []
        if diagonal {
            series.append(
                .init(
                    name: "equal", tone: .limit, style: .line, dashed: true, points: ends.map { ($0, $0) }))
        }
        return LinePlot(
            title: "Plug-in score", summary: "Plug-in score of each recipe against the \(title).",
            horizontal: .linear(title, over: horizontal + ends),
            vertical: .linear("plug-in score", over: vertical + ends), series: series)
    }

    private var table: ReportDocument.Table {
        .init(
            key: "recipes",
            caption: "Means over the reports of a recipe, ± half of Student's 95 % interval where there are "
                + "several",
            columns: [
                .init(key: "recipe", label: "recipe", isNumber: false),
                .init(key: "reports", label: "reports"),
                .init(key: "frontier", label: "on the frontier", isNumber: false),
            ]
                + Self.columns.flatMap { column in
                    [
                        .init(key: column.key, label: column.label),
                        .init(key: column.key + "Half", label: "±"),
                    ]
                },
            rows: rows.map { row in
                [.text(row.name), .count(row.reports.count), .flag(isOnFrontier(row))]
                    + Self.columns.flatMap { column -> [ReportValue] in
                        guard let cell = row.mean(column.figure) else { return [.absent, .absent] }
                        return [
                            .number(cell.mean, shownDigits: 3),
                            cell.half.map { .number($0, .up, shownDigits: 2) } ?? .absent,
                        ]
                    }
            })
    }

    private var gaps: ReportDocument.Table {
        .init(
            key: "gaps", caption: "Plug-in less tuned emulator, report by report averaged",
            columns: [
                .init(key: "recipe", label: "recipe", isNumber: false), .init(key: "gap", label: "gap"),
                .init(key: "gapHalf", label: "±"),
            ],
            rows: rows.map { row in
                let gap = row.mean { $0.plugIn - $0.emulatorTuned }!
                return [
                    .text(row.name), .number(gap.mean, shownDigits: 3),
                    gap.half.map { .number($0, .up, shownDigits: 2) } ?? .absent,
                ]
            })
    }
}
