import Glibc

/// One axis of a plot: its range, its ticks, and where a value falls on it.
package struct PlotAxis {
    package enum Scale { case linear, logarithmic }

    package struct Tick {
        /// 0 at the axis' lower end, 1 at its upper end.
        package let fraction: Double
        package let label: String
    }

    package let title: String
    package let scale: Scale
    package let lower: Double
    package let upper: Double
    package let ticks: [Tick]

    /// A linear axis over `values` with ticks at multiples of 1, 2 or 5 times a power of ten.
    /// The range starts at zero when `fromZero`, and ends at a tick unless `tight`.
    package static func linear(
        _ title: String, over values: [Double], fromZero: Bool = true, wholeNumbers: Bool = false,
        tight: Bool = false, tickCountMax: Int = 6
    ) -> PlotAxis {
        let finite = values.filter(\.isFinite)
        var lower = finite.min() ?? 0
        var upper = finite.max() ?? 1
        if fromZero { lower = min(0, lower) }
        if upper <= lower { upper = lower + 1 }
        var step = niceStep(atLeast: (upper - lower) / Double(tickCountMax))
        if wholeNumbers { step = max(1, step) }
        let first = (lower / step).rounded(.down)
        let last = (upper / step).rounded(tight ? .down : .up)
        if !tight {
            lower = first * step
            upper = last * step
        }
        let places = max(0, -Int(log10(step).rounded(.down)))
        let ticks = stride(from: first, through: last, by: 1).map { $0 * step }
            .filter { $0 >= lower }
            .map { Tick(fraction: ($0 - lower) / (upper - lower), label: tickLabel($0, places: places)) }
        return PlotAxis(title: title, scale: .linear, lower: lower, upper: upper, ticks: ticks)
    }

    /// A logarithmic axis over the decades that hold the positive `values`; ticks at whole decades.
    package static func logarithmic(_ title: String, over values: [Double], tickCountMax: Int = 7) -> PlotAxis
    {
        let positive = values.filter { $0 > 0 && $0.isFinite }
        let first = Int(log10(positive.min() ?? 0.1).rounded(.down))
        var last = Int(log10(positive.max() ?? 1).rounded(.up))
        if last <= first { last = first + 1 }
        let every = max(1, (last - first + tickCountMax - 1) / tickCountMax)
        let ticks = stride(from: first, through: last, by: every).map { decade in
            Tick(fraction: Double(decade - first) / Double(last - first), label: decadeLabel(decade))
        }
        return PlotAxis(
            title: title, scale: .logarithmic, lower: Double(first), upper: Double(last), ticks: ticks)
    }

    /// Where `value` falls, clamped to the axis.
    package func fraction(_ value: Double) -> Double {
        let place = scale == .linear ? value : (value > 0 ? log10(value) : lower)
        return min(1, max(0, (place - lower) / (upper - lower)))
    }

    private static func niceStep(atLeast size: Double) -> Double {
        let power = pow(10, log10(size).rounded(.down))
        for factor in [1.0, 2, 5] where factor * power >= size * (1 - 1e-9) { return factor * power }
        return 10 * power
    }

    private static func tickLabel(_ value: Double, places: Int) -> String {
        abs(value) >= 10_000 ? Figures.text(value) : Figures.fixed(value, places: places)
    }

    private static func decadeLabel(_ decade: Int) -> String {
        switch decade {
        case 0: return "1"
        case 1...3: return "1" + String(repeating: "0", count: decade)
        case -2 ... -1: return "0." + String(repeating: "0", count: -decade - 1) + "1"
        default:
            let raised: [Character] = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"]
            let digits = String(decade.magnitude).map { raised[$0.wholeNumberValue!] }
            return "10" + (decade < 0 ? "⁻" : "") + String(digits)
        }
    }
}
