import GMP

/// One map of a configuration file, read key by key; a key that nobody asked for is an error.
///
/// Every getter checks type and range on the spot, so a `FederationConfiguration` that exists is valid.
struct ConfigurationSection {
    let path: String
    private let entries: [ConfigurationNode.Entry]
    private let position: ConfigurationNode.Position?
    private var known: [String] = []

    init(_ node: ConfigurationNode, path: String) throws(ConfigurationError) {
        guard case .map(let entries) = node.content else {
            throw ConfigurationError(
                position: node.position, path: path,
                message: path.isEmpty ? "the file must be a map of keys" : "`\(path)` must be a map of keys")
        }
        var seen: Set<String> = []
        for entry in entries where !seen.insert(entry.key).inserted {
            throw ConfigurationError(
                position: entry.keyPosition, path: path, message: "`\(entry.key)` appears twice")
        }
        self.path = path
        self.entries = entries
        self.position = node.position
    }

    // MARK: Getters

    mutating func has(_ key: String) -> Bool { node(key) != nil }

    mutating func section(_ key: String) throws(ConfigurationError) -> ConfigurationSection {
        let empty = ConfigurationNode(.map([]), at: position)
        return try ConfigurationSection(node(key) ?? empty, path: child(key))
    }

    mutating func sections(_ key: String) throws(ConfigurationError) -> [ConfigurationSection] {
        guard let node = node(key) else { return [] }
        guard case .list(let elements) = node.content else {
            throw error(key, "must be a list")
        }
        var sections: [ConfigurationSection] = []
        for (index, element) in elements.enumerated() {
            sections.append(try ConfigurationSection(element, path: "\(child(key)).\(index)"))
        }
        return sections
    }

    /// The named values of a map whose keys are the user's own, in the file's order.
    mutating func named(_ key: String) throws(ConfigurationError) -> [ConfigurationNode.Entry] {
        guard let node = node(key) else { return [] }
        return try ConfigurationSection(node, path: child(key)).entries
    }

    mutating func string(_ key: String) throws(ConfigurationError) -> String {
        guard let value = try optionalString(key) else { throw missing(key) }
        return value
    }

    mutating func optionalString(_ key: String) throws(ConfigurationError) -> String? {
        guard let node = node(key) else { return nil }
        guard case .scalar(let text) = node.content else { throw error(key, "must be one plain value") }
        return text
    }

    /// One string, or a list of strings.
    mutating func strings(_ key: String) throws(ConfigurationError) -> [String] {
        guard let node = node(key) else { return [] }
        switch node.content {
        case .scalar(let text): return [text]
        case .list(let elements):
            var strings: [String] = []
            for element in elements {
                guard case .scalar(let text) = element.content else {
                    throw error(key, "must be a list of plain values")
                }
                strings.append(text)
            }
            return strings
        case .map: throw error(key, "must be a list of plain values")
        }
    }

    mutating func integer(
        _ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil
    ) throws(ConfigurationError) -> Int {
        guard let text = try optionalString(key) else {
            if let fallback { return fallback }
            throw missing(key)
        }
        guard let value = Int(text) else { throw error(key, "must be a whole number, not `\(text)`") }
        guard range.contains(value) else {
            throw error(key, "is \(value); it must lie between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }

    mutating func optionalInteger(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError)
        -> Int?
    {
        has(key) ? try integer(key, in: range) : nil
    }

    mutating func double(
        _ key: String, above lower: Double, upTo upper: Double, default fallback: Double? = nil
    ) throws(ConfigurationError) -> Double {
        guard let text = try optionalString(key) else {
            if let fallback { return fallback }
            throw missing(key)
        }
        guard let value = Double(text), value.isFinite else {
            throw error(key, "must be a number, not `\(text)`")
        }
        guard value > lower, value <= upper else {
            throw error(key, "is \(text); it must be above \(lower) and at most \(upper)")
        }
        return value
    }

    /// An exact number above zero, written as a decimal or as p/q: the privacy arithmetic starts from
    /// what the file says, not from a rounded double.
    mutating func rational(
        _ key: String, upTo upper: Rational, default fallback: String? = nil
    ) throws(ConfigurationError) -> Rational {
        guard let text = try optionalString(key) ?? fallback else { throw missing(key) }
        guard let value = Rational(scientific: text) else {
            throw error(key, "must be a decimal or a fraction such as 1/4, not `\(text)`")
        }
        guard value.sign > 0, value <= upper else {
            throw error(key, "is \(text); it must be above 0 and at most \(upper)")
        }
        return value
    }

    mutating func flag(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
        switch try optionalString(key) {
        case nil: return fallback
        case "true": return true
        case "false": return false
        case .some(let text): throw error(key, "must be true or false, not `\(text)`")
        }
    }

    /// One of a fixed set of words.
    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, default fallback: Choice? = nil
    ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
        guard let text = try optionalString(key) else {
            if let fallback { return fallback }
            throw missing(key)
        }
        if let value = Choice(rawValue: text) { return value }
        let words = Choice.allCases.map(\.rawValue)
        throw error(
            key, "is `\(text)`; it must be one of \(words.joined(separator: ", "))",
            suggestion: closest(to: text, among: words).map { "did you mean `\($0)`?" })
    }

    // MARK: Errors

    /// Refuses keys that no getter asked for. Call it last.
    func finish() throws(ConfigurationError) {
        for entry in entries where !known.contains(entry.key) {
            throw ConfigurationError(
                position: entry.keyPosition, path: child(entry.key),
                message: "unknown key `\(child(entry.key))`",
                suggestion: closest(to: entry.key, among: known).map { "did you mean `\($0)`?" }
                    ?? "known keys here: \(known.sorted().joined(separator: ", "))")
        }
    }

    func error(_ key: String, _ message: String, suggestion: String? = nil) -> ConfigurationError {
        let entry = entries.first { $0.key == key }
        return ConfigurationError(
            position: entry?.value.position ?? entry?.keyPosition ?? position, path: child(key),
            message: "`\(child(key))` \(message)", suggestion: suggestion)
    }

    private func missing(_ key: String) -> ConfigurationError {
        ConfigurationError(
            position: position, path: child(key), message: "`\(child(key))` is missing",
            suggestion: "add it; `fedtrain init` writes a commented example")
    }

    private mutating func node(_ key: String) -> ConfigurationNode? {
        if !known.contains(key) { known.append(key) }
        return entries.first { $0.key == key }?.value
    }

    private func child(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

/// The candidate within two edits of `word`, if there is exactly one nearest.
package func closest(to word: String, among candidates: [String]) -> String? {
    let scored = candidates.map { ($0, editDistance(word, $0)) }.sorted { $0.1 < $1.1 }
    guard let best = scored.first, best.1 <= 2 else { return nil }
    return best.0
}

/// Levenshtein distance.
package func editDistance(_ left: String, _ right: String) -> Int {
    let columns = Array(right.unicodeScalars)
    var previous = Array(0...columns.count)
    for (row, scalar) in left.unicodeScalars.enumerated() {
        var current = [row + 1]
        for (column, other) in columns.enumerated() {
            current.append(
                min(
                    previous[column + 1] + 1, current[column] + 1,
                    previous[column] + (scalar == other ? 0 : 1)))
        }
        previous = current
    }
    return previous[columns.count]
}

extension Rational {
    /// Also reads "1e-5": a decimal, then a power of ten of at most three digits.
    package init?(scientific text: String) {
        let parts = text.lowercased().split(separator: "e", omittingEmptySubsequences: false)
        guard let mantissa = Rational(String(parts[0])), parts.count <= 2 else { return nil }
        guard parts.count == 2 else {
            self = mantissa
            return
        }
        guard let exponent = Int(parts[1]), abs(exponent) < 1000 else { return nil }
        let power = Rational(BigInteger(10).power(UInt(abs(exponent))))
        self = exponent < 0 ? mantissa / power : mantissa * power
    }
}
