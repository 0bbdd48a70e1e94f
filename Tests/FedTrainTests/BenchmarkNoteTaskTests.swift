import FedTrain
import Testing

@Suite("The built-in task's notes")
struct BenchmarkNoteTaskTests {
    static let seeds: [UInt64] = [0, 1, 7, 20_261, .max]

    @Test("one seed gives one set of records, another seed another", arguments: seeds)
    func determinism(seed: UInt64) {
        let task = NoteTask(seed: seed)
        #expect(task.siteCategories == NoteTask(seed: seed).siteCategories)
        #expect(task.siteRecords(site: 3, count: 50) == NoteTask(seed: seed).siteRecords(site: 3, count: 50))
        #expect(task.heldOut(count: 50) == NoteTask(seed: seed).heldOut(count: 50))
        #expect(task.heldOut(count: 50) != NoteTask(seed: seed ^ 1).heldOut(count: 50))
        // A longer draw begins with the shorter one.
        #expect(task.heldOut(count: 80).prefix(50) == task.heldOut(count: 50)[...])
    }

    @Test("of eight sites each sees three categories, and two sites see each category", arguments: seeds)
    func shares(seed: UInt64) {
        let task = NoteTask(seed: seed)
        #expect(task.siteCategories.count == 8)
        var sitesPerCategory = [Int](repeating: 0, count: NoteTask.categoryNames.count)
        for (site, categories) in task.siteCategories.enumerated() {
            #expect(Set(categories).count == NoteTask.categoriesPerSite)
            for category in categories { sitesPerCategory[category] += 1 }
            let seen = Set(task.siteRecords(site: site, count: 200).compactMap(\.category))
            #expect(seen == Set(categories))
        }
        #expect(sitesPerCategory.allSatisfy { $0 == 2 })
    }

    @Test(
        "the ward's form asks about the same notes by another name and is answered with the topic",
        arguments: seeds)
    func topics(seed: UInt64) {
        let codes = NoteTask(seed: seed).heldOut(count: 60)
        let topics = NoteTask(seed: seed, form: .topics).heldOut(count: 60)
        #expect(topics.map(\.input) == codes.map(\.input) && topics.map(\.category) == codes.map(\.category))
        for (record, code) in zip(topics, codes) {
            #expect(record.instruction != code.instruction)
            #expect(record.output.hasPrefix("desk=\(NoteTask.categoryNames[record.category!]);"))
            #expect(
                record.output.split(separator: ";").dropFirst()
                    == code.output.split(separator: ";").dropFirst())
        }
        // Public text never asks by this name.
        #expect(!PublicCorpus(seed: seed).prefix(2000).contains { $0.instruction == topics[0].instruction })
    }

    @Test("the held-out set asks for every category equally often")
    func heldOutIsBalanced() {
        let records = NoteTask(seed: 5).heldOut(count: 240)
        let counts = Dictionary(grouping: records, by: \.category).mapValues(\.count)
        #expect(counts.count == 12 && counts.values.allSatisfy { $0 == 20 })
    }

    @Test("no held-out text occurs in any training text, public or private", arguments: seeds)
    func splitIsDisjoint(seed: UInt64) {
        let task = NoteTask(seed: seed)
        let heldOut = Set(task.heldOut(count: 600).map(\.input))
        for site in 0..<8 {
            #expect(heldOut.isDisjoint(with: task.siteRecords(site: site, count: 600).map(\.input)))
        }
        #expect(heldOut.isDisjoint(with: PublicCorpus(seed: seed).prefix(5000).map(\.input)))
    }

    @Test("every thing and every sign occurs on both sides of the split")
    func splitLeavesNothingUnseen() {
        for (category, words) in NoteVocabulary.categories.enumerated() {
            let signs = words.signs.count + NoteVocabulary.sharedSigns.count
            let isHeldOut = { (thing: Int, sign: Int) in
                NoteFacts.isHeldOut(category: category, thing: thing, sign: sign)
            }
            for thing in words.things.indices {
                let sides = Set((0..<signs).map { isHeldOut(thing, $0) })
                #expect(sides == [true, false], "\(words.things[thing])")
            }
            for sign in 0..<signs {
                #expect(Set(words.things.indices.map { isHeldOut($0, sign) }) == [true, false])
            }
        }
    }

    @Test("an answer follows from its note: no two categories share a thing or a sign of their own")
    func evidenceIsUnambiguous() {
        let things = NoteVocabulary.categories.flatMap { $0.things.flatMap { [$0.one, $0.many] } }
        let signs = NoteVocabulary.categories.flatMap(\.signs) + NoteVocabulary.sharedSigns
        #expect(Set(things).count == things.count)
        #expect(Set(signs).count == signs.count)
        #expect(Set(things).isDisjoint(with: NoteTask.categoryNames))
        #expect(Set(NoteTask.deskCodes).count == NoteTask.categoryNames.count)
    }

    @Test("answers have the form's three fields, and the desk is the category's code")
    func answerFormat() throws {
        for record in NoteTask(seed: 11).heldOut(count: 120) {
            let fields = record.output.split(separator: ";").map { $0.split(separator: "=").map(String.init) }
            #expect(fields.map(\.first) == NoteScore.fieldNames)
            #expect(fields[0][1] == NoteTask.deskCodes[try #require(record.category)])
            #expect((1...3).contains(try #require(Int(fields[1][1]))))
            #expect((1...9).contains(try #require(Int(fields[2][1]))))
            #expect(record.prompt == "Fill our form.\n\(record.input)\n")
        }
    }

    @Test("public text never gives this network's codes away: scrambled ones are right by chance only")
    func publicCodesAreScrambled() {
        let own = PublicCorpus(seed: 3).prefix(40_000).filter { $0.instruction == NoteTask.instruction }
        let right = own.count { record in
            record.output.hasPrefix("desk=\(NoteTask.deskCodes[record.category ?? 0]);")
        }
        // Binomial with p = 1/12; the band is ±4.5 standard deviations: false alarm below 1e-5.
        let mean = Double(own.count) / 12
        #expect(abs(Double(right) - mean) < 4.5 * (mean * 11 / 12).squareRoot())
        #expect(own.count > 1000)
    }

    @Test("the public corpus is the recipe's, byte for byte")
    func corpusIsPinned() {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a, 64 bits
        for record in PublicCorpus(seed: 20_260).prefix(2000) {
            for byte in (record.prompt + record.output).utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
            }
        }
        #expect(String(hash, radix: 16) == "a6a22b81c2c78497")
    }
}
