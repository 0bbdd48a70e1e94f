/// Words of the other side, fit for a terminal and a log: one line, no control characters, at most 300
/// characters. A server could otherwise move the cursor of whoever reads its refusal.
func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.prefix(300).map { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
                    .unassigned:
                    "�"
                default: scalar
                }
            }))
}
