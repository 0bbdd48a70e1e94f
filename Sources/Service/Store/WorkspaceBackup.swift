import DP
import FedTrain
import Foundation
import GMP
import Models
import Sodium

/// A copy of a server's or a client's workspace that can be taken while it is in use, and put back.
///
/// What a copy cannot know is what was spent after it was made. Whoever puts it back says how far the run
/// came, and the rounds in between are charged first: a restored ledger never counts too little.
package enum WorkspaceBackup {
    /// The list of a copy's files with their digests.
    static let manifest = "backup.json"
    private static let schema = "fedtrain-backup/1"

    private struct Manifest: Codable {
        let schema: String
        /// Seconds since 1970.
        let made: Int
        /// Path to BLAKE2b-256 of the contents.
        let files: [String: String]
    }

    package struct Summary: Equatable, Sendable {
        package let files: Int
        package let bytes: Int
        /// The latest round that any unfinished run's ledger knows.
        package let latestRound: Int?
    }

    // MARK: Making

    /// Copies a workspace into a directory that does not exist yet.
    ///
    /// - Parameter now: seconds since 1970.
    package static func make(of workspace: Workspace, at target: String, now: Int) throws -> Summary {
        guard !FileManager.default.fileExists(atPath: target) else {
            throw CheckpointError(
                .cannotWrite, file: target, "there is something already", hint: "Give another name")
        }
        let partial = target + ".partial"
        // Between two entries of the ledgers, so that no file is ahead of what was paid for.
        for _ in 0..<20 {
            try? FileManager.default.removeItem(atPath: partial)
            try AtomicFile.makeDirectory(partial)
            chmod(partial, 0o700)
            let before = ledgers(of: workspace)
            var digests: [String: String] = [:]
            var total = 0
            for path in files(of: workspace) {
                let bytes = try contents("\(workspace.root)/\(path)")
                try write(bytes, to: "\(partial)/\(path)", like: "\(workspace.root)/\(path)")
                digests[path] = Digest.of(bytes).hex
                total += bytes.count
            }
            let store = "state/server.db"
            if FileManager.default.fileExists(atPath: "\(workspace.root)/\(store)") {
                try AtomicFile.makeDirectory("\(partial)/state")
                let source = try ServiceStore(path: "\(workspace.root)/\(store)")
                try source.backup(to: "\(partial)/\(store)")
                try source.close()
                let bytes = try contents("\(partial)/\(store)")
                digests[store] = Digest.of(bytes).hex
                total += bytes.count
            }
            guard ledgers(of: workspace) == before else { continue }
            try AtomicFile.write(
                try JSONFile.bytes(Manifest(schema: schema, made: now, files: digests)),
                to: "\(partial)/\(manifest)")
            guard rename(partial, target) == 0 else {
                throw CheckpointError(.cannotWrite, file: target, "the finished copy cannot be renamed")
            }
            return Summary(
                files: digests.count, bytes: total, latestRound: latestRound(of: workspace))
        }
        try? FileManager.default.removeItem(atPath: partial)
        throw BackupError.workspaceBusy
    }

    /// Everything but locks, half-written files and the database, which is copied by its own means.
    private static func files(of workspace: Workspace) -> [String] {
        var found: [String] = []
        let all = FileManager.default.enumerator(atPath: workspace.root)
        while let path = all?.nextObject() as? String {
            let name = (path as NSString).lastPathComponent
            guard all?.fileAttributes?[.type] as? FileAttributeType == .typeRegular, name != ".lock",
                !path.hasPrefix("state/server.db"), !name.hasSuffix(".partial"), !name.hasSuffix(".new")
            else { continue }
            found.append(path)
        }
        // Ledgers last: then they are never behind a file that depends on them.
        return found.sorted { isLedger($0) == isLedger($1) ? $0 < $1 : !isLedger($0) }
    }

    private static func isLedger(_ path: String) -> Bool { path.contains("ledger.jsonl") }

    private static func ledgers(of workspace: Workspace) -> [Data?] {
        workspace.runs().map { FileManager.default.contents(atPath: $0.ledger) }
    }

    // MARK: Putting back

    /// How far runs came after the copy was made.
    package enum Since: Equatable, Sendable {
        /// Nothing was run after the copy.
        case nothing
        /// Up to and with this round of the run that is unfinished in the copy.
        case round(Int)
    }

    /// Checks a copy and puts it into a directory that does not exist yet, with the rounds that ran since
    /// charged to its ledger.
    ///
    /// - Parameters:
    ///   - keyFile: the key of the ledger; a server's own lies in its workspace.
    ///   - now: seconds since 1970.
    package static func restore(
        _ source: String, to workspace: Workspace, since: Since, keyFile: String?, now: Int
    ) throws -> Summary {
        guard !FileManager.default.fileExists(atPath: workspace.root) else {
            throw BackupError.targetExists(workspace.root)
        }
        let list = try verified(source)
        let partial = workspace.root + ".partial"
        try? FileManager.default.removeItem(atPath: partial)
        var total = 0
        for path in list.files.keys.sorted() {
            let bytes = try contents("\(source)/\(path)")
            try write(bytes, to: "\(partial)/\(path)", like: "\(source)/\(path)")
            total += bytes.count
        }
        let restored = Workspace(root: partial)
        if case .round(let latest) = since {
            try charge(restored, through: latest, keyFile: keyFile, now: now)
        }
        guard rename(partial, workspace.root) == 0 else {
            throw CheckpointError(.cannotWrite, file: workspace.root, "the restored copy cannot be renamed")
        }
        return Summary(files: list.files.count, bytes: total, latestRound: latestRound(of: workspace))
    }

    private static func verified(_ source: String) throws -> Manifest {
        guard
            let list = try? JSONDecoder().decode(
                Manifest.self, from: Data(contents("\(source)/\(manifest)"))), list.schema == schema
        else {
            throw CheckpointError(.malformed, file: "\(source)/\(manifest)", "this is no copy of a workspace")
        }
        for (path, digest) in list.files {
            // A list from elsewhere must not name files outside the copy.
            guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                throw BackupError.damaged(path)
            }
            guard let bytes = try? contents("\(source)/\(path)"), Digest.of(bytes).hex == digest else {
                throw BackupError.damaged("\(source)/\(path)")
            }
        }
        return list
    }

    /// Enters every round after the copy's latest one as spent.
    private static func charge(
        _ workspace: Workspace, through latest: Int, keyFile: String?, now: Int
    ) throws {
        let key = try keyFile.map { try SigningKeyFile.read($0) } ?? ServerKeyFile.load(in: workspace)
        guard let run = workspace.runs().last(where: { FileManager.default.fileExists(atPath: $0.ledger) })
        else { return }
        let file = try LedgerFile.open(try FileLedgerStorage(path: run.ledger), key: key)
        guard !file.ledger.isClosed else { throw BackupError.runIsOver(run.name) }
        for round in file.ledger.openRounds {
            try file.abort(
                round: round, beforeAnythingLeft: false, reason: "restored from a copy made in this round",
                at: now)
        }
        let known = file.ledger.rounds.keys.max() ?? 0
        guard latest >= known else { throw BackupError.roundIsPast(latest, known: known) }
        for round in known..<latest {
            _ = try file.reserve(round: round + 1, at: now)
            try file.abort(
                round: round + 1, beforeAnythingLeft: false,
                reason: "restored from a copy made before this round", at: now)
        }
    }

    private static func latestRound(of workspace: Workspace) -> Int? {
        guard let run = workspace.runs().last, let data = FileManager.default.contents(atPath: run.ledger),
            let end = data.lastIndex(of: UInt8(ascii: "\n")),
            let ledger = try? Ledger.verify(Array(data[...end])), !ledger.isClosed
        else { return nil }
        return ledger.rounds.keys.max() ?? 0
    }

    // MARK: Files

    private static func contents(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CheckpointError(.missingFile, file: path, "the file is gone, or cannot be read")
        }
        return Array(data)
    }

    /// Writes a file with its original's permissions: a private key is never readable by others.
    private static func write(_ bytes: [UInt8], to path: String, like original: String) throws {
        try AtomicFile.makeDirectory((path as NSString).deletingLastPathComponent)
        var status = stat()
        let mode = stat(original, &status) == 0 ? status.st_mode & 0o777 : 0o600
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw CheckpointError(.cannotWrite, file: path, "the copy cannot be created")
        }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                throw CheckpointError(.cannotWrite, file: path, "the copy cannot be written")
            }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else {
            throw CheckpointError(.cannotWrite, file: path, "the copy cannot be written")
        }
    }
}

/// Why a copy was not made or not put back.
package enum BackupError: Error, Equatable, Sendable {
    /// Ledger entries came faster than files could be copied.
    case workspaceBusy
    case targetExists(String)
    case damaged(String)
    /// The copy's latest run is closed: it has no round after it.
    case runIsOver(String)
    case roundIsPast(Int, known: Int)
}
