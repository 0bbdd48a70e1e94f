import Models

extension ReportDocument {
    static let schema = "fedtrain-report/2"

    /// The document as canonical JSON: keys sorted by their bytes, two spaces per level, arrays of plain
    /// values on one line, figures with the report's digits, one line feed at the end. Equal documents give
    /// equal bytes.
    var json: [UInt8] {
        var fields: [JSON.Member] = [
            .init("schema", .string(Self.schema)),
            .init("title", .string(title)),
            .init("headline", Self.object(headline)),
            .init("summary", Self.object(tiles)),
            .init("notices", Self.object(notices)),
            .init("figures", Self.sorted(figures.map { .init($0.table.key, Self.columns(of: $0.table)) })),
        ]
        fields += sections.map { .init($0.key, Self.object($0.facts, $0.tables)) }
        return Array((Self.sorted(fields).text(.rows) + "\n").utf8)
    }

    private static func object(_ facts: [Fact], _ tables: [Table] = []) -> JSON {
        sorted(facts.map { .init($0.key, $0.value.json) } + tables.map { .init($0.key, rows(of: $0)) })
    }

    /// A figure's table with its keys once, since there may be a row for each of a thousand rounds.
    private static func columns(of table: Table) -> JSON {
        sorted([
            .init("columns", .array(table.columns.map { .string($0.key) })),
            .init(
                "rows",
                .array(
                    table.rows.map { row in
                        precondition(row.count == table.columns.count, "table \(table.key) has a ragged row")
                        return .array(row.map(\.json))
                    })),
        ])
    }

    private static func rows(of table: Table) -> JSON {
        .array(
            table.rows.map { row in
                precondition(row.count == table.columns.count, "table \(table.key) has a ragged row")
                return sorted(zip(table.columns, row).map { .init($0.key, $1.json) })
            })
    }

    private static func sorted(_ members: [JSON.Member]) -> JSON {
        let ordered = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        for (left, right) in zip(ordered, ordered.dropFirst()) {
            precondition(left.key != right.key, "the report has two values for \(left.key)")
        }
        return .object(ordered)
    }
}
