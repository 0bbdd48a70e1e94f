/// HTML or SVG text under construction. Everything that is not markup goes through `escaped`, so a
/// name from the ledger cannot become an element or leave an attribute.
package struct Markup {
    package typealias Attributes = KeyValuePairs<String, String>

    package private(set) var text = ""

    package init() {}

    /// An opening tag; close it with `close`.
    mutating func open(_ name: String, _ attributes: Attributes = [:]) {
        text += "<\(name)\(Self.written(attributes))>"
    }

    mutating func close(_ name: String) {
        text += "</\(name)>"
    }

    /// A whole element around plain text.
    mutating func element(_ name: String, _ content: String) {
        element(name, [:], content)
    }

    package mutating func element(_ name: String, _ attributes: Attributes, _ content: String) {
        open(name, attributes)
        text += Self.escaped(content)
        close(name)
    }

    /// An element that has no content, closed as XML wants it (HTML accepts that for SVG and voids).
    mutating func empty(_ name: String, _ attributes: Attributes) {
        text += "<\(name)\(Self.written(attributes))/>"
    }

    /// An element around what `body` writes.
    mutating func element(_ name: String, _ attributes: Attributes = [:], _ body: (inout Markup) -> Void) {
        open(name, attributes)
        body(&self)
        close(name)
    }

    mutating func plain(_ content: String) {
        text += Self.escaped(content)
    }

    /// Markup made by this project's own code, taken as it is.
    mutating func raw(_ markup: String) {
        text += markup
    }

    mutating func newLine() {
        text += "\n"
    }

    private static func written(_ attributes: Attributes) -> String {
        var text = ""
        for (name, value) in attributes { text += " \(name)=\"\(escaped(value))\"" }
        return text
    }

    /// `content` with the five characters replaced that HTML and XML give a meaning, and without the
    /// control characters that neither allows.
    static func escaped(_ content: String) -> String {
        var text = ""
        for scalar in content.unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "'": text += "&#39;"
            case "\n", "\t": text.unicodeScalars.append(scalar)
            case "\u{00}"..<"\u{20}", "\u{7F}"..<"\u{A0}": text += "\u{FFFD}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
