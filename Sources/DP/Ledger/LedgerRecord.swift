import Sodium

/// Every domain-separation string of ledgers.
enum LedgerLabels {
    static let record = "dp/ledger/v1/record"
    static let plan = "dp/ledger/v1/plan"
}

/// One line of a ledger: what happened, when, and which line came before.
public struct LedgerRecord: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// First line: the plan, the run's name and the key that signs.
        case plan
        /// A round's cost is set aside; nothing has left yet.
        case reserve
        /// The round's sum was opened (server) or the masked vector was sent (client).
        case commit
        /// The round's result was published.
        case release
        /// The round ended without a release.
        case abort
        /// A metric that was measured, with its event if it touched the units' data.
        case score
        /// A deviation or remark for the report.
        case note
        /// What an empirical audit of the run's plan found. It touches nobody's data and charges nothing.
        case audit
        /// The run is over; nothing but audits follows.
        case close
    }

    public let sequence: Int
    /// Digest of the previous line's bytes without its newline; all zero for the first line.
    public let previous: Digest
    /// Seconds since 1970-01-01T00:00:00Z, as the caller's clock said.
    public let time: Int
    public let run: String
    public let kind: Kind
    public let round: Int?
    public let event: PrivacyEvent?
    public let payload: [String: String]

    static let noPrevious = Digest(bytes: [UInt8](repeating: 0, count: Digest.length))!

    private var unsigned: [String: CanonicalJSON] {
        var fields: [String: CanonicalJSON] = [
            "v": .string("1"), "seq": .string("\(sequence)"), "prev": .string(previous.hex),
            "time": .string("\(time)"), "run": .string(run), "kind": .string(kind.rawValue),
            "payload": .object(payload.mapValues(CanonicalJSON.string)),
        ]
        if let round { fields["round"] = .string("\(round)") }
        if let event { fields["event"] = event.canonicalJSON }
        return fields
    }

    /// What the signature covers: a label and the canonical line without its signature.
    private var signedBytes: [UInt8] {
        Digest.labelled(LedgerLabels.record, [CanonicalJSON.object(unsigned).bytes]).bytes
    }

    /// The line's bytes, signed, without a newline.
    func line(signedBy key: SigningKey) -> [UInt8] {
        var fields = unsigned
        fields["sig"] = .string(hexString(key.sign(signedBytes)))
        return CanonicalJSON.object(fields).bytes
    }

    /// Reads a line and checks its spelling, not yet its signature.
    init(line: [UInt8], number: Int) throws(LedgerError) {
        func malformed(_ reason: String) -> LedgerError { .malformedLine(number, reason) }
        guard case .object(let fields)? = CanonicalJSON(canonical: line) else {
            throw malformed("it is not canonical JSON")
        }
        func text(_ name: String) throws(LedgerError) -> String {
            guard let value = fields[name]?.string else { throw malformed("field \(name) is missing") }
            return value
        }
        func integer(_ name: String) throws(LedgerError) -> Int {
            let value = try text(name)
            guard let number = Int(value), String(number) == value else {
                throw malformed("field \(name) is not an integer")
            }
            return number
        }
        let known: Set = ["v", "seq", "prev", "time", "run", "kind", "payload", "round", "event", "sig"]
        guard Set(fields.keys).isSubset(of: known) else { throw malformed("it has unknown fields") }
        guard try text("v") == "1" else { throw malformed("its version is unknown") }
        guard let kind = Kind(rawValue: try text("kind")) else { throw malformed("its kind is unknown") }
        guard let previous = Digest(hex: try text("prev")) else { throw malformed("prev is no digest") }
        guard case .object(let values)? = fields["payload"] else { throw malformed("payload is missing") }
        var payload: [String: String] = [:]
        for (name, value) in values {
            guard let string = value.string else { throw malformed("payload.\(name) is no string") }
            payload[name] = string
        }
        var event: PrivacyEvent?
        if let value = fields["event"] {
            do { event = try PrivacyEvent(canonicalJSON: value) } catch { throw malformed("\(error)") }
        }
        self.sequence = try integer("seq")
        self.previous = previous
        self.time = try integer("time")
        self.run = try text("run")
        self.kind = kind
        self.round = fields["round"] == nil ? nil : try integer("round")
        self.event = event
        self.payload = payload
    }

    init(
        sequence: Int, previous: Digest, time: Int, run: String, kind: Kind, round: Int?,
        event: PrivacyEvent?, payload: [String: String]
    ) {
        self.sequence = sequence
        self.previous = previous
        self.time = time
        self.run = run
        self.kind = kind
        self.round = round
        self.event = event
        self.payload = payload
    }

    /// Whether `key` signed this record, given the line it was read from.
    func isSigned(by key: VerifyingKey, line: [UInt8]) -> Bool {
        guard let text = CanonicalJSON(canonical: line)?["sig"]?.string,
            let signature = bytesFromHex(text)
        else { return false }
        return key.accepts(signature: signature, over: signedBytes)
    }
}
