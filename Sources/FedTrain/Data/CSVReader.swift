/// Comma-separated values as RFC 4180 has them: quoted fields may hold commas, line breaks and doubled quotes.
///
/// Fields come out byte for byte, white space included, and every row knows its line: a data set must not
/// be changed, or cut short at a quote that never closes, without anyone noticing
/// (`docs/decisions/0039-csv-reader.md`).
package struct CSVReader {
    package struct Row: Equatable {
        /// Where the row starts, counted from 1.
        package let line: Int
        package let fields: [String]
    }

    package enum Fault: Error, Equatable {
        /// A quote that is never closed, by the line it stands in.
        case openQuote(line: Int)
        /// Something between a closing quote and the next comma.
        case afterQuote(line: Int)
    }

    /// All rows, the header among them; blank lines are skipped.
    package static func rows(_ bytes: some Collection<UInt8>) throws(Fault) -> [Row] {
        let (quote, comma) = (UInt8(ascii: "\""), UInt8(ascii: ","))
        let (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
        let bytes = Array(bytes)
        var rows: [Row] = []
        var fields: [String] = []
        var field: [UInt8] = []
        var (line, start) = (1, 1)
        var place = 0
        var wasQuoted = false

        func finishField() {
            fields.append(String(decoding: field, as: UTF8.self))
            field = []
            wasQuoted = false
        }
        func finishRow() {
            let isBlank = fields.isEmpty && field.isEmpty && !wasQuoted
            finishField()
            if !isBlank { rows.append(Row(line: start, fields: fields)) }
            fields = []
        }

        while place < bytes.count {
            let byte = bytes[place]
            switch byte {
            case quote where field.isEmpty && !wasQuoted:
                wasQuoted = true
                let opened = line
                place += 1
                while true {
                    guard place < bytes.count else { throw .openQuote(line: opened) }
                    if bytes[place] == quote {
                        place += 1
                        guard place < bytes.count, bytes[place] == quote else { break }
                    }
                    if bytes[place] == lineFeed { line += 1 }
                    field.append(bytes[place])
                    place += 1
                }
            case comma:
                finishField()
                place += 1
            case lineFeed, carriageReturn:
                finishRow()
                place +=
                    byte == carriageReturn && place + 1 < bytes.count && bytes[place + 1] == lineFeed ? 2 : 1
                line += 1
                start = line
            default:
                guard !wasQuoted else { throw .afterQuote(line: line) }
                field.append(byte)
                place += 1
            }
        }
        if !fields.isEmpty || !field.isEmpty || wasQuoted { finishRow() }
        return rows
    }
}
