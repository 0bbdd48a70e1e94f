import Models

/// A study's results as rows of text: for the terminal, Markdown and CSV.
public struct StudyTable: Sendable {
    private let outcome: StudyOutcome
    private let axes: [StudyAxis]

    public init(_ outcome: StudyOutcome) {
        self.outcome = outcome
        axes = outcome.axes
    }

    /// What a column shows of a group, where any group has it.
    struct Column {
        let label: String
        let value: (StudyOutcome.Group) -> String?
    }

    var columns: [Column] {
        let all: [Column] = [
            Column(label: "exact answers") { Self.text($0.exact, percent: true) },
            Column(label: "loss, everyone's test") { Self.text($0.everyone) },
            Column(label: "loss, own test") { Self.text($0.own) },
            Column(label: "plugged in, exact answers") {
                Self.text($0.offsite(\.plugInExact), percent: true)
            },
            Column(label: "plugged in, loss") { Self.text($0.offsite(\.plugInLoss)) },
            Column(label: "untuned, exact answers") { group in
                group.rows.contains { $0.result.offsite != nil }
                    ? Self.text(group.estimate { $0.exactBefore }, percent: true) : nil
            },
            Column(label: "full model untuned, exact answers") {
                Self.text($0.offsite(\.fullExact), percent: true)
            },
            Column(label: "bit-identical") { Self.text($0.offsite(\.exactFraction), percent: true) },
            Column(label: "recovery") { Self.text($0.offsite(\.recovery)) },
            Column(label: "ε") { $0.epsilon.map { Figures.text($0, digits: 4, .up) } ?? "no bound" },
            Column(label: "unit") { $0.rows[0].result.unit },
            Column(label: "sent by a client") { Self.bytes($0.bytesUp) },
            Column(label: "membership AUC") { Self.text($0.membership) },
            Column(label: "canary bits (control)") { group in
                group.exposure.map { planted in
                    "\(Self.text(planted) ?? "") (\(Self.text(group.controlExposure) ?? ""))"
                }
            },
        ]
        return all.filter { column in groups.contains { column.value($0) != nil } }
    }

    var groups: [StudyOutcome.Group] { outcome.groups }

    /// Header and rows of the main table.
    public var main: (header: [String], rows: [[String]]) {
        let columns = columns
        return (
            axes.map(\.rawValue) + columns.map(\.label),
            groups.map { group in
                axes.map { group.labels[$0] ?? "" } + columns.map { $0.value(group) ?? "–" }
            }
        )
    }

    /// What the numbers after ± are.
    public var intervals: String {
        let seeds = outcome.definition.seeds.count
        let text =
            seeds > 1
            ? "± is half of a 95 % interval over \(seeds) seeds (Student's t); canaries: over canaries and seeds."
            : "One seed: ± is half of a 95 % interval over clients for their own tests, over canaries for "
                + "canaries; other figures are single values."
        return text + " Loss: mean cross-entropy of a predicted token, natural logarithm."
    }

    /// Header and rows of the comparisons with the reference; nil without one.
    public var compared: (header: [String], rows: [[String]])? {
        let comparisons = outcome.comparisons
        guard let reference = outcome.definition.reference, !comparisons.isEmpty else { return nil }
        return (
            axes.map(\.rawValue) + [
                "own test, against \(reference)", "everyone's test, against \(reference)",
            ],
            comparisons.map { comparison in
                axes.map { comparison.labels[$0] ?? "" }
                    + [Self.signed(comparison.own), Self.signed(comparison.everyone)]
            }
        )
    }

    /// Header and rows of a search's trials; nil without one.
    public var trials: (header: [String], rows: [[String]])? {
        guard !outcome.trials.isEmpty else { return nil }
        let winners = Set(outcome.rows.map(\.result.key))
        return (
            ["trial", "rounds", "validation loss", "ε", ""],
            outcome.trials.map { row in
                [
                    row.cell.trial ?? "", "\(row.result.rounds)",
                    row.result.validation.map { Figures.text($0) } ?? "–",
                    row.result.epsilon.map { Figures.text($0, .up) } ?? "no bound",
                    winners.contains(row.result.key) ? "chosen" : "",
                ]
            }
        )
    }

    /// What everything together would cost, a sentence for each task.
    public var totals: [String] {
        outcome.accounts.map { Self.sentence($0) }
    }

    /// One task's account in words.
    public static func sentence(_ account: StudyTotal) -> String {
        let head =
            "\(account.task), per \(account.unit): \(account.runs) runs, the dearest ε = "
            + "\(Figures.text(account.largest, .up)) alone"
        let sum = "ε = \(Figures.text(account.sum, .up)) by adding up"
        guard let together = account.together else {
            return head + "; if all were released together \(sum)"
        }
        return head
            + "; if all were released together ε = \(Figures.text(together, .up)) on one account (\(sum))"
    }

    // MARK: Files

    var markdown: String {
        var text = "# \(outcome.definition.name)\n\n"
        if !outcome.definition.about.isEmpty { text += outcome.definition.about + "\n\n" }
        if outcome.definition.isCompatible { text += "**\(Self.compatibility)**\n\n" }
        text += Self.markdown(main) + "\n" + intervals + "\n"
        if let compared {
            text +=
                "\n## Against \(outcome.definition.reference ?? "")\n\n" + Self.markdown(compared)
                + "\nDifferences of loss, client by client, with 95 % intervals over clients; below zero is better.\n"
        }
        if let trials { text += "\n## Trials\n\n" + Self.markdown(trials) }
        if !totals.isEmpty {
            text += "\n## Privacy of the whole study\n\n" + totals.map { "- \($0)\n" }.joined()
        }
        for (labels, because) in outcome.excluded {
            let names = StudyAxis.allCases.compactMap { labels[$0] }.filter { !$0.isEmpty }
            text += "\nLeft out: \(names.joined(separator: " · ")): \(because).\n"
        }
        return text
    }

    static let compatibility =
        "compat: fs-llm — this study reproduces what FS-LLM does to data, defects included (the word None as "
        + "input, test categories drawn anew for each client); for comparison with its figures only."

    private static func markdown(_ table: (header: [String], rows: [[String]])) -> String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        return line(table.header) + line(table.header.map { _ in "---" }) + table.rows.map(line).joined()
    }

    /// One line per cell with plain numbers.
    var csv: String {
        let names = [
            "seed", "trial", "loss_everyone", "loss_own_mean", "loss_base", "validation", "exact_before",
            "exact_after", "epsilon", "delta", "unit", "noise_multiplier", "rounds", "released",
            "fewest_survivors", "coordinates", "bytes_up", "bytes_down", "membership_auc", "membership_low",
            "membership_high", "exposure_mean", "exposure_control_mean", "plug_in_loss", "plug_in_exact",
            "full_loss", "full_exact", "bit_identical", "recovery", "key",
        ]
        var lines = [(axes.map(\.rawValue) + names).joined(separator: ",")]
        for row in outcome.rows {
            let result = row.result
            func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
            func mean(_ values: [Double]?) -> Double? { values.flatMap { MeanEstimate($0)?.mean } }
            let cells: [String] =
                axes.map { row.cell.labels[$0] ?? "" } + ["\(row.cell.seed)", row.cell.trial ?? ""]
                + [
                    result.trained.pooled, mean(result.trained.own), result.base.pooled, result.validation,
                    result.exactBefore, result.exactAfter, result.epsilon, result.delta,
                ].map(number)
                + [
                    result.unit, number(result.noiseMultiplier), "\(result.rounds)", "\(result.released)",
                    "\(result.fewestSurvivors)", "\(result.coordinates)", "\(result.bytesUp)",
                    "\(result.bytesDown)",
                ]
                + [
                    result.membership?.calibrated.value, result.membership?.calibrated.low,
                    result.membership?.calibrated.high, mean(result.canaries?.planted),
                    mean(result.canaries?.controls), result.offsite?.plugInLoss,
                    result.offsite?.plugInExact, result.offsite?.fullLoss, result.offsite?.fullExact,
                    result.offsite?.exactFraction, result.offsite?.recovery,
                ].map(number) + [result.key]
            lines.append(cells.map(Self.quoted).joined(separator: ","))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func quoted(_ cell: String) -> String {
        guard cell.contains(where: { ",\"\n\r".contains($0) }) else { return cell }
        return "\"\(cell.replacing("\"", with: "\"\""))\""
    }

    // MARK: Numbers

    static func text(_ estimate: MeanEstimate?, percent: Bool = false) -> String? {
        guard let estimate else { return nil }
        let scale = percent ? 100.0 : 1
        let (mean, half) = (scale * estimate.mean, estimate.half.map { scale * $0 })
        let places = percent ? 1 : 3
        return fixed(mean, places) + (half.map { " ± " + fixed($0, places) } ?? "") + (percent ? " %" : "")
    }

    static func signed(_ estimate: MeanEstimate) -> String {
        (estimate.mean < 0 ? "−" : "+") + fixed(abs(estimate.mean), 3)
            + (estimate.half.map { " ± " + fixed($0, 3) } ?? "")
    }

    /// With all its places, so that columns line up.
    private static func fixed(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, abs(value) < 1e9 else { return Figures.text(value) }
        var text = Figures.fixed(value, places: places)
        let point = text.firstIndex(of: ".")
        let have = point.map { text.distance(from: $0, to: text.endIndex) - 1 } ?? 0
        if point == nil { text += "." }
        return text + String(repeating: "0", count: places - have)
    }

    static func bytes(_ count: Double) -> String {
        count < 1_000_000
            ? Figures.text(count / 1000, digits: 3) + " kB"
            : Figures.text(count / 1_000_000, digits: 3) + " MB"
    }
}
