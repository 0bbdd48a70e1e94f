/// What a note says, before it is put into words.
package struct NoteFacts: Sendable, Equatable {
    /// Index into `NoteVocabulary.categories`.
    var category: Int
    /// Index into the category's things, then the shared things.
    var thing: Int
    /// Index into the category's signs, then the shared signs.
    var sign: Int
    /// 1 can wait, 2 ordinary, 3 urgent.
    var urgency: Int
    /// How many things are concerned, 1...9.
    var count: Int

    /// True for the fifth of all (thing, sign) pairs that only the held-out set may use.
    ///
    /// Because the split is by pair, no training text, public or private, ever shows what a
    /// held-out text shows, whatever the seeds are.
    package static func isHeldOut(category: Int, thing: Int, sign: Int) -> Bool {
        (2 * thing + 3 * sign + category) % 5 == 0
    }

    /// Facts of one category, of either side of the split.
    static func draw(category: Int, heldOut: Bool, using random: inout TaskRandom) -> NoteFacts {
        let words = NoteVocabulary.categories[category]
        let things = words.things.count
        let signs = words.signs.count
        while true {
            let sharedThing = random.chance(percent: 8)
            // A shared thing with a shared sign would not tell the category.
            let sharedSign = !sharedThing && random.chance(percent: 30)
            let facts = NoteFacts(
                category: category,
                thing: sharedThing
                    ? things + random.below(NoteVocabulary.sharedThings.count) : random.below(things),
                sign: sharedSign
                    ? signs + random.below(NoteVocabulary.sharedSigns.count) : random.below(signs),
                urgency: 1 + random.below(NoteVocabulary.urgencies.count),
                count: random.chance(percent: 30) ? 1 : 1 + random.below(NoteVocabulary.countWords.count))
            if isHeldOut(category: category, thing: facts.thing, sign: facts.sign) == heldOut {
                return facts
            }
        }
    }
}

/// A note in words, and the parts of it that other instructions ask for.
struct WrittenNote: Sendable {
    var text: String
    /// The place as it stands in the text; empty if the note names none.
    var place: String
    /// The thing as it stands in the text.
    var thing: String
}

/// Puts facts into hasty human words: varied order, filler, distracting numbers, typing errors.
enum NoteWriter {
    static func write(_ facts: NoteFacts, using random: inout TaskRandom) -> WrittenNote {
        let words = NoteVocabulary.categories[facts.category]
        let thing =
            facts.thing < words.things.count
            ? words.things[facts.thing] : NoteVocabulary.sharedThings[facts.thing - words.things.count]
        let sign =
            facts.sign < words.signs.count
            ? words.signs[facts.sign] : NoteVocabulary.sharedSigns[facts.sign - words.signs.count]
        let noun = facts.count == 1 ? thing.one : thing.many
        let place = drawPlace(using: &random)
        let time = random.pick(NoteVocabulary.times)

        var parts = [random.pick(NoteVocabulary.greetings)]
        let urgency = random.pick(NoteVocabulary.urgencies[facts.urgency - 1])
        let urgencyFirst = random.chance(percent: 30)
        if urgencyFirst, !urgency.isEmpty { parts.append(urgency + ":") }
        parts.append(
            sentence(
                noun: noun, count: facts.count, sign: sign, place: place, time: time, using: &random) + ".")
        if !urgencyFirst, !urgency.isEmpty { parts.append(urgency + ".") }
        parts.append(random.pick(NoteVocabulary.closings))

        var text = join(parts)
        if random.chance(percent: 8) { text = withTypingError(text, using: &random) }
        return WrittenNote(text: text, place: place, thing: noun)
    }

    /// One statement that carries thing, sign, count, place and time in one of six orders.
    private static func sentence(
        noun: String, count: Int, sign: String, place: String, time: String,
        using random: inout TaskRandom
    ) -> String {
        let predicate = predicate(sign, plural: count > 1)
        let subject = quantity(count, using: &random) + " " + noun
        let pronoun = count > 1 ? "they" : "it"
        switch random.below(6) {
        case 0: return join([subject, place, predicate, time])
        case 1: return join([place.isEmpty ? "" : place + ":", subject, predicate, time])
        case 2: return join(["we have", subject, place]) + join([",", pronoun, predicate, time])
        case 3: return join(["please look at", subject, place]) + join([",", pronoun, predicate, time])
        case 4: return join([time.isEmpty ? "" : time + ",", subject, predicate, place])
        default:
            let bare = sign.hasPrefix("+") ? String(sign.dropFirst()) : predicate
            return join([noun, bare, place, time]) + ", x\(count)"
        }
    }

    private static func quantity(_ count: Int, using random: inout TaskRandom) -> String {
        if random.chance(percent: 40) { return "\(count)" }
        if count == 1 { return random.pick(["one", "the", "this"]) }
        return NoteVocabulary.countWords[count - 1]
    }

    private static func predicate(_ sign: String, plural: Bool) -> String {
        if sign.hasPrefix("+") { return (plural ? "are " : "is ") + sign.dropFirst() }
        if plural, sign.hasPrefix("needs ") { return "need " + sign.dropFirst(6) }
        if plural, sign.hasPrefix("has ") { return "have " + sign.dropFirst(4) }
        return sign
    }

    /// Room and floor numbers are there to be told from the count.
    private static func drawPlace(using random: inout TaskRandom) -> String {
        switch random.below(10) {
        case 0..<3: return "in room \(100 + random.below(300))"
        case 3: return "on floor \(1 + random.below(9))"
        case 4..<9: return "in the " + random.pick(NoteVocabulary.areas)
        default: return ""
        }
    }

    private static func join(_ parts: [String]) -> String {
        parts.filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// Drops a letter, or swaps two neighbours, inside one word of five or more letters.
    private static func withTypingError(_ text: String, using random: inout TaskRandom) -> String {
        var bytes = Array(text.utf8)
        var starts: [Int] = []
        for index in bytes.indices {
            let isLetter = { (at: Int) in at < bytes.count && (97...122).contains(bytes[at]) }
            let beginsWord = isLetter(index) && (index == 0 || !isLetter(index - 1))
            if beginsWord, (0..<5).allSatisfy({ isLetter(index + $0) }) { starts.append(index) }
        }
        guard !starts.isEmpty else { return text }
        // Never the first letter: people rarely miss it, and it carries the word.
        let at = random.pick(starts) + 1 + random.below(3)
        if random.chance(percent: 50) { bytes.remove(at: at) } else { bytes.swapAt(at, at + 1) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
