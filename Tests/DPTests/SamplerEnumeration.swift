import DP
import GMP

/// Coins that walk through every outcome of a randomised computation, with its exact probability.
///
/// Each call of `nextPath` replays the decisions made so far and takes the next untried branch. A path
/// that becomes less likely than `cutoff`, or that asks a second time for a uniform when
/// `stopsAtSecondUniform` is set, is cut: from then on the answers are those that end every sampler
/// here, and its mass counts as undecided.
final class PathEnumerator {
    struct Branch {
        var outcome: Int
        let weights: [Rational]
    }

    let cutoff: Double
    let stopsAtSecondUniform: Bool
    private var path: [Branch] = []
    private var depth = 0
    private var uniforms = 0
    private(set) var isCut = false
    /// The probability of the path so far, to 2^−400 for each of its decisions.
    private(set) var mass = Rational(1)
    private var exponentials: [Rational: Rational] = [:]

    init(cutoff: Double, stopsAtSecondUniform: Bool = false) {
        self.cutoff = cutoff
        self.stopsAtSecondUniform = stopsAtSecondUniform
    }

    /// Runs `body` on every path; gives the mass of each result and the mass that was cut.
    func run<Result: Hashable>(_ body: (inout EnumeratingCoins) -> Result) -> ([Result: Rational], Rational) {
        var decided: [Result: Rational] = [:]
        var undecided = Rational(0)
        repeat {
            (depth, uniforms, isCut, mass) = (0, 0, false, 1)
            var coins = EnumeratingCoins(walk: self)
            let result = body(&coins)
            if isCut {
                undecided = undecided + mass
            } else {
                decided[result, default: 0] = (decided[result] ?? 0) + mass
            }
        } while advance()
        return (decided, undecided)
    }

    func choose(_ weights: [Rational]) -> Int {
        guard !isCut else { return 0 }
        if depth == path.count {
            if mass.asDouble < cutoff {
                isCut = true
                return 0
            }
            path.append(Branch(outcome: weights.firstIndex { !$0.isZero }!, weights: weights))
        }
        let branch = path[depth]
        depth += 1
        mass = (mass * branch.weights[branch.outcome]).truncated(toPlaces: 400)
        return branch.outcome
    }

    func exponential(minus gamma: Rational) -> Rational {
        if let known = exponentials[gamma] { return known }
        let value = DPTests.exponential(minus: gamma)
        exponentials[gamma] = value
        return value
    }

    func countUniform() -> Bool {
        uniforms += 1
        if stopsAtSecondUniform && uniforms > 1 { isCut = true }
        return isCut
    }

    private func advance() -> Bool {
        while var last = path.popLast() {
            repeat {
                last.outcome += 1
            } while last.outcome < last.weights.count && last.weights[last.outcome].isZero
            if last.outcome < last.weights.count {
                path.append(last)
                return true
            }
        }
        return false
    }
}

/// Coins of a `PathEnumerator`.
struct EnumeratingCoins: ExactCoins {
    let walk: PathEnumerator

    mutating func bit() -> Bool { walk.choose([Rational(1, 2), Rational(1, 2)]) == 1 }

    mutating func uniform(below bound: UInt64) -> UInt64 {
        if walk.countUniform() { return 0 }
        return UInt64(
            walk.choose(Array(repeating: Rational(1, BigInteger(bound)), count: Int(bound))))
    }

    mutating func bernoulli(_ numerator: UInt64, _ denominator: UInt64) -> Bool {
        choose(Rational(BigInteger(numerator), BigInteger(denominator)))
    }

    mutating func bernoulli(wide numerator: UInt128, _ denominator: UInt128) -> Bool {
        choose(Rational(BigInteger(numerator), BigInteger(denominator)))
    }

    fileprivate func choose(_ probability: Rational) -> Bool {
        walk.choose([Rational(1) - probability, probability]) == 1
    }
}

/// The same coins with e^−γ taken as given, to 2^−200: for samplers whose exponential coins are proved apart.
struct ExponentialCoins: ExactCoins {
    var coins: EnumeratingCoins

    private func given(_ gamma: Rational) -> Bool {
        coins.walk.isCut || coins.choose(coins.walk.exponential(minus: gamma))
    }

    mutating func bit() -> Bool { coins.bit() }
    mutating func uniform(below bound: UInt64) -> UInt64 { coins.uniform(below: bound) }
    mutating func bernoulli(_ numerator: UInt64, _ denominator: UInt64) -> Bool {
        coins.bernoulli(numerator, denominator)
    }
    mutating func bernoulli(wide numerator: UInt128, _ denominator: UInt128) -> Bool {
        coins.bernoulli(wide: numerator, denominator)
    }
    mutating func bernoulliExpMinusOne() -> Bool {
        // "No" ends the loop that counts successes.
        coins.walk.isCut ? false : given(1)
    }
    mutating func bernoulliExp(minus numerator: UInt64, over denominator: UInt64) -> Bool {
        given(Rational(BigInteger(numerator), BigInteger(denominator)))
    }
    mutating func bernoulliExp(wideMinus numerator: UInt128, over denominator: UInt128) -> Bool {
        given(Rational(BigInteger(numerator), BigInteger(denominator)))
    }
}

extension Rational {
    /// Rounded down to a multiple of 2^−places.
    func truncated(toPlaces places: Int) -> Rational {
        Rational((self * Rational(.powerOfTwo(places))).floor, .powerOfTwo(places))
    }
}

/// e^−γ to 200 binary places, by the series of e^−γ/2^k and k squarings.
func exponential(minus gamma: Rational) -> Rational {
    var halvings = 0
    var small = gamma
    while small > Rational(1) {
        small = small / 2
        halvings += 1
    }
    var term = Rational(1)
    var sum = Rational(1)
    for k in 1...60 {
        term = (-(term * small) / Rational(k)).truncated(toPlaces: 260)
        sum = sum + term
    }
    for _ in 0..<halvings { sum = (sum * sum).truncated(toPlaces: 260) }
    return sum.truncated(toPlaces: 200)
}
