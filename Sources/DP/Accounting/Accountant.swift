// Sources that this folder cites:
// [AKL21] Agarwal, Kairouz, Liu: The Skellam Mechanism for Differentially Private Federated Learning.
// [ATMR21] Andrew, Thakkar, McMahan, Ramaswamy: Differentially Private Learning with Adaptive Clipping.
// [BBG18] Balle, Barthe, Gaboardi: Privacy Amplification by Subsampling.
// [BS16]  Bun, Steinke: Concentrated Differential Privacy.
// [BW18]  Balle, Wang: Improving the Gaussian Mechanism for Differential Privacy.
// [CKS20] Canonne, Kamath, Steinke: The Discrete Gaussian for Differential Privacy.
// [DGK22] Doroshenko, Ghazi, Kamath, Kumar, Manurangsi: Connect the Dots.
// [DRS22] Dong, Roth, Su: Gaussian Differential Privacy.
// [FZ21]  Feldman, Zrnic: Individual Privacy Accounting via a Rényi Filter.
// [KJH20] Koskela, Jälkö, Honkela: Computing Tight Differential Privacy Guarantees Using FFT.
// [KLS21] Kairouz, Liu, Steinke: The Distributed Discrete Gaussian Mechanism.
// [Mir17] Mironov: Rényi Differential Privacy.
// [MMC25] Mahloujifar, Melis, Chaudhuri: Auditing f-Differential Privacy in One Run.
// [MTZ19] Mironov, Talwar, Zhang: Rényi Differential Privacy of the Sampled Gaussian Mechanism.
// [SMM19] Sommer, Meiser, Mohammadi: Privacy Loss Classes.
// [SNJ23] Steinke, Nasr, Jagielski: Privacy Auditing with One (1) Training Run.
// [ST22]  Smith, Thakurta: Fully Adaptive Composition for Gaussian Differential Privacy.
// [ZW19]  Zhu, Wang: Poisson Subsampled Rényi Differential Privacy.

/// Prices a tally of events. Values, not objects: asking twice gives the same answer and changes
/// nothing.
public protocol Accountant: Sendable {
    /// The method's name as the command line and reports spell it.
    var name: String { get }

    /// The ε for which the tally is (ε, δ)-DP. Refuses events that the method cannot bound.
    func epsilon(of tally: EventTally, delta: Double) throws(AccountingError) -> EpsilonInterval

    /// The δ for which the tally is (ε, δ)-DP: the privacy profile at `epsilon`.
    func delta(of tally: EventTally, epsilon: Double) throws(AccountingError) -> DeltaInterval
}

/// The accountants by name.
public enum AccountantKind: String, CaseIterable, Hashable, Sendable {
    case gdp, zcdp, rdp, pld

    public var accountant: any Accountant {
        switch self {
        case .gdp: GDPAccountant()
        case .zcdp: ZCDPAccountant()
        case .rdp: RDPAccountant()
        case .pld: PLDAccountant()
        }
    }
}

/// Two numbers that enclose the smallest valid ε: `upper` is what a guarantee may claim, `lower`
/// is reached by an actual test (0 where no cheap one is known, never a guess).
public struct EpsilonInterval: Hashable, Sendable {
    public let lower: Double
    public let upper: Double
    public let basis: BoundBasis

    init(lower: Double, upper: Double, basis: BoundBasis) {
        self.upper = max(0, upper)
        self.lower = min(max(0, lower), self.upper)
        self.basis = basis
    }
}

/// Two numbers that enclose the smallest valid δ at some ε.
public struct DeltaInterval: Hashable, Sendable {
    public let lower: Double
    public let upper: Double
    public let basis: BoundBasis

    init(lower: Double, upper: Double, basis: BoundBasis) {
        self.upper = min(1, max(0, upper))
        self.lower = min(max(0, lower), self.upper)
        self.basis = basis
    }
}

/// What an upper bound rests on; reports print it beside the number.
public enum BoundBasis: String, Hashable, Sendable, Comparable {
    /// Theorems in print.
    case published
    /// Also this project's unit-shift certificate for integer noise (`UnitShiftCertificate`).
    case ownCertificate = "own-certificate"

    public static func < (left: BoundBasis, right: BoundBasis) -> Bool {
        left == .published && right == .ownCertificate
    }
}

/// Why a privacy question was refused.
public enum AccountingError: Error, Hashable, Sendable {
    /// Name, value, what it must be.
    case invalidParameter(String, String, String)
    /// Event, unit, adjacency, reason.
    case unsupportedAdjacency(String, PrivacyUnit, Adjacency, String)
    /// Event, accountant, reason.
    case unsupportedEvent(String, accountant: String, String)
    /// The tally's unit and adjacency, the event's.
    case mixedUnits(String, String)
    /// No value of the parameter reaches the target.
    case targetUnreachable(String)
}

extension AccountingError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidParameter(let name, let value, let requirement):
            "\(name) is \(value), but must be \(requirement)"
        case .unsupportedAdjacency(let event, let unit, let adjacency, let reason):
            "\(event) cannot be stated for one \(unit.rawValue) under \(adjacency.rawValue): \(reason)"
        case .unsupportedEvent(let event, let accountant, let reason):
            "the \(accountant) accountant cannot bound \(event): \(reason)"
        case .mixedUnits(let tally, let event):
            "losses for \(tally) and for \(event) do not add: keep one budget per unit and adjacency"
        case .targetUnreachable(let reason):
            "the target cannot be reached: \(reason)"
        }
    }
}

/// Smallest δ that is answered; below it doubles lose the tails.
public let deltaMin = 1e-200

func requireDelta(_ delta: Double) throws(AccountingError) {
    guard delta.isFinite, delta >= deltaMin, delta < 1 else {
        throw .invalidParameter("delta", "\(delta)", "at least 1e-200 and below 1")
    }
}

func requireEpsilon(_ epsilon: Double) throws(AccountingError) {
    guard epsilon.isFinite, epsilon >= 0 else {
        throw .invalidParameter("epsilon", "\(epsilon)", "a finite number of at least 0")
    }
}
