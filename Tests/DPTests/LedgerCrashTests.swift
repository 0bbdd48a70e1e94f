import DP
import Foundation
import GMP
import Sodium
import Testing

@Suite struct LedgerCrashTests {
    let key = LedgerFixtures.key
    /// GDP prices in microseconds, which matters where a ledger is opened thousands of times.
    let plan: PlanStatement

    init() throws { plan = try LedgerFixtures.plan(budget: 50, accountant: .gdp, rate: nil) }

    @Test func aCrashAtAnyByteOfAnAppendNeverForgetsAnAcknowledgedReservation() throws {
        // The state before a reservation, the full line that it writes, and its acknowledgement.
        let before = MemoryLedgerStorage()
        let file = try LedgerFile.create(in: before, key: key, plan: plan, at: 0)
        let (oldLog, oldAcknowledgement) = try before.load()
        _ = try file.reserve(round: 1, at: 1)
        let line = before.log.dropFirst(oldLog.count)
        for written in 0...line.count {
            let crashed = MemoryLedgerStorage(
                log: oldLog + line.prefix(written), acknowledgement: oldAcknowledgement)
            let reopened = try LedgerFile.open(crashed, key: key)
            let isWhole = written == line.count
            #expect(reopened.repairedBytes == (isWhole ? 0 : written))
            #expect(reopened.ledger.openRounds == (isWhole ? [1] : []))
            _ = try reopened.reserve(round: 2, at: 2)
            #expect((try? Ledger.verify(crashed.log)) != nil)
        }
        // Once acknowledged, no cut of the line is taken for a torn write.
        for written in 0..<line.count {
            let cut = MemoryLedgerStorage(
                log: oldLog + line.prefix(written), acknowledgement: before.acknowledgement)
            #expect(throws: LedgerError.self) { try LedgerFile.open(cut, key: key) }
            #expect(cut.log.count == oldLog.count + written, "a refusal repairs nothing")
        }
    }

    @Test(arguments: [false, true])
    func failingTheNthWriteForAllNKeepsTheLedgerTrue(isDead: Bool) throws {
        for part in [0, 1, 200, 100_000] {
            for fuse in 0..<40 {
                let memory = MemoryLedgerStorage()
                let storage = FaultyLedgerStorage(memory, fuse: fuse, part: part, isDead: isDead)
                var permits: [Int] = []
                var finished = 0
                do {
                    let file = try LedgerFile.create(in: storage, key: key, plan: plan, at: 0)
                    for round in 1...6 {
                        do {
                            let permit = try file.reserve(round: round, at: round)
                            permits.append(permit.round)
                            try file.commit(round: round, survivors: 8, at: round)
                            finished += 1
                        } catch { continue }
                    }
                } catch {}
                // Restart on what the disk holds.
                guard let reopened = try? LedgerFile.open(memory, key: key) else {
                    #expect(permits.isEmpty, "fuse \(fuse) part \(part): permits without a ledger")
                    let again = try LedgerFile.create(in: memory, key: key, plan: plan, at: 0)
                    #expect(again.ledger.records.count == 1)
                    continue
                }
                let rounds = reopened.ledger.rounds
                for round in permits {
                    #expect(rounds[round] != nil, "fuse \(fuse) part \(part): permit \(round) forgotten")
                }
                #expect(rounds.values.count { $0.state == .committed } >= finished)
                // At most the one record in flight is there without its caller knowing.
                #expect(rounds.count <= permits.count + 1)
                _ = try reopened.reserve(round: 50, at: 50)
            }
        }
    }

    @Test func aFailedWriteReportsAndTheSameProcessCanGoOn() throws {
        let memory = MemoryLedgerStorage()
        let storage = FaultyLedgerStorage(memory, fuse: nil, part: 17, isDead: false)
        let file = try LedgerFile.create(in: storage, key: key, plan: plan, at: 0)
        storage.fuse = 0
        let length = memory.log.count
        #expect(throws: LedgerError.storage("no space left on device")) {
            _ = try file.reserve(round: 1, at: 0)
        }
        #expect(memory.log.count == length, "the torn line is gone")
        #expect(file.ledger.rounds.isEmpty)
        let permit = try file.reserve(round: 1, at: 0)
        #expect(permit.reservation == file.ledger.head && permit.round == 1)
    }

    @Test func aLedgerIsNeverStartedTwiceOrWithoutItsAcknowledgement() throws {
        let memory = MemoryLedgerStorage()
        let file = try LedgerFile.create(in: memory, key: key, plan: plan, at: 0)
        #expect(throws: LedgerError.alreadyExists) {
            try LedgerFile.create(in: memory, key: key, plan: plan, at: 0)
        }
        _ = try file.reserve(round: 1, at: 0)
        let lost = MemoryLedgerStorage(log: memory.log, acknowledgement: nil)
        #expect(throws: LedgerError.self) { try LedgerFile.open(lost, key: key) }
        let broken = MemoryLedgerStorage(log: memory.log, acknowledgement: Array("{}".utf8))
        #expect(throws: LedgerError.self) { try LedgerFile.open(broken, key: key) }
        #expect(throws: LedgerError.wrongKey) {
            try LedgerFile.open(memory, key: LedgerFixtures.signingKey(9))
        }
        #expect(throws: LedgerError.empty) { try LedgerFile.open(MemoryLedgerStorage(), key: key) }
    }

    @Test func filesAreLockedDurableAndRepairable() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ledger-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("run.jsonl").path
        do {
            let file = try LedgerFile.create(
                in: FileLedgerStorage(path: path), key: key, plan: plan, at: 0)
            _ = try file.reserve(round: 1, at: 1)
            #expect(throws: LedgerError.inUse) { try FileLedgerStorage(path: path) }
        }
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(try Ledger.verify(bytes).openRounds == [1])
        // A torn write of a later, never acknowledged line.
        try Data(bytes + Array("{\"kind\":\"re".utf8)).write(to: URL(fileURLWithPath: path))
        do {
            let file = try LedgerFile.open(FileLedgerStorage(path: path), key: key)
            #expect(file.repairedBytes == 11)
            try file.commit(round: 1, survivors: 6, at: 2)
        }
        let after = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(after.starts(with: bytes) && after.count > bytes.count)
        // Acknowledged bytes that vanish are not repaired.
        try Data(after.dropLast()).write(to: URL(fileURLWithPath: path))
        #expect(throws: LedgerError.self) { try LedgerFile.open(FileLedgerStorage(path: path), key: key) }
    }

    @Test func anUnwritablePathIsAStorageError() {
        #expect(throws: LedgerError.self) { try FileLedgerStorage(path: "/nonexistent-folder/ledger.jsonl") }
    }
}
