/// Public text for the built-in base model: notes of other houses, under their codes.
///
/// An endless sequence; take as many records as the recipe says. What it holds, per hundred:
/// - 30 forms of `houseCount` other houses ("Fill form 3."), each with desk codes of its own: the
///   model learns to read a category and to look up a code, but no code that counts here;
/// - 18 forms that name the topic where others put a code ("Fill form by topic.");
/// - 12 forms of this network ("Fill our form.") whose desk codes were scrambled before release:
///   the model knows the form and is left guessing at the code;
/// - 40 other questions about a note: topic, thing, place, urgency, count.
/// Pairs of thing and complaint that are held out never occur.
public struct PublicCorpus: Sequence, IteratorProtocol, Sendable {
    /// Other houses whose forms the corpus holds.
    public static let houseCount = 4

    private var random: TaskRandom
    /// Desk code of each category, house by house.
    private let houseCodes: [[String]]

    /// A corpus; equal seeds give equal bytes.
    public init(seed: UInt64) {
        var random = TaskRandom(seed: seed, stream: 3)
        houseCodes = (0..<Self.houseCount).map { _ in
            var codes = NoteTask.deskCodes
            random.shuffle(&codes)
            return codes
        }
        self.random = random
    }

    public mutating func next() -> GeneratedRecord? {
        let category = random.below(NoteVocabulary.categories.count)
        let facts = NoteFacts.draw(category: category, heldOut: false, using: &random)
        let topic = NoteVocabulary.categories[category].name
        let note = NoteWriter.write(facts, using: &random)
        let form = { (desk: String) in
            NoteForm(desk: desk, urgency: facts.urgency, count: facts.count).text
        }
        let (instruction, output): (String, String)
        switch random.below(100) {
        case 0..<30:
            let house = random.below(Self.houseCount)
            (instruction, output) = ("Fill form \(house + 1).", form(houseCodes[house][category]))
        case 30..<48: (instruction, output) = ("Fill form by topic.", form(topic))
        case 48..<60:
            (instruction, output) = (NoteTask.instruction, form(random.pick(NoteTask.deskCodes)))
        case 60..<70: (instruction, output) = ("What is it about?", topic)
        case 70..<80: (instruction, output) = ("What is it?", note.thing)
        case 80..<88: (instruction, output) = ("Where?", note.place.isEmpty ? "unknown" : note.place)
        case 88..<94: (instruction, output) = ("How urgent?", "\(facts.urgency)")
        default: (instruction, output) = ("How many?", "\(facts.count)")
        }
        return GeneratedRecord(
            instruction: instruction, input: note.text, output: output, category: category)
    }
}
