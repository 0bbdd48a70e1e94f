import FedTrain
import Sodium
import Testing

@Suite("Report figures")
struct ReportFiguresTests {
    @Test(
        "rounded figures have few digits and keep the direction of a bound",
        arguments: [7.981_234_56, 0.1, 0.300_000_000_000_000_04, 99_999.99, 1e-5, 1.234e-300, 9.999_999_9, 3])
    func directions(_ value: Double) {
        #expect(Figures.rounded(value, digits: 4, .up) >= value)
        #expect(Figures.rounded(value, digits: 4, .down) <= value)
        #expect(Figures.rounded(-value, digits: 4, .up) >= -value)
        #expect(abs(Figures.rounded(value, digits: 4) / value - 1) <= 5e-4)
        for direction in [Figures.Direction.nearest, .up, .down] {
            let once = Figures.rounded(value, digits: 4, direction)
            #expect(Figures.rounded(once, digits: 4, direction) == once, "rounding twice changes nothing")
        }
    }

    @Test("random values: rounding up is never below and at most one unit of the last digit above")
    func randomBounds() {
        let generator = StreamRandom(seed: 1, label: "report figures")
        for _ in 0..<20_000 {
            let value = Double(bitPattern: generator.nextUInt64())
            guard value.isFinite, value != 0, abs(value) < 1e300, abs(value) > 1e-300 else { continue }
            let up = Figures.rounded(value, digits: 6, .up)
            #expect(up >= value && abs(up - value) <= abs(value) * 1.01e-5)
        }
    }

    @Test("texts for people")
    func texts() {
        #expect(Figures.text(0) == "0")
        #expect(Figures.text(1e-5) == "1e-5")
        #expect(Figures.text(0.000_123_45) == "0.0001235")
        #expect(Figures.text(-12_345.6, digits: 6) == "−12,345.6")
        #expect(Figures.text(7.9801, digits: 3, .up) == "7.99")
        #expect(Figures.text(.infinity) == "∞")
        #expect(Figures.fixed(1.005, places: 0) == "1")
        #expect(Figures.fixed(-0.001) == "0")
        #expect(Figures.fixed(12.5) == "12.5")
        #expect(Figures.percent(0.1234, .up) == "12.4 %")
        #expect(Figures.count(1_234_567) == "1,234,567")
    }

    @Test("no name can become markup")
    func escaping() {
        var markup = Markup()
        markup.element("td", ["title": "\"><script>"], "<b>&'\u{0}")
        #expect(
            markup.text
                == "<td title=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;&amp;&#39;\u{FFFD}</td>")
    }
}
