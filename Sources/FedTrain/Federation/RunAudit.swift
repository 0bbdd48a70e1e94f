import DP
import Foundation
import Sodium

/// Checks a run's ledger and its acknowledgement, report, plot, signature, and every other file that the
/// ledger names by its digest (`RunFiles`).
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
        findings += RunFiles.findings(run, ledger)
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
