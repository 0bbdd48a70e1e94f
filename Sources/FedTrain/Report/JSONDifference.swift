import Models

/// The first place where two JSON documents differ, in document order.
struct JSONDifference: Equatable {
    /// Dotted path such as `rounds[3].survivors`; "" is the whole document.
    let path: String
    let expected: String
    let found: String

    init?(expected: JSON, found: JSON) {
        self.init(expected: expected, found: found, path: "")
    }

    private init(path: String, expected: String, found: String) {
        self.path = path
        self.expected = expected
        self.found = found
    }

    private init?(expected: JSON, found: JSON, path: String) {
        switch (expected, found) {
        case (.object(let left), .object(let right)):
            for (index, member) in left.enumerated() {
                let inner = path.isEmpty ? member.key : "\(path).\(member.key)"
                guard index < right.count, right[index].key.utf8.elementsEqual(member.key.utf8) else {
                    self.init(
                        path: inner, expected: "this field",
                        found: index < right.count ? "the field \(right[index].key)" : "nothing")
                    return
                }
                if let difference = JSONDifference(
                    expected: member.value, found: right[index].value, path: inner)
                {
                    self = difference
                    return
                }
            }
            guard right.count > left.count else { return nil }
            self.init(path: path, expected: "no more fields", found: "the field \(right[left.count].key)")
        case (.array(let left), .array(let right)):
            for index in 0..<min(left.count, right.count) {
                if let difference = JSONDifference(
                    expected: left[index], found: right[index], path: "\(path)[\(index)]")
                {
                    self = difference
                    return
                }
            }
            guard left.count != right.count else { return nil }
            self.init(path: path, expected: "\(left.count) entries", found: "\(right.count) entries")
        default:
            let (left, right) = (expected.text(), found.text())
            guard !left.utf8.elementsEqual(right.utf8) else { return nil }
            self.init(path: path, expected: Self.shortened(left), found: Self.shortened(right))
        }
    }

    private static func shortened(_ text: String) -> String {
        text.count <= 80 ? text : text.prefix(79) + "…"
    }
}
