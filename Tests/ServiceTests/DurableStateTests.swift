import FedTrain
import Foundation
import SecureAgg
import Service
import Sodium
import Testing

/// What must be right after a crash: journal, store and snapshot, cut and damaged everywhere.
@Suite struct DurableStateTests {
    private let directory = FileManager.default.temporaryDirectory
        .appendingPathComponent("fedtrain-durable-\(UUID().uuidString)").path

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    private func entry(_ round: UInt64, _ stage: Stage) -> JournalEntry {
        JournalEntry(
            task: "t", round: round, manifest: .of([1]), stage: stage, message: .of([UInt8(round)]))
    }

    @Test func aJournalCutAnywhereKeepsEveryEntryThatWasSynced() throws {
        let path = "\(directory)/journal.jsonl"
        do {
            let journal = try FileJournal(path: path)
            try journal.record(entry(1, .advertiseKeys))
            try journal.record(entry(1, .submitMaskedInput))
            try journal.record(entry(2, .advertiseKeys))
        }
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for length in 0...whole.count {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            let lines = whole.prefix(length).count(where: { $0 == UInt8(ascii: "\n") })
            let journal = try FileJournal(path: path)
            #expect(journal.latestRound(of: "t") == [nil, 1, 1, 2][lines])
            #expect(journal.sentMaskedInput(1) == (lines >= 2))
            #expect(!journal.sentMaskedInput(2))
            try journal.record(entry(3, .unmask))
            #expect(try FileJournal(path: path).latestRound(of: "t") == 3)
        }
    }

    @Test func aJournalWithAForeignLineIsRefused() throws {
        let path = "\(directory)/foreign.jsonl"
        try Data("{}\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: (any Error).self) { try FileJournal(path: path) }
    }

    @Test func theStoreRemembersHowFarARoundGot() throws {
        let path = "\(directory)/server.db"
        do {
            let store = try ServiceStore(path: path)
            for stage in [Stage.advertiseKeys, .shareKeys] {
                try store.record(stage, run: "0001", round: 1, members: 5)
            }
            try store.record(.submitMaskedInput, run: "0001", round: 2, members: 5)
            try store.close()
        }
        let store = try ServiceStore(path: path)
        #expect(try store.latestStage(run: "0001", round: 1) == .shareKeys)
        #expect(!store.mayHaveLeft(run: "0001", round: 1))
        #expect(store.mayHaveLeft(run: "0001", round: 2))
        // What nobody wrote down may have happened.
        #expect(store.mayHaveLeft(run: "0001", round: 3))
        #expect(store.mayHaveLeft(run: "0002", round: 1))
    }

    @Test func theStoreRemembersTakenRequestsAsLongAsTheyCouldBeReplayed() throws {
        let path = "\(directory)/nonces.db"
        let (early, late) = (Digest.of([1]), Digest.of([2]))
        do {
            let store = try ServiceStore(path: path)
            try store.accept(early, until: 100)
            try store.accept(late, until: 200)
            try store.close()
        }
        #expect(try ServiceStore(path: path).nonces(stillValidAt: 100) == [early: 100, late: 200])
        #expect(try ServiceStore(path: path).nonces(stillValidAt: 101) == [late: 200])
        // What has expired is forgotten, whatever the clock says later.
        #expect(try ServiceStore(path: path).nonces(stillValidAt: 0) == [late: 200])
    }

    @Test func aBackupOfAnOpenStoreHoldsEverything() throws {
        let store = try ServiceStore(path: "\(directory)/live.db")
        try store.record(.unmask, run: "0001", round: 1, members: 5)
        try store.backup(to: "\(directory)/copy.db")
        #expect(try ServiceStore(path: "\(directory)/copy.db").latestStage(run: "0001", round: 1) == .unmask)
    }

    @Test func aDamagedStoreIsNamed() throws {
        let path = "\(directory)/damaged.db"
        try Data("this is no database, but it is long enough to be looked at as one".utf8)
            .write(to: URL(fileURLWithPath: path))
        #expect(throws: ServiceStoreError.self) { try ServiceStore(path: path) }
    }

    @Test func aSnapshotIsWholeOrRefused() throws {
        let snapshot = ServerSnapshot(
            round: 3, model: [1, -2.5, 1e-30],
            optimizers: [
                .init(steps: 2, first: [0.25], second: [4, 8]), .init(steps: 1, first: [3], second: []),
            ], release: ["adapter": "ab"])
        let bytes = try snapshot.bytes
        #expect(ServerSnapshot(bytes: bytes) == snapshot)
        for length in 0..<bytes.count { #expect(ServerSnapshot(bytes: Array(bytes.prefix(length))) == nil) }
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x10
            #expect(ServerSnapshot(bytes: changed) == nil)
        }
    }

    @Test(arguments: Problem.Kind.allCases) func problemsReadBack(kind: Problem.Kind) throws {
        let problem = Problem(kind, "why", offset: 7)
        #expect(Problem(json: problem.json) == problem)
        #expect((400..<600).contains(kind.status))
    }
}
