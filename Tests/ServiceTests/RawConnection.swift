import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// A connection, with TLS or without, that sends what it is told, when it is told: for peers that do not speak HTTP properly.
final class RawConnection: Sendable {
    private let channel: any Channel
    private let received: Received

    private final class Received: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = ByteBuffer
        // Guarded by the lock.
        private let lock = NSLock()
        private var bytes: [UInt8] = []
        private var isClosed = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            lock.withLock { bytes += buffer.readableBytesView }
        }

        func channelInactive(context: ChannelHandlerContext) { lock.withLock { isClosed = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        var state: (text: String, isClosed: Bool) {
            lock.withLock { (String(decoding: bytes, as: UTF8.self), isClosed) }
        }
    }

    private init(channel: any Channel, received: Received) {
        self.channel = channel
        self.received = received
    }

    /// - Parameter certificate: the server's; nil: no TLS.
    static func open(
        port: Int, certificate: String?, versionMax: TLSVersion? = nil
    ) async throws -> RawConnection {
        let context = try certificate.map { pem in
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)))
            tls.certificateVerification = .noHostnameVerification
            tls.maximumTLSVersion = versionMax
            return try NIOSSLContext(configuration: tls)
        }
        let received = Received()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(
                            try NIOSSLClientHandler(context: context, serverHostname: nil))
                    }
                    try channel.pipeline.syncOperations.addHandler(received)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawConnection(channel: channel, received: received)
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// Cuts the connection without a word.
    func cut() async { try? await channel.close().get() }

    var answer: String { received.state.text }
    var isClosed: Bool { received.state.isClosed }

    /// The status of the first answer, waited for.
    func status(within seconds: Double = 5) async -> Int? {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            let parts = answer.split(separator: " ", maxSplits: 2)
            if parts.count >= 2, let status = Int(parts[1]) { return status }
            if isClosed { return nil }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }
}
