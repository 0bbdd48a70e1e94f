import ArgumentParser
import FedTrain
import Foundation
import Service
import Sodium

/// `fedtrain keys`: identities. A private key never leaves the machine that made it.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Make identity keys and show their fingerprints.",
        subcommands: [New.self, Show.self])

    struct Payload: Encodable {
        let file: String
        let publicKey: String
        let fingerprint: String
        let words: String

        init(file: String, key: VerifyingKey) {
            let fingerprint = Fingerprint(of: key)
            self.file = file
            publicKey = "\(key)"
            self.fingerprint = fingerprint.hex
            words = fingerprint.words
        }

        var text: String {
            """
            public key   \(publicKey)
            fingerprint  \(fingerprint)
            in words     \(words)
            """
        }
    }

    struct New: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "new", abstract: "Make an identity key, readable by its owner alone.",
            discussion: """
                For a client, or for the authority that signs the roster. Read the words to the other side on \
                the telephone: they stand for the same 80 bits as the hexadecimal fingerprint.
                """)

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The key's name; the file is NAME.key.")
        var name: String

        @Option(help: "The directory for the file.")
        var directory = "keys"

        func execute(_ console: Console) throws -> Payload {
            guard ClientName.isValid(name) else {
                throw CommandFailure(
                    .usage, "a name has 1 to 64 letters, digits, hyphens and underscores", at: name)
            }
            var random = SystemRandom()
            let key = SigningKey(generatedBy: &random)
            let file = "\(directory)/\(name).key"
            try SigningKeyFile.create(file, key)
            return Payload(file: file, key: key.verifyingKey)
        }

        func describe(_ payload: Payload) -> String {
            """
            key file     \(payload.file) (keep it here: it is never sent)
            \(payload.text)
            next: fedtrain roster request \(name) --key \(payload.file)
            """
        }
    }

    struct Show: ResultCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show the public half of a key.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The key file.")
        var file: String

        func execute(_ console: Console) throws -> Payload {
            Payload(file: file, key: try SigningKeyFile.read(file).verifyingKey)
        }

        func describe(_ payload: Payload) -> String { payload.text }
    }
}
