/// Lines, stairs and marks over two numeric axes.
package struct LinePlot {
    package struct Series {
        package enum Style { case line, stairs, dots, crosses }
        let name: String
        let tone: PlotFrame.Tone
        let style: Style
        let dashed: Bool
        let points: [PlotMarks.Point]

        package init(
            name: String, tone: PlotFrame.Tone, style: Style, dashed: Bool = false, points: [PlotMarks.Point]
        ) {
            self.name = name
            self.tone = tone
            self.style = style
            self.dashed = dashed
            self.points = points
        }
    }

    let title: String
    /// One sentence for readers who cannot see the plot.
    let summary: String
    let horizontal: PlotAxis
    let vertical: PlotAxis
    let series: [Series]
    /// Drawn below the others and not named in the legend.
    let unnamed: [Series]

    package init(
        title: String, summary: String, horizontal: PlotAxis, vertical: PlotAxis, series: [Series],
        unnamed: [Series] = []
    ) {
        self.title = title
        self.summary = summary
        self.horizontal = horizontal
        self.vertical = vertical
        self.series = series
        self.unnamed = unnamed
    }

    package var svg: String {
        let frame = PlotFrame(verticalAxis: vertical, legend: series.map(\.legendEntry))
        return frame.svg(title: title, summary: summary, horizontal: horizontal, vertical: vertical) { svg in
            for series in unnamed + series {
                let places = series.points.map { point in
                    (frame.x(horizontal.fraction(point.x)), frame.y(vertical.fraction(point.y)))
                }
                series.draw(at: places, into: &svg)
            }
        }
    }
}

extension LinePlot.Series {
    fileprivate var legendEntry: PlotFrame.LegendEntry {
        let mark: PlotFrame.LegendEntry.Mark =
            switch style {
            case .line, .stairs: dashed ? .dashed : .line
            case .dots: .dot
            case .crosses: .cross
            }
        return .init(name: name, tone: tone, mark: mark)
    }

    fileprivate func draw(at places: [PlotMarks.Point], into svg: inout Markup) {
        switch style {
        case .line, .stairs:
            svg.empty(
                "path",
                [
                    "class": "line \(tone.rawValue)\(dashed ? " dashed" : "")",
                    "d": PlotMarks.path(places, stairs: style == .stairs),
                ])
        case .dots:
            PlotMarks.dots(places, tone: tone, into: &svg)
        case .crosses:
            for place in places { PlotMarks.cross(place, tone: tone, into: &svg) }
        }
    }
}
