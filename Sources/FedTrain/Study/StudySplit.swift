import Models

/// How a study's data is dealt to clients.
public struct StudySplit: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case iid
        case dirichlet
        /// By category; FS-LLM calls it `meta`.
        case category
        /// One file, or one built-in site, a client.
        case natural
        case quantity
    }

    public var kind: Kind
    /// Nil for `natural`.
    public var clients: Int?
    public var concentration: Double

    public init(kind: Kind, clients: Int?, concentration: Double = 0.5) {
        self.kind = kind
        self.clients = clients
        self.concentration = concentration
    }

    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        kind = try section.choice("kind")
        clients = try section.optionalInteger("clients", in: 2...100_000)
        concentration = try section.double("concentration", above: 0, upTo: 1e6, default: 0.5)
        if kind == .natural, clients != nil {
            throw section.error(
                "clients", "does not go with a natural split: the files say how many there are")
        }
        guard kind == .natural || clients != nil else {
            throw section.error("clients", "is missing: over how many clients are the records dealt?")
        }
    }

    /// What deals a pool; nil for `natural`.
    public var recordSplit: RecordSplit? {
        switch kind {
        case .iid: .identical
        case .dirichlet: .dirichlet(concentration: concentration)
        case .category: .byCategory
        case .quantity: .quantity(concentration: concentration)
        case .natural: nil
        }
    }
}
