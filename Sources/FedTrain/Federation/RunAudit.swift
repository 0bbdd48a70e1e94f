import DP
import Foundation
import Sodium

/// Checks a run's ledger and its acknowledgement, report, plot, signature and final adapter. The log of
/// events, the per-round adapters and the clients' own ledgers are not part of the report's claim.
public struct RunAudit {
    /// What does not verify, in words; empty when everything does.
    public private(set) var findings: [String] = []
    /// The report as the ledger gives it; nil when the ledger itself does not verify.
    public private(set) var report: PrivacyReport?
    public private(set) var key: VerifyingKey?

    public init(_ run: RunDirectory, expecting expected: VerifyingKey? = nil) throws {
        guard let ledgerBytes = Self.read(run.ledger) else { throw FederationError.notARun(run.path) }
        let ledger: Ledger
        do {
            ledger = try Ledger.verify(ledgerBytes, expecting: expected)
            report = try PrivacyReport(ledger)
        } catch {
            findings.append("ledger: \(error)")
            return
        }
        key = ledger.key
        checkReport(run, ledgerBytes, expected)
        compare(run.reportPlot, with: report?.epsilonPlotSVG() ?? [], "plot")
        let acknowledgement = "{\"head\":\"\(ledger.head.hex)\",\"length\":\"\(ledgerBytes.count)\"}"
        compare(run.ledger + ".ack", with: Array(acknowledgement.utf8), "ledger acknowledgement")
        checkAdapter(run, ledger)
    }

    private mutating func checkReport(
        _ run: RunDirectory, _ ledger: [UInt8], _ expected: VerifyingKey?
    ) {
        let paths = [run.reportJSON, run.reportHTML, run.reportSignature]
        let files = paths.map(Self.read)
        for (path, file) in zip(paths, files) where file == nil {
            findings.append("report: \(path) is missing; make it again: fedtrain report \(run.path)")
        }
        guard let json = files[0], let html = files[1], let signature = files[2] else { return }
        findings += ReportAudit.verify(
            ledger: ledger, json: json, html: html, signature: signature, expecting: expected
        ).map { "\($0)" }
    }

    /// The adapter's files must be those whose digest the ledger recorded before it was closed.
    private mutating func checkAdapter(_ run: RunDirectory, _ ledger: Ledger) {
        let notes = ledger.records.filter { $0.kind == .note }.map(\.payload)
        guard let note = notes.last(where: { $0[AdapterNote.digestField] != nil }) else {
            if ledger.isClosed || FileManager.default.fileExists(atPath: run.adapter) {
                findings.append("adapter: no record of the ledger names it")
            }
            return
        }
        let found = try? AdapterNote.digest(of: run)
        if found?.hex != note[AdapterNote.digestField] {
            findings.append("adapter: its files are not those that the ledger names")
        }
    }

    private mutating func compare(_ path: String, with expected: [UInt8], _ name: String) {
        guard let found = Self.read(path) else {
            findings.append("\(name): the file is missing")
            return
        }
        if found != expected { findings.append("\(name): differs from what the ledger gives") }
    }

    private static func read(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { Array($0) }
    }
}

/// The ledger's note about the adapter that a run ends with.
enum AdapterNote {
    static let digestField = LedgerFacts.adapterFiles

    static func payload(of run: RunDirectory) throws -> [String: String] {
        ["what": "final adapter written", digestField: try digest(of: run).hex]
    }

    /// One digest over both files of the adapter directory.
    static func digest(of run: RunDirectory) throws -> Digest {
        try BaseModel.digest(
            of: ["adapter_config.json", "adapter_model.safetensors"], in: run.adapter)
    }
}
