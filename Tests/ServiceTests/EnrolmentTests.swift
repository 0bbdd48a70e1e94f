import FedTrain
import Foundation
import Service
import Sodium
import Testing

/// Who may take part: documents that people carry, and every way in which one can be false.
@Suite struct EnrolmentTests {
    private func key(_ label: String) -> SigningKey {
        var random = StreamRandom(seed: 3, label: label)
        return SigningKey(generatedBy: &random)
    }

    private func request(_ name: String) throws -> EnrolmentRequest {
        try EnrolmentRequest(
            bytes: try EnrolmentRequest.bytes(name: name, key: key(name)), file: "\(name).request")
    }

    @Test func everyByteOfARequestMatters() throws {
        let bytes = try EnrolmentRequest.bytes(name: "clinic-7", key: key("clinic-7"))
        let original = try EnrolmentRequest(bytes: bytes, file: "r")
        #expect(original.name == "clinic-7" && original.key == key("clinic-7").verifyingKey)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            // A changed byte is refused, or was only white space.
            if let read = try? EnrolmentRequest(bytes: changed, file: "r") { #expect(read == original) }
        }
    }

    @Test func aRequestForAnothersKeyIsRefused() throws {
        let mine = try EnrolmentRequest.bytes(name: "mallory", key: key("mallory"))
        let text = String(decoding: mine, as: UTF8.self).replacing(
            "\(key("mallory").verifyingKey)", with: "\(key("clinic-7").verifyingKey)")
        #expect(throws: EnrolmentError.badSignature(file: "r")) {
            try EnrolmentRequest(bytes: Array(text.utf8), file: "r")
        }
    }

    @Test(arguments: ["", "a b", "ä", "../x", String(repeating: "x", count: 65), "a\n"])
    func namesThatAreUnsafeInFilesAndLogsAreRefused(name: String) {
        #expect(!ClientName.isValid(name))
    }

    @Test func aRosterReadsBackAsItWasSigned() throws {
        var roster = RosterFile(authority: key("authority").verifyingKey)
        _ = try roster.approve([try request("a"), try request("b"), try request("c")], now: 1000, days: 2)
        _ = try roster.revoke("b", now: 2000)
        #expect(roster.epoch == 2)
        let bytes = try roster.bytes(signedBy: key("authority"))
        let (read, signed) = try RosterFile.read(bytes: bytes, file: "roster.json")
        #expect(read == roster)
        #expect(try read.roster().entries.map(\.id.number) == [1, 3])
        #expect(signed.count == 64 + 16 + 2 * 40)
        #expect(read.clients[0].expires == 1000 + 2 * 86_400)
    }

    @Test func everyByteOfARosterMatters() throws {
        var roster = RosterFile(authority: key("authority").verifyingKey)
        _ = try roster.approve([try request("a"), try request("b")], now: 1000, days: 2)
        let bytes = try roster.bytes(signedBy: key("authority"))
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            if let read = try? RosterFile.read(bytes: changed, file: "r").file { #expect(read == roster) }
        }
    }

    @Test func numbersAndKeysAreNeverGivenTwice() throws {
        var roster = RosterFile(authority: key("authority").verifyingKey)
        _ = try roster.approve([try request("a")], now: 0, days: 1)
        #expect(throws: EnrolmentError.nameTaken("a")) {
            try roster.approve([try request("a")], now: 0, days: 1)
        }
        _ = try roster.revoke("a", now: 0)
        #expect(throws: EnrolmentError.keyTaken(name: "a")) {
            try roster.approve([try request("a")], now: 0, days: 1)
        }
        #expect(throws: EnrolmentError.unknownName("a")) { try roster.revoke("a", now: 0) }
        _ = try roster.approve([try request("b")], now: 0, days: 1)
        #expect(roster.clients.map(\.number) == [1, 2])
        // Of two requests of which one is refused, neither is entered.
        let before = roster
        #expect(throws: EnrolmentError.self) {
            try roster.approve([try request("c"), try request("b")], now: 0, days: 1)
        }
        #expect(roster == before)
    }

    @Test func anotherAuthoritysRosterIsRefused() throws {
        let roster = RosterFile(authority: key("mallory").verifyingKey)
        let bytes = try roster.bytes(signedBy: key("mallory"))
        #expect(throws: EnrolmentError.wrongAuthority(file: "r")) {
            try RosterFile.read(bytes: bytes, file: "r", authority: key("authority").verifyingKey)
        }
    }

    @Test func fingerprintsAreReadInEitherForm() {
        let fingerprint = Fingerprint(of: key("clinic-7").verifyingKey)
        #expect(fingerprint.words.split(separator: " ").count == 10)
        #expect(fingerprint.matches(fingerprint.words.uppercased()))
        #expect(fingerprint.matches(fingerprint.hex.replacing(" ", with: ":")))
        #expect(!fingerprint.matches(Fingerprint(of: key("mallory").verifyingKey).words))
        #expect(!fingerprint.matches(""))
    }

    @Test func theWordListTellsAllBytesApart() {
        let words = Fingerprint.wordList
        #expect(words.count == 256 && Set(words).count == 256)
        #expect(Set(words.map { $0.prefix(4) }).count == 256)
        #expect(words == words.sorted())
    }

    @Test func anEnrolmentFileKeepsItsPins() throws {
        let file = EnrolmentFile(
            federation: "f", url: "https://h:1", certificate: "PEM", server: key("server").verifyingKey,
            authority: key("authority").verifyingKey)
        #expect(try EnrolmentFile(bytes: file.bytes, file: "e") == file)
        let other = EnrolmentFile(
            federation: "f", url: "https://h:2", certificate: "PEM", server: file.server,
            authority: file.authority)
        #expect(other.fingerprint != file.fingerprint)
        #expect(throws: EnrolmentError.malformed(file: "e", kind: "enrolment file")) {
            try EnrolmentFile(bytes: Array("{}".utf8), file: "e")
        }
    }
}
