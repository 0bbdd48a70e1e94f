import DP
import FedTrain
import Foundation
import Models
import Testing

@Suite("Report schema") struct ReportSchemaTests {
    private static let schema: JSONSchema = {
        let file = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/schema/report.schema.json")
        return JSONSchema(root: try! JSON.parse([UInt8](Data(contentsOf: file))))
    }()

    @Test("every kind of report meets docs/schema/report.schema.json")
    func reports() throws {
        let earlier = [LedgerFacts.spentBefore: "5/2", LedgerFacts.runsBefore: "2"]
        let replayed = [LedgerFacts.randomness: "simulation seed 7"]
        let fixtures = [
            try ReportFixture(), try ReportFixture(unit: .client), try ReportFixture(close: false),
            try ReportFixture(facts: earlier), try ReportFixture(facts: replayed, remark: ""),
        ]
        for fixture in fixtures {
            let document = try JSON.parse(PrivacyReport(ledger: fixture.ledger).json())
            #expect(Self.schema.violations(of: document) == [])
        }
        // A plan alone, and a ledger that ends inside a round.
        let whole = try ReportFixture().ledger
        let lines = whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for count in [1, 5] {
            let part = Array(lines[..<count].joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
            let document = try JSON.parse(PrivacyReport(ledger: part).json())
            #expect(Self.schema.violations(of: document) == [])
        }
    }

    @Test("the validator finds what does not fit")
    func strictness() throws {
        let document = try JSON.parse(PrivacyReport(ledger: ReportFixture().ledger).json())
        func without(_ key: String) -> JSON { .object(document.members!.filter { $0.key != key }) }
        #expect(Self.schema.violations(of: without("guarantee")) == ["$: lacks guarantee"])
        let extra = JSON.object(document.members! + [.init("surprise", .null)])
        #expect(Self.schema.violations(of: extra) == ["$.surprise: is not in the schema"])
        let wrong = JSON.object(
            document.members!.map { $0.key == "title" ? .init("title", .integer(1)) : $0 })
        #expect(Self.schema.violations(of: wrong) == ["$.title: is a number, not string"])
    }

    @Test("earlier runs add their δ as well as their ε")
    func summedDelta() throws {
        let facts = [LedgerFacts.spentBefore: "5/2", LedgerFacts.runsBefore: "2"]
        let document = try JSON.parse(PrivacyReport(ledger: ReportFixture(facts: facts).ledger).json())
        let delta = try #require(document["composition"]?["totalDelta"]?.number)
        #expect(delta >= 3e-5 && delta < 3.0001e-5)
        let alone = try JSON.parse(PrivacyReport(ledger: ReportFixture().ledger).json())
        #expect(alone["composition"]?["totalDelta"]?.number == 1e-5)
    }

    @Test("a report of 1,000 rounds stays below 400 KiB")
    func thousandRounds() throws {
        // About 2 s on one core, most of it writing the ledger. In the second run no two rounds are alike.
        for losses in [ReportFixture.Losses.scripted, .everyRound] {
            let fixture = try ReportFixture(rounds: 1000, losses: losses)
            let clock = ContinuousClock()
            let start = clock.now
            let report = try PrivacyReport(ledger: fixture.ledger)
            let (html, json) = (report.html(), report.json())
            let seconds = (clock.now - start) / .seconds(1)
            print("1,000 rounds, \(losses): \(seconds) s, \(html.count) bytes of HTML, \(json.count) of JSON")
            #expect(html.count <= 400 << 10, "\(losses): \(html.count) bytes of HTML")
            #expect(json.count <= 400 << 10, "\(losses): \(json.count) bytes of JSON")
            // The bar is 5 s; tests run beside others.
            #expect(seconds < 30, "\(losses): \(seconds) s")
            if let folder = ProcessInfo.processInfo.environment["FEDTRAIN_REPORT_OUT"] {
                try Data(html).write(to: URL(fileURLWithPath: "\(folder)/thousand-\(losses).html"))
                try Data(json).write(to: URL(fileURLWithPath: "\(folder)/thousand-\(losses).json"))
            }
            // Nothing is left out of the JSON, and every round is in a row of the page.
            let document = try JSON.parse(json)
            let rows = document["figures"]?["epsilonByRound"]?["rows"]?.array
            #expect(rows?.count == 1000)
            let page = String(decoding: html, as: UTF8.self)
            #expect(page.contains("1,000 rounds in blocks of up to 20"))
            #expect(page.contains(">981–1,000<"))
        }
    }
}
