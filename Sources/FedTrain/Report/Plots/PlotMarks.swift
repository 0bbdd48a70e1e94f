/// The drawn shapes: paths of lines and bars, dots, crosses, and their small copies in the legend.
package enum PlotMarks {
    package typealias Point = (x: Double, y: Double)

    /// A polyline, or stairs that hold each value until the next point.
    static func path(_ points: [Point], stairs: Bool) -> String {
        var text = ""
        for (index, point) in points.enumerated() {
            let x = Figures.fixed(point.x)
            let y = Figures.fixed(point.y)
            if index == 0 {
                text += "M\(x) \(y)"
            } else {
                text += stairs ? "H\(x)V\(y)" : "L\(x) \(y)"
            }
        }
        return text
    }

    /// A rectangle as a subpath, so that a thousand bars of one tone are one element.
    static func bar(x: Double, y: Double, width: Double, height: Double) -> String {
        "M\(Figures.fixed(x)) \(Figures.fixed(y))h\(Figures.fixed(width))v\(Figures.fixed(height))"
            + "h\(Figures.fixed(-width))z"
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
                ["class": "fill \(entry.tone.rawValue)", "d": bar(x: x + 3, y: y - 6, width: 12, height: 12)])
        case .dot: dot((x + 9, y), tone: entry.tone, into: &svg)
        case .cross: cross((x + 9, y), tone: entry.tone, into: &svg)
        }
    }
}
