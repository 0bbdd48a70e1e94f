import GMP
import SecureAgg
import Testing

@Suite struct TrafficTests {
    @Test(
        "Predicted bytes equal the counted ones when nobody is lost",
        arguments: [(5, 100, 16), (16, 5000, 20), (40, 1, 32)])
    func exact(clients: Int, dimension: Int, bits: Int) throws {
        let round = try LoopbackRound(
            clients: clients, dimension: dimension, modulusBits: bits, chunkLength: 1024)
        let outcome = round.run()
        let predicted = try Traffic(round.parameters, advertised: clients)
        for stage in Stage.allCases {
            let volume = try #require(predicted.stages[stage])
            #expect(volume.up == outcome.up[stage])
            let result = stage == .unmask ? predicted.resultPerClient * clients : 0
            // Time stamps of the manifest and odd Merkle paths are the only estimates.
            let counted = outcome.down[stage]!
            #expect(abs(volume.down + result - counted) <= clients * 64)
        }
        #expect(predicted.totalUp == outcome.up.values.reduce(0, +))
        #expect(abs(predicted.totalDown - outcome.down.values.reduce(0, +)) <= clients * 96)
    }

    @Test("With losses the prediction stays within 2 % of what was counted")
    func losses() throws {
        let round = try LoopbackRound(
            clients: 120, dimension: 2000, minSurvivors: 60, cohortFloor: 100, colluders: Rational("0.05")!,
            dropouts: Rational("0.1")!, threads: 2)
        for index in 0..<5 { round.lossStage[index] = .shareKeys }
        for index in 5..<11 { round.lossStage[index] = .submitMaskedInput }
        round.lossStage[11] = .confirmSurvivors
        let outcome = round.run()
        #expect(outcome.sum != nil)
        let predicted = try Traffic(
            round.parameters, advertised: 120, shared: 115, masked: 109, confirmed: 108, unmasked: 108)
        let up = outcome.up.values.reduce(0, +)
        let down = outcome.down.values.reduce(0, +)
        #expect(abs(predicted.totalUp - up) * 50 <= up)
        #expect(abs(predicted.totalDown - down) * 50 <= down)
    }
}

@Suite struct DrillTests {
    @Test("A drill with losses is exact and counts what it lost")
    func lossy() throws {
        var time: UInt64 = 0
        let drill = Drill(
            clients: 20, dimension: 3000,
            drops: [.submitMaskedInput: Rational(1, 5), .confirmSurvivors: Rational(1, 20)], seed: 7,
            threads: 2)
        let report = try drill.run {
            time += 1
            return time
        }
        #expect(report.isExact && report.survivors == 16 && report.abort == nil)
        #expect(report.stages[.submitMaskedInput]?.answers == 16)
        #expect(report.stages[.confirmSurvivors]?.answers == 15)
        #expect(report.topology?.neighbours == 19)
    }

    @Test("The same seed gives the same transcript, whatever the threads")
    func deterministic() throws {
        func root(_ threads: Int, _ seed: UInt64) throws -> String? {
            try Drill(clients: 8, dimension: 500, seed: seed, threads: threads).run { 0 }.sum?.transcript.root
                .hex
        }
        #expect(try root(1, 5) == root(2, 5))
        #expect(try root(1, 5) != root(1, 6))
    }

    @Test("Losses beyond the threshold abort without a sum")
    func aborts() throws {
        let drill = Drill(clients: 20, dimension: 10, drops: [.submitMaskedInput: Rational(3, 5)], seed: 1)
        let report = try drill.run { 0 }
        #expect(report.sum == nil && !report.isExact)
        #expect(report.abort?.check == .belowSurvivorFloor)
    }
}

@Suite struct DrillFaultTests {
    private func run(_ faults: [DrillFault], clients: Int = 12) throws -> Drill.Report {
        try Drill(
            clients: clients, dimension: 600, drops: [.submitMaskedInput: Rational(1, 12)], seed: 3,
            dropoutFraction: Rational(1, 4), faults: faults
        ).run { 0 }
    }

    @Test("Faults of one client cost at most its own contribution")
    func oneClient() throws {
        let plain = try run([])
        #expect(plain.isExact && plain.survivors == 11 && plain.refusals.isEmpty && plain.departures.isEmpty)
        let late = try run([.lateMaskedInput])
        #expect(late.isExact && late.survivors == 10 && Set(late.refusals.map(\.check)) == [.wrongStage])
        let flipped = try run([.flip])
        #expect(flipped.isExact && flipped.survivors == 10 && flipped.refusals.count == 1)
        let replayed = try run([.replay])
        #expect(replayed.isExact && replayed.survivors == 11)
        #expect(Set(replayed.refusals.map(\.check)).isSubset(of: [.wrongStage, .wrongSession]))
        #expect(!replayed.refusals.isEmpty)
        let lied = try run([.lieShare])
        #expect(lied.isExact && lied.survivors == 11)
        #expect(Set(lied.sum!.faults.map(\.check)) == [.wrongShare])
    }

    @Test("A lying server opens nothing")
    func lyingServer() throws {
        let equivocated = try run([.equivocateSurvivors])
        #expect(equivocated.sum == nil && equivocated.abort?.check == .tooFewSignatures)
        let swapped = try run([.swapKey])
        #expect(swapped.sum == nil && Set(swapped.departures.map(\.check)) == [.badSignature])
        #expect(swapped.departures.count == 12)
    }

    @Test("kill-server@STAGE: the restarted server ends with the same transcript", arguments: Stage.allCases)
    func killed(stage: Stage) throws {
        let plain = try run([])
        let killed = try run([.killServer(stage)])
        #expect(killed.isExact && killed.sum?.transcript.root == plain.sum?.transcript.root)
    }

    @Test("A server that shows every second survivor another list opens nothing, whatever the cohort's size")
    func equivocation() throws {
        for clients in 3...13 {
            let report = try run([.equivocateSurvivors], clients: clients)
            #expect(report.sum == nil && report.abort?.check == .tooFewSignatures, "\(clients) clients")
            // Every second one signed the other list, or found that its own place in it is wrong.
            let lied = (report.trace.count(.answered, at: .submitMaskedInput) + 1) / 2
            let gone = report.trace.count(.left, at: .confirmSurvivors)
            #expect(report.trace.count(.refused, at: .confirmSurvivors) + gone == lied)
        }
    }

    @Test("The trace tells who answered, was lost, late or refused, and who is in the sum")
    func traces() throws {
        let late = try run([.lateMaskedInput]).trace
        #expect(late.count(.answered, at: .submitMaskedInput) == 10)
        #expect(
            late.count(.lost, at: .submitMaskedInput) == 1 && late.count(.late, at: .submitMaskedInput) == 1)
        #expect(late.isInSum.count { $0 } == 10)
        #expect(try run([.flip]).trace.count(.refused, at: .submitMaskedInput) == 1)
        #expect(try run([.swapKey]).trace.count(.left, at: .shareKeys) == 12)
        #expect(try run([.replay]).trace.count(.answered, at: .unmask) == 11)
    }

    @Test("Faults that exclude one another are told apart from those that do not")
    func contradictions() {
        #expect(DrillFault.contradiction(in: [.swapKey, .lieShare]) != nil)
        #expect(DrillFault.contradiction(in: [.equivocateSurvivors, .killServer(.unmask)]) != nil)
        #expect(DrillFault.contradiction(in: [.flip, .lateMaskedInput]) != nil)
        #expect(DrillFault.contradiction(in: [.flip, .lieShare]) != nil)
        #expect(
            DrillFault.contradiction(in: [
                .replay, .lieShare, .killServer(.shareKeys), .killServer(.submitMaskedInput),
            ]) == nil)
        #expect(DrillFault.contradiction(in: [.replay, .swapKey, .killServer(.advertiseKeys)]) == nil)
    }

    @Test("Names of faults are read back")
    func names() {
        for fault in DrillFault.all { #expect(DrillFault(name: fault.name) == fault) }
        #expect(DrillFault(name: "kill-server") == nil)
        #expect(DrillFault.all.count == 12)
    }
}
