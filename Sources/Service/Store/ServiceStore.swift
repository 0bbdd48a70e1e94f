import FedTrain
import Foundation
import GRDB
import SecureAgg
import Sodium

/// The server's state beside ledger and snapshot, in SQLite with a write-ahead log: how far each round
/// got, and which requests for a session were taken.
///
/// A stage is durable here before its messages are handed out. After a crash this tells whether masked
/// vectors can have left a client; without it the answer is yes.
package final class ServiceStore: Sendable {
    private let database: DatabasePool

    /// Opens or creates the file and brings its tables up to date.
    ///
    /// - Throws: `ServiceStoreError` when the file is damaged or of a later version.
    package init(path: String) throws {
        do {
            var configuration = Configuration()
            configuration.prepareDatabase { database in
                // A stage that was told to anyone must survive a power cut.
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            database = try DatabasePool(path: path, configuration: configuration)
            let migrator = Self.migrator
            if try database.read(migrator.hasBeenSuperseded) {
                throw ServiceStoreError.laterVersion(path)
            }
            try migrator.migrate(database)
        } catch let error as DatabaseError {
            throw ServiceStoreError.unusable(path, "\(error.message ?? "SQLite error \(error.resultCode)")")
        }
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 stages") { database in
            try database.create(table: "stage") { table in
                table.column("run", .text).notNull()
                table.column("round", .integer).notNull()
                table.column("stage", .integer).notNull()
                table.column("members", .integer).notNull()
                table.primaryKey(["run", "round", "stage"])
            }
        }
        migrator.registerMigration("2 nonces") { database in
            try database.create(table: "nonce") { table in
                table.primaryKey("nonce", .blob)
                table.column("until", .integer).notNull()
            }
        }
        return migrator
    }

    /// Makes it durable that a stage's messages are about to be handed out.
    package func record(_ stage: Stage, run: String, round: Int, members: Int) throws {
        try write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO stage (run, round, stage, members) VALUES (?, ?, ?, ?)",
                arguments: [run, round, stage.rawValue, members])
        }
    }

    private func write(_ statements: (Database) throws -> Void) throws {
        do { try database.write(statements) } catch let error as DatabaseError {
            if error.resultCode == .SQLITE_FULL { throw ServiceStoreError.noSpace(database.path) }
            throw ServiceStoreError.unusable(
                database.path, "\(error.message ?? "SQLite error \(error.resultCode)")")
        }
    }

    /// Makes it durable that the session request with this nonce was taken.
    ///
    /// - Parameter until: seconds since 1970; after it the request is too old to be taken again.
    package func accept(_ nonce: Digest, until: UInt64) throws {
        try write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO nonce (nonce, until) VALUES (?, ?)",
                arguments: [Data(nonce.bytes), Int64(clamping: until)])
        }
    }

    /// The nonces that are still to be refused; forgets the others.
    ///
    /// - Parameter now: seconds since 1970.
    package func nonces(stillValidAt now: UInt64) throws -> [Digest: UInt64] {
        var nonces: [Digest: UInt64] = [:]
        try write { database in
            try database.execute(
                sql: "DELETE FROM nonce WHERE until < ?", arguments: [Int64(clamping: now)])
            for row in try Row.fetchAll(database, sql: "SELECT nonce, until FROM nonce") {
                guard let nonce = Digest(bytes: row["nonce"] as Data) else { continue }
                nonces[nonce] = UInt64(clamping: row["until"] as Int64)
            }
        }
        return nonces
    }

    /// The latest stage of a round whose messages were handed out.
    package func latestStage(run: String, round: Int) throws -> Stage? {
        try database.read { database in
            try Int.fetchOne(
                database, sql: "SELECT max(stage) FROM stage WHERE run = ? AND round = ?",
                arguments: [run, round])
        }.flatMap(Stage.init(rawValue:))
    }

    /// Whether masked vectors of a round can have left a client.
    package func mayHaveLeft(run: String, round: Int) -> Bool {
        // Without a record the answer is the one that can only charge too much.
        guard let latest = try? latestStage(run: run, round: round) else { return true }
        return latest >= .submitMaskedInput
    }

    /// Writes a consistent copy while the server runs.
    package func backup(to path: String) throws {
        let copy = try DatabaseQueue(path: path)
        try database.backup(to: copy)
        try copy.close()
    }

    package func close() throws { try database.close() }
}

package enum ServiceStoreError: Error, Equatable {
    case unusable(String, String)
    case noSpace(String)
    case laterVersion(String)
}
