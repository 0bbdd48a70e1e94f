import Foundation

/// Writes a file so that readers see the old content or the new, never a part: to a temporary name
/// in the same directory, synced, then renamed; the directory is synced last.
package enum AtomicFile {
    /// - Parameter chunks: called with a sink; each call of the sink appends bytes.
    package static func write(
        to path: String,
        _ chunks: (_ append: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void) throws(CheckpointError)
            -> Void
    ) throws(CheckpointError) {
        let temporary = "\(path).\(getpid()).partial"
        // 0644 before umask: model files are public to the machine's users; keys never go this way.
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(path, "created") }
        do throws(CheckpointError) {
            try chunks { (bytes) throws(CheckpointError) in
                try append(bytes, to: descriptor, path: path)
            }
            guard fsync(descriptor) == 0 else { throw failure(path, "synced") }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0, rename(temporary, path) == 0 else {
            let error = failure(path, "put in place")
            unlink(temporary)
            throw error
        }
        try syncDirectory(of: path)
    }

    package static func write(_ bytes: [UInt8], to path: String) throws(CheckpointError) {
        try write(to: path) { (append) throws(CheckpointError) in
            try withBytes(bytes, append)
        }
    }

    package static func write(_ text: String, to path: String) throws(CheckpointError) {
        try write(Array(text.utf8), to: path)
    }

    /// Creates the directory and its parents; an existing directory is fine.
    package static func makeDirectory(_ path: String) throws(CheckpointError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw CheckpointError(
                .cannotWrite, file: path, "the directory cannot be created",
                hint: "Check the path and its permissions")
        }
    }

    /// `withUnsafeBytes` for a body with a typed error.
    package static func withBytes(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(CheckpointError) in try body(buffer) }
        }
        try result.get()
    }

    private static func append(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
    ) throws(CheckpointError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = UnsafeRawBufferPointer(rebasing: rest)
            let written = Foundation.write(descriptor, chunk.baseAddress!, chunk.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw failure(path, "written")
            }
            rest = rest.dropFirst(written)
        }
    }

    private static func syncDirectory(of path: String) throws(CheckpointError) {
        let directory = (path as NSString).deletingLastPathComponent
        let descriptor = open(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "synced") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(path, "synced") }
    }

    private static func failure(_ path: String, _ verb: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, file: path, "cannot be \(verb) (\(String(cString: strerror(errno))))",
            hint: "Check free space and permissions")
    }
}
