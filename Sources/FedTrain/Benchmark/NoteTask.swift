/// The built-in federated task: read a hasty free-text note, fill in a three-field form.
///
///     Fill our form.
///     Hi team, two taps in room 214 are dripping since Monday. urgent.
///     → desk=H;urgency=3;count=2
///
/// Notes are in twelve categories of trouble; `desk` is this network's own code for the category,
/// and `deskCodes` is the whole secret to be learned: public text never shows it. A site sees three
/// categories only, so alone it can be right on about a quarter of a test over all twelve, while
/// the sites together see every category twice. `urgency` and `count` are public knowledge, which
/// the built-in base model already brings.
///
/// The mapping is fixed. The seed decides which notes are drawn and which site sees what.
/// Held-out notes pair things with complaints that no training note pairs (`NoteFacts.isHeldOut`).
public struct NoteTask: Sendable {
    /// What a note is answered with.
    public enum Form: String, Sendable, CaseIterable {
        /// This network's own desk codes: all of it has to be learned.
        case codes
        /// The topic by name: the base can tell it and was never asked by this form's name, so what tuning adds is
        /// small beside what the model brings. What offsite tuning is for.
        case topics

        /// The form's name, the same in training and evaluation.
        var instruction: String {
            switch self {
            case .codes: NoteTask.instruction
            case .topics: "Fill ward form."
            }
        }

        func desk(of category: Int) -> String {
            switch self {
            case .codes: NoteTask.deskCodes[category]
            case .topics: NoteTask.categoryNames[category]
            }
        }
    }

    /// Categories that one site sees.
    public static let categoriesPerSite = 3
    /// The instruction of the network's own form, the same in training and evaluation.
    public static let instruction = "Fill our form."
    /// Names of the categories; a record's `category` is an index into them.
    public static let categoryNames: [String] = NoteVocabulary.categories.map(\.name)
    /// The network's desk code of each category: what the federation has to learn.
    public static let deskCodes: [String] = "HCKAFLEBIDGJ".map(String.init)

    public let seed: UInt64
    public let form: Form
    /// Which categories each site sees, ascending: `siteCategories[site]` has `categoriesPerSite` entries.
    ///
    /// Every four sites share out all twelve categories, so with eight sites each category is
    /// seen by exactly two, in different company.
    public let siteCategories: [[Int]]

    /// - Parameters:
    ///   - seed: decides notes and shares; equal seeds give equal bytes.
    ///   - siteCount: at least 1; all categories are covered from 4 on.
    public init(seed: UInt64, siteCount: Int = 8, form: Form = .codes) {
        precondition(siteCount >= 1, "a federation has sites")
        self.seed = seed
        self.form = form
        var random = TaskRandom(seed: seed, stream: Stream.shares)
        let perSite = Self.categoriesPerSite
        var shares: [[Int]] = []
        while shares.count < siteCount {
            var order = Array(NoteVocabulary.categories.indices)
            random.shuffle(&order)
            for start in stride(from: 0, to: order.count, by: perSite) {
                shares.append(order[start..<start + perSite].sorted())
            }
        }
        siteCategories = Array(shares.prefix(siteCount))
    }

    /// `count` training records of one site, its categories in random order and about equal shares.
    public func siteRecords(site: Int, count: Int) -> [GeneratedRecord] {
        precondition(siteCategories.indices.contains(site), "no such site")
        var random = TaskRandom(seed: seed, stream: Stream.firstSite + UInt64(site))
        return (0..<count).map { _ in
            let category = random.pick(siteCategories[site])
            return record(category: category, heldOut: false, using: &random)
        }
    }

    /// `count` test records over all categories in turn, from pairs that training never shows.
    public func heldOut(count: Int) -> [GeneratedRecord] {
        var random = TaskRandom(seed: seed, stream: Stream.heldOut)
        return (0..<count).map { index in
            let category = index % NoteVocabulary.categories.count
            return record(category: category, heldOut: true, using: &random)
        }
    }

    private func record(
        category: Int, heldOut: Bool, using random: inout TaskRandom
    ) -> GeneratedRecord {
        let facts = NoteFacts.draw(category: category, heldOut: heldOut, using: &random)
        let note = NoteWriter.write(facts, using: &random)
        return GeneratedRecord(
            instruction: form.instruction, input: note.text,
            output: NoteForm(desk: form.desk(of: category), urgency: facts.urgency, count: facts.count).text,
            category: category)
    }

    private enum Stream {
        static let shares: UInt64 = 1
        static let heldOut: UInt64 = 2
        static let firstSite: UInt64 = 1000
    }
}

/// One example in the shape of the `plain` prompt: instruction, line break, input, line break, answer.
public struct GeneratedRecord: Sendable, Equatable {
    public var instruction: String
    public var input: String
    public var output: String
    /// Index into `NoteTask.categoryNames`; nil for public text without one.
    public var category: Int?

    public init(instruction: String, input: String, output: String, category: Int?) {
        self.instruction = instruction
        self.input = input
        self.output = output
        self.category = category
    }

    /// What the model reads before it answers; the answer and the end token follow directly.
    public var prompt: String { instruction + "\n" + input + "\n" }
}
