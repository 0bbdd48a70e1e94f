/// One stacked bar per whole number on the horizontal axis, and one horizontal limit across.
package struct StackedBarPlot {
    package struct Layer {
        let name: String
        let tone: PlotFrame.Tone
        /// One height per bar; zero leaves the layer out of that bar.
        let heights: [Double]

        package init(name: String, tone: PlotFrame.Tone, heights: [Double]) {
            self.name = name
            self.tone = tone
            self.heights = heights
        }
    }

    package struct Limit {
        let name: String
        let value: Double

        package init(name: String, value: Double) {
            self.name = name
            self.value = value
        }
    }

    let title: String
    let summary: String
    let horizontalTitle: String
    let verticalTitle: String
    /// Bottom layer first; all have the same number of bars.
    let layers: [Layer]
    let limit: Limit?

    package init(
        title: String, summary: String, horizontalTitle: String, verticalTitle: String, layers: [Layer],
        limit: Limit?
    ) {
        self.title = title
        self.summary = summary
        self.horizontalTitle = horizontalTitle
        self.verticalTitle = verticalTitle
        self.layers = layers
        self.limit = limit
    }

    package var svg: String {
        let count = layers.first?.heights.count ?? 0
        precondition(layers.allSatisfy { $0.heights.count == count })
        let totals = (0..<count).map { bar in layers.reduce(0) { $0 + $1.heights[bar] } }
        let vertical = PlotAxis.linear(
            verticalTitle, over: totals + [limit?.value ?? 0], wholeNumbers: false)
        let horizontal = bandAxis(count: count)
        let shown = layers.filter { $0.heights.contains { $0 > 0 } }
        var legend = shown.map { PlotFrame.LegendEntry(name: $0.name, tone: $0.tone, mark: .block) }
        if let limit { legend.append(.init(name: limit.name, tone: .limit, mark: .dashed)) }
        let frame = PlotFrame(verticalAxis: vertical, legend: legend)
        let band = (frame.right - frame.left) / Double(max(1, count))
        let width = min(26, count > 120 ? band : band * 0.72)

        return frame.svg(title: title, summary: summary, horizontal: horizontal, vertical: vertical) { svg in
            var base = [Double](repeating: 0, count: count)
            for layer in shown {
                var path = ""
                var bar = 0
                while bar < count {
                    let (low, height) = (base[bar], layer.heights[bar])
                    // Bars that touch and are alike are one.
                    var end = bar + 1
                    while width == band, end < count, base[end] == low, layer.heights[end] == height {
                        end += 1
                    }
                    if height > 0 {
                        let left = frame.left + (Double(bar) + 0.5) * band - width / 2
                        path += PlotMarks.bar(
                            left: left, right: left + width + Double(end - bar - 1) * band,
                            top: frame.y(vertical.fraction(low + height)),
                            bottom: frame.y(vertical.fraction(low)))
                    }
                    bar = end
                }
                for bar in 0..<count { base[bar] += layer.heights[bar] }
                svg.empty("path", ["class": "fill \(layer.tone.rawValue)", "d": path])
            }
            if let limit {
                let y = Figures.fixed(frame.y(vertical.fraction(limit.value)))
                svg.empty(
                    "path",
                    [
                        "class": "line dashed \(PlotFrame.Tone.limit.rawValue)",
                        "d": "M\(Figures.fixed(frame.left)) \(y)H\(Figures.fixed(frame.right))",
                    ])
            }
        }
    }

    /// Ticks in the middle of the bands, at most a dozen.
    private func bandAxis(count: Int) -> PlotAxis {
        var every = 1
        for step in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] where every * 12 < count {
            every = step
        }
        let ticks = (0..<count).filter { ($0 + 1) % every == 0 || count <= 12 }.map { bar in
            PlotAxis.Tick(
                fraction: (Double(bar) + 0.5) / Double(count), label: String(bar + 1))
        }
        return PlotAxis(
            title: horizontalTitle, scale: .linear, lower: 0, upper: Double(max(1, count)), ticks: ticks)
    }
}
