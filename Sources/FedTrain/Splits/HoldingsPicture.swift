/// Who holds what: a split as a picture, clients across and categories down.
public struct HoldingsPicture: Sendable {
    public let clients: [String]
    public let categories: [String]
    /// `counts[category][client]`, training records.
    public let counts: [[Int]]

    /// Categories beyond this many, the smallest ones, share the row `other`.
    public static let categoriesMax = 24

    public init(_ split: ClientSplit) {
        clients = split.clients.map(\.name)
        let totals = split.all(.train).categoryCounts.sorted { $0.count > $1.count }
        let shown = totals.prefix(totals.count > Self.categoriesMax ? Self.categoriesMax - 1 : totals.count)
        let names = shown.map(\.name)
        var rows = names.map { name in
            split.clients.map { client in client.train.count { ($0.category ?? "") == name } }
        }
        var labels = names.map { $0.isEmpty ? "no category" : $0 }
        if shown.count < totals.count {
            let known = Set(names)
            rows.append(
                split.clients.map { client in client.train.count { !known.contains($0.category ?? "") } })
            labels.append("\(totals.count - shown.count) others")
        }
        categories = labels
        counts = rows
    }

    // MARK: In a terminal

    /// A row of blocks per category, one column per client, the height by the client's count against the
    /// largest of the row; a dot is none.
    public var text: String {
        let blocks = Array("▁▂▃▄▅▆▇█")
        let width = min(28, categories.map(\.count).max() ?? 0)
        var lines = zip(categories, counts).map { name, row in
            let label = name.count > width ? String(name.prefix(width - 1)) + "…" : name
            let largest = row.max() ?? 0
            let cells = row.map { count in
                count == 0 ? "·" : blocks[min(blocks.count - 1, (count * blocks.count - 1) / max(1, largest))]
            }
            return label + String(repeating: " ", count: width - label.count) + "  " + String(cells)
                + "  \(row.reduce(0, +))"
        }
        let totals = clients.indices.map { client in counts.reduce(0) { $0 + $1[client] } }
        lines.append(
            "\(clients.count) clients of \(totals.min() ?? 0) to \(totals.max() ?? 0) training records; "
                + "a full block is the row's largest")
        return lines.joined(separator: "\n")
    }

    // MARK: As SVG

    /// Circles whose areas are the counts.
    package var svg: String { svg(style: nil) }

    /// The picture as a file of its own.
    public var file: String { svg(style: PageStyle.standalonePlot) }

    private func svg(style: String?) -> String {
        let labels = categories.map { $0.count > 22 ? $0.prefix(21) + "…" : $0 }
        let left = (labels.map { Double($0.count) }.max() ?? 0) * PlotFrame.characterWidth + 12
        let cell = max(4, min(26, (PlotFrame.width - left - 10) / Double(max(1, clients.count))))
        let row = max(14, cell)
        let width = left + cell * Double(clients.count) + 10
        let height = row * Double(categories.count) + 40
        let largest = Double(max(1, counts.joined().max() ?? 1))
        var svg = Markup()
        svg.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "class": "plot", "role": "img",
                "viewBox": "0 0 \(Figures.fixed(max(width, PlotFrame.width))) \(Figures.fixed(height))",
            ]
        ) { svg in
            svg.element("title", "Who holds what")
            svg.element(
                "desc",
                "\(clients.count) clients and \(categories.count) categories; areas are training records.")
            if let style { svg.element("style") { $0.raw(style) } }
            for (index, label) in labels.enumerated() {
                let y = row * (Double(index) + 0.5) + 4
                svg.element(
                    "text",
                    [
                        "class": "key", "x": Figures.fixed(left - 8), "y": Figures.fixed(y + 4),
                        "text-anchor": "end",
                    ], String(label))
                for (client, count) in counts[index].enumerated() where count > 0 {
                    let radius = (Double(count) / largest).squareRoot() * (min(cell, row) / 2 - 0.5)
                    svg.empty(
                        "circle",
                        [
                            "class": "fill t1", "cx": Figures.fixed(left + cell * (Double(client) + 0.5)),
                            "cy": Figures.fixed(y), "r": Figures.fixed(max(0.8, radius)),
                        ])
                }
            }
            svg.element(
                "text",
                [
                    "class": "name", "x": Figures.fixed(left + cell * Double(clients.count) / 2),
                    "y": Figures.fixed(height - 12), "text-anchor": "middle",
                ], "clients; the largest circle is \(Figures.count(Int(largest))) records")
        }
        return svg.text
    }
}
