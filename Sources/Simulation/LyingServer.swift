import Foundation
import SecureAgg
import Sodium

/// A server under the control of an attacker, with colluding clients whose keys it has.
///
/// It speaks the protocol by its own code, so that nothing in the real server holds it back: it sends
/// whatever its lies ask for, signs survivor lists in its colluders' names, keeps every vector and every
/// share, and asks again after it was answered. Written for the complete graph.
final class LyingServer: SimulatedServer {
    let lies: Set<Fault>
    private let scene: Scene
    private var branches: [LyingBranch]
    private var random: SimulationRandom
    private var rerunStarted = false
    private var stage = Stage.advertiseKeys
    private(set) var hasEnded = false
    /// Counts each lie when it is told.
    private(set) var told: Set<Fault> = []

    /// What the attacker works with.
    struct Scene {
        let parameters: AggregationParameters
        let serverKey: SigningKey
        let roster: Roster
        let invited: [ClientID]
        let colluders: [ClientID: SigningKey]
        let expiry: UInt64
    }

    init(scene: Scene, lies: Set<Fault>, random: SimulationRandom) {
        self.scene = scene
        self.lies = lies
        self.random = random
        branches = []
        var invitations: [(parameters: AggregationParameters, clients: [ClientID])] = [
            (scene.parameters, scene.invited)
        ]
        if lies.contains(.forkManifest) {
            let order = self.random.sample(scene.invited.count, below: scene.invited.count)
            let half = order.count / 2
            // Colluders take part on both sides.
            let sides = [order[..<half], order[half...]].map { side in
                side.map { scene.invited[$0] } + scene.colluders.keys.sorted()
            }
            invitations = sides.map { (scene.parameters, Array(Set($0)).sorted()) }
        }
        if lies.contains(.weakenManifest), let weaker = weaker(scene.parameters) {
            invitations[0].parameters = weaker
        }
        branches = invitations.map { branch($0.parameters, $0.clients) }
    }

    private func weaker(_ terms: AggregationParameters) -> AggregationParameters? {
        let choice = random.below(5)
        return try? AggregationParameters(
            task: terms.task, round: terms.round, context: terms.context,
            vectorLength: terms.vectorLength, modulusBits: terms.modulusBits,
            cohort: (choice == 0 ? 3 : terms.cohort.lowerBound)...terms.cohort.upperBound,
            minSurvivors: choice <= 1 ? 2 : terms.minSurvivors,
            profile: choice == 2 ? .semiHonest : terms.profile,
            colluderFraction: choice == 3 ? 0 : terms.colluderFraction,
            dropoutFraction: terms.dropoutFraction, securityBits: choice == 4 ? 30 : terms.securityBits,
            allowTinyCohort: true, chunkLength: terms.chunkLength, removableNoise: terms.removableNoise)
    }

    private func branch(_ terms: AggregationParameters, _ clients: [ClientID]) -> LyingBranch {
        let manifest = RoundManifest(
            parameters: terms, serverNonce: Digest(bytes: random.bytes(Digest.length))!,
            rosterDigest: scene.roster.digest, expiry: scene.expiry)
        let session = ServerSession(manifest: manifest, signingKey: scene.serverKey, roster: scene.roster)
        return LyingBranch(
            scene: scene, terms: terms, lies: lies, manifest: session.manifestMessage,
            manifestDigest: session.manifestDigest, invited: clients,
            random: SimulationRandom(seed: random.next()))
    }

    var isUp: Bool { true }

    var awaited: [ClientID] { Array(Set(branches.flatMap { $0.awaited(stage) })).sorted() }

    func start() -> [ServerEffect] {
        if lies.contains(.forkManifest) { told.insert(.forkManifest) }
        if lies.contains(.weakenManifest) { told.insert(.weakenManifest) }
        return [.opened(.advertiseKeys)] + opening()
    }

    private func opening() -> [ServerEffect] {
        branches.flatMap { branch in
            branch.invited.map { ServerEffect.send($0, branch.manifest) }
        }
    }

    func receive(_ bytes: [UInt8], from sender: ClientID) -> [ServerEffect] {
        guard let message = try? Message(decoding: bytes, limit: bytes.count) else { return [] }
        for branch in branches { branch.receive(message, from: sender) }
        return !hasEnded && awaited.isEmpty ? advance() : []
    }

    func deadlinePassed() -> [ServerEffect] { hasEnded ? [] : advance() }

    func remind() -> [ServerEffect] { [] }

    private func advance() -> [ServerEffect] {
        guard let next = Stage(rawValue: stage.rawValue + 1) else {
            if lies.contains(.rerunRound), !rerunStarted { return rerun() }
            hasEnded = true
            let last = branches.flatMap { $0.results() }
            tell()
            // The world counts what can be opened.
            return [.ended(.lied(openableSums: 0))] + last
        }
        stage = next
        let messages = branches.flatMap { $0.messages(for: next) }
        tell()
        return [.opened(next)] + messages
    }

    /// The same round number once more, to everybody.
    private func rerun() -> [ServerEffect] {
        rerunStarted = true
        told.insert(.rerunRound)
        stage = .advertiseKeys
        branches = [branch(scene.parameters, scene.invited)]
        return [.opened(.advertiseKeys)] + opening()
    }

    private func tell() {
        for branch in branches {
            told.formUnion(branch.told)
            branch.told = []
        }
    }
}
