import Foundation
import Models

/// Everything a federation trains and is scored on, loaded and tokenized: counted and checked before
/// anything is trained.
public struct FederationData: Sendable {
    public let sites: [SiteData]
    /// Nil when nothing is held out.
    public let heldOut: HeldOutTest?
    /// What the data is, for ledger and report.
    public let statement: String
    /// Records of each client as the plan takes them: public constants where the configuration gives
    /// them, else the files' own counts.
    public let recordCounts: [Int]

    /// Loads what the configuration names.
    ///
    /// - Parameters:
    ///   - seed: draws the built-in notes; files do not depend on it.
    ///   - holdsClientFiles: false for a server, to which the clients' files are not known.
    public init(
        _ configuration: FederationConfiguration, base: BaseModel, seed: UInt64,
        holdsClientFiles: Bool = true
    ) throws {
        let data = configuration.data
        let tokenizer = try RecordTokenizer(configuration, base: base)
        switch data.clients {
        case .builtIn(let count, let recordsPerSite, let form):
            let task = NoteTask(seed: seed, siteCount: count, form: form)
            sites = try (0..<count).map { site in
                let records = task.siteRecords(site: site, count: recordsPerSite).map(Record.init)
                // Of every twelve test notes in turn, three are of a site's categories.
                let test = task.heldOut(count: 4 * data.siteHeldOutCount).filter {
                    task.siteCategories[site].contains($0.category!)
                }
                return try Self.site(
                    "site-\(site + 1)", tokenizer.examples(records),
                    heldOut: tokenizer.examples(test.map(Record.init)).examples)
            }
            heldOut = try Self.exactMatch(
                task.heldOut(count: data.heldOutCount).map(Record.init), tokenizer)
            statement =
                "generated notes\(form == .topics ? " answered by topic" : ""), "
                + "\(count) sites of \(recordsPerSite) records, seed \(seed)"
        case .files(let patterns):
            let files = holdsClientFiles ? try Self.expand(patterns) : []
            let siteTests = holdsClientFiles ? try Self.expand(data.siteHeldOut) : []
            try Self.checkDistinct(training: files, heldOut: siteTests)
            let testOf = Dictionary(siteTests.map { (Self.name(of: $0), $0) }) { first, _ in first }
            sites = try files.map { file in
                let name = Self.name(of: file)
                let test = try testOf[name].map { tokenizer.examples(try RecordFile.read($0)).examples }
                return try Self.site(
                    name, tokenizer.examples(try RecordFile.read(file)), heldOut: test ?? [])
            }
            let heldOutFiles = try Self.expand(data.heldOut)
            try Self.checkDistinct(training: files, heldOut: heldOutFiles)
            let examples = try heldOutFiles.flatMap {
                tokenizer.examples(try RecordFile.read($0)).examples
            }
            heldOut = examples.isEmpty ? nil : .loss(examples)
            statement =
                holdsClientFiles
                ? "\(files.count) files of records"
                : "records of \(configuration.network?.clients ?? 0) clients"
        }
        recordCounts = try Self.recordCounts(configuration, sites: sites)
        let needed = max(3, configuration.rounds.minCohort ?? configuration.rounds.minSurvivors)
        guard recordCounts.count >= needed else {
            throw FederationError.tooFewClients(found: recordCounts.count, needed: needed)
        }
    }

    /// The plan's public numbers of records, held against what the sites here have.
    private static func recordCounts(
        _ configuration: FederationConfiguration, sites: [SiteData]
    ) throws -> [Int] {
        guard case .files = configuration.data.clients, let network = configuration.network,
            let allowed = network.recordsPerClient
        else { return sites.map(\.examples.count) }
        for site in sites where site.examples.count > allowed {
            throw FederationError.tooManyRecords(
                client: site.name, found: site.examples.count, allowed: allowed)
        }
        return [Int](repeating: allowed, count: sites.isEmpty ? network.clients ?? 0 : sites.count)
    }

    /// A test that generates answers and compares them with the records' outputs.
    /// - Throws: `CheckpointError` if the model's chat template refuses a record.
    public static func exactMatch(
        _ records: [Record], _ tokenizer: RecordTokenizer
    ) throws(CheckpointError) -> HeldOutTest {
        var prompts: [[Int32]] = []
        var references: [String] = []
        for record in records {
            guard case .instruction(_, _, let output) = record.content else { continue }
            prompts.append(
                try tokenizer.promptTokens(record, leavingRoomFor: HeldOutTest.answerTokensMax))
            references.append(output)
        }
        return .exactMatch(prompts: prompts, references: references)
    }

    /// A file is one client's, or held out, and never both: a score on training data would be a release.
    private static func checkDistinct(training: [String], heldOut: [String]) throws {
        func canonical(_ path: String) -> String {
            URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        }
        var names: Set<String> = []
        for file in training where !names.insert(name(of: file)).inserted {
            throw FederationError.duplicateClient(name: name(of: file), file: file)
        }
        let trained = Set(training.map(canonical))
        for file in heldOut where trained.contains(canonical(file)) {
            throw FederationError.heldOutIsTraining(file)
        }
    }

    private static func site(
        _ name: String, _ records: TokenizedRecords, heldOut: [TokenizedExample]
    ) throws -> SiteData {
        guard !records.examples.isEmpty else {
            throw FederationError.noUsableRecords(client: name, summary: records.summary)
        }
        return SiteData(
            name: name, examples: records.examples, heldOut: heldOut, summary: records.summary)
    }

    /// The file's name up to its first dot: `client-07` for `data/client-07.train.jsonl`.
    static func name(of file: String) -> String {
        let last = (file as NSString).lastPathComponent
        return last.firstIndex(of: ".").map { String(last[..<$0]) } ?? last
    }

    /// Files that match, in the order of their names; `*` in a file name stands for any run of characters.
    static func expand(_ patterns: [String]) throws -> [String] {
        var files: [String] = []
        for pattern in patterns {
            guard pattern.contains("*") else {
                files.append(pattern)
                continue
            }
            let directory = (pattern as NSString).deletingLastPathComponent
            let names = try? FileManager.default.contentsOfDirectory(
                atPath: directory.isEmpty ? "." : directory)
            let wanted = (pattern as NSString).lastPathComponent
            let matching = (names ?? []).filter { matches($0[...], wanted[...]) }.sorted()
            guard !matching.isEmpty else { throw FederationError.noFilesMatch(pattern) }
            files += matching.map { directory.isEmpty ? $0 : "\(directory)/\($0)" }
        }
        return files
    }

    static func matches(_ name: Substring, _ pattern: Substring) -> Bool {
        guard let wanted = pattern.first else { return name.isEmpty }
        if wanted == "*" {
            return matches(name, pattern.dropFirst())
                || (!name.isEmpty && matches(name.dropFirst(), pattern))
        }
        return name.first == wanted && matches(name.dropFirst(), pattern.dropFirst())
    }
}

extension RecordTokenizer {
    /// How a federation's configuration turns records into tokens, within the base model's window.
    /// - Throws: `CheckpointError` if it asks for a chat template that the model lacks.
    init(_ configuration: FederationConfiguration, base: BaseModel) throws(CheckpointError) {
        let data = configuration.data
        try self.init(
            tokenizer: base.tokenizer, template: data.template,
            // Some adapters put rows of their own before every record.
            tokensMax: min(
                data.tokensMax,
                base.model.configuration.sequenceLengthMax
                    - configuration.model.adapter.virtualTokens),
            overlong: data.overlong, endToken: base.endTokens.first)
    }
}

extension Record {
    /// A generated record in the shape of any other; one without an answer is running text.
    public init(_ generated: GeneratedRecord) {
        guard !generated.output.isEmpty else {
            self.init(.text(generated.prompt))
            return
        }
        self.init(
            .instruction(
                instruction: generated.instruction, input: generated.input, output: generated.output),
            category: generated.category.map { NoteTask.categoryNames[$0] })
    }
}
