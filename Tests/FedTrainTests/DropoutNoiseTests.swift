import DP
import FedTrain
import Foundation
import GMP
import SecureAgg
import Sodium
import Testing

/// Add-then-remove noise through the real protocol: what a sum carries after the removal, for every
/// number of losses.
@Suite struct DropoutNoiseTests {
    static let clients = 8
    static let floor = 5

    static func configuration(_ settings: [(String, String)] = []) throws -> FederationConfiguration {
        func text(_ value: String) -> ConfigurationNode { ConfigurationNode(.scalar(value), at: nil) }
        let values =
            [
                ("schema", "fedtrain/1"), ("name", "t"), ("rounds.count", "4"),
                ("rounds.minSurvivors", "\(floor)"), ("privacy.unit", "client"), ("privacy.epsilon", "6"),
                ("privacy.colluders", "1"), ("training.algorithm", "fedavg"),
                ("secagg.allowTinyCohort", "true"), ("secagg.dropoutFraction", "3/8"),
            ] + settings
        let empty = ConfigurationNode(.map([]), at: nil)
        return try FederationConfiguration(
            reading: values.reduce(empty) { try $0.setting(path: $1.0, to: text($1.1)) })
    }

    static func plan(
        _ settings: [(String, String)] = [("privacy.dropoutNoise", "exact")], dimension: Int = 6000
    ) throws -> RoundPlan {
        try RoundPlan(
            configuration(settings), dimension: dimension, recordCounts: Array(repeating: 10, count: clients),
            baseDigest: .of([1]))
    }

    /// One round in which each client's contribution is its noise alone, so that the opened sum is what the
    /// noise adds up to.
    ///
    /// - Parameter silent: clients that collude: they follow the protocol but add no noise.
    static func noiseInSum(
        _ plan: RoundPlan, lost: Set<Int>, at stage: Stage, silent: Set<Int> = [], seed: UInt64
    ) throws -> [Int32]? {
        var random = StreamRandom(seed: seed, label: "dropout noise")
        let parameters = try plan.secureAggregation(round: 1, incoming: .of([2]))
        let identities = (0..<clients).map {
            ClientIdentity(id: ClientID(UInt64($0)), signingKey: SigningKey(generatedBy: &random))
        }
        let serverKey = SigningKey(generatedBy: &random)
        let roster = try Roster(
            epoch: 1, entries: identities.map { .init(id: $0.id, key: $0.verifyingKey) })
        let server = ServerSession(
            manifest: RoundManifest(
                parameters: parameters, serverNonce: .of([3]), rosterDigest: roster.digest, expiry: 1),
            signingKey: serverKey, roster: roster)
        let policy = ClientPolicy(
            context: parameters.context, vectorLength: parameters.vectorLength,
            modulusBits: parameters.modulusBits, minCohort: 3, minSurvivors: parameters.minSurvivors,
            allowTinyCohort: true, removableNoise: plan.removableNoise)
        var values: [[Int32]] = []
        var sessions: [ClientSession] = []
        for client in 0..<clients {
            let seeds = (0..<(plan.removableNoise?.count ?? 0)).map { _ in
                SecretBytes(random: RemovableNoise.seedLength, from: &random)
            }
            var contribution = [Int32](repeating: 0, count: plan.aggregation.length)
            plan.aggregation.noise.noiseShare(
                count: contribution.count, seeds: seeds, using: StreamRandom(keyedBy: &random)
            ).add(to: &contribution)
            if silent.contains(client) {
                // A colluder reveals seeds like everyone else; only what would stay is missing.
                contribution = try removable(plan, seeds, count: contribution.count)
            }
            values.append(contribution)
            sessions.append(
                ClientSession(
                    identity: identities[client], server: serverKey.verifyingKey, roster: roster,
                    policy: policy, journal: InMemoryJournal(), noiseSeeds: seeds))
        }
        for client in 0..<clients {
            try server.receive(
                sessions[client].advertiseKeys(server.manifestMessage, now: 0, random: &random),
                from: identities[client].id)
        }
        while true {
            switch server.closeStage() {
            case .aborted: return nil
            case .released(let sum, _): return plan.opened(sum)
            case .send(let open, let messages):
                for message in messages {
                    let client = Int(message.recipient.number)
                    if lost.contains(client), open >= stage { continue }
                    let session = sessions[client]
                    let answers: [[UInt8]] =
                        switch open {
                        case .advertiseKeys: []
                        case .shareKeys: [try session.shareKeys(message.bytes, random: &random)]
                        case .submitMaskedInput:
                            Array(try session.maskedInput(message.bytes, values: values[client]).messages)
                        case .confirmSurvivors: [try session.confirmSurvivors(message.bytes)]
                        case .unmask: [try session.unmask(message.bytes)]
                        }
                    for answer in answers { try server.receive(answer, from: message.recipient) }
                }
            }
        }
    }

    /// The noise that follows from the seeds alone.
    private static func removable(_ plan: RoundPlan, _ seeds: [SecretBytes], count: Int) throws -> [Int32] {
        guard case .skellam(let noise) = plan.aggregation.noise else { return [] }
        var values = [Int32](repeating: 0, count: count)
        values.withUnsafeMutableBufferPointer { values in
            for (index, seed) in seeds.enumerated() {
                noise.remove(level: index + 1, seed: seed, from: values)
            }
            for index in values.indices { values[index] = 0 &- values[index] }
        }
        return values
    }

    /// (sample variance − expected) in units of its standard deviation; a Skellam variable of variance v
    /// has E[X⁴] = v + 3v².
    private func score(_ values: [Int32], variance: Double) -> Double {
        let mean = values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(values.count)
        return (mean - variance) / ((variance + 2 * variance * variance) / Double(values.count)).squareRoot()
    }

    /// A two-sided normal test at 1e-6 alarms above this.
    private let limit = 4.8916

    @Test("xnoise_exact: for every number of losses the sum carries what was promised, within 5 %")
    func exact() throws {
        let plan = try Self.plan()
        let noise = plan.aggregation.noise
        let promised = Rational(Self.floor) * noise.localVariance
        for count in 0...Self.clients - Self.floor {
            for stage in [Stage.shareKeys, .submitMaskedInput] where count > 0 || stage == .shareKeys {
                let lost = Set((0..<count).map { $0 * 3 % Self.clients })
                let sum = try #require(
                    try Self.noiseInSum(plan, lost: lost, at: stage, seed: UInt64(40 + count)))
                let delivered = noise.deliveredVariance(survivors: Self.clients - count)
                #expect(delivered >= promised && delivered <= promised * Rational(21, 20))
                let z = score(sum, variance: delivered.asDouble)
                #expect(abs(z) < limit, "\(count) lost at \(stage.name): z = \(z), seed \(40 + count)")
                // Power: the noise of one more or one less component would be seen.
                #expect(abs(score(sum, variance: delivered.asDouble * 1.15)) > limit)
                #expect(abs(score(sum, variance: delivered.asDouble / 1.15)) > limit)
            }
        }
        // One more and nothing is opened.
        #expect(try Self.noiseInSum(plan, lost: [0, 1, 2, 3], at: .submitMaskedInput, seed: 9) == nil)
    }

    @Test("Losses after the masked input, too, are covered by the neighbours' shares")
    func lateLosses() throws {
        let plan = try Self.plan()
        let sum = try #require(try Self.noiseInSum(plan, lost: [2, 5], at: .unmask, seed: 50))
        #expect(
            abs(score(sum, variance: plan.aggregation.noise.deliveredVariance(survivors: 8).asDouble)) < limit
        )
    }

    @Test("noise_under_claim: survivors that add no noise leave the honest ones' at what the claim counts on")
    func underClaim() throws {
        // κ of the survivors are the server's own: they make the losses look small and add nothing themselves.
        // Two colluders of eight raise the threshold to six: two may be lost.
        let plan = try Self.plan([
            ("privacy.dropoutNoise", "exact"), ("privacy.colluders", "2"),
            ("secagg.dropoutFraction", "1/4"),
        ])
        let guaranteed = plan.aggregation.noise.guaranteedVariance
        for count in 0...2 {
            let lost = Set(2..<2 + count)
            let sum = try #require(
                try Self.noiseInSum(
                    plan, lost: lost, at: .submitMaskedInput, silent: [0, 1], seed: UInt64(60 + count)))
            let survivors = Self.clients - count
            let honest =
                plan.aggregation.noise.deliveredVariance(survivors: survivors)
                * Rational(BigInteger(survivors - 2), BigInteger(survivors))
            #expect(honest >= guaranteed)
            // The silent ones' levels are taken out without having been put in: that can only add noise.
            #expect(score(sum, variance: honest.asDouble) > -limit, "\(count) lost")
            // One-sided, false alarm 1e-6: not less than the claim.
            #expect(score(sum, variance: guaranteed.asDouble) > -4.7535)
        }
    }

    @Test("Without removal a plan keeps its digest and messages; with it both are bound")
    func binding() throws {
        let off = try Self.plan([])
        #expect(off.removableNoise == nil)
        #expect(try off.digest == Self.plan([("privacy.dropoutNoise", "floor")]).digest)
        let skellam = try Self.plan([("privacy.mechanism", "skellam")])
        let exact = try Self.plan()
        #expect(Set([off.digest, skellam.digest, exact.digest]).count == 3)
        #expect(skellam.removableNoise == nil)
        #expect(exact.removableNoise?.dropouts == [1, 2, 3])
        #expect(exact.accountantKind == .rdp && off.accountantKind == .zcdp)
        // The price is the same guarantee's, by another accountant's bound.
        #expect(try exact.epsilon(rounds: 4) <= 6 && skellam.epsilon(rounds: 4) > 5.9)
    }

    @Test("Exact dropout noise with discrete Gaussian shares is refused by name")
    func refusal() {
        #expect(throws: ConfigurationError.self) {
            try Self.configuration([
                ("privacy.mechanism", "discrete-gaussian"), ("privacy.dropoutNoise", "exact"),
            ])
        }
        #expect(throws: ConfigurationError.self) {
            try Self.configuration([("privacy.dropoutNoise", "exakt")])
        }
    }
}
