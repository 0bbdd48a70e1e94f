import Sodium

/// How clients are joined: k neighbours each, t of whom can rebuild a secret.
public struct Topology: Hashable, Sendable {
    public enum Shape: Hashable, Sendable {
        /// Everyone is everyone's neighbour and also holds a share of its own secrets.
        case complete
        /// A circulant graph: the k nearest on a ring that the cohort's root shuffles.
        case ring
    }

    public let shape: Shape
    public let cohortSize: Int
    /// k: with how many others each client shares a mask.
    public let neighbours: Int
    /// t: shares that rebuild a secret, and signatures that make a survivor list binding.
    public let threshold: Int
    /// C = ⌊γ·n⌋.
    public let colluders: Int
    /// The most dropouts that two disjoint windows of k/2 ring places may hold together (see
    /// `DropPattern`); nil where the rule does not apply.
    public let windowDropLimit: Int?

    package init(
        shape: Shape, cohortSize: Int, neighbours: Int, threshold: Int, colluders: Int,
        windowDropLimit: Int?
    ) {
        self.shape = shape
        self.cohortSize = cohortSize
        self.neighbours = neighbours
        self.threshold = threshold
        self.colluders = colluders
        self.windowDropLimit = windowDropLimit
    }

    /// How many clients hold shares of one client's secrets.
    public var holders: Int { shape == .complete ? cohortSize : neighbours }
}

/// The graph itself: who holds whose shares, and in which slot.
///
/// Both sides compute it from the topology and the cohort's root. A holder's slot is its place in the
/// dealer's list: on the complete graph the cohort index, on the ring the order of ring offsets
/// −k/2 … −1, 1 … k/2. The relation is symmetric: u holds for v exactly when v holds for u.
package struct Neighbours: Sendable {
    package let topology: Topology
    /// Ring place → cohort index, and back; empty on the complete graph.
    private let memberAtPlace: [Int]
    private let placeOfMember: [Int]

    package init(topology: Topology, seed: Digest) {
        self.topology = topology
        guard topology.shape == .ring else {
            memberAtPlace = []
            placeOfMember = []
            return
        }
        let order = Self.permutation(seed: seed, count: topology.cohortSize)
        var places = [Int](repeating: 0, count: order.count)
        for (place, member) in order.enumerated() { places[member] = place }
        memberAtPlace = order
        placeOfMember = places
    }

    package var count: Int { topology.cohortSize }
    package var holderCount: Int { topology.holders }
    /// Whether members hold a share of their own secrets.
    package var includesSelf: Bool { topology.shape == .complete }

    /// The member in slot `slot` of `member`'s holders.
    package func holder(of member: Int, slot: Int) -> Int {
        switch topology.shape {
        case .complete: return slot
        case .ring:
            let half = topology.neighbours / 2
            let offset = slot < half ? slot - half : slot - half + 1
            return memberAtPlace[(placeOfMember[member] + offset + count) % count]
        }
    }

    /// The holders of `member`'s shares in slot order.
    package func holders(of member: Int) -> [Int] {
        (0..<holderCount).map { holder(of: member, slot: $0) }
    }

    /// The slot of `holder` among `member`'s holders, or nil when it is none.
    package func slot(of holder: Int, amongHoldersOf member: Int) -> Int? {
        switch topology.shape {
        case .complete: return holder
        case .ring:
            let half = topology.neighbours / 2
            var offset = placeOfMember[holder] - placeOfMember[member]
            if offset > count / 2 { offset -= count }
            if offset < -(count / 2) { offset += count }
            if offset == 0 { return nil }
            // On an even ring the antipode is reached both ways; k < n − 1 keeps it outside the windows.
            guard abs(offset) <= half else { return nil }
            return offset < 0 ? offset + half : offset + half - 1
        }
    }

    /// Members in ring order; the cohort's order on the complete graph.
    package var ringOrder: [Int] { memberAtPlace.isEmpty ? Array(0..<count) : memberAtPlace }

    /// Fisher–Yates over a ChaCha20 stream keyed by the seed, with rejection: uniform over all orders.
    package static func permutation(seed: Digest, count: Int) -> [Int] {
        let key = KeyDerivation.hkdf(
            salt: [], inputKey: SecretBytes(copying: seed.bytes), info: Labels.graph.bytes)
        var random = StreamRandom(key: key)
        var order = Array(0..<count)
        for index in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(index, Int(random.uniform(below: UInt64(index + 1))))
        }
        return order
    }
}
