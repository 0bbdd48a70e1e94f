import SecureAgg

/// What happened in a drill, as lines of text that need no colour: one lane per stage, and for few clients
/// one row for each of them.
struct DrillPicture {
    /// Above this many clients a row for each says less than a lane.
    static let mostRows = 40
    static let laneWidth = 50

    let trace: Drill.Trace

    var text: String {
        trace.isInSum.count <= Self.mostRows ? rows + "\n" + legend : lanes + "\n" + legend
    }

    /// One row per client, one column per stage.
    private var rows: String {
        let stages = reached
        let width = String(trace.isInSum.count - 1).count
        let header =
            "client" + String(repeating: " ", count: max(0, width - 6) + 2)
            + stages.map(\.name).joined(separator: "  ")
        let lines = trace.isInSum.indices.map { client -> String in
            let cells = stages.map { stage -> String in
                let before = (stage.name.count - 1) / 2
                let mark = Self.mark(trace.fates[stage]![client])
                return String(repeating: " ", count: before) + mark
                    + String(repeating: " ", count: stage.name.count - 1 - before)
            }
            let number = String(client)
            let label = String(repeating: " ", count: max(6, width) - number.count) + number
            let end = trace.isInSum[client] ? "  in the sum" : ""
            return trimmed(label + "  " + cells.joined(separator: "  ") + end)
        }
        return ([header] + lines).joined(separator: "\n")
    }

    /// One bar per stage; whoever was asked fills it, whoever was not leaves it blank.
    private var lanes: String {
        reached.map { stage in
            let counts = Self.shown.map { trace.count($0, at: stage) }
            let cells = Self.cells(for: counts, of: trace.isInSum.count)
            let bar = zip(Self.shown, cells).map { String(repeating: Self.bar($0), count: $1) }.joined()
            let words = zip(Self.shown, counts).filter { $1 > 0 }.map { "\($1) \(Self.word($0))" }
            let padding = String(repeating: " ", count: max(0, Self.laneWidth - bar.count))
            let name = stage.name + String(repeating: " ", count: 9 - stage.name.count)
            return
                "\(name)  \(bar)\(padding)  \(words.isEmpty ? "nobody was asked" : words.joined(separator: ", "))"
        }.joined(separator: "\n")
    }

    private var legend: String {
        let seen = Self.shown.filter { fate in reached.contains { trace.count(fate, at: $0) > 0 } }
        let isLane = trace.isInSum.count > Self.mostRows
        return seen.map { "\(isLane ? Self.bar($0) : Self.mark($0)) \(Self.word($0))" }.joined(
            separator: "   ")
    }

    private var reached: [Stage] { Stage.allCases.filter { trace.fates[$0] != nil } }

    /// In the order of a lane.
    private static let shown: [Drill.Fate] = [.answered, .late, .refused, .left, .lost]

    /// How many cells each count gets: in proportion, but none that exists disappears.
    static func cells(for counts: [Int], of total: Int) -> [Int] {
        var cells = counts.map { $0 == 0 ? 0 : max(1, ($0 * laneWidth + total / 2) / total) }
        while cells.reduce(0, +) > laneWidth, let widest = cells.indices.max(by: { cells[$0] < cells[$1] }) {
            cells[widest] -= 1
        }
        return cells
    }

    private static func mark(_ fate: Drill.Fate) -> String {
        switch fate {
        case .absent: " "
        case .answered: "●"
        case .lost: "×"
        case .late: "…"
        case .refused: "!"
        case .left: "<"
        }
    }

    private static func bar(_ fate: Drill.Fate) -> String { fate == .answered ? "█" : mark(fate) }

    private static func word(_ fate: Drill.Fate) -> String {
        switch fate {
        case .absent: "not asked"
        case .answered: "answered"
        case .lost: "lost"
        case .late: "too late"
        case .refused: "refused by the server"
        case .left: "left: a check of its own failed"
        }
    }

    private func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }
}
