import FedTrain
import GRDB
import SecureAgg

/// The server's state beside ledger and snapshot, in SQLite with a write-ahead log: how far each round
/// got, and what happened when.
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
        return migrator
    }

    /// Makes it durable that a stage's messages are about to be handed out.
    package func record(_ stage: Stage, run: String, round: Int, members: Int) throws {
        do {
            try database.write { database in
                try database.execute(
                    sql: "INSERT OR REPLACE INTO stage (run, round, stage, members) VALUES (?, ?, ?, ?)",
                    arguments: [run, round, stage.rawValue, members])
            }
        } catch let error as DatabaseError {
            throw ServiceStoreError.unusable(
                database.path, "\(error.message ?? "SQLite error \(error.resultCode)")")
        }
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
    case laterVersion(String)
}
