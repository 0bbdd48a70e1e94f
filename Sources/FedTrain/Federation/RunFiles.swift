import DP
import Foundation
import Models
import Sodium

/// The digests by which a run's ledger names the run's other files, so that an audit notices any change.
///
/// Each release names the adapter it led to; the last note before the close names the final adapter, the
/// configuration, the log of events and all clients' own ledgers. A run that did not reach its close has no
/// such note; its log of events and configuration are then nobody's statement.
enum RunFiles {
    static let roundAdapterField = LedgerFacts.adapterFiles

    /// The note before the close. It names what is there: a server has no ledgers of its clients.
    static func closingPayload(of run: RunDirectory) throws -> [String: String] {
        var payload = [
            "what": "final adapter written",
            LedgerFacts.adapterFiles: try adapterDigest(in: run.adapter).hex,
        ]
        for (field, path) in singleFiles(of: run) where FileManager.default.fileExists(atPath: path) {
            payload[field] = try fileDigest(path).hex
        }
        // A server that others join has no client's ledger: each keeps its own.
        if FileManager.default.fileExists(atPath: run.clients) {
            payload[LedgerFacts.clientLedgers] = try clientLedgers(of: run).hex
        }
        return payload
    }

    /// One digest over the files of an adapter's directory: the configuration and the weights, under the name
    /// that their kind has, and what is kept for further training.
    static func adapterDigest(in directory: String) throws -> Digest {
        let weights = [
            PeftAdapter.weightsFile, PeftAdapter.bottleneckFile, PeftAdapter.encoderFile,
        ].filter { FileManager.default.fileExists(atPath: "\(directory)/\($0)") }
        guard !weights.isEmpty else {
            throw CheckpointError(
                .missingFile, file: "\(directory)/\(PeftAdapter.weightsFile)", "there is no such file")
        }
        return try BaseModel.digest(of: [PeftAdapter.configurationFile] + weights, in: directory)
    }

    /// What differs from what the ledger names, in words.
    static func findings(_ run: RunDirectory, _ ledger: Ledger) -> [String] {
        var findings: [String] = []
        func check(_ expected: String?, _ what: String, _ found: () throws -> Digest) {
            guard let expected, (try? found())?.hex != expected else { return }
            findings.append("\(what): not what the ledger names, or missing")
        }
        for record in ledger.records where record.kind == .release {
            guard let round = record.round else { continue }
            check(record.payload[roundAdapterField], "adapter of round \(round)") {
                try adapterDigest(in: run.globalAdapter(round: round))
            }
        }
        let notes = ledger.records.filter { $0.kind == .note }.map(\.payload)
        guard let note = notes.last(where: { $0[LedgerFacts.adapterFiles] != nil }) else {
            if ledger.isClosed || FileManager.default.fileExists(atPath: run.adapter) {
                findings.append("adapter: no record of the ledger names it")
            }
            return findings
        }
        check(note[LedgerFacts.adapterFiles], "adapter") { try adapterDigest(in: run.adapter) }
        for (field, path) in singleFiles(of: run) {
            check(note[field], (path as NSString).lastPathComponent) { try fileDigest(path) }
        }
        check(note[LedgerFacts.clientLedgers], "clients' ledgers") { try clientLedgers(of: run) }
        return findings
    }

    private static func singleFiles(of run: RunDirectory) -> [(field: String, path: String)] {
        [
            (LedgerFacts.configurationFile, run.configuration), (LedgerFacts.eventsFile, run.events),
        ]
    }

    /// One digest over the names and contents of all files under `clients/`.
    private static func clientLedgers(of run: RunDirectory) throws -> Digest {
        let names = try FileManager.default.contentsOfDirectory(atPath: run.clients).sorted()
        return Digest.labelled(
            "fedtrain/v1/client-ledgers",
            try names.flatMap { [Array($0.utf8), try fileDigest("\(run.clients)/\($0)").bytes] })
    }
}
