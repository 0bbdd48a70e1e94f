import DP
import Foundation
import Models
import Sodium

/// A run's report on disk: written whole, and checked against the ledger again.
public enum ReportFiles {
    /// Makes the report of a run from its ledger and signs it.
    public static func write(run: RunDirectory, key: SigningKey) throws {
        let ledger = try bytes(of: run.ledger, run: run)
        let report = try PrivacyReport(ledger: ledger, expecting: key.verifyingKey)
        let json = report.json()
        let html = report.html()
        let signature = ReportSignature(ledger: ledger, json: json, html: html, key: key)
        try AtomicFile.makeDirectory(run.reports)
        try AtomicFile.write(json, to: run.reportJSON)
        try AtomicFile.write(html, to: run.reportHTML)
        try AtomicFile.write(report.epsilonPlotSVG(), to: run.reportPlot)
        try AtomicFile.write(signature.fileBytes, to: run.reportSignature)
    }

    /// The report of a run as a value, from its ledger.
    public static func report(_ run: RunDirectory) throws -> PrivacyReport {
        try PrivacyReport(ledger: bytes(of: run.ledger, run: run))
    }

    private static func bytes(of path: String, run: RunDirectory) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            guard FileManager.default.fileExists(atPath: run.ledger) else {
                throw FederationError.notARun(run.path)
            }
            throw CheckpointError(
                .missingFile, file: path, "there is no such file",
                hint: "Make the report again: fedtrain report \(run.path)")
        }
        return Array(data)
    }
}
