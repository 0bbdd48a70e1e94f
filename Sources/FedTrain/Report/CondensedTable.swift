import Models

/// How a table of many rounds is shown on the page: in blocks of rounds, each one row.
///
/// The JSON report has every row; a page of a thousand rows is neither read nor printed.
extension ReportDocument.Table {
    /// What a block's row says of the values in a column.
    enum Condensing: Sendable {
        /// "1–25", for the rounds themselves.
        case span
        /// The value at the block's end.
        case last
        /// "98–100", leaving out rows without a value.
        case range
        /// The smallest.
        case least
        /// Which values there were; where they differ, how often each.
        case tally
    }

    /// Tables up to this length are shown row by row.
    static let rowsShownMax = 100
    /// Notable rows beyond this number join their blocks.
    private static let notableMax = 60

    /// The rows for the page, and how they were put together; nil when every row is shown.
    var condensed: (rows: [[ReportValue]], note: String)? {
        guard rows.count > Self.rowsShownMax else { return nil }
        let size = [10, 20, 25, 50, 100, 200, 500].first { $0 * 50 >= rows.count } ?? (rows.count + 49) / 50
        let alone = notable.count <= Self.notableMax ? notable : []
        var blocks: [Range<Int>] = []
        var start = 0
        for index in rows.indices {
            if alone.contains(index) {
                if start < index { blocks.append(start..<index) }
                blocks.append(index..<index + 1)
                start = index + 1
            } else if (index + 1) % size == 0 || index == rows.count - 1 {
                blocks.append(start..<index + 1)
                start = index + 1
            }
        }
        let note =
            "\(Figures.count(rows.count)) rounds in blocks of up to \(size)"
            + (alone.isEmpty ? "" : ", rounds that opened nothing by themselves")
            + ": counts from–to, noise the least of each block, ε after its last round. The JSON report has "
            + "every round."
        return (blocks.map(row), note)
    }

    private func row(_ block: Range<Int>) -> [ReportValue] {
        columns.indices.map { column in
            let values = rows[block].map { $0[column] }
            let first = values[0]
            guard values.count > 1 else { return first }
            switch columns[column].condensing {
            case .span: return .text("\(first.text)–\(values[values.count - 1].text)")
            case .last: return values[values.count - 1]
            case .range:
                let known = values.filter { $0.json.number != nil }
                    .sorted { $0.json.number! < $1.json.number! }
                guard let least = known.first, let most = known.last else { return .absent }
                return least.text == most.text ? least : .text("\(least.text)–\(most.text)")
            case .least: return values.min { ($0.json.number ?? .infinity) < ($1.json.number ?? .infinity) }!
            case .tally:
                var counts: [(text: String, count: Int)] = []
                for value in values where !value.text.isEmpty {
                    if let known = counts.firstIndex(where: { $0.text == value.text }) {
                        counts[known].count += 1
                    } else {
                        counts.append((value.text, 1))
                    }
                }
                guard counts.count > 1 || counts.first.map({ $0.count < values.count }) ?? false else {
                    return first
                }
                let shown = counts.prefix(3).map { "\($0.count) × \($0.text)" }.joined(separator: ", ")
                return .text(shown + (counts.count > 3 ? " and \(counts.count - 3) more" : ""))
            }
        }
    }
}
