import Models
import Sodium

/// A data set dealt to clients: what each trains on, is validated on and is tested on.
public struct ClientSplit: Sendable, Equatable {
    public struct Client: Sendable, Equatable {
        public let name: String
        public var train: [Record]
        public var validation: [Record]
        public var test: [Record]

        public init(name: String, train: [Record], validation: [Record] = [], test: [Record] = []) {
            self.name = name
            self.train = train
            self.validation = validation
            self.test = test
        }

        public subscript(part: DataPart) -> [Record] {
            switch part {
            case .train: train
            case .validation: validation
            case .test: test
            }
        }
    }

    public var clients: [Client]

    /// - Throws: `ClientSplitError` if a client has nothing to train on, or nothing in a part that others
    ///   have.
    public init(clients: [Client]) throws(ClientSplitError) {
        for part in DataPart.allCases {
            guard part == .train || clients.contains(where: { !$0[part].isEmpty }) else { continue }
            if let empty = clients.first(where: { $0[part].isEmpty }) {
                throw .emptyClient(empty.name, part)
            }
        }
        self.clients = clients
    }

    /// Deals a pool.
    ///
    /// - Parameter redrawsEachPart: compatibility only (`RecordSplit.deal`).
    public init(
        train: [Record], validation: [Record], test: [Record], by split: RecordSplit, clients count: Int,
        seed: UInt64, redrawsEachPart: Bool = false
    ) throws {
        let parts = [train, validation, test]
        let dealt = try split.deal(parts, clients: count, seed: seed, redrawsEachPart: redrawsEachPart)
        let digits = String(count).count
        let clients = (0..<count).map { client in
            let number = String(client + 1)
            let name = "client-" + String(repeating: "0", count: digits - number.count) + number
            let own = parts.indices.map { part in dealt[part][client].map { parts[part][$0] } }
            return Client(name: name, train: own[0], validation: own[1], test: own[2])
        }
        try self.init(clients: clients)
    }

    /// All records of a part, client by client.
    public func all(_ part: DataPart) -> [Record] { clients.flatMap { $0[part] } }

    /// Records that are both trained on and tested on by anyone, whole and normalised.
    public var overlap: Int {
        RecordOverlap(trained: all(.train), tested: all(.validation) + all(.test)).records
    }

    /// The name of a client's file of a part: `client-07.test.jsonl`.
    public static func fileName(_ client: String, _ part: DataPart) -> String {
        "\(client).\(part.rawValue).jsonl"
    }

    /// Name and bytes of every file that the split is written as.
    public var files: [(name: String, bytes: [UInt8])] {
        clients.flatMap { client in
            DataPart.allCases.filter { !client[$0].isEmpty }.map { part in
                (Self.fileName(client.name, part), RecordWriter.lines(client[part]))
            }
        }
    }

    /// Writes every client's files, and the picture of who holds what.
    /// - Throws: `CheckpointError` if a file cannot be written.
    public func write(to directory: String, picture: HoldingsPicture) throws {
        try AtomicFile.makeDirectory(directory)
        for file in files { try AtomicFile.write(file.bytes, to: "\(directory)/\(file.name)") }
        try AtomicFile.write(picture.file, to: "\(directory)/holdings.svg")
    }

    /// Over the names and bytes of all files: equal digests mean the same data in the same hands.
    public var digest: Digest {
        Digest.labelled(
            "fedtrain/v1/client-split", files.flatMap { [Array($0.name.utf8), Digest.of($0.bytes).bytes] })
    }
}

/// Why records do not make a federation.
public enum ClientSplitError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyClient(String, DataPart)
    /// A file of validation or test records whose client has no training file.
    case strayFile(String)

    public var description: String {
        switch self {
        case .emptyClient(let name, let part): "client \(name) would have no \(part.rawValue) records"
        case .strayFile(let file): "\(file) belongs to no client with a training file"
        }
    }
}
