import FedTrain
import Foundation
import Models
import Service

/// Where a client learns which server is the right one: from the enrolment file, or from the server's
/// address together with the file or its fingerprint.
enum EnrolmentSource {
    /// - Parameters:
    ///   - place: an enrolment file, or `https://host:port`.
    ///   - file: the enrolment file to go with an address; the workspace's own copy when nil.
    ///   - fingerprint: what the file must have; with an address it may be fetched then.
    static func enrolment(
        _ place: String, file: String?, fingerprint: String?, workspace: Workspace, insecureHTTP: Bool
    ) throws -> EnrolmentFile {
        guard place.hasPrefix("http://") || place.hasPrefix("https://") else {
            guard file == nil else {
                throw CommandFailure(
                    .usage, "--enrolment goes with an address; `\(place)` is a file already")
            }
            return try check(read(place), fingerprint)
        }
        let url = try address(place)
        // Before anything is sent, and again for the file's own address.
        guard url.hasPrefix("https://") || insecureHTTP else { throw JoinCommand.refusedInClear(url) }
        if let file { return try check(read(file), fingerprint).reached(at: url) }
        let kept = "\(workspace.root)/enrolment.json"
        if FileManager.default.fileExists(atPath: kept) {
            let pinned = try read(kept)
            if fingerprint.map({ pinned.fingerprint.matches($0) }) ?? true { return pinned.reached(at: url) }
        }
        guard let fingerprint else {
            throw CommandFailure(
                .identity, "nothing says which server this should be", at: url, privacy: "nothing was sent",
                hint: "ask the operator for the ten words that `serve` shows: fedtrain join \(url) "
                    + "--fingerprint \"WORDS\" …, or for enrolment.json: --enrolment FILE")
        }
        let fetched = try runAsync { try await EnrolmentFetch.fetch(url, fingerprint: fingerprint) }
        try AtomicFile.makeDirectory(workspace.root)
        try AtomicFile.write(try fetched.bytes, to: kept)
        return fetched.reached(at: url)
    }

    private static func read(_ file: String) throws -> EnrolmentFile {
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw CommandFailure(
                .missingInput, "there is no such file, or it cannot be read", at: file,
                hint: "ask the federation's operator for enrolment.json")
        }
        return try EnrolmentFile(bytes: Array(bytes), file: file)
    }

    private static func check(_ file: EnrolmentFile, _ fingerprint: String?) throws -> EnrolmentFile {
        if let fingerprint, !file.fingerprint.matches(fingerprint) {
            throw EnrolmentError.fingerprintDiffers(expected: fingerprint, found: file.fingerprint.words)
        }
        return file
    }

    /// Scheme, host and port, and nothing else.
    private static func address(_ text: String) throws -> String {
        let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let parts = URLComponents(string: trimmed), let host = parts.host, !host.isEmpty,
            parts.path.isEmpty, parts.query == nil, parts.fragment == nil, parts.user == nil
        else {
            throw CommandFailure(
                .usage, "`\(text)` is no address of a server", hint: "for example https://example.org:8443")
        }
        return trimmed
    }
}
