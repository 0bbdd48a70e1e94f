import ArgumentParser
import FedTrain
import Foundation
import Models
import Service
import Sodium

/// `fedtrain roster`: who may take part, signed by an authority whose key may stay offline.
struct RosterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roster", abstract: "Ask to be enrolled; approve, revoke and list clients.",
        subcommands: [Request.self, Approve.self, Revoke.self, List.self])

    /// What the authority's commands share.
    struct AuthorityOptions: ParsableArguments {
        @Option(help: "The roster's file.")
        var roster = "roster.json"

        @Option(help: "The authority's key file.")
        var authority = "keys/authority.key"

        func load() throws -> (RosterFile, SigningKey) {
            let key = try SigningKeyFile.read(
                authority, whose: "the authority's", ifMissing: "Make one: fedtrain keys new authority")
            guard let bytes = FileManager.default.contents(atPath: roster) else {
                return (RosterFile(authority: key.verifyingKey), key)
            }
            return (
                try RosterFile.read(bytes: Array(bytes), file: roster, authority: key.verifyingKey).file, key
            )
        }

        func save(_ file: RosterFile, _ key: SigningKey) throws {
            try AtomicFile.write(try file.bytes(signedBy: key), to: roster)
        }
    }

    struct Request: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "request", abstract: "Write a signed request to be enrolled.",
            discussion: "It holds a name and a public key; the private key stays in its file.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The name to be known by.")
        var name: String

        @Option(help: "The identity's key file.")
        var key: String

        @Option(name: .shortAndLong, help: "The request's file; NAME.request when not given.")
        var output: String?

        func execute(_ console: Console) throws -> KeysCommand.Payload {
            guard ClientName.isValid(name) else {
                throw CommandFailure(
                    .usage, "a name has 1 to 64 letters, digits, hyphens and underscores", at: name)
            }
            let signingKey = try SigningKeyFile.read(key)
            let file = output ?? "\(name).request"
            try AtomicFile.write(try EnrolmentRequest.bytes(name: name, key: signingKey), to: file)
            return KeysCommand.Payload(file: file, key: signingKey.verifyingKey)
        }

        func describe(_ payload: KeysCommand.Payload) -> String {
            """
            request      \(payload.file)
            \(payload.text)
            next: send the file to the authority, and read it the words by telephone
            """
        }
    }

    struct Entry: Encodable {
        let number: UInt64
        let name: String
        let fingerprint: String
        let words: String
        let state: String
        let expires: String

        init(_ client: RosterFile.Client, now: Int) {
            let fingerprint = client.verifyingKey.map { Fingerprint(of: $0) }
            number = client.number
            name = client.name
            self.fingerprint = fingerprint?.hex ?? ""
            words = fingerprint?.words ?? ""
            state = client.revoked != nil ? "revoked" : client.expires <= now ? "expired" : "active"
            expires = day(client.expires)
        }
    }

    struct Approve: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "approve", abstract: "Enter clients into the roster and sign it.",
            discussion: """
                Compare the fingerprint with the one that the client reads out; --fingerprint checks it for \
                you, as hexadecimal or as words.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var files: AuthorityOptions

        @Argument(help: "The clients' requests.")
        var requests: [String]

        @Option(help: "Refuse unless the key has this fingerprint; for one request.")
        var fingerprint: String?

        @Option(help: "For how many days the enrolment holds.")
        var days = 365

        struct Payload: Encodable {
            let approved: [Entry]
        }

        func execute(_ console: Console) throws -> Payload {
            guard (1...36_500).contains(days) else {
                throw CommandFailure(.usage, "--days must be from 1 to 36500")
            }
            guard fingerprint == nil || requests.count == 1 else {
                throw CommandFailure(.usage, "--fingerprint is for one request")
            }
            var (roster, key) = try files.load()
            let wanted = try requests.map { file in
                guard let bytes = FileManager.default.contents(atPath: file) else {
                    throw CheckpointError(
                        .missingFile, file: file, "there is no such file, or it cannot be read")
                }
                return try EnrolmentRequest(bytes: Array(bytes), file: file)
            }
            if let fingerprint, let found = wanted.first.map({ Fingerprint(of: $0.key) }),
                !found.matches(fingerprint)
            {
                throw EnrolmentError.fingerprintDiffers(expected: fingerprint, found: found.hex)
            }
            let now = Int(Date().timeIntervalSince1970)
            let entered = try roster.approve(wanted, now: now, days: days)
            try files.save(roster, key)
            return Payload(approved: entered.map { Entry($0, now: now) })
        }

        func describe(_ payload: Payload) -> String {
            let lines = payload.approved.map { entry in
                """
                approved     \(entry.name), client \(entry.number), until \(entry.expires)
                fingerprint  \(entry.fingerprint)
                in words     \(entry.words)
                """
            }
            return lines.joined(separator: "\n")
                + "\nnext: if a client reads out other words: fedtrain roster revoke NAME"
        }
    }

    struct Revoke: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "revoke", abstract: "Take a client out of the roster and sign it.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var files: AuthorityOptions

        @Argument(help: "The client's name.")
        var name: String

        func execute(_ console: Console) throws -> Entry {
            var (roster, key) = try files.load()
            let now = Int(Date().timeIntervalSince1970)
            let client = try roster.revoke(name, now: now)
            try files.save(roster, key)
            return Entry(client, now: now)
        }

        func describe(_ entry: Entry) -> String {
            """
            revoked      \(entry.name), client \(entry.number); its key is never enrolled again
            next: give the roster to the server and start it again
            """
        }
    }

    struct List: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the clients of a roster, after checking its signatures.")

        @OptionGroup var global: GlobalOptions

        @Option(help: "The roster's file.")
        var roster = "roster.json"

        struct Payload: Encodable {
            let authority: String
            let authorityFingerprint: String
            let epoch: UInt64
            let clients: [Entry]
        }

        func execute(_ console: Console) throws -> Payload {
            guard let bytes = FileManager.default.contents(atPath: roster) else {
                throw CheckpointError(
                    .missingFile, file: roster, "there is no such file, or it cannot be read",
                    hint: "The authority makes it: fedtrain roster approve REQUEST")
            }
            let file = try RosterFile.read(bytes: Array(bytes), file: roster).file
            let now = Int(Date().timeIntervalSince1970)
            return Payload(
                authority: "\(file.authority)", authorityFingerprint: Fingerprint(of: file.authority).hex,
                epoch: file.epoch, clients: file.clients.map { Entry($0, now: now) })
        }

        func describe(_ payload: Payload) -> String {
            table(
                ["client", "name", "state", "until", "fingerprint"],
                payload.clients.map { ["\($0.number)", $0.name, $0.state, $0.expires, $0.fingerprint] })
                + "\nsigned by \(payload.authorityFingerprint), edition \(payload.epoch)"
        }
    }
}

/// A day of the calendar in UTC, as 2026-11-22.
func day(_ epochSeconds: Int) -> String {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withFullDate]
    return formatter.string(from: Date(timeIntervalSince1970: TimeInterval(epochSeconds)))
}
