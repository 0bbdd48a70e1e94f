import GMP
import Sodium

/// The plan as sorted strings, and back.
extension PlanStatement {
    private static let factPrefix = "fact."

    /// Every field but the event as strings; fields that do not apply are absent.
    public var payload: [String: String] {
        var fields: [String: String] = [
            "run": run, "role": role.rawValue, "participant": participant,
            "roundsPlanned": "\(roundsPlanned)", "budgetEpsilon": "\(budgetEpsilon)",
            "delta": "\(delta)", "accountant": accountant.rawValue, "clients": "\(clients)",
            "minSurvivors": "\(minSurvivors)", "colluders": "\(colluders)", "profile": profile,
            "mechanism": mechanism, "clipNormMax": "\(clipNormMax)", "scale": "\(scale)",
            "roundingBeta": "\(roundingBeta)", "dimension": "\(dimension)",
            "modulusBits": "\(modulusBits)", "wrapProbability": "\(wrapProbability)",
            "baseModel": baseModel.hex, "adapterLayout": adapterLayout.hex,
            "codeVersion": codeVersion,
        ]
        fields["participationLimit"] = participationLimit.map(String.init)
        fields["participationGap"] = participationGap.map(String.init)
        fields["samplingRate"] = samplingRate.map(\.description)
        for (name, value) in facts { fields[Self.factPrefix + name] = value }
        return fields
    }

    /// Reads `payload` back; refuses missing, unknown and out-of-range fields.
    public init(payload: [String: String], event: PrivacyEvent) throws(AccountingError) {
        var read = PayloadReader(payload)
        var facts: [String: String] = [:]
        for (name, value) in payload where name.hasPrefix(Self.factPrefix) {
            facts[String(name.dropFirst(Self.factPrefix.count))] = value
        }
        guard let role = Role(rawValue: try read.text("role")) else {
            throw .invalidParameter("role", try read.text("role"), "server or client")
        }
        guard let accountant = AccountantKind(rawValue: try read.text("accountant")) else {
            throw .invalidParameter("accountant", try read.text("accountant"), "a known accountant")
        }
        self.init(
            run: try read.text("run"), role: role, participant: try read.text("participant"),
            event: event, roundsPlanned: try read.integer("roundsPlanned"),
            budgetEpsilon: try read.rational("budgetEpsilon"), delta: try read.rational("delta"),
            accountant: accountant, clients: try read.integer("clients"),
            minSurvivors: try read.integer("minSurvivors"), colluders: try read.integer("colluders"),
            profile: try read.text("profile"),
            participationLimit: try read.optional("participationLimit", PayloadReader.integer),
            participationGap: try read.optional("participationGap", PayloadReader.integer),
            samplingRate: try read.optional("samplingRate", PayloadReader.rational),
            mechanism: try read.text("mechanism"), clipNormMax: try read.rational("clipNormMax"),
            scale: try read.rational("scale"), roundingBeta: try read.rational("roundingBeta"),
            dimension: try read.integer("dimension"), modulusBits: try read.integer("modulusBits"),
            wrapProbability: try read.rational("wrapProbability"),
            baseModel: try read.digest("baseModel"), adapterLayout: try read.digest("adapterLayout"),
            codeVersion: try read.text("codeVersion"), facts: facts)
        let unknown = payload.keys.filter { !$0.hasPrefix(Self.factPrefix) && !read.used.contains($0) }
        guard unknown.isEmpty else {
            throw .invalidParameter(
                "plan", unknown.sorted().joined(separator: ", "), "without unknown fields")
        }
        try validate()
    }

    /// Digest of the canonical bytes of plan and event: what rounds and reports refer to.
    public var digest: Digest {
        Digest.labelled(
            LedgerLabels.plan,
            [
                CanonicalJSON.object(payload.mapValues(CanonicalJSON.string)).bytes,
                event.canonicalJSON.bytes,
            ])
    }
}

/// Reads canonical strings out of a payload and remembers which were asked for.
private struct PayloadReader {
    private let fields: [String: String]
    private(set) var used: Set<String> = []

    init(_ fields: [String: String]) { self.fields = fields }

    mutating func text(_ name: String) throws(AccountingError) -> String {
        used.insert(name)
        guard let value = fields[name] else { throw .invalidParameter(name, "missing", "present") }
        return value
    }

    mutating func integer(_ name: String) throws(AccountingError) -> Int {
        try Self.integer(name, try text(name))
    }

    mutating func rational(_ name: String) throws(AccountingError) -> Rational {
        try Self.rational(name, try text(name))
    }

    mutating func digest(_ name: String) throws(AccountingError) -> Digest {
        let value = try text(name)
        guard let digest = Digest(hex: value) else {
            throw .invalidParameter(name, value, "64 lower-case hexadecimal digits")
        }
        return digest
    }

    mutating func optional<Value>(
        _ name: String, _ parse: (String, String) throws(AccountingError) -> Value
    ) throws(AccountingError) -> Value? {
        used.insert(name)
        guard let value = fields[name] else { return nil }
        return try parse(name, value)
    }

    static func integer(_ name: String, _ value: String) throws(AccountingError) -> Int {
        guard let number = Int(value), String(number) == value else {
            throw .invalidParameter(name, value, "an integer")
        }
        return number
    }

    static func rational(_ name: String, _ value: String) throws(AccountingError) -> Rational {
        guard let number = Rational(value), number.description == value else {
            throw .invalidParameter(name, value, "an integer or a fraction p/q in lowest terms")
        }
        return number
    }
}
