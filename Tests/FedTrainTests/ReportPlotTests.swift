import FedTrain
import Testing

@Suite("Report plots")
struct ReportPlotTests {
    @Test("linear axes have at most a few ticks, in order, inside the axis, and cover the values")
    func linearAxes() {
        for upper in [0.0, 1e-9, 0.03, 0.7, 1, 7.98, 8, 30, 99.5, 12_345, 3e9] {
            let axis = PlotAxis.linear("x", over: [0, upper])
            #expect((2...8).contains(axis.ticks.count), "\(upper)")
            #expect(axis.upper >= upper && axis.lower == 0)
            let fractions = axis.ticks.map(\.fraction)
            #expect(
                fractions == fractions.sorted() && fractions.allSatisfy { (-1e-9...1 + 1e-9).contains($0) })
            #expect(Set(axis.ticks.map(\.label)).count == axis.ticks.count, "labels differ: \(upper)")
        }
    }

    @Test("logarithmic axes span whole decades and clamp what lies outside")
    func logarithmicAxes() {
        let axis = PlotAxis.logarithmic("δ", over: [3e-12, 0.4, 0])
        #expect(axis.lower == -12 && axis.upper == 0)
        #expect(axis.fraction(1e-6) == 0.5)
        #expect(axis.fraction(0) == 0 && axis.fraction(5) == 1)
        #expect(axis.ticks.first?.label == "10⁻¹²")
    }

    @Test("a plot of nothing, of one point and of thousands draws without a crash")
    func sizes() {
        for count in [0, 1, 2, 1000] {
            let points = (0..<count).map { (x: Double($0), y: Double($0 % 7)) }
            let line = LinePlot(
                title: "t", summary: "s", horizontal: .linear("x", over: points.map(\.x)),
                vertical: .linear("y", over: points.map(\.y)),
                series: [.init(name: "a", tone: .first, style: .stairs, points: points)])
            let bars = StackedBarPlot(
                title: "t", summary: "s", horizontalTitle: "round", verticalTitle: "n",
                layers: [.init(name: "a", tone: .first, heights: points.map(\.y))], limit: nil)
            for svg in [line.svg, bars.svg] {
                #expect(svg.hasPrefix("<svg") && svg.hasSuffix("</svg>"))
                #expect(!svg.contains("nan") && !svg.contains("inf"))
                #expect(svg.utf8.count < 60_000)
            }
        }
    }

    @Test("names from outside are escaped in every kind of plot")
    func names() {
        let rank = RankPlot(
            title: "<t>", summary: "s",
            bars: [.init(name: "<script>", value: 0.5, valueText: "50 %", tone: .first)])
        #expect(!rank.svg.contains("<script>") && rank.svg.contains("&lt;script&gt;"))
    }
}
