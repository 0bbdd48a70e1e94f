import DP
import FedTrain
import Foundation
import Testing

/// What `plan` says of time and memory, against what it is made of.
@Suite struct RunTimingTests {
    private static func prepared(sites: Int, rounds: Int = 2) throws -> PreparedFederation {
        let node = try StudyFixture.node(
            """
            {"schema": "fedtrain/1", "name": "t", "model": {"adapter": {"rank": 2, "targets": ["q_proj"]}},
             "data": {"sites": \(sites), "recordsPerSite": 4, "heldOutCount": 12},
             "rounds": {"count": \(rounds), "minSurvivors": \(sites * 3 / 4)},
             "training": {"algorithm": "fedavg", "localSteps": 1, "batchSize": 2},
             "privacy": {"unit": "client", "epsilon": 20, "clipNorm": 0.1},
             "secagg": {"allowTinyCohort": true}}
            """)
        return try PreparedFederation(
            FederationConfiguration(reading: node), prior: .none, randomness: .seeded(1),
            holdsClientFiles: true)
    }

    /// A clock that ticks once a question counts stages, so nothing depends on the machine's speed.
    private static func ticking() -> () -> Double {
        var now = 0.0
        return {
            now += 1
            return now
        }
    }

    @Test(
        "a small cohort is rehearsed whole, a large one with fewer clients and scaled by clients and neighbours"
    )
    func rehearsal() throws {
        let few = try RoundRehearsal(Self.prepared(sites: 8).plan)
        #expect(few.scale == 1)
        #expect(try few.seconds(Self.ticking()) > 0)
        let many = try Self.prepared(sites: 400).plan
        let scaled = try RoundRehearsal(many)
        // 400 clients against 160, each with at least as many neighbours.
        #expect(scaled.scale >= 2.5 && scaled.scale < 10)
    }

    @Test("more rounds take longer and hold more")
    func rounds() throws {
        let (short, long) = (try Self.prepared(sites: 8), try Self.prepared(sites: 8, rounds: 20))
        let (few, many) = (
            try RunTiming(short, stopwatch: Self.ticking()), try RunTiming(long, stopwatch: Self.ticking())
        )
        #expect(many.total > few.total && few.trainingPerRound > 0 && few.protocolPerRound > 0)
        #expect(long.prediction.peakMemory - short.prediction.peakMemory == 8 * 18 * 3400)
    }
}
