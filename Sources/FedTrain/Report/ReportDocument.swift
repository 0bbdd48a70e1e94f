import Models

/// The report's content, written once and shown twice: as JSON for programs and as HTML for people.
///
/// Every value carries both forms, so the two files cannot drift apart.
struct ReportDocument: Sendable {
    let title: String
    /// One line under the title: run, dates, software.
    let subtitle: String
    /// The guarantee in a few sentences, the first of them the claim itself.
    let headline: [Fact]
    /// The few numbers that people look for first.
    let tiles: [Fact]
    /// What a reader must not miss.
    let notices: [Fact]
    let figures: [Figure]
    /// What stands over the figures.
    var figuresTitle = "The run in pictures"
    /// The checklist, in its order.
    let sections: [Section]

    struct Section: Sendable {
        let key: String
        let title: String
        var facts: [Fact] = []
        var tables: [Table] = []
    }

    /// One statement: a key for programs, a label for people, and the value for both.
    struct Fact: Sendable {
        let key: String
        let label: String
        let value: ReportValue
    }

    struct Table: Sendable {
        let key: String
        let caption: String
        let columns: [Column]
        let rows: [[ReportValue]]
        /// Rows that a page of many shows by themselves.
        var notable: Set<Int> = []

        struct Column: Sendable {
            let key: String
            let label: String
            var isNumber = true
            var condensing = Condensing.last
        }
    }

    struct Figure: Sendable {
        let title: String
        let caption: String
        let svg: String
        /// The same numbers for readers and programs.
        let table: Table
    }
}

/// A value with its JSON form and its text.
struct ReportValue: Sendable {
    let json: JSON
    let text: String
    /// A style of the page, such as `enforced`; nil for plain text.
    var mark: String?
    /// Whether the text is code: a digest, a command, an exact fraction.
    var isCode = false

    static func text(_ text: String) -> ReportValue { .init(json: .string(text), text: text) }
    static func code(_ text: String) -> ReportValue { .init(json: .string(text), text: text, isCode: true) }
    static func count(_ value: Int) -> ReportValue {
        .init(json: .integer(value), text: Figures.count(value))
    }

    static func flag(_ value: Bool) -> ReportValue { .init(json: .bool(value), text: value ? "yes" : "no") }

    /// A figure rounded to the report's digits; a bound passes its direction.
    static func number(
        _ value: Double, _ direction: Figures.Direction = .nearest, shownDigits: Int = 4, unit: String = ""
    ) -> ReportValue {
        guard value.isFinite else { return .init(json: .null, text: Figures.text(value)) }
        let rounded = Figures.rounded(value, direction)
        return .init(
            json: .real(rounded),
            text: Figures.text(rounded, digits: shownDigits, direction) + (unit.isEmpty ? "" : " \(unit)"))
    }

    /// A share as a number in JSON and as per cent for people.
    static func share(_ value: Double, _ direction: Figures.Direction = .nearest) -> ReportValue {
        .init(json: .real(Figures.rounded(value, direction)), text: Figures.percent(value, direction))
    }

    /// A checklist item that this run has nothing to say about, with the reason.
    static func notApplicable(_ reason: String) -> ReportValue {
        .init(json: .string("not applicable: \(reason)"), text: "Not applicable: \(reason)", mark: "absent")
    }

    static let absent = ReportValue(json: .null, text: "–")
}
