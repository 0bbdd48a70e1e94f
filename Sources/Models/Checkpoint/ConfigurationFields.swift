/// Typed access to the fields of one JSON object, with errors that name file and field.
struct ConfigurationFields {
    /// No dimension of a model is larger; keeps products of two dimensions inside `Int`.
    static let dimensionMax = 1 << 31

    let json: JSON
    let file: String
    /// Path of this object inside the document, for messages; empty at the top.
    var prefix = ""

    /// Whether the field exists and is not null.
    func isPresent(_ key: String) -> Bool {
        !(json[key]?.isNull ?? true)
    }

    func malformed(_ key: String, _ reason: String) -> CheckpointError {
        CheckpointError(.malformed, file: file, "\(prefix)\(key) \(reason)")
    }

    func unsupported(_ key: String, _ reason: String) -> CheckpointError {
        CheckpointError(.unsupported, file: file, "\(prefix)\(key) \(reason)")
    }

    func nested(_ key: String) throws(CheckpointError) -> ConfigurationFields {
        let value = try present(key)
        guard value.members != nil else { throw malformed(key, "must be an object, not \(value.kind)") }
        return ConfigurationFields(json: value, file: file, prefix: "\(prefix)\(key).")
    }

    func string(_ key: String) throws(CheckpointError) -> String {
        let value = try present(key)
        guard let text = value.string else { throw malformed(key, "must be a string, not \(value.kind)") }
        return text
    }

    func string(_ key: String, default fallback: String) throws(CheckpointError) -> String {
        isPresent(key) ? try string(key) : fallback
    }

    func boolean(_ key: String, default fallback: Bool) throws(CheckpointError) -> Bool {
        guard isPresent(key) else { return fallback }
        let value = try present(key)
        guard let flag = value.boolean else { throw malformed(key, "must be a boolean, not \(value.kind)") }
        return flag
    }

    /// A whole number from 1 to `dimensionMax`.
    func positive(_ key: String) throws(CheckpointError) -> Int {
        let value = try present(key)
        guard let number = value.integer, number >= 1, number <= Self.dimensionMax else {
            throw malformed(key, "must be a whole number from 1 to \(Self.dimensionMax)")
        }
        return number
    }

    func positive(_ key: String, default fallback: Int) throws(CheckpointError) -> Int {
        isPresent(key) ? try positive(key) : fallback
    }

    func positiveNumber(_ key: String) throws(CheckpointError) -> Double {
        let value = try present(key)
        guard let number = value.number, number > 0, number.isFinite else {
            throw malformed(key, "must be a number greater than 0")
        }
        return number
    }

    func positiveNumber(_ key: String, default fallback: Double) throws(CheckpointError) -> Double {
        isPresent(key) ? try positiveNumber(key) : fallback
    }

    /// One token id, a list of them, or none.
    func tokenIDs(_ key: String) throws(CheckpointError) -> [Int] {
        guard isPresent(key) else { return [] }
        let value = try present(key)
        let ids = (value.array ?? [value]).map(\.integer)
        guard ids.allSatisfy({ $0 != nil && $0! >= 0 }) else {
            throw malformed(key, "must be a token id or a list of token ids")
        }
        return ids.compactMap { $0 }
    }

    private func present(_ key: String) throws(CheckpointError) -> JSON {
        guard let value = json[key], !value.isNull else { throw malformed(key, "is missing") }
        return value
    }
}
