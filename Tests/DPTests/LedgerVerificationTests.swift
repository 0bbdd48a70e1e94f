import DP
import GMP
import Sodium
import Testing

@Suite struct LedgerVerificationTests {
    @Test func everyFlippedByteIsDetected() throws {
        let storage = MemoryLedgerStorage()
        let file = try LedgerFixtures.shortHistory(in: storage)
        let bytes = storage.log
        let key = LedgerFixtures.key.verifyingKey
        #expect(try Ledger.verify(bytes, expecting: key, head: file.ledger.head).records.count == 5)

        // Without expecting key or head: the file alone must give every flip away.
        var changed = bytes
        var undetected: [Int] = []
        for index in bytes.indices {
            // Every bit, which includes flips of a letter's case and of newlines.
            for bit in 0..<8 {
                changed[index] = bytes[index] ^ (1 << bit)
                if (try? Ledger.verify(changed)) != nil { undetected.append(index) }
            }
            changed[index] = bytes[index]
        }
        #expect(undetected.isEmpty, "flips pass at bytes \(undetected.prefix(9))")
    }

    @Test func everyRemovedOrInsertedByteIsDetected() throws {
        let storage = MemoryLedgerStorage()
        _ = try LedgerFixtures.shortHistory(in: storage)
        let bytes = storage.log
        var undetected: [Int] = []
        for index in bytes.indices {
            var shorter = bytes
            shorter.remove(at: index)
            if (try? Ledger.verify(shorter)) != nil { undetected.append(index) }
            var longer = bytes
            longer.insert(UInt8(ascii: " "), at: index)
            if (try? Ledger.verify(longer)) != nil { undetected.append(index) }
        }
        #expect(undetected.isEmpty, "changes pass at bytes \(undetected.prefix(9))")
        #expect(throws: LedgerError.self) { try Ledger.verify(bytes + [UInt8(ascii: "\n")]) }
    }

    @Test func cuttingAtAnyByteIsTornOrAnEarlierStateThatTheHeadExposes() throws {
        let storage = MemoryLedgerStorage()
        let head = try LedgerFixtures.shortHistory(in: storage).ledger.head
        for length in 0..<storage.log.count {
            let cut = Array(storage.log.prefix(length))
            #expect(throws: LedgerError.self) { try Ledger.verify(cut, head: head) }
            let isWhole = cut.last == UInt8(ascii: "\n")
            #expect(((try? Ledger.verify(cut)) != nil) == isWhole)
        }
    }

    @Test func linesCannotBeReorderedRemovedRepeatedOrTakenFromAnotherRun() throws {
        let storage = MemoryLedgerStorage()
        _ = try LedgerFixtures.history(in: storage)
        let lines = storage.log.split(separator: UInt8(ascii: "\n")).map { Array($0) + [UInt8(ascii: "\n")] }
        for index in lines.indices.dropFirst() {
            var swapped = lines
            swapped.swapAt(index, index - 1)
            #expect(throws: LedgerError.self) { try Ledger.verify(Array(swapped.joined())) }
            var repeated = lines
            repeated.insert(lines[index], at: index)
            #expect(throws: LedgerError.self) { try Ledger.verify(Array(repeated.joined())) }
            guard index < lines.count - 1 else { continue }
            var removed = lines
            removed.remove(at: index)
            #expect(throws: LedgerError.self) { try Ledger.verify(Array(removed.joined())) }
        }
        let other = MemoryLedgerStorage()
        _ = try LedgerFile.create(
            in: other, key: LedgerFixtures.signingKey(2), plan: LedgerFixtures.plan(), at: 999)
        let foreign = other.log.split(separator: UInt8(ascii: "\n")).map { Array($0) + [UInt8(ascii: "\n")] }
        #expect(throws: LedgerError.self) { try Ledger.verify(Array((foreign + lines.dropFirst()).joined())) }
        #expect(throws: LedgerError.wrongKey) {
            try Ledger.verify(other.log, expecting: LedgerFixtures.key.verifyingKey)
        }
    }

    @Test func recordsReadBackExactly() throws {
        let storage = MemoryLedgerStorage()
        let file = try LedgerFixtures.history(in: storage)
        let again = try Ledger.verify(storage.log)
        #expect(again.records == file.ledger.records)
        #expect(again.plan == (try LedgerFixtures.plan()))
        #expect(again.plan.digest == (try LedgerFixtures.plan()).digest)
        #expect(again.budget.spent == file.ledger.budget.spent)
        #expect(again.head == file.ledger.head)
        #expect(again.isClosed && again.openRounds.isEmpty)
    }

    @Test func theSameHistoryGivesTheSameBytes() throws {
        let first = MemoryLedgerStorage()
        let second = MemoryLedgerStorage()
        _ = try LedgerFixtures.history(in: first)
        _ = try LedgerFixtures.history(in: second)
        #expect(first.log == second.log)
        let text = String(decoding: first.log, as: UTF8.self)
        #expect(!text.contains(" \"") && !text.contains(": "), "no white space between tokens")
    }

    @Test func everyEventReadsBackExactly() throws {
        let base = AccountPropertyTests.kinds
        let trees: [PrivacyEvent.Kind] =
            base + [
                .composed(base), .repeated(base[0], count: 12), .composed([]), .unsupported("x\"\\\n\u{1}é"),
            ]
        for kind in trees {
            let event = try PrivacyEvent(unit: .record, adjacency: .zeroOut, kind: kind)
            let bytes = event.canonicalJSON.bytes
            let json = try #require(CanonicalJSON(canonical: bytes))
            #expect(try PrivacyEvent(canonicalJSON: json) == event)
        }
    }

    @Test(arguments: [
        #"{"a": "b"}"#, #"{"b":"1","a":"2"}"#, #"{"a":"1","a":"2"}"#, #"{"a":1}"#, #"{"a":"\u0041"}"#,
        #"{"a":"\n"}"#, #"{"a":"1"} "#, #"["1",]"#, #"{"a":"1""#, #""\/""#, "\"\u{7}\"", #"null"#, "",
    ])
    func onlyOneSpellingIsAccepted(text: String) {
        #expect(CanonicalJSON(canonical: Array(text.utf8)) == nil)
    }

    @Test func deepNestingIsRefusedWithoutRunningOutOfStack() {
        let bytes = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(CanonicalJSON(canonical: bytes) == nil)
    }
}
