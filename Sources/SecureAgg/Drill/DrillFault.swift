import Foundation
import Sodium

/// Something that goes wrong on purpose in a drill. One client that is not lost, the victim, commits or
/// suffers it; the server's lies go to many.
public enum DrillFault: Hashable, Sendable {
    /// The victim's vector arrives after the survivor list is frozen: refused, not in the sum.
    case lateMaskedInput
    /// The server shows every second survivor a list without one of them: neither list gets t
    /// signatures.
    case equivocateSurvivors
    /// The server replaces the victim's encryption key in the cohort: every client leaves.
    case swapKey
    /// Every message of the victim arrives twice, and once more in the next stage: changes nothing.
    case replay
    /// The server lists lost clients as survivors, so that more noise would be opened: nobody has t
    /// signatures on the true list, and nothing is opened.
    case claimSurvivors
    /// One bit of the victim's vector changes on the way: refused, not in the sum.
    case flip
    /// The victim releases wrong shares under its own signature: decoded around and named, if they matter.
    case lieShare
    /// The server's process ends in this stage and is started again from its stored inputs.
    case killServer(Stage)

    public var name: String {
        switch self {
        case .lateMaskedInput: "late-masked-input"
        case .equivocateSurvivors: "equivocate-survivors"
        case .swapKey: "swap-key"
        case .replay: "replay"
        case .claimSurvivors: "claim-survivors"
        case .flip: "flip"
        case .lieShare: "lie-share"
        case .killServer(let stage): "kill-server@\(stage.name)"
        }
    }

    /// All of them, `killServer` once per stage.
    public static let all: [DrillFault] =
        [.lateMaskedInput, .equivocateSurvivors, .swapKey, .replay, .claimSurvivors, .flip, .lieShare]
        + Stage.allCases.map { .killServer($0) }

    public init?(name: String) {
        guard let fault = Self.all.first(where: { $0.name == name }) else { return nil }
        self = fault
    }
}

extension DrillFault {
    /// The stage at which the fault ends the round, if it does.
    private var endsRoundAt: Stage? {
        switch self {
        case .swapKey: .shareKeys
        case .equivocateSurvivors, .claimSurvivors: .confirmSurvivors
        default: nil
        }
    }

    /// The stage at which the fault happens.
    private var stage: Stage {
        switch self {
        case .replay: .advertiseKeys
        case .swapKey: .shareKeys
        case .lateMaskedInput, .flip: .submitMaskedInput
        case .equivocateSurvivors, .claimSurvivors: .confirmSurvivors
        case .lieShare: .unmask
        case .killServer(let stage): stage
        }
    }

    /// Why two of the faults cannot both happen in one round; nil when all can.
    public static func contradiction(in faults: [DrillFault]) -> String? {
        for ending in faults {
            guard let end = ending.endsRoundAt else { continue }
            if let later = faults.first(where: { $0 != ending && $0.stage > end }) {
                return "\(ending.name) ends the round at \(end.name), so \(later.name) cannot happen"
            }
        }
        let cutsVictim = faults.filter { $0 == .lateMaskedInput || $0 == .flip }
        if Set(cutsVictim).count == 2 {
            return "late-masked-input and flip act on the same vector"
        }
        if let cut = cutsVictim.first, faults.contains(.lieShare) {
            return
                "\(cut.name) keeps the victim out of the sum, so it is never asked for the shares of lie-share"
        }
        return nil
    }
}

/// Carries the faults out on the messages between the drill's clients and its server.
struct DrillTamper {
    let faults: Set<DrillFault>
    let victim: Int
    let victimIdentity: ClientIdentity
    /// Known once the cohort is frozen.
    var cohortSize = 0
    private var held: [[UInt8]] = []
    private var earlier: [[UInt8]] = []

    init(faults: [DrillFault], victim: Int, identity: ClientIdentity) {
        self.faults = Set(faults)
        self.victim = victim
        victimIdentity = identity
    }

    func kills(at stage: Stage) -> Bool { faults.contains(.killServer(stage)) }
    var mayKill: Bool { faults.contains { if case .killServer = $0 { true } else { false } } }

    /// What a client receives instead of `bytes`; `position` is its place among the receivers.
    func down(_ stage: Stage, position: Int, _ bytes: [UInt8]) -> [UInt8] {
        if stage == .shareKeys, faults.contains(.swapKey) { return swapKey(bytes) }
        if stage == .confirmSurvivors, faults.contains(.equivocateSurvivors), position.isMultiple(of: 2) {
            return editSurvivors(bytes) { bitmap, _ in
                if let place = bitmap.lastIndex(where: { $0 != 0 }) { bitmap[place] &= bitmap[place] - 1 }
            }
        }
        if stage == .confirmSurvivors, faults.contains(.claimSurvivors) {
            return editSurvivors(bytes) { bitmap, cohortSize in
                for index in 0..<cohortSize { bitmap[index >> 3] |= 1 << UInt8(index & 7) }
            }
        }
        return bytes
    }

    /// What the server receives when client `index` sends `messages`, with the sender of each.
    mutating func up(_ stage: Stage, index: Int, _ messages: [[UInt8]]) -> [(sender: Int, bytes: [UInt8])] {
        var result: [(sender: Int, bytes: [UInt8])] = []
        if stage == .confirmSurvivors, !held.isEmpty {
            result += held.map { (victim, $0) }
            held = []
        }
        guard index == victim else { return result + messages.map { (index, $0) } }
        var own = messages
        if stage == .submitMaskedInput, faults.contains(.flip) {
            own[own.count - 1][own[own.count - 1].count / 2] ^= 1
        }
        if stage == .unmask, faults.contains(.lieShare) { own = own.map(lie) }
        if stage == .submitMaskedInput, faults.contains(.lateMaskedInput) {
            held = own
            own = []
        }
        if faults.contains(.replay) {
            let repeated = own
            own += own + earlier
            earlier = repeated
        }
        return result + own.map { (index, $0) }
    }

    private func swapKey(_ bytes: [UInt8]) -> [UInt8] {
        edit(bytes) { (cohort: inout Secagg_V1_Cohort) in
            for place in cohort.entries.indices {
                let body = [UInt8](cohort.entries[place].advertise)
                guard var keys = try? decodeWire(body) as Secagg_V1_AdvertiseKeys,
                    keys.client == victimIdentity.id.number
                else { continue }
                keys.encryptionKey = Data(Digest.of(body).bytes)
                cohort.entries[place].advertise = Data(encodeWire(keys))
            }
        }
    }

    private func editSurvivors(
        _ bytes: [UInt8], _ change: (_ bitmap: inout Data, _ cohortSize: Int) -> Void
    ) -> [UInt8] {
        edit(bytes) { (set: inout Secagg_V1_SurvivorSet) in
            guard var survivors = try? decodeWire([UInt8](set.survivors)) as Secagg_V1_Survivors else {
                return
            }
            change(&survivors.bitmap, cohortSize)
            set.survivors = Data(encodeWire(survivors))
        }
    }

    private func lie(_ bytes: [UInt8]) -> [UInt8] {
        guard let message = try? Message(decoding: bytes, limit: bytes.count), let session = message.session
        else { return bytes }
        let altered = edit(bytes) { (shares: inout Secagg_V1_UnmaskShares) in
            for place in stride(from: 0, to: shares.shares.count, by: Shamir.shareLength) {
                shares.shares[place] ^= 1
            }
        }
        guard let body = try? Message(decoding: altered, limit: altered.count).body else { return bytes }
        return Message(
            .unmask, session: session, body: body, label: .unmask, signer: victimIdentity.signingKey
        ).encoded()
    }

    private func edit<Body: WireBody>(_ bytes: [UInt8], _ change: (inout Body) -> Void) -> [UInt8] {
        guard var message = try? Message(decoding: bytes, limit: bytes.count),
            var body = try? decodeWire(message.body) as Body
        else { return bytes }
        change(&body)
        message.body = encodeWire(body)
        return message.encoded()
    }
}
