import GMP

/// Events as canonical JSON, so that a ledger line reads back as exactly the event that was priced.
extension PrivacyEvent {
    public var canonicalJSON: CanonicalJSON {
        .object([
            "unit": .string(unit.rawValue),
            "adjacency": .string(adjacency.rawValue),
            "mechanism": kind.canonicalJSON,
        ])
    }

    /// Reads an event back; throws when a field is missing, unknown, or out of range.
    public init(canonicalJSON: CanonicalJSON) throws(AccountingError) {
        let fields = try EventFields(canonicalJSON, ["unit", "adjacency", "mechanism"])
        guard let unit = PrivacyUnit(rawValue: try fields.text("unit")) else {
            throw .invalidParameter("unit", try fields.text("unit"), "client or record")
        }
        guard let adjacency = Adjacency(rawValue: try fields.text("adjacency")) else {
            throw .invalidParameter(
                "adjacency", try fields.text("adjacency"), "zero-out, add-remove or replace-one")
        }
        try self.init(
            unit: unit, adjacency: adjacency, kind: Kind(canonicalJSON: try fields.value("mechanism")))
    }
}

extension PrivacyEvent.Kind {
    var canonicalJSON: CanonicalJSON {
        func tagged(_ type: String, _ fields: [String: CanonicalJSON]) -> CanonicalJSON {
            .object(fields.merging(["type": .string(type)]) { $1 })
        }
        func text(_ value: some CustomStringConvertible) -> CanonicalJSON { .string("\(value)") }
        return switch self {
        case .gaussian(let multiplier):
            tagged("Gaussian", ["noiseMultiplier": text(multiplier)])
        case .laplace(let multiplier):
            tagged("Laplace", ["noiseMultiplier": text(multiplier)])
        case .discreteGaussian(let delta2Squared, let sigmaSquared):
            tagged(
                "DiscreteGaussian",
                ["delta2Squared": text(delta2Squared), "sigmaSquared": text(sigmaSquared)])
        case .discreteLaplace(let scale, let sensitivity):
            tagged("DiscreteLaplace", ["scale": text(scale), "sensitivity": text(sensitivity)])
        case .discreteGaussianSum(let delta2Squared, let sigmaLocalSquared, let shares, let dimension):
            tagged(
                "DiscreteGaussianSum",
                [
                    "delta2Squared": text(delta2Squared),
                    "sigmaLocalSquared": text(sigmaLocalSquared),
                    "honestShares": text(shares), "dimension": text(dimension),
                ])
        case .skellamSum(let delta2Squared, let variance, let dimension):
            tagged(
                "SkellamSum",
                [
                    "delta2Squared": text(delta2Squared), "variance": text(variance),
                    "dimension": text(dimension),
                ])
        case .randomisedResponse(let noiseProbability, let buckets):
            tagged(
                "RandomisedResponse",
                ["noiseProbability": text(noiseProbability), "buckets": text(buckets)])
        case .poissonSampled(let rate, let inner):
            tagged("PoissonSampled", ["rate": text(rate), "of": inner.canonicalJSON])
        case .composed(let parts):
            tagged("Composed", ["of": .array(parts.map(\.canonicalJSON))])
        case .repeated(let inner, let count):
            tagged("Repeated", ["of": inner.canonicalJSON, "count": text(count)])
        case .unsupported(let name):
            tagged("Unsupported", ["name": .string(name)])
        }
    }

    init(canonicalJSON: CanonicalJSON) throws(AccountingError) {
        guard let type = canonicalJSON["type"]?.string else {
            throw .invalidParameter("mechanism", "without a type", "an object with a type")
        }
        func fields(_ names: [String]) throws(AccountingError) -> EventFields {
            try EventFields(canonicalJSON, names + ["type"])
        }
        switch type {
        case "Gaussian":
            self = .gaussian(noiseMultiplier: try fields(["noiseMultiplier"]).rational("noiseMultiplier"))
        case "Laplace":
            self = .laplace(noiseMultiplier: try fields(["noiseMultiplier"]).rational("noiseMultiplier"))
        case "DiscreteGaussian":
            let read = try fields(["delta2Squared", "sigmaSquared"])
            self = .discreteGaussian(
                delta2Squared: try read.integer("delta2Squared"),
                sigmaSquared: try read.rational("sigmaSquared"))
        case "DiscreteLaplace":
            let read = try fields(["scale", "sensitivity"])
            self = .discreteLaplace(
                scale: try read.rational("scale"), sensitivity: try read.count("sensitivity"))
        case "DiscreteGaussianSum":
            let read = try fields(["delta2Squared", "sigmaLocalSquared", "honestShares", "dimension"])
            self = .discreteGaussianSum(
                delta2Squared: try read.integer("delta2Squared"),
                sigmaLocalSquared: try read.rational("sigmaLocalSquared"),
                honestShares: try read.count("honestShares"), dimension: try read.count("dimension"))
        case "SkellamSum":
            let read = try fields(["delta2Squared", "variance", "dimension"])
            self = .skellamSum(
                delta2Squared: try read.integer("delta2Squared"),
                variance: try read.rational("variance"), dimension: try read.count("dimension"))
        case "RandomisedResponse":
            let read = try fields(["noiseProbability", "buckets"])
            self = .randomisedResponse(
                noiseProbability: try read.rational("noiseProbability"),
                buckets: try read.count("buckets"))
        case "PoissonSampled":
            let read = try fields(["rate", "of"])
            self = .poissonSampled(
                rate: try read.rational("rate"), try Self(canonicalJSON: try read.value("of")))
        case "Composed":
            guard case .array(let values) = try fields(["of"]).value("of") else {
                throw .invalidParameter("of", "not a list", "a list of mechanisms")
            }
            var parts: [Self] = []
            for value in values { parts.append(try Self(canonicalJSON: value)) }
            self = .composed(parts)
        case "Repeated":
            let read = try fields(["of", "count"])
            self = .repeated(
                try Self(canonicalJSON: try read.value("of")), count: try read.count("count"))
        case "Unsupported":
            self = .unsupported(try fields(["name"]).text("name"))
        default:
            throw .invalidParameter("mechanism", type, "a known type of mechanism")
        }
    }
}

/// Exactly the named fields of an object, each as a canonical string.
struct EventFields {
    private let fields: [String: CanonicalJSON]

    init(_ json: CanonicalJSON, _ names: [String]) throws(AccountingError) {
        guard case .object(let fields) = json, Set(fields.keys) == Set(names) else {
            throw .invalidParameter(
                "event", "another set of fields", "an object with exactly \(names.joined(separator: ", "))")
        }
        self.fields = fields
    }

    func value(_ name: String) throws(AccountingError) -> CanonicalJSON {
        guard let value = fields[name] else { throw .invalidParameter(name, "missing", "present") }
        return value
    }

    func text(_ name: String) throws(AccountingError) -> String {
        guard let text = try value(name).string else {
            throw .invalidParameter(name, "not a string", "a string")
        }
        return text
    }

    func rational(_ name: String) throws(AccountingError) -> Rational {
        let text = try text(name)
        guard let value = Rational(text), value.description == text else {
            throw .invalidParameter(name, text, "an integer or a fraction p/q in lowest terms")
        }
        return value
    }

    func integer(_ name: String) throws(AccountingError) -> BigInteger {
        let text = try text(name)
        guard let value = BigInteger(text), value.description == text else {
            throw .invalidParameter(name, text, "an integer")
        }
        return value
    }

    func count(_ name: String) throws(AccountingError) -> Int {
        let text = try text(name)
        guard let value = Int(text), String(value) == text else {
            throw .invalidParameter(name, text, "an integer")
        }
        return value
    }
}
