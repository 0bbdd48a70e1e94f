import Foundation
import Models
import Testing

/// Texts and ids by `transformers` (Tests/Vectors/chat/make.py).
@Suite struct ChatTemplateTests {
    static let vectors = Fixtures.vectors + "/chat/chat.json"
    static let tokens = [(name: "bos_token", text: "<s>"), (name: "eos_token", text: "</s>")]

    static func template(_ source: String) throws(CheckpointError) -> ChatTemplate {
        try ChatTemplate(source: source, file: "chat_template.jinja", specialTokens: tokens)
    }

    static func chats(_ document: JSON) -> [[ChatMessage]] {
        document["chats"]!.array!.map { turns in
            turns.array!.map {
                ChatMessage(ChatMessage.Role(rawValue: $0["role"]!.string!)!, $0["content"]!.string!)
            }
        }
    }

    @Test func everyFamilyWritesWhatTransformersWrites() throws {
        let document = try Fixtures.json(Self.vectors)
        let families = document["families"]!.members!
        #expect(families.count == 13)
        var compared = 0
        for family in families {
            let template = try Self.template(family.value["template"]!.string!)
            for (chat, texts) in zip(Self.chats(document), family.value["texts"]!.array!) {
                for (key, opens) in [("open", true), ("closed", false)] {
                    let text = try? template.render(chat, addGenerationPrompt: opens)
                    #expect(same(text ?? "refused", texts[key]!.string ?? "refused"), "\(family.key)")
                    compared += 1
                }
            }
        }
        #expect(compared == 13 * 6 * 2)
    }

    @Test func everyConstructDoesWhatJinjaDoes() throws {
        let document = try Fixtures.json(Self.vectors)
        let chat = [ChatMessage(.user, "u"), ChatMessage(.assistant, "a")]
        for row in document["language"]!.array! {
            let source = row["template"]!.string!
            let text = try? Self.template(source).render(chat, addGenerationPrompt: false)
            #expect(same(text ?? "refused", row["text"]!.string ?? "refused"), "\(source)")
        }
    }

    @Test func idsAreThoseOfTransformers() throws {
        let document = try Fixtures.json(Self.vectors)
        let chats = Self.chats(document)
        for row in document["ids"]!.array! {
            let kind = row["tokenizer"]!.string!
            let vector = try Fixtures.json(Fixtures.vectors + "/tokenizers/\(kind).json")
            let tokenizer = try Tokenizer(json: vector["tokenizer"]!, file: kind)
            let family = row["family"]!.string!
            let template = try Self.template(document["families"]![family]!["template"]!.string!)
            let text = try template.render(chats[row["chat"]!.integer!], addGenerationPrompt: true)
            #expect(
                tokenizer.encode(text, addSpecialTokens: false).map(Int.init)
                    == row["ids"]!.array!.map { $0.integer! }, "\(kind) \(family)")
        }
    }

    @Test func aTemplateMayPrintTheDayItIsGiven() throws {
        let template = try Self.template(
            "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %B %m %%') }}{% else %}no day{% endif %}"
        )
        let day = ChatDate(year: 2024, month: 7, day: 6)
        #expect(try template.render([], addGenerationPrompt: true, date: day) == "06 Jul 2024, July 07 %")
        #expect(try template.render([], addGenerationPrompt: true) == "no day")
        #expect(throws: CheckpointError.self) {
            try Self.template("{{ strftime_now('%H') }}").render([], addGenerationPrompt: true, date: day)
        }
    }

    @Test(arguments: [
        ("{% macro m() %}{% endmacro %}", "{% macro %}"), ("{% include 'x' %}", "{% include %}"),
        ("{{ 1.5 }}", "printing a number"), ("{{ messages }}", "printing a list"),
        ("{{ 'a' | reverse }}", "the filter reverse"), ("{{ 'a' is callable }}", "the test callable"),
        ("{{ 'a'.format(1) }}", "the method format"),
        ("{% for x in [1] recursive %}{% endfor %}", "recursive"),
        ("{{ 2 / 1 }}", "the operator /"),
    ])
    func whatIsBeyondThisVersionIsRefusedByName(source: String, name: String) throws {
        do {
            _ = try Self.template(source).render([ChatMessage(.user, "u")], addGenerationPrompt: true)
            Issue.record("\(source) was rendered")
        } catch {
            #expect(error.kind == .unsupported && error.description.contains(name), "\(error)")
        }
    }

    @Test(arguments: [
        "{{", "{% if true %}", "{% endif %}", "{{ 'a }}", "{{ a b }}", "{% for x [1] %}{% endfor %}", "{# a",
        "{{ }}",
        "{% break %}", "{{ a[ }}", "{{ $ }}", "{% %}", "{{ 99999999999999999999 }}",
    ])
    func whatIsNoJinjaIsRefused(source: String) {
        #expect(throws: CheckpointError.self) {
            try Self.template(source).render([], addGenerationPrompt: true)
        }
    }

    @Test func aTemplateCannotRunForEverOrFillTheMemory() throws {
        let loops =
            String(repeating: "{% for x in range(1000) %}", count: 4)
            + String(repeating: "{% endfor %}", count: 4)
        let growing =
            "{% set ns = namespace(t='xxxxxxxx') %}{% for x in range(60) %}"
            + "{% set ns.t = ns.t + ns.t %}{% endfor %}"
        for source in [loops, growing, "{{ range(100000000) | length }}"] {
            #expect(throws: CheckpointError.self) {
                try Self.template(source).render([], addGenerationPrompt: true)
            }
        }
        let nested =
            "{{ " + String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000) + " }}"
        #expect(throws: CheckpointError.self) { try Self.template(nested) }
    }

    /// Prefixes and single changes of every family's template render or are refused; none traps.
    @Test func damagedTemplatesNeverTrap() throws {
        let document = try Fixtures.json(Self.vectors)
        let chat = Self.chats(document)[3]
        let replacements: [Unicode.Scalar] = ["{", "}", "%", "(", "]", "'", "-", "0", "|", "x"]
        for family in document["families"]!.members! {
            let source = Array(family.value["template"]!.string!.unicodeScalars)
            for place in stride(from: 0, to: source.count, by: 7) {
                var changed = source
                changed[place] = replacements[place % replacements.count]
                for scalars in [Array(source.prefix(place)), changed] {
                    var view = String.UnicodeScalarView()
                    view.append(contentsOf: scalars)
                    _ = try? Self.template(String(view)).render(chat, addGenerationPrompt: true)
                }
            }
        }
    }

    @Test func aDirectorysTemplateIsFoundWhereTransformersFindsIt() throws {
        let source = Fixtures.vectors + "/tokenizers/llama3.json"
        let tokenizer = try Fixtures.json(source)["tokenizer"]!
        try Fixtures.withDirectory { directory in
            func write(_ name: String, _ text: String) throws {
                try Fixtures.write(text, to: directory + "/" + name)
            }
            try write("tokenizer.json", tokenizer.text())
            #expect(throws: CheckpointError.self) { try Tokenizer(directory: directory).chatTemplate() }
            func opening() throws -> String {
                try Tokenizer(directory: directory).chatTemplate().opening(system: "s", question: "q")
            }
            try write("tokenizer_config.json", #"{"bos_token":"<s>","chat_template":"{{ bos_token }}one"}"#)
            #expect(try opening() == "<s>one")
            try write(
                "tokenizer_config.json",
                #"{"chat_template":[{"name":"tool","template":"x"},{"name":"default","template":"two"}]}"#)
            #expect(try opening() == "two")
            try write(
                "chat_template.jinja", "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}")
            #expect(try opening() == "system:s;user:q;")
        }
    }

    @Test func theTokenThatEndsATurnIsTheTemplates() throws {
        let vector = try Fixtures.json(Fixtures.vectors + "/tokenizers/llama3.json")
        let tokenizer = try Tokenizer(json: vector["tokenizer"]!, file: "llama3")
        let families = try Fixtures.json(Self.vectors)["families"]!
        let zephyr = try Self.template(families["zephyr"]!["template"]!.string!)
        #expect(try tokenizer.endOfTurn(zephyr) == tokenizer.id(of: "</s>"))
        let gemma = try Self.template(families["gemma-like"]!["template"]!.string!)
        #expect(try tokenizer.endOfTurn(gemma) == nil, "the vocabulary has no such token")
    }
}
