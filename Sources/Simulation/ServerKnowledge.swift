import SecureAgg

/// What a malicious server can rebuild in one session, counted share by share.
///
/// It knows both shares that its colluders hold and every share that an honest client ever released,
/// whether the message arrived or not. Indices are those of the session's cohort.
package struct ServerKnowledge {
    let round: UInt64
    let threshold: Int
    /// The promise: contributions in every sum that is opened.
    let floor: Int
    let colluders: Set<Int>
    private let count: Int
    // One byte per (dealer, holder): bit 0 for the self-mask share, bit 1 for the mask-seed share.
    private var known: [UInt8]
    private var released: [UInt8]
    private var selfMaskShares: [Int]
    private var maskSeedShares: [Int]
    /// Whose vector was sent, and whom its masks were shared with.
    private var sentVector: [Bool]
    private var live: [[Bool]]
    package private(set) var violations: [Violation] = []
    /// Sets of honest members whose sum the server can open, found so far.
    package private(set) var openedSums: Set<[Int]> = []

    package init(round: UInt64, members: Int, threshold: Int, floor: Int, colluders: Set<Int>) {
        self.round = round
        self.threshold = threshold
        self.floor = floor
        self.colluders = colluders
        count = members
        known = [UInt8](repeating: 0, count: members * members)
        released = known
        selfMaskShares = [Int](repeating: 0, count: members)
        maskSeedShares = selfMaskShares
        sentVector = [Bool](repeating: false, count: members)
        live = [[Bool]](repeating: [], count: members)
    }

    func knowsSelfMask(of dealer: Int) -> Bool { selfMaskShares[dealer] >= threshold }
    func knowsMaskSeed(of dealer: Int) -> Bool { maskSeedShares[dealer] >= threshold }

    private mutating func report(_ invariant: Invariant, _ detail: String) {
        violations.append(Violation(invariant: invariant, round: round, detail: detail))
    }

    /// A colluder holds both shares of a dealer's secrets.
    package mutating func colluderHolds(_ holder: Int, of dealer: Int) {
        learn(holder, dealer, 3)
    }

    package mutating func vectorSent(by member: Int, live list: [Bool]) {
        sentVector[member] = true
        live[member] = list
    }

    /// An honest holder released one share.
    package mutating func released(_ kind: ShareKind, by holder: Int, of dealer: Int, signedAsSurvivor: Bool)
    {
        let bit: UInt8 = kind == .selfMask ? 1 : 2
        if signedAsSurvivor != (kind == .selfMask) {
            report(
                .kindFitsList,
                "member \(holder) released a \(kind.rawValue) share of member \(dealer), which it signed as "
                    + (signedAsSurvivor ? "a survivor" : "lost"))
        }
        let place = dealer * count + holder
        released[place] |= bit
        if released[place] == 3 {
            report(.oneKindPerPeer, "member \(holder) released both shares of member \(dealer)")
        }
        let before = (knowsSelfMask(of: dealer), knowsMaskSeed(of: dealer))
        learn(holder, dealer, bit)
        let after = (knowsSelfMask(of: dealer), knowsMaskSeed(of: dealer))
        guard after != before else { return }
        if after == (true, true), !colluders.contains(dealer) {
            report(.notBothSecrets, "both secrets of member \(dealer) can be rebuilt")
        }
        checkOpenSums()
    }

    private mutating func learn(_ holder: Int, _ dealer: Int, _ bits: UInt8) {
        let place = dealer * count + holder
        let new = bits & ~known[place]
        known[place] |= bits
        if new & 1 != 0 { selfMaskShares[dealer] += 1 }
        if new & 2 != 0 { maskSeedShares[dealer] += 1 }
    }

    /// Honest members whose pairwise masks are unknown hang together; a part of which every vector was
    /// sent and every self mask is known opens as one sum.
    private mutating func checkOpenSums() {
        var unseen = Set((0..<count).filter { !colluders.contains($0) && !knowsMaskSeed(of: $0) })
        for start in 0..<count where unseen.contains(start) {
            var part = [start]
            unseen.remove(start)
            var place = 0
            while place < part.count {
                let member = part[place]
                place += 1
                for peer in 0..<count where unseen.contains(peer) && sharesMask(member, peer) {
                    unseen.remove(peer)
                    part.append(peer)
                }
            }
            guard part.allSatisfy({ sentVector[$0] && knowsSelfMask(of: $0) }) else { continue }
            part.sort()
            guard openedSums.insert(part).inserted else { continue }
            if part.count + colluders.count < floor {
                report(
                    .survivorFloor,
                    "a sum over \(part.count) honest members can be opened, \(floor) were promised with at "
                        + "most \(colluders.count) colluders")
            }
        }
    }

    private func sharesMask(_ left: Int, _ right: Int) -> Bool {
        (sentVector[left] && live[left][right]) || (sentVector[right] && live[right][left])
    }
}

/// Which of a dealer's two secrets a share belongs to.
package enum ShareKind: String {
    case selfMask = "self-mask"
    case maskSeed = "mask-seed"
}
