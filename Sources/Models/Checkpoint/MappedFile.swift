import Foundation

/// A whole file mapped read-only into memory.
///
/// The pages belong to the file: several readers share them and the system may drop them at will.
/// A file that another process truncates while it is mapped ends this process (SIGBUS); model files
/// are replaced by renaming, never rewritten in place, so that a mapping stays valid.
final class MappedFile: @unchecked Sendable {
    // Safe to share: the mapping is never written and lives exactly as long as this object.
    let bytes: UnsafeRawBufferPointer

    init(path: String) throws(CheckpointError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CheckpointError.opening(path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw CheckpointError.opening(path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError(.unreadable, file: path, "is not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED
        else { throw CheckpointError.opening(path) }
        bytes = UnsafeRawBufferPointer(start: start, count: size)
    }

    deinit {
        if let start = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
        }
    }
}

extension CheckpointError {
    /// The error for a path that could not be opened, from `errno`.
    static func opening(_ path: String) -> CheckpointError {
        let code = errno
        if code == ENOENT || code == ENOTDIR {
            return CheckpointError(
                .missingFile, file: path, "there is no such file", hint: "Check the path")
        }
        return CheckpointError(
            .unreadable, file: path, "cannot be read (\(String(cString: strerror(code))))",
            hint: "Check the permissions")
    }
}

func fileExists(_ path: String) -> Bool {
    access(path, F_OK) == 0
}

/// The whole content of a small file.
func readFile(_ path: String) throws(CheckpointError) -> [UInt8] {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    return Array(file.bytes)
}

/// A JSON file whose top level must be an object.
func readJSONObject(_ path: String) throws(CheckpointError) -> JSON {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    let document: JSON
    do {
        document = try JSON.parse(file.bytes)
    } catch {
        throw CheckpointError(
            .malformed, file: path, error.description, hint: "The file may be cut off; fetch it again")
    }
    guard case .object = document else {
        throw CheckpointError(.malformed, file: path, "must hold a JSON object, not \(document.kind)")
    }
    return document
}

/// Reads a file of UTF-8.
func readText(_ path: String) throws(CheckpointError) -> String {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    guard let text = String(validating: file.bytes, as: UTF8.self) else {
        throw CheckpointError(.malformed, file: path, "is not UTF-8")
    }
    return text
}
