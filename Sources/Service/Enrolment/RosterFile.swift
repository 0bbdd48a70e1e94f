import FedTrain
import Foundation
import Models
import SecureAgg
import Sodium

/// The authority's list of clients: who is in, since when, until when, and who was taken out.
///
/// The authority signs two things: the protocol's roster (numbers and keys of the active clients, bound
/// into every round) and this whole document. Its key may live on a machine without a network; the file
/// is carried to the server.
package struct RosterFile: Equatable, Sendable {
    package struct Client: Codable, Equatable, Sendable {
        /// Never given to anyone else, not even after a revocation.
        package let number: UInt64
        package let name: String
        package let key: String
        /// Seconds since 1970.
        package let since: Int
        /// Seconds since 1970; the server refuses the client from then on.
        package let expires: Int
        package var revoked: Int?

        package var verifyingKey: VerifyingKey? {
            bytesFromHex(key).flatMap { VerifyingKey(bytes: $0) }
        }
    }

    package private(set) var epoch: UInt64
    package private(set) var clients: [Client]
    package let authority: VerifyingKey

    private static let schema = "fedtrain-roster/1"
    private static let label = "fedtrain/v1/roster-file"

    private struct Document: Codable {
        let schema: String
        let authority: String
        let epoch: UInt64
        let clients: [Client]
        /// 64 bytes of signature and the roster's body, as the protocol carries them.
        let roster: String
        let signature: String
    }

    /// An empty list.
    package init(authority: VerifyingKey) {
        self.authority = authority
        epoch = 0
        clients = []
    }

    /// Enters clients under the next free numbers: one edition, however many they are.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - days: for how long the enrolment holds.
    package mutating func approve(
        _ requests: [EnrolmentRequest], now: Int, days: Int
    ) throws(EnrolmentError) -> [Client] {
        var next = self
        var entered: [Client] = []
        for request in requests { entered.append(try next.enter(request, now: now, days: days)) }
        next.epoch += 1
        self = next
        return entered
    }

    private mutating func enter(
        _ request: EnrolmentRequest, now: Int, days: Int
    ) throws(EnrolmentError) -> Client {
        guard !clients.contains(where: { $0.name == request.name && $0.revoked == nil }) else {
            throw .nameTaken(request.name)
        }
        if let holder = clients.first(where: { $0.key == "\(request.key)" }) {
            throw .keyTaken(name: holder.name)
        }
        let client = Client(
            number: (clients.map(\.number).max() ?? 0) + 1, name: request.name, key: "\(request.key)",
            since: now, expires: now + days * 86_400)
        clients.append(client)
        return client
    }

    /// Takes a client out; its number and key stay taken.
    package mutating func revoke(_ name: String, now: Int) throws(EnrolmentError) -> Client {
        guard let index = clients.firstIndex(where: { $0.name == name && $0.revoked == nil }) else {
            throw .unknownName(name)
        }
        clients[index].revoked = now
        epoch += 1
        return clients[index]
    }

    /// The active clients as the protocol's roster.
    package func roster() throws -> Roster {
        try Roster(
            epoch: epoch,
            entries: clients.filter { $0.revoked == nil }.map {
                Roster.Entry(id: ClientID($0.number), key: $0.verifyingKey!)
            })
    }

    /// The client with this key, revoked or not.
    package func client(_ key: VerifyingKey) -> Client? { clients.first { $0.key == "\(key)" } }

    // MARK: The file

    package func bytes(signedBy key: SigningKey) throws -> [UInt8] {
        precondition(key.verifyingKey == authority, "only the authority signs its roster")
        let roster = try roster().signed(by: key)
        return try JSONFile.bytes(
            Document(
                schema: Self.schema, authority: "\(authority)", epoch: epoch, clients: clients,
                roster: hexString(roster), signature: hexString(key.sign(try digest(roster)))))
    }

    /// Reads a list and checks both signatures.
    ///
    /// - Parameter expected: the authority, where it is known already.
    /// - Returns: the list, and the protocol's roster under its signature.
    package static func read(
        bytes: [UInt8], file: String, authority expected: VerifyingKey? = nil
    ) throws -> (file: RosterFile, signedRoster: [UInt8]) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)),
            document.schema == schema,
            let authority = bytesFromHex(document.authority).flatMap({ VerifyingKey(bytes: $0) }),
            let roster = bytesFromHex(document.roster),
            let signature = bytesFromHex(document.signature),
            document.clients.allSatisfy({ ClientName.isValid($0.name) && $0.verifyingKey != nil })
        else { throw EnrolmentError.malformed(file: file, kind: "roster") }
        if let expected, expected != authority { throw EnrolmentError.wrongAuthority(file: file) }
        var list = RosterFile(authority: authority)
        list.epoch = document.epoch
        list.clients = document.clients
        guard authority.accepts(signature: signature, over: try list.digest(roster)) else {
            throw EnrolmentError.badSignature(file: file)
        }
        let verified = try Roster(signedBytes: roster, authority: authority)
        guard verified.digest == (try list.roster().digest) else {
            throw EnrolmentError.badSignature(file: file)
        }
        return (list, roster)
    }

    private func digest(_ roster: [UInt8]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return Digest.labelled(
            Self.label, [littleEndianBytes(epoch), Array(try encoder.encode(clients)), roster]
        ).bytes
    }
}
