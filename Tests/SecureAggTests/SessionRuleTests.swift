import GMP
import SecureAgg
import Sodium
import Testing

@Suite struct SessionRuleTests {
    private struct BrokenJournal: Error {}

    private final class FailingJournal: ClientJournal {
        let failAt: Stage
        init(failAt: Stage) { self.failAt = failAt }
        func latestRound(of task: String) -> UInt64? { nil }
        func record(_ entry: JournalEntry) throws { if entry.stage == failAt { throw BrokenJournal() } }
    }

    @Test(
        "crash_client_each_phase: after a restart the round cannot be entered again",
        arguments: Stage.allCases)
    func clientCrash(stage: Stage) throws {
        let round = try LoopbackRound(clients: 5)
        round.tamperDown = { at, index, bytes in
            // The process restarts: same identity, same journal, no memory.
            if at == stage, index == 2 { round.sessions[2] = round.session(2) }
            return bytes
        }
        let outcome = round.run()
        if stage == .advertiseKeys {
            #expect(outcome.clientFaults.isEmpty)
        } else {
            #expect(outcome.clientFaults[round.identities[2].id]?.check == .outOfOrder)
            var random = round.random
            #expect(throws: AggregationFault.self) {
                try round.session(2).advertiseKeys(round.server.manifestMessage, now: 1, random: &random)
            }
        }
        let survivors =
            stage == .advertiseKeys || stage > .submitMaskedInput ? [0, 1, 2, 3, 4] : [0, 1, 3, 4]
        #expect(outcome.sum?.elements == round.plainSum(survivors))
    }

    @Test("Nothing leaves when the journal cannot be written", arguments: Stage.allCases)
    func journalFails(stage: Stage) throws {
        let round = try LoopbackRound(clients: 5)
        round.sessions[1] = ClientSession(
            identity: round.identities[1], server: round.serverKey.verifyingKey, roster: round.roster,
            policy: round.policy(), journal: FailingJournal(failAt: stage))
        let outcome = round.run()
        #expect(outcome.clientFaults[round.identities[1].id]?.check == .journal)
        #expect(outcome.sum != nil)
    }

    @Test("The journal holds one entry per stage, each with the digest of the bytes that left")
    func journalEntries() throws {
        let round = try LoopbackRound(clients: 5)
        var sent: [Stage: [UInt8]] = [:]
        round.tamperUp = { stage, index, messages in
            if index == 0 { sent[stage] = messages[0] }
            return messages
        }
        _ = round.run()
        let entries = round.journals[0].entries
        #expect(entries.map(\.stage) == Stage.allCases)
        for entry in entries {
            #expect(entry.message == Digest.of(sent[entry.stage]!))
            #expect(entry.manifest == round.server.manifestDigest)
        }
    }

    @Test("Every message is the same on one thread and on several, on both sides")
    func threads() throws {
        func messages(threads: Int) throws -> [[UInt8]] {
            let round = try LoopbackRound(clients: 7, dimension: 20_000, chunkLength: 4096, threads: threads)
            round.lossStage = [3: .submitMaskedInput]
            var all: [[UInt8]] = []
            round.tamperUp = { _, _, messages in
                all += messages
                return messages
            }
            round.tamperDown = { _, _, bytes in
                all.append(bytes)
                return bytes
            }
            let sum = try #require(round.run().sum)
            #expect(sum.elements == round.plainSum([0, 1, 2, 4, 5, 6]))
            return all + [sum.transcript.bytes]
        }
        let one = try messages(threads: 1)
        #expect(try messages(threads: 2) == one)
        #expect(try messages(threads: 5) == one)
    }

    @Test("Calls out of order are misuse and end the session")
    func outOfOrder() throws {
        let round = try LoopbackRound(clients: 5)
        let session = round.sessions[0]
        #expect(throws: AggregationFault.self) { try session.confirmSurvivors([]) }
        var random = round.random
        #expect(throws: AggregationFault.self) {
            try session.advertiseKeys(round.server.manifestMessage, now: 1, random: &random)
        }
    }

    @Test("A vector of another length is the caller's mistake and sends nothing")
    func wrongLength() throws {
        let round = try LoopbackRound(clients: 5)
        var caught: AggregationFault?
        round.tamperDown = { stage, index, bytes in
            guard stage == .submitMaskedInput, index == 0 else { return bytes }
            do throws(AggregationFault) {
                _ = try round.sessions[0].maskedInput(bytes, values: [1, 2, 3])
            } catch { caught = error }
            return nil
        }
        let outcome = round.run()
        #expect(caught?.scope == .misuse && caught?.check == .vectorLength)
        #expect(outcome.sum?.elements == round.plainSum(1..<5))
    }

    @Test("crash_server_each_phase: replaying the stored inputs gives the same bytes")
    func serverResume() throws {
        let round = try LoopbackRound(clients: 6, dimension: 200)
        round.lossStage = [1: .submitMaskedInput, 2: .confirmSurvivors]
        enum Event { case message([UInt8], ClientID), close }
        var log: [Event] = []
        round.tamperUp = { _, index, messages in
            for message in messages { log.append(.message(message, round.identities[index].id)) }
            return messages
        }
        round.beforeClose = { _, _ in log.append(.close) }
        let outcome = round.run()
        let sum = try #require(outcome.sum)

        // A new process with the same manifest: same nonce, same key, same inputs.
        var twinRandom = StreamRandom(seed: 0x5eed_0100, label: "loopback")
        for _ in 0..<6 { _ = SigningKey(generatedBy: &twinRandom) }
        _ = SigningKey(generatedBy: &twinRandom)
        let manifest = RoundManifest(
            parameters: round.parameters, serverNonce: Digest(bytes: twinRandom.bytes(32))!,
            rosterDigest: round.roster?.digest, deadlines: [1, 2, 3, 4, 5], expiry: 1000)
        let resumed = ServerSession(
            manifest: manifest, signingKey: round.serverKey, roster: round.roster, threads: 2)
        #expect(resumed.manifestMessage == round.server.manifestMessage)
        for event in log {
            switch event {
            case .message(let bytes, let sender): try resumed.receive(bytes, from: sender)
            case .close:
                if case .released(let again, _) = resumed.closeStage() {
                    #expect(again.elements == sum.elements)
                    #expect(again.transcript.bytes == sum.transcript.bytes)
                }
            }
        }
        #expect(resumed.hasEnded)
        guard case .aborted(let fault) = resumed.closeStage() else {
            Issue.record("an ended session opened something")
            return
        }
        #expect(fault.check == .finished)
    }

    @Test("The server waits for exactly those who have not answered")
    func awaited() throws {
        let round = try LoopbackRound(clients: 5)
        round.lossStage = [4: .shareKeys]
        var seen: [Stage: [ClientID]] = [:]
        round.beforeClose = { stage, server in seen[stage] = server.awaited }
        _ = round.run()
        #expect(seen[.shareKeys] == [round.identities[4].id])
        #expect(
            seen[.submitMaskedInput]!.isEmpty && seen[.confirmSurvivors]!.isEmpty && seen[.unmask]!.isEmpty)
        let abandoned = try LoopbackRound(clients: 5)
        guard case .aborted(let fault) = abandoned.server.abandon() else {
            Issue.record("abandoning did not abort")
            return
        }
        #expect(fault.check == .abandoned && abandoned.server.hasEnded)
    }

    @Test("Default floors: 32 clients, 16 survivors beyond the colluders, and 3 in any case")
    func floors() throws {
        func parameters(_ cohort: ClosedRange<Int>, _ survivors: Int, tiny: Bool) throws
            -> AggregationParameters
        {
            try AggregationParameters(
                task: "t", round: 1, context: .of([]), vectorLength: 1, modulusBits: 16, cohort: cohort,
                minSurvivors: survivors, colluderFraction: Rational(1, 10), dropoutFraction: Rational(1, 10),
                allowTinyCohort: tiny)
        }
        #expect(throws: Never.self) { try parameters(32...40, 20, tiny: false) }
        #expect(throws: ParameterError.self) { try parameters(31...40, 20, tiny: false) }
        #expect(throws: ParameterError.self) { try parameters(32...40, 19, tiny: false) }
        #expect(throws: Never.self) { try parameters(3...8, 2, tiny: true) }
        #expect(throws: ParameterError.self) { try parameters(2...8, 2, tiny: true) }
        #expect(throws: ParameterError.self) { try parameters(3...8, 1, tiny: true) }
    }

    @Test("giant_lengths: absurd manifests are refused before anything is allocated")
    func giants() {
        func make(_ length: Int, _ cohort: ClosedRange<Int>, _ chunk: Int) throws -> AggregationParameters {
            try AggregationParameters(
                task: "t", round: 1, context: .of([]), vectorLength: length, modulusBits: 16, cohort: cohort,
                minSurvivors: 20, colluderFraction: 0, dropoutFraction: 0, chunkLength: chunk)
        }
        #expect(throws: ParameterError.self) { try make(1 << 31, 32...64, 64) }
        #expect(throws: ParameterError.self) { try make(0, 32...64, 64) }
        #expect(throws: ParameterError.self) { try make(10, 32...(1 << 40), 64) }
        #expect(throws: ParameterError.self) { try make(10, 32...64, 1 << 30) }
        #expect(throws: ParameterError.self) { try make(10, 32...64, 65) }
    }

    @Test("A roster survives its signature and refuses every flipped byte")
    func roster() throws {
        var random = StreamRandom(seed: 8, label: "roster")
        let authority = SigningKey(generatedBy: &random)
        let entries = (0..<5).map {
            Roster.Entry(id: ClientID(UInt64(100 - $0)), key: SigningKey(generatedBy: &random).verifyingKey)
        }
        let roster = try Roster(epoch: 4, entries: entries)
        let signed = roster.signed(by: authority)
        #expect(try Roster(signedBytes: signed, authority: authority.verifyingKey) == roster)
        for index in signed.indices {
            var altered = signed
            altered[index] ^= 1
            #expect(throws: RosterError.self) {
                try Roster(signedBytes: altered, authority: authority.verifyingKey)
            }
        }
        #expect(throws: RosterError.notDistinct(ClientID(1))) {
            try Roster(
                epoch: 1, entries: [entries[0], entries[1]].map { .init(id: ClientID(1), key: $0.key) })
        }
        #expect(throws: RosterError.keyUsedTwice) {
            try Roster(epoch: 1, entries: [1, 2].map { .init(id: ClientID($0), key: entries[0].key) })
        }
    }
}
