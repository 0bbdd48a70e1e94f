extension ReportDocument {
    /// The document as one HTML file that needs nothing else: no script, no font, no image from elsewhere.
    var html: [UInt8] {
        var page = Markup()
        page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ")
        page.raw("style-src 'unsafe-inline'\">\n")
        page.element("title", title)
        page.raw("\n<style>\n\(PageStyle.report)\n</style>\n</head>\n<body>\n<main>\n")
        writeHead(into: &page)
        writeFigures(into: &page)
        for (index, section) in sections.enumerated() {
            Self.write(section, number: index + 1, into: &page)
        }
        page.raw("</main>\n</body>\n</html>\n")
        return Array(page.text.utf8)
    }

    private func writeHead(into page: inout Markup) {
        page.element("header") { page in
            page.element("h1", title)
            page.element("p", subtitle)
        }
        page.newLine()
        page.element("section", ["class": "guarantee", "aria-label": "Guarantee"]) { page in
            for fact in headline {
                page.element("p") { page in
                    if !fact.label.isEmpty { page.element("strong", fact.label + ". ") }
                    page.plain(fact.value.text)
                }
            }
        }
        page.newLine()
        page.element("div", ["class": "tiles"]) { page in
            for tile in tiles {
                page.element("div", ["class": "tile"]) { page in
                    page.element("b", tile.value.text)
                    page.element("span", tile.label)
                }
            }
        }
        page.newLine()
        for notice in notices {
            page.element("p", ["class": "notice"]) { page in
                page.element("b", notice.label + ". ")
                page.plain(notice.value.text)
            }
            page.newLine()
        }
    }

    private func writeFigures(into page: inout Markup) {
        page.element("h2", figuresTitle)
        page.newLine()
        page.element("div", ["class": "figures"]) { page in
            for figure in figures {
                page.element("figure") { page in
                    page.element("h3", figure.title)
                    page.raw(figure.svg)
                    page.element("figcaption", figure.caption)
                    Self.write(figure.table, into: &page)
                }
                page.newLine()
            }
        }
        page.newLine()
    }

    private static func write(_ section: Section, number: Int, into page: inout Markup) {
        page.element("section") { page in
            page.element("h2", ["id": section.key], "\(number). \(section.title)")
            if !section.facts.isEmpty {
                page.element("div", ["class": "scroll"]) { page in
                    page.element("table") { page in
                        page.element("tbody") { page in
                            for fact in section.facts {
                                page.element("tr") { page in
                                    page.element("th", ["scope": "row"], fact.label)
                                    page.element("td") { write(fact.value, into: &$0) }
                                }
                            }
                        }
                    }
                }
            }
            for table in section.tables {
                page.element("h3", table.caption)
                write(table, into: &page)
            }
        }
        page.newLine()
    }

    private static func write(_ table: Table, into page: inout Markup) {
        let condensed = table.condensed
        // Scrollable boxes can be reached with the keyboard.
        page.element(
            "div", ["class": "scroll", "tabindex": "0", "role": "group", "aria-label": table.caption]
        ) {
            page in
            page.element("table") { page in
                page.element("thead") { page in
                    page.element("tr") { page in
                        for column in table.columns {
                            page.element(
                                "th", ["scope": "col", "class": column.isNumber ? "n" : "t"], column.label)
                        }
                    }
                }
                page.element("tbody") { page in
                    for row in condensed?.rows ?? table.rows {
                        page.element("tr") { page in
                            for (column, value) in zip(table.columns, row) {
                                page.element("td", ["class": column.isNumber ? "n" : "t"]) {
                                    write(value, into: &$0)
                                }
                            }
                        }
                    }
                }
            }
        }
        if let condensed { page.element("p", ["class": "note"], condensed.note) }
    }

    private static func write(_ value: ReportValue, into page: inout Markup) {
        if value.isCode {
            page.element("code", value.text)
        } else if let mark = value.mark {
            page.element("span", ["class": "mark \(mark)"], value.text)
        } else {
            page.plain(value.text)
        }
    }
}
