/// Named values as horizontal bars with the value at the end of each: for scores.
package struct RankPlot {
    package struct Bar {
        let name: String
        let value: Double
        let valueText: String
        let tone: PlotFrame.Tone

        package init(name: String, value: Double, valueText: String, tone: PlotFrame.Tone) {
            self.name = name
            self.value = value
            self.valueText = valueText
            self.tone = tone
        }
    }

    let title: String
    let summary: String
    let bars: [Bar]

    package init(title: String, summary: String, bars: [Bar]) {
        self.title = title
        self.summary = summary
        self.bars = bars
    }

    private static let rowHeight = 26.0
    private static let nameLengthMax = 26

    package var svg: String {
        let names = bars.map { Self.shortened($0.name) }
        let nameWidth = names.map { Double($0.count) * PlotFrame.characterWidth }.max() ?? 0
        let valueWidth = bars.map { Double($0.valueText.count) * PlotFrame.characterWidth }.max() ?? 0
        let left = nameWidth + 14
        let length = PlotFrame.width - left - valueWidth - 16
        let largest = bars.map(\.value).filter(\.isFinite).max() ?? 0
        let height = Double(bars.count) * Self.rowHeight + 8

        var svg = Markup()
        svg.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "class": "plot", "role": "img",
                "viewBox": "0 0 \(Figures.fixed(PlotFrame.width)) \(Figures.fixed(height))",
            ]
        ) { svg in
            svg.element("title", title)
            svg.element("desc", summary)
            for (row, bar) in bars.enumerated() {
                let top = Double(row) * Self.rowHeight + 4
                let baseline = Figures.fixed(top + 14)
                let width = largest > 0 && bar.value.isFinite ? max(0, bar.value / largest) * length : 0
                svg.element(
                    "text",
                    ["class": "key", "x": Figures.fixed(left - 8), "y": baseline, "text-anchor": "end"],
                    names[row])
                svg.empty(
                    "path",
                    [
                        "class": "fill \(bar.tone.rawValue)",
                        "d": PlotMarks.bar(
                            left: left, right: left + max(1, width), top: top, bottom: top + 18),
                    ])
                svg.element(
                    "text",
                    ["class": "key", "x": Figures.fixed(left + max(1, width) + 6), "y": baseline],
                    bar.valueText)
            }
        }
        return svg.text
    }

    private static func shortened(_ name: String) -> String {
        name.count <= nameLengthMax ? name : name.prefix(nameLengthMax - 1) + "…"
    }
}
