import DP
import FedTrain
import Foundation
import GMP
import Models
import SecureAgg
import Testing

@Suite("Privacy report")
struct ReportTests {
    @Test("the same ledger gives the same bytes")
    func reproducible() throws {
        let ledger = try ReportFixture().ledger
        let first = try PrivacyReport(ledger: ledger)
        let second = try PrivacyReport(ledger: ledger)
        #expect(first.json() == second.json())
        #expect(first.html() == second.html())
        dump(first)
    }

    /// For looking at: writes the files to the folder named by FEDTRAIN_REPORT_OUT, if it is set.
    private func dump(_ report: PrivacyReport, _ name: String = "record") {
        guard let folder = ProcessInfo.processInfo.environment["FEDTRAIN_REPORT_OUT"] else { return }
        try? Data(report.html()).write(to: URL(fileURLWithPath: "\(folder)/\(name).html"))
        try? Data(report.json()).write(to: URL(fileURLWithPath: "\(folder)/\(name).json"))
        try? Data(report.epsilonPlotSVG()).write(to: URL(fileURLWithPath: "\(folder)/\(name).svg"))
    }

    @Test(
        "ε is the accountant's for the charged events, given-back rounds left out",
        arguments: PrivacyUnit.allCases)
    func epsilonFromEvents(_ unit: PrivacyUnit) throws {
        let fixture = try ReportFixture(unit: unit)
        let report = try PrivacyReport(ledger: fixture.ledger)
        dump(report, unit.rawValue)
        let ledger = try Ledger.verify(fixture.ledger)
        // Eight rounds, one of which was given back.
        let tally = try EventTally(ledger.plan.event, count: 7)
        let expected = try ledger.plan.accountant.accountant.epsilon(of: tally, delta: ledger.budget.delta)
            .upper
        #expect(report.epsilon >= expected && report.epsilon <= expected * (1 + 1e-5))
        #expect(try report.epsilon >= ledger.budget.epsilonSpent().upper)
        let planned = try ledger.plan.accountant.accountant.epsilon(
            of: EventTally(ledger.plan.event, count: 8), delta: ledger.budget.delta
        ).upper
        #expect(report.epsilonPlanned >= planned && report.epsilonPlanned <= planned * (1 + 1e-5))
        #expect(report.unit == unit && report.delta == 1e-5)
    }

    @Test("the JSON is canonical and has every item of the checklist")
    func checklist() throws {
        let bytes = try PrivacyReport(ledger: ReportFixture().ledger).json()
        let document = try JSON.parse(bytes)
        #expect(bytes == Array((document.text(.rows) + "\n").utf8), "one spelling")
        #expect(document["schema"]?.string == "fedtrain-report/2")
        let items = [
            "identity", "releases", "unit", "adjacency", "adversaries", "mechanism", "composition",
            "guarantee", "amplification", "sideReleases", "assumptions", "deviations", "audit", "utility",
            "verification", "plainWords", "retention",
        ]
        for item in items {
            let members = try #require(document[item]?.members, "\(item)")
            #expect(!members.isEmpty, "\(item) says something, if only that it does not apply")
        }
        func sortedKeys(_ value: JSON) -> Bool {
            if let members = value.members {
                let keys = members.map { Array($0.key.utf8) }
                return zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) }
                    && members.allSatisfy { sortedKeys($0.value) }
            }
            return (value.array ?? []).allSatisfy(sortedKeys)
        }
        #expect(sortedKeys(document))
    }

    @Test("rounds appear as the ledger has them: outcome, counts, charge")
    func rounds() throws {
        let document = try JSON.parse(PrivacyReport(ledger: ReportFixture().ledger).json())
        let clients = try figure("clientsByRound", of: document)
        #expect(clients.count == 8)
        #expect(clients[2]["mask"]?.integer == 6 && clients[2]["outcome"]?.string == "released")
        #expect(clients[3]["mask"]?.integer == 5 && clients[3]["outcome"]?.string == "aborted, charged")
        #expect(clients[3]["unmask"]?.isNull == true)
        let losses = try figure("epsilonByRound", of: document).compactMap { $0["epsilon"]?.number }
        #expect(losses.count == 8)
        #expect(losses[3] > losses[2], "an aborted round that let vectors out is charged")
        #expect(losses[5] == losses[4], "a round given back is not")
        #expect(document["composition"]?["roundsCharged"]?.integer == 7)
        #expect(document["composition"]?["roundsReleased"]?.integer == 6)
        let noise = try figure("noiseByRound", of: document)
        #expect(noise.allSatisfy { $0["delivered"]!.number! >= $0["required"]!.number! })
        #expect(noise.count == 6)
    }

    /// A figure's rows by their columns' keys.
    private func figure(_ key: String, of document: JSON) throws -> [[String: JSON]] {
        let table = try #require(document["figures"]?[key])
        let keys = try #require(table["columns"]?.array).compactMap(\.string)
        return try #require(table["rows"]?.array).map { row in
            Dictionary(uniqueKeysWithValues: zip(keys, row.array ?? []))
        }
    }

    @Test("the headline names unit, δ, adversary; “private” never stands without a number")
    func wording() throws {
        for unit in PrivacyUnit.allCases {
            let report = try PrivacyReport(ledger: ReportFixture(unit: unit).ledger)
            let noun = unit == .client ? "one client" : "one training record"
            #expect(report.headline.contains(noun))
            #expect(report.headline.contains("δ = 1e-5") && report.headline.contains("ε = "))
            #expect(
                report.headline.contains("a server that may break the protocol and colludes with one client"))
            let page = String(decoding: report.html(), as: UTF8.self)
            #expect(!page.lowercased().contains(" private "), "\(unit)")
            #expect(page.contains("Small cohort"))
            #expect(page.contains("subtract its own contribution"))
        }
    }

    @Test("a weak guarantee is called weak, a record of earlier runs is added")
    func notices() throws {
        let weak = try PrivacyReport(ledger: ReportFixture(unit: .client).ledger)
        #expect(weak.epsilon > 10)
        #expect(String(decoding: weak.html(), as: UTF8.self).contains("Weak guarantee"))
        let facts = [LedgerFacts.spentBefore: "5/2", LedgerFacts.runsBefore: "2"]
        let later = try PrivacyReport(ledger: ReportFixture(facts: facts).ledger)
        #expect(
            later.epsilonTotal >= later.epsilon + 2.5 && later.epsilonTotal <= (later.epsilon + 2.5) * 1.0001)
        #expect(String(decoding: later.html(), as: UTF8.self).contains("2 earlier runs on the same people"))
    }

    @Test("earlier runs in clear of the workspace are counted in the ledger and named in the report")
    func runsInClear() throws {
        func notice(_ facts: [String: String]) throws -> JSON? {
            let report = try PrivacyReport(ledger: ReportFixture(rounds: 1, facts: facts).ledger)
            return try JSON.parse(report.json())["notices"]?["runsInClear"]
        }
        #expect(try notice([:]) == nil)
        #expect(try notice([LedgerFacts.runsInClear: "3"])?.string?.hasPrefix("3 earlier runs") == true)
    }

    @Test("a seeded run is told that its noise can be recomputed; an unseeded one is not")
    func replayable() throws {
        func notices(_ randomness: String) throws -> JSON? {
            let report = try PrivacyReport(
                ledger: ReportFixture(rounds: 1, facts: [LedgerFacts.randomness: randomness]).ledger)
            return try JSON.parse(report.json())["notices"]?["knownRandomness"]
        }
        #expect(try notices("simulation seed 7")?.string?.contains("simulation seed 7") == true)
        #expect(try notices(LedgerFacts.operatingSystem) == nil)
    }

    @Test("the page needs nothing from elsewhere and nothing from outside becomes markup")
    func selfContained() throws {
        let fixture = try ReportFixture(
            facts: [LedgerFacts.operatorName: "<script>alert(1)</script>\u{7}", LedgerFacts.contact: "\"'&"],
            remark: "</style><img src=x>")
        let page = String(decoding: try PrivacyReport(ledger: fixture.ledger).html(), as: UTF8.self)
        for forbidden in [
            "<script", "<img", "<link", "<iframe", "src=", "url(", "@import", "http://", "https://",
        ] {
            let found = page.replacingOccurrences(of: "http://www.w3.org/2000/svg", with: "")
                .replacingOccurrences(of: "&lt;img src=x&gt;", with: "")
            #expect(!found.contains(forbidden), "\(forbidden)")
        }
        #expect(page.contains("notes &lt;of&gt; eight &amp; sites"))
        #expect(page.utf8.count < 400_000)
    }

    @Test("elements of the page are balanced")
    func wellFormed() throws {
        let page = String(decoding: try PrivacyReport(ledger: ReportFixture().ledger).html(), as: UTF8.self)
        var open: [String] = []
        let voids: Set = ["meta"]
        var rest = page[...]
        while let start = rest.firstIndex(of: "<") {
            let end = try #require(rest[start...].firstIndex(of: ">"))
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("!") || tag.hasSuffix("/") { continue }
            let name = String(tag.drop { $0 == "/" }.prefix { !$0.isWhitespace })
            if tag.hasPrefix("/") {
                #expect(open.popLast() == name)
            } else if !voids.contains(name) {
                open.append(name)
            }
        }
        #expect(open.isEmpty)
    }

    @Test("an unfinished ledger is reported as far as it goes, and says so")
    func unfinished() throws {
        let whole = try ReportFixture().ledger
        let lines = whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // Up to and including the reservation of round 2.
        let part = Array(lines[..<5].joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
        let report = try PrivacyReport(ledger: part)
        let document = try JSON.parse(report.json())
        #expect(document["notices"]?["openLedger"] != nil)
        #expect(document["deviations"]?["unfinished"]?.integer == 1)
        #expect(document["composition"]?["roundsCharged"]?.integer == 2, "an open reservation stays spent")
    }

    @Test("a client's own ledger has a report too: it knows nobody else's counts")
    func clientLedger() throws {
        let key = try ReportFixture(rounds: 1).key
        var plan = try ReportFixture.plan(unit: .record, rounds: 4, facts: [:])
        plan.role = .client
        plan.participant = "site-3"
        plan.participationLimit = 4
        let storage = MemoryLedgerStorage()
        let file = try LedgerFile.create(in: storage, key: key, plan: plan, at: 1)
        for round in 1...2 {
            _ = try file.reserve(round: round, at: 2 * round)
            try file.commit(round: round, at: 2 * round + 1)
        }
        let document = try JSON.parse(PrivacyReport(ledger: storage.log).json())
        #expect(document["identity"]?["ledgerOf"]?.string == "client site-3")
        #expect(document["composition"]?["roundsCharged"]?.integer == 2)
        #expect(document["figures"]?["clientsByRound"] == nil && document["figures"]?["noiseByRound"] == nil)
        let first = try figure("epsilonByRound", of: document).first
        #expect(first?["outcome"]?.string == "masked vector sent")
    }

    @Test("a plan alone has a report with ε 0")
    func planOnly() throws {
        let whole = try ReportFixture().ledger
        let end = try #require(whole.firstIndex(of: UInt8(ascii: "\n")))
        let report = try PrivacyReport(ledger: Array(whole[...end]))
        #expect(report.epsilon == 0)
        #expect(!report.html().isEmpty && !report.json().isEmpty)
    }
}
