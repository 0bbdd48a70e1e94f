import ArgumentParser
import FedTrain

/// `fedtrain report`: make the privacy report of a run again from its ledger.
struct ReportCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make the privacy report of a run from its ledger: JSON, HTML and signature.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The run's directory, such as runs/0001.")
    var run: String

    struct Payload: Encodable {
        let run: String
        let headline: String
        let epsilon: Double
        let epsilonPlanned: Double
        let delta: Double
        let unit: String
        let json: String
        let html: String
    }

    func execute(_ console: Console) throws -> Payload {
        let directory = RunDirectory(path: run)
        let report = try ReportFiles.report(directory)
        let key = try ServerKeyFile.load(in: directory.workspace)
        try ReportFiles.write(run: directory, key: key)
        return Payload(
            run: directory.path, headline: report.headline, epsilon: report.epsilon,
            epsilonPlanned: report.epsilonPlanned, delta: report.delta, unit: report.unit.rawValue,
            json: directory.reportJSON, html: directory.reportHTML)
    }

    func describe(_ payload: Payload) -> String {
        """
        \(payload.headline)
        report   \(payload.html)
        json     \(payload.json)
        next: fedtrain audit \(payload.run)
        """
    }
}
