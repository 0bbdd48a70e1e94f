/// The drawn shapes: paths of lines and bars, dots, crosses, and their small copies in the legend.
package enum PlotMarks {
    package typealias Point = (x: Double, y: Double)

    /// A polyline, or stairs that hold each value until the next point.
    static func path(_ points: [Point], stairs: Bool) -> String {
        var text = ""
        for (index, point) in points.enumerated() {
            let x = place(point.x)
            let y = place(point.y)
            if index == 0 {
                text += "M\(x) \(y)"
            } else {
                text += stairs ? "H\(x)V\(y)" : "L\(x) \(y)"
            }
        }
        return text
    }

    /// A tenth of a unit is a tenth of a pixel or so.
    private static func place(_ value: Double) -> String { Figures.fixed(value, places: 1) }

    /// A rectangle as a subpath, so that a thousand bars of one tone are one element. Neighbours that share
    /// an edge round it alike.
    static func bar(left: Double, right: Double, top: Double, bottom: Double) -> String {
        "M\(place(left)) \(place(top))H\(place(right))V\(place(bottom))H\(place(left))z"
    }

    /// Dots of one tone as one element: lines of no length with round ends, smaller where there are many.
    static func dots(_ points: [Point], tone: PlotFrame.Tone, into svg: inout Markup) {
        guard !points.isEmpty else { return }
        svg.empty(
            "path",
            [
                "class": "line dots \(points.count > 200 ? "fine " : "")\(tone.rawValue)",
                "d": points.map { "M\(place($0.x)) \(place($0.y))h0" }.joined(),
            ])
    }

    static func dot(_ point: Point, tone: PlotFrame.Tone, into svg: inout Markup) {
        svg.empty(
            "circle",
            [
                "class": "fill \(tone.rawValue)", "cx": Figures.fixed(point.x), "cy": Figures.fixed(point.y),
                "r": "3",
            ])
    }

    static func cross(_ point: Point, tone: PlotFrame.Tone, into svg: inout Markup) {
        svg.empty(
            "path",
            [
                "class": "line \(tone.rawValue)",
                "d": "M\(Figures.fixed(point.x - 4)) \(Figures.fixed(point.y - 4))l8 8m0-8l-8 8",
            ])
    }

    static func swatch(_ entry: PlotFrame.LegendEntry, x: Double, y: Double, into svg: inout Markup) {
        switch entry.mark {
        case .line, .dashed:
            svg.empty(
                "path",
                [
                    "class": "line \(entry.tone.rawValue)\(entry.mark == .dashed ? " dashed" : "")",
                    "d": "M\(Figures.fixed(x)) \(Figures.fixed(y))h18",
                ])
        case .block:
            svg.empty(
                "path",
                [
                    "class": "fill \(entry.tone.rawValue)",
                    "d": bar(left: x + 3, right: x + 15, top: y - 6, bottom: y + 6),
                ])
        case .dot: dot((x + 9, y), tone: entry.tone, into: &svg)
        case .cross: cross((x + 9, y), tone: entry.tone, into: &svg)
        }
    }
}
