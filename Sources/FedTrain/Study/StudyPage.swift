import Models

/// A study's results as one HTML page that needs nothing else: tables, plots, who holds what.
enum StudyPage {
    static func html(_ outcome: StudyOutcome) -> [UInt8] {
        let definition = outcome.definition
        let table = StudyTable(outcome)
        var notices = [
            ReportDocument.Fact(
                key: "seeds", label: "Seeded",
                value: .text(
                    "Every cell's randomness follows from its seed, noise included, so that it can be run again to "
                        + "the same bytes. ε is what a run with secret randomness would have cost."))
        ]
        if definition.isCompatible {
            notices.append(
                .init(key: "compat", label: "Comparison only", value: .text(StudyTable.compatibility)))
        }
        var sections = [section("results", "Results", table.main, caption: table.intervals)]
        if let compared = table.compared {
            sections.append(
                section(
                    "compared", "Against \(definition.reference ?? "")", compared,
                    caption:
                        "Differences of loss, client by client, with 95 % intervals over clients; below zero "
                        + "is better."))
        }
        if let trials = table.trials {
            sections.append(section("trials", "Trials", trials, caption: "Every trial is charged."))
        }
        if !table.totals.isEmpty {
            sections.append(
                .init(
                    key: "privacy", title: "Privacy of the whole study",
                    facts: outcome.accounts.map {
                        .init(key: $0.task, label: $0.task, value: .text(StudyTable.sentence($0)))
                    }))
        }
        if !outcome.excluded.isEmpty {
            sections.append(
                .init(
                    key: "leftOut", title: "Left out",
                    facts: outcome.excluded.enumerated().map { index, entry in
                        let names = StudyAxis.allCases.compactMap { entry.labels[$0] }.filter { !$0.isEmpty }
                        return .init(
                            key: "\(index)", label: names.joined(separator: " · "),
                            value: .text(entry.because))
                    }))
        }
        let document = ReportDocument(
            title: "Study: \(definition.name)",
            subtitle: "fedtrain \(FedTrainVersion.text); \(outcome.rows.count) cells, seeds "
                + definition.seeds.map(String.init).joined(separator: ", "),
            headline: definition.about.isEmpty
                ? [] : [.init(key: "about", label: "", value: .text(definition.about))],
            tiles: [], notices: notices, figures: StudyPlots.all(outcome), figuresTitle: "In pictures",
            sections: sections)
        return document.html
    }

    private static func section(
        _ key: String, _ title: String, _ table: (header: [String], rows: [[String]]), caption: String
    ) -> ReportDocument.Section {
        let columns = table.header.enumerated().map { index, label in
            ReportDocument.Table.Column(key: "\(index)", label: label, isNumber: false)
        }
        return .init(
            key: key, title: title,
            tables: [
                .init(
                    key: key, caption: caption, columns: columns,
                    rows: table.rows.map { $0.map { ReportValue.text($0) } })
            ])
    }
}

/// A study's plots: utility against ε, against bytes, against dropout; and each split's holdings.
enum StudyPlots {
    static func all(_ outcome: StudyOutcome) -> [ReportDocument.Figure] {
        var figures: [ReportDocument.Figure] = []
        let groups = outcome.groups
        for task in unique(groups.compactMap { $0.labels[.task] }) {
            let mine = groups.filter { $0.labels[.task] == task }
            let priced = mine.filter { $0.epsilon != nil }
            if Set(priced.compactMap(\.epsilon)).count > 1 {
                figures.append(
                    figure(
                        "\(task): loss against ε", "ε of one run, logarithmic", priced, over: .privacy,
                        logarithmic: true, x: { $0.epsilon! }))
            }
            if Set(mine.map(\.bytesUp)).count > 1 {
                figures.append(
                    figure(
                        "\(task): loss against bytes", "bytes a client sends in all rounds, logarithmic",
                        mine,
                        over: .algorithm, logarithmic: true, x: { max(1, $0.bytesUp) }))
            }
            if outcome.axes.contains(.dropout) {
                let shares = Dictionary(
                    outcome.definition.dropouts.map { ($0.name, $0.value.fraction) }, uniquingKeysWith: { $1 }
                )
                figures.append(
                    figure(
                        "\(task): loss against dropout", "share of clients lost, per cent", mine,
                        over: .dropout,
                        logarithmic: false, x: { 100 * (shares[$0.labels[.dropout] ?? ""] ?? 0) }))
            }
        }
        return figures + holdings(outcome)
    }

    /// Points joined by lines along one axis of the study; each combination of the others is a series.
    private static func figure(
        _ title: String, _ axisTitle: String, _ groups: [StudyOutcome.Group], over axis: StudyAxis,
        logarithmic: Bool, x: (StudyOutcome.Group) -> Double
    ) -> ReportDocument.Figure {
        func name(_ group: StudyOutcome.Group) -> String {
            let axes = StudyAxis.allCases.filter { $0 != .task && $0 != axis }
            let varying = axes.filter { other in Set(groups.map { $0.labels[other] ?? "" }).count > 1 }
            let names = varying.compactMap { group.labels[$0] }.filter { !$0.isEmpty }
            return names.isEmpty ? "all" : names.joined(separator: " ")
        }
        let names = unique(groups.map(name))
        let tones: [PlotFrame.Tone] = [.first, .second, .third, .fourth, .limit, .fifth]
        let points = groups.map { (name: name($0), x: x($0), y: $0.everyone?.mean ?? 0) }
        var series: [LinePlot.Series] = []
        for (index, name) in names.enumerated() {
            let own = points.filter { $0.name == name }.map { (x: $0.x, y: $0.y) }.sorted { $0.x < $1.x }
            let tone = tones[index % tones.count]
            series.append(
                .init(name: name, tone: tone, style: index < tones.count ? .dots : .crosses, points: own))
        }
        let lines = names.enumerated().map { index, name in
            LinePlot.Series(
                name: "", tone: tones[index % tones.count], style: .line, dashed: index >= tones.count,
                points: points.filter { $0.name == name }.map { (x: $0.x, y: $0.y) }.sorted { $0.x < $1.x })
        }.filter { $0.points.count > 1 && axis != .algorithm }
        let plot = LinePlot(
            title: title, summary: "\(points.count) points of \(names.count) series.",
            horizontal: logarithmic
                ? .logarithmic(axisTitle, over: points.map(\.x)) : .linear(axisTitle, over: points.map(\.x)),
            vertical: .linear("loss on everyone's test", over: points.map(\.y), fromZero: false),
            series: series, unnamed: lines)
        return .init(
            title: title,
            caption: "Mean over seeds of the loss on all clients' test records; lower is better.",
            svg: plot.svg,
            table: .init(
                key: "points", caption: title,
                columns: [
                    .init(key: "series", label: "series", isNumber: false), .init(key: "x", label: axisTitle),
                    .init(key: "loss", label: "loss"),
                ], rows: points.map { [.text($0.name), .number($0.x), .number($0.y, shownDigits: 5)] }))
    }

    /// Of the first seed's splits, where there are few enough clients to see anything.
    private static func holdings(_ outcome: StudyOutcome) -> [ReportDocument.Figure] {
        var seen: Set<String> = []
        var figures: [ReportDocument.Figure] = []
        for row in outcome.rows where row.cell.seed == outcome.definition.seeds[0] {
            let name = "\(row.cell.labels[.task] ?? ""), \(row.cell.labels[.split] ?? "")"
            guard seen.insert(name).inserted, let split = outcome.splits[row.cell.dataDirectory] else {
                continue
            }
            let picture = HoldingsPicture(split)
            figures.append(
                .init(
                    title: "Who holds what: \(name)", caption: "Training records; areas are counts.",
                    svg: picture.svg,
                    table: .init(
                        key: "holdings", caption: "Records of each client",
                        columns: [
                            .init(key: "client", label: "client", isNumber: false),
                            .init(key: "train", label: "train"),
                            .init(key: "validation", label: "validation"),
                            .init(key: "test", label: "test"),
                        ],
                        rows: split.clients.map { client in
                            [.text(client.name)] + DataPart.allCases.map { .count(client[$0].count) }
                        })))
        }
        return figures
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
