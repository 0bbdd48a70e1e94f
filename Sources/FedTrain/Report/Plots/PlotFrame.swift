/// What all plots share: the drawing area, axes, grid and legend.
package struct PlotFrame {
    /// A colour of the style sheet, which has one set of colours for light and one for dark.
    package enum Tone: String {
        case first = "t1"
        case second = "t2"
        case third = "t3"
        case fourth = "t4"
        case fifth = "t5"
        case limit = "tl"
    }

    struct LegendEntry {
        enum Mark { case line, dashed, block, dot, cross }
        let name: String
        let tone: Tone
        let mark: Mark
    }

    static let width = 480.0
    static let fontSize = 13.0
    /// Mean advance of a character; errs on the wide side, so that labels do not run into each other.
    static let characterWidth = 7.0

    let height: Double
    let left: Double
    let right: Double
    let top: Double
    let bottom: Double

    private let legendRows: [[LegendEntry]]

    init(height: Double = 290, verticalAxis: PlotAxis, legend: [LegendEntry]) {
        let labelWidth = verticalAxis.ticks.map { Double($0.label.count) * Self.characterWidth }.max() ?? 0
        legendRows = Self.rows(of: legend)
        self.height = height
        left = labelWidth + 30
        right = Self.width - 20
        top = 14 + Double(legendRows.count) * 20
        bottom = height - 44
    }

    func x(_ fraction: Double) -> Double { left + fraction * (right - left) }
    func y(_ fraction: Double) -> Double { bottom - fraction * (bottom - top) }

    /// The whole SVG: grid, then `marks`, then axes and legend. `title` and `summary` serve readers who
    /// cannot see it.
    func svg(
        title: String, summary: String, horizontal: PlotAxis, vertical: PlotAxis,
        marks: (inout Markup) -> Void
    ) -> String {
        var svg = Markup()
        svg.element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "class": "plot", "role": "img",
                "viewBox": "0 0 \(Figures.fixed(Self.width)) \(Figures.fixed(height))",
            ]
        ) { svg in
            svg.element("title", title)
            svg.element("desc", summary)
            grid(vertical, into: &svg)
            marks(&svg)
            axes(horizontal, vertical, into: &svg)
            drawLegend(into: &svg)
        }
        return svg.text
    }

    private func grid(_ vertical: PlotAxis, into svg: inout Markup) {
        var path = ""
        for tick in vertical.ticks {
            path += "M\(Figures.fixed(left)) \(Figures.fixed(y(tick.fraction)))H\(Figures.fixed(right))"
        }
        svg.empty("path", ["class": "grid", "d": path])
    }

    private func axes(_ horizontal: PlotAxis, _ vertical: PlotAxis, into svg: inout Markup) {
        svg.empty(
            "path",
            [
                "class": "axis",
                "d": "M\(Figures.fixed(left)) \(Figures.fixed(bottom))H\(Figures.fixed(right))",
            ])
        for tick in vertical.ticks {
            label(tick.label, x: left - 6, y: y(tick.fraction) + 4, anchor: "end", into: &svg)
        }
        for tick in horizontal.ticks {
            label(tick.label, x: x(tick.fraction), y: bottom + 18, anchor: "middle", into: &svg)
        }
        label(
            horizontal.title, x: (left + right) / 2, y: height - 6, anchor: "middle", style: "name",
            into: &svg)
        let middle = Figures.fixed((top + bottom) / 2)
        svg.element(
            "text",
            [
                "class": "name", "x": "14", "y": middle, "text-anchor": "middle",
                "transform": "rotate(-90 14 \(middle))",
            ], vertical.title)
    }

    private func label(
        _ text: String, x: Double, y: Double, anchor: String, style: String = "tick", into svg: inout Markup
    ) {
        svg.element(
            "text",
            ["class": style, "x": Figures.fixed(x), "y": Figures.fixed(y), "text-anchor": anchor], text)
    }

    /// Legend entries packed into rows that fit the width.
    private static func rows(of legend: [LegendEntry]) -> [[LegendEntry]] {
        var rows: [[LegendEntry]] = []
        var used = Double.infinity
        for entry in legend {
            let needed = entryWidth(entry)
            if used + needed > width - 20 {
                rows.append([])
                used = 0
            }
            rows[rows.count - 1].append(entry)
            used += needed
        }
        return rows
    }

    private static func entryWidth(_ entry: LegendEntry) -> Double {
        Double(entry.name.count) * characterWidth + 40
    }

    private func drawLegend(into svg: inout Markup) {
        for (row, entries) in legendRows.enumerated() {
            var x = 10.0
            let y = 14 + Double(row) * 20
            for entry in entries {
                PlotMarks.swatch(entry, x: x, y: y - 4, into: &svg)
                label(entry.name, x: x + 24, y: y, anchor: "start", style: "key", into: &svg)
                x += Self.entryWidth(entry)
            }
        }
    }
}
