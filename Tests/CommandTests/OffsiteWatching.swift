import Foundation
import Glibc

/// Names of the files of one directory that any process opens, as the kernel reports them.
struct OpenWatch {
    private let descriptor: Int32

    init(directory: String) throws {
        descriptor = inotify_init1(Int32(O_NONBLOCK))
        let watch = inotify_add_watch(descriptor, directory, UInt32(IN_OPEN))
        guard descriptor >= 0, watch >= 0 else { throw POSIXError(.ENOSYS) }
    }

    /// What was opened since the last call, sorted, each name once.
    func opened() -> [String] {
        var names = Set<String>()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return names.sorted() }
            var place = 0
            while place < count {
                // struct inotify_event: watch, mask, cookie, length, name.
                let length = buffer[place + 12..<place + 16].enumerated()
                    .reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
                let name = buffer[place + 16..<place + 16 + length].prefix { $0 != 0 }
                // The directory itself has no name.
                if !name.isEmpty { names.insert(String(decoding: name, as: UTF8.self)) }
                place += 16 + length
            }
        }
    }
}

/// The matrices of one block that must not travel, as their bytes are stored.
struct Withheld {
    let matrices: [String: Data]

    init(model: URL, block: Int) throws {
        matrices = try tensors(of: Data(contentsOf: model)).filter {
            $0.key.contains(".layers.\(block).") && $0.key.contains("proj")
        }
    }

    /// Names of the matrices of which some piece occurs: 64 bytes, at eight places of each.
    func found(in data: Data) -> [String] {
        matrices.filter { _, bytes in
            stride(from: 0, to: bytes.count - 64, by: bytes.count / 8).contains { start in
                let piece = bytes[bytes.startIndex + start..<bytes.startIndex + start + 64]
                return data.range(of: piece) != nil
            }
        }.keys.sorted()
    }
}

/// Each tensor's stored bytes in a safetensors file, by name.
func tensors(of file: Data) throws -> [String: Data] {
    let length = file.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    let header =
        try JSONSerialization.jsonObject(with: file[8..<8 + length]) as? [String: [String: Any]] ?? [:]
    return header.compactMapValues { entry in
        guard let offsets = entry["data_offsets"] as? [Int] else { return nil }
        return Data(file[8 + length + offsets[0]..<8 + length + offsets[1]])
    }
}

extension CommandRunner {
    static let builtInBase = root.appendingPathComponent("Sources/FedTrain/Resources/built-in-base")
}

/// Passes the bytes of TCP connections on to another port of this machine, and keeps what it saw.
final class Relay: @unchecked Sendable {
    let port: Int
    private let target: Int
    private let listener: Int32
    private let lock = NSLock()
    private var toServer = Data()
    private var toClients = Data()

    /// Everything that went each way, connection after connection as it came.
    var seen: (toServer: Data, toClients: Data) { lock.withLock { (toServer, toClients) } }

    init(to target: Int) throws {
        self.target = target
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                self.connect(client)
            }
        }
    }

    /// Ends the accepting thread; connections end with their peers.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func connect(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(target)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard connected else {
            close(client)
            close(server)
            return
        }
        Thread.detachNewThread { self.pass(from: client, to: server) { self.toServer.append($0) } }
        Thread.detachNewThread { self.pass(from: server, to: client) { self.toClients.append($0) } }
    }

    private func pass(from source: Int32, to sink: Int32, keep: (Data) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            lock.withLock { keep(Data(buffer[..<count])) }
            var sent = 0
            while sent < count {
                let step = buffer.withUnsafeBytes {
                    send(sink, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
                }
                guard step > 0 else { break }
                sent += step
            }
            guard sent == count else { break }
        }
        shutdown(sink, Int32(SHUT_WR))
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
