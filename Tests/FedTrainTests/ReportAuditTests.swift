import DP
import FedTrain
import Models
import SecureAgg
import Sodium
import Testing

@Suite("Report audit")
struct ReportAuditTests {
    @Test("an untouched run verifies, with and without the expected key")
    func untouched() throws {
        let fixture = try ReportFixture()
        let run = try fixture.files()
        #expect(
            ReportAudit.verify(ledger: run.ledger, json: run.json, html: run.html, signature: run.signature)
                == [])
        let pinned = ReportAudit.verify(
            ledger: run.ledger, json: run.json, html: run.html, signature: run.signature,
            expecting: fixture.key.verifyingKey)
        #expect(pinned == [])
    }

    @Test("any flipped byte of any file is found")
    func everyByte() throws {
        // Some 80,000 bytes, each changed in one bit. The client unit is the cheaper one to account.
        // About 30 s of processor time in a release build.
        let fixture = try ReportFixture(unit: .client, rounds: 3)
        let run = try fixture.files()
        for position in run.ledger.indices {
            var changed = run.ledger
            changed[position] ^= 1 << UInt8(position % 8)
            #expect(
                throws: LedgerError.self, "ledger byte \(position)",
                performing: { try Ledger.verify(changed) })
        }
        // The expected files are made once; the audit's comparison is what is under test.
        let audit = ReportAudit(ledger: run.ledger)
        for file in [ReportAudit.File.json, .html, .signature] {
            let original = file == .json ? run.json : file == .html ? run.html : run.signature
            for position in original.indices {
                var changed = original
                changed[position] ^= 1 << UInt8(position % 8)
                let findings = audit.findings(
                    json: file == .json ? changed : run.json, html: file == .html ? changed : run.html,
                    signature: file == .signature ? changed : run.signature)
                #expect(findings.contains { $0.file == file }, "\(file) byte \(position)")
            }
        }
    }

    @Test("a shortened or lengthened file is found")
    func lengths() throws {
        let run = try ReportFixture(rounds: 3).files()
        let audit = ReportAudit(ledger: run.ledger)
        for (json, html, signature) in [
            (Array(run.json.dropLast()), run.html, run.signature), (run.json + [10], run.html, run.signature),
            (run.json, Array(run.html.dropLast()), run.signature), (run.json, run.html + [32], run.signature),
            (run.json, run.html, Array(run.signature.dropLast())), (run.json, run.html, []),
            ([], run.html, run.signature),
        ] {
            #expect(!audit.findings(json: json, html: html, signature: signature).isEmpty)
        }
    }

    @Test("a cut ledger verifies by itself, but not against its report")
    func cutLedger() throws {
        let run = try ReportFixture(rounds: 3).files()
        let last = try #require(run.ledger.dropLast().lastIndex(of: UInt8(ascii: "\n")))
        let cut = Array(run.ledger[...last])
        #expect(throws: Never.self) { try Ledger.verify(cut) }
        let findings = ReportAudit.verify(
            ledger: cut, json: run.json, html: run.html, signature: run.signature)
        #expect(Set(findings.map(\.file)) == [.json, .html, .signature])
    }

    @Test("the first wrong field is named by its path")
    func path() throws {
        let run = try ReportFixture(rounds: 3).files()
        let text = String(decoding: run.json, as: UTF8.self)
        let document = try JSON.parse(run.json)
        let epsilon = try #require(document["guarantee"]?["epsilon"]?.number)
        let start = try #require(text.range(of: "\"guarantee\": {\n    \"accountant\""))
        let changed =
            text[..<start.lowerBound]
            + text[start.lowerBound...].replacing(
                "\"epsilon\": \(epsilon)", with: "\"epsilon\": 0.5", maxReplacements: 1)
        let findings = ReportAudit.verify(
            ledger: run.ledger, json: Array(changed.utf8), html: run.html, signature: run.signature)
        let finding = try #require(findings.first { $0.file == .json })
        #expect(finding.place == "guarantee.epsilon")
        #expect(finding.what == "the ledger gives \(epsilon), the report has 0.5")
    }

    @Test("the same values in another spelling are found")
    func spelling() throws {
        let run = try ReportFixture(rounds: 3).files()
        let compact = Array(try JSON.parse(run.json).text(.compact).utf8)
        let findings = ReportAudit.verify(
            ledger: run.ledger, json: compact, html: run.html, signature: run.signature)
        #expect(findings.first?.what.contains("spelled in another way") == true)
    }

    @Test("a report that somebody else signs again does not verify")
    func otherKey() throws {
        let fixture = try ReportFixture(rounds: 3)
        let run = try fixture.files()
        var source = StreamRandom(seed: 99, label: "another key")
        let other = SigningKey(generatedBy: &source)
        let forged = ReportSignature(ledger: run.ledger, json: run.json, html: run.html, key: other)
        let findings = ReportAudit.verify(
            ledger: run.ledger, json: run.json, html: run.html, signature: forged.fileBytes)
        #expect(findings.map(\.what) == ["signed by another key than the ledger"])
        let whole = ReportAudit.verify(
            ledger: run.ledger, json: run.json, html: run.html, signature: run.signature,
            expecting: other.verifyingKey)
        #expect(whole.first?.file == .ledger)
    }

    @Test("files of two genuine runs do not mix")
    func mixed() throws {
        let first = try ReportFixture(rounds: 3).files()
        let second = try ReportFixture(rounds: 2).files()
        let findings = ReportAudit.verify(
            ledger: first.ledger, json: second.json, html: second.html, signature: second.signature)
        #expect(Set(findings.map(\.file)) == [.json, .html, .signature])
    }
}
