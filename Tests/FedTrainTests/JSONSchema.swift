import Models

/// A small strict validator: the part of JSON Schema that docs/schema uses. A keyword that it does not
/// know is a failure, so a schema cannot promise what is not checked.
struct JSONSchema {
    let root: JSON

    /// Every violation as "path: what is wrong".
    func violations(of value: JSON) -> [String] { check(value, root, "$") }

    private static let annotations: Set = ["$schema", "$id", "title", "description"]

    private func check(_ value: JSON, _ schema: JSON, _ path: String) -> [String] {
        guard let keywords = schema.members else { return ["\(path): the schema is no object"] }
        var found: [String] = []
        for keyword in keywords where !Self.annotations.contains(keyword.key) {
            let rule = keyword.value
            switch keyword.key {
            case "type":
                let types = rule.array?.compactMap(\.string) ?? [rule.string ?? ""]
                if !types.contains(where: { Self.matches(value, $0) }) {
                    found.append("\(path): is \(value.kind), not \(types.joined(separator: " or "))")
                }
            case "const":
                if value.string != rule.string || rule.string == nil {
                    found.append("\(path): is not \(rule.string ?? "?")")
                }
            case "enum":
                let allowed = rule.array?.compactMap(\.string) ?? []
                if value.string.map(allowed.contains) != true {
                    found.append("\(path): is none of \(allowed)")
                }
            case "required":
                for key in rule.array?.compactMap(\.string) ?? [] where value[key] == nil {
                    found.append("\(path): lacks \(key)")
                }
            case "items":
                for (index, item) in (value.array ?? []).enumerated() {
                    found += check(item, rule, "\(path)[\(index)]")
                }
            case "prefixItems":
                for (index, (item, rule)) in zip(value.array ?? [], rule.array ?? []).enumerated() {
                    found += check(item, rule, "\(path)[\(index)]")
                }
            case "minItems":
                if (value.array?.count ?? 0) < rule.integer ?? 0 { found.append("\(path): is too short") }
            case "maxItems":
                if (value.array?.count ?? 0) > rule.integer ?? 0 { found.append("\(path): is too long") }
            case "properties", "patternProperties", "additionalProperties":
                break
            default:
                found.append("\(path): the schema uses \(keyword.key), which is not checked")
            }
        }
        for member in value.members ?? [] {
            found += check(member, in: schema, "\(path).\(member.key)")
        }
        return found
    }

    private func check(_ member: JSON.Member, in schema: JSON, _ path: String) -> [String] {
        if let rule = schema["properties"]?[member.key] { return check(member.value, rule, path) }
        for pattern in schema["patternProperties"]?.members ?? [] {
            guard pattern.key.hasPrefix("^") else { return ["\(path): only prefixes are checked"] }
            if member.key.hasPrefix(pattern.key.dropFirst()) {
                return check(member.value, pattern.value, path)
            }
        }
        switch schema["additionalProperties"] {
        case .bool(false)?: return ["\(path): is not in the schema"]
        case .some(let rule) where rule.members != nil: return check(member.value, rule, path)
        default: return []
        }
    }

    private static func matches(_ value: JSON, _ type: String) -> Bool {
        switch type {
        case "null": value.isNull
        case "boolean": value.boolean != nil
        case "integer": value.integer != nil
        case "number": value.number != nil
        case "string": value.string != nil
        case "array": value.array != nil
        case "object": value.members != nil
        default: false
        }
    }
}
