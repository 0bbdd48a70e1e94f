import GMP

/// The grid of add-then-remove noise: how much each client adds, and how much is taken away again when
/// fewer clients are lost than were allowed for.
///
/// Of U clients up to T = j_L may be lost. Component i of every client's noise has variance
/// σ²/(U − j_i) − σ²/(U − j_{i−1}), component 0 has σ²/U; so components 0 … i together have
/// σ²/(U − j_i). With D clients lost, i* is the first level with j_{i*} ≥ D: components above i* are
/// revealed and removed, and the survivors' noise adds up to σ²·(U − D)/(U − j_{i*}).
///
/// Claim: that is at least σ² and at most `ratio`·σ² for every D ≤ T. Source: XNoise, Jiang, Wang, Chen,
/// "Dordis: Efficient Federated Learning with Dropout-Resilient Differential Privacy", EuroSys 2024,
/// there with one component for every D.
public struct NoiseLevels: Sendable, Hashable {
    /// U, the clients invited to a round.
    public let clients: Int
    /// j_1 < … < j_L = T; j_0 = 0 is implied. Empty when nobody may be lost.
    public let dropouts: [Int]

    /// 1.05: the delivered variance is at most 5 % above what was promised.
    public static let defaultRatio = Rational(21, 20)

    /// The fewest levels that keep the promise; at least one for every `ratio`-fold of survivors.
    ///
    /// - Parameter ratio: at least 1; where even neighbouring numbers of losses differ by more, every
    ///   number gets its own level and the delivered variance is exactly σ².
    /// - Precondition: 1 ≤ `minSurvivors` ≤ `clients`.
    public init(clients: Int, minSurvivors: Int, ratio: Rational = Self.defaultRatio) {
        precondition((1...clients).contains(minSurvivors) && ratio >= 1)
        self.clients = clients
        var levels: [Int] = []
        var last = 0
        while last < clients - minSurvivors {
            // The worst case of level j is one loss more than the level before: (U − last − 1)/(U − j) ≤ ratio.
            let most = (Rational(clients) - Rational(clients - last - 1) / ratio).floor.asInt!
            last = min(clients - minSurvivors, max(last + 1, most))
            levels.append(last)
        }
        dropouts = levels
    }

    /// Levels as someone stated them; nil unless they rise from 1 to the most losses that the floor allows.
    public init?(clients: Int, minSurvivors: Int, dropouts: [Int]) {
        guard dropouts.allSatisfy({ $0 >= 1 }), zip(dropouts, dropouts.dropFirst()).allSatisfy(<),
            (dropouts.last ?? 0) == clients - minSurvivors
        else { return nil }
        self.clients = clients
        self.dropouts = dropouts
    }

    /// L, the removable components of each client; component 0 stays whatever happens.
    public var count: Int { dropouts.count }

    /// T
    public var dropoutsMax: Int { dropouts.last ?? 0 }

    /// i*: components above it are removed from a sum over `survivors` contributions. Nil when more clients
    /// are lost than the levels provide for.
    public func kept(survivors: Int) -> Int? {
        let lost = clients - survivors
        guard (0...dropoutsMax).contains(lost) else { return nil }
        return lost == 0 ? 0 : dropouts.firstIndex { $0 >= lost }! + 1
    }

    /// The variance of component `index` of one client's noise, 0 … L, for the promised sum σ².
    public func componentVariance(_ index: Int, promised: Rational) -> Rational {
        index == 0 ? cumulative(0, promised) : cumulative(index, promised) - cumulative(index - 1, promised)
    }

    /// The variance in a sum over `survivors` contributions once the components above i* are removed.
    ///
    /// - Precondition: `kept(survivors:)` is not nil.
    public func deliveredVariance(survivors: Int, promised: Rational) -> Rational {
        Rational(survivors) * cumulative(kept(survivors: survivors)!, promised)
    }

    /// σ²/(U − j_i): what one client keeps when the components above i are removed.
    private func cumulative(_ index: Int, _ promised: Rational) -> Rational {
        promised / Rational(clients - (index == 0 ? 0 : dropouts[index - 1]))
    }
}
