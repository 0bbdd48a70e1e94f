import GMP
import SecureAgg
import Sodium
import Testing

/// A client that holds the plan of its round takes no other terms from the server, however small.
@Suite struct ExactTermsTests {
    private struct Terms {
        var task = "plan"
        var round: UInt64 = 4
        var context = Digest.of([1])
        var length = 10
        var bits = 16
        var cohort = 5...10
        var survivors = 5
        var profile = SecurityProfile.maliciousServer
        var colluders = Rational(1, 5)
        var dropouts = Rational(1, 10)
        var security = 40
        var correctness = 30
        var tiny = true
        var chunk = 64

        func parameters() throws -> AggregationParameters {
            try AggregationParameters(
                task: task, round: round, context: context, vectorLength: length, modulusBits: bits,
                cohort: cohort, minSurvivors: survivors, profile: profile, colluderFraction: colluders,
                dropoutFraction: dropouts, securityBits: security, correctnessBits: correctness,
                allowTinyCohort: tiny, chunkLength: chunk)
        }
    }

    /// The fault with which a client that holds `own` answers a signed manifest with `announced` terms.
    private func fault(own: Terms, announced: Terms) throws -> AggregationFault? {
        var random = StreamRandom(seed: 0x7e51, label: "exact terms")
        let identity = ClientIdentity(id: ClientID(1), signingKey: SigningKey(generatedBy: &random))
        let key = SigningKey(generatedBy: &random)
        let roster = try Roster(epoch: 1, entries: [.init(id: identity.id, key: identity.verifyingKey)])
        let manifest = RoundManifest(
            parameters: try announced.parameters(), serverNonce: .of([]), rosterDigest: roster.digest,
            expiry: 100)
        let session = ClientSession(
            identity: identity, server: key.verifyingKey, roster: roster,
            policy: ClientPolicy(exactly: try own.parameters()), journal: InMemoryJournal())
        do throws(AggregationFault) {
            _ = try session.advertiseKeys(
                ServerSession(manifest: manifest, signingKey: key, roster: roster).manifestMessage,
                now: 1, random: &random)
            return nil
        } catch { return error }
    }

    @Test("A signed manifest that differs from the client's plan in any one term is refused")
    func everyTerm() throws {
        let own = Terms()
        #expect(try fault(own: own, announced: own) == nil)
        let changes: [(name: String, change: (inout Terms) -> Void)] = [
            ("task", { $0.task = "other" }), ("round", { $0.round = 5 }),
            ("context", { $0.context = .of([2]) }), ("length", { $0.length = 11 }),
            ("bits", { $0.bits = 17 }), ("chunk length", { $0.chunk = 128 }),
            ("smaller cohorts", { ($0.cohort, $0.survivors) = (4...10, 4) }),
            ("larger cohorts", { $0.cohort = 5...11 }), ("lower floor", { $0.survivors = 4 }),
            ("semi-honest", { $0.profile = .semiHonest }), ("no colluders", { $0.colluders = 0 }),
            ("more colluders", { $0.colluders = Rational(1, 4) }),
            ("fewer dropouts", { $0.dropouts = 0 }), ("less security", { $0.security = 39 }),
            ("more security", { $0.security = 41 }), ("less correctness", { $0.correctness = 20 }),
        ]
        for (name, change) in changes {
            var announced = own
            change(&announced)
            let found = try #require(try fault(own: own, announced: announced), "\(name)")
            #expect([.policy, .contextMismatch].contains(found.check), "\(name): \(found)")
        }
    }

    @Test(
        "The refusal names the term: a server that lowers γ would get a threshold that C clients can pass twice"
    )
    func namesTheTerm() throws {
        let own = Terms()
        var weak = own
        weak.colluders = 0
        let (size, colluders) = (10, 2)
        #expect(try 2 * own.parameters().topology(cohortSize: size).threshold > size + colluders)
        // Two lists could both collect t signatures, and with them both secrets of a client.
        #expect(try 2 * weak.parameters().topology(cohortSize: size).threshold <= size + colluders)
        var thin = own
        thin.dropouts = 0
        #expect(try fault(own: own, announced: thin)?.detail.contains("dropout fraction") == true)
        #expect(try fault(own: own, announced: weak)?.detail.contains("colluders") == true)
    }
}
