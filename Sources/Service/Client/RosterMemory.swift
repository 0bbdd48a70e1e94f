import FedTrain
import Foundation
import Models
import SecureAgg
import Sodium

/// The latest edition of the roster that a client has seen, in its workspace: a server that shows an
/// older one could bring back a client that was taken out.
struct RosterMemory {
    private let path: String

    init(in workspace: Workspace) { path = "\(workspace.root)/roster-seen" }

    /// Accepts the same or a later edition and remembers it.
    ///
    /// - Throws: `EnrolmentError.rosterRolledBack` for an earlier edition, and for another list of the same.
    func see(_ roster: Roster) throws {
        if let data = FileManager.default.contents(atPath: path) {
            let parts = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isWhitespace)
            guard parts.count == 2, let epoch = UInt64(parts[0]), let digest = Digest(hex: String(parts[1]))
            else {
                throw CheckpointError(
                    .malformed, file: path, "this is no note of a roster's edition",
                    hint: "Remove it only if the authority tells you which edition of the roster holds")
            }
            guard roster.epoch > epoch || roster.epoch == epoch && roster.digest == digest else {
                throw EnrolmentError.rosterRolledBack(epoch: roster.epoch, seen: epoch)
            }
            guard roster.epoch > epoch else { return }
        }
        // A client's first session may be the first that its workspace is used for.
        try AtomicFile.makeDirectory((path as NSString).deletingLastPathComponent)
        try AtomicFile.write("\(roster.epoch) \(roster.digest.hex)\n", to: path)
    }
}
