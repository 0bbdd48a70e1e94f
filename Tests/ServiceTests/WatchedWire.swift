import Foundation
import NIOCore
import NIOPosix

/// A wire without TLS between one client and a server. It sees every request whole, and whoever watches may
/// do anything before it is passed on.
final class WatchedWire: Sendable {
    struct Request: Sendable {
        let method: String
        /// Without its query.
        let path: String
        /// As it stands after `Bearer`; empty without one.
        let token: String
        let body: [UInt8]
        /// Head and body as they came.
        let bytes: [UInt8]
    }

    let port: Int
    private let channel: any Channel

    init(target: Int, before watch: @escaping @Sendable (Request) async -> Void) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop)
                    .connect(host: "127.0.0.1", port: target)
                    .flatMap { server in
                        client.eventLoop.makeCompletedFuture {
                            try client.pipeline.syncOperations.addHandler(
                                RequestReader(to: server, watch: watch))
                            try server.pipeline.syncOperations.addHandler(AnswerForwarder(to: client))
                        }
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress!.port!
    }

    func close() async { try? await channel.close().get() }
}

/// Collects a request, shows it to the watcher, and then passes it on. A client sends the next request only
/// after the answer to the last one.
private final class RequestReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let peer: any Channel
    private let watch: @Sendable (WatchedWire.Request) async -> Void
    private var bytes: [UInt8] = []

    init(to peer: any Channel, watch: @escaping @Sendable (WatchedWire.Request) async -> Void) {
        self.peer = peer
        self.watch = watch
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += unwrapInboundIn(data).readableBytesView
        guard let request = wholeRequest() else { return }
        bytes.removeFirst(request.bytes.count)
        Task { [peer, watch] in
            await watch(request)
            peer.writeAndFlush(ByteBuffer(bytes: request.bytes), promise: nil)
        }
    }

    private func wholeRequest() -> WatchedWire.Request? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = end.upperBound
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        func field(_ name: String) -> String? {
            lines.first { $0.lowercased().hasPrefix(name + ": ") }.map {
                String($0.dropFirst(name.count + 2))
            }
        }
        let length = field("content-length").flatMap { Int($0) } ?? 0
        guard bytes.count >= head + length else { return nil }
        let words = lines[0].split(separator: " ")
        return WatchedWire.Request(
            method: String(words[0]), path: String(words[1].prefix { $0 != "?" }),
            token: field("authorization").map { String($0.dropFirst("Bearer ".count)) } ?? "",
            body: Array(bytes[head..<head + length]), bytes: Array(bytes[..<(head + length)]))
    }

    func channelInactive(context: ChannelHandlerContext) { peer.close(promise: nil) }
}

private final class AnswerForwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let peer: any Channel

    init(to peer: any Channel) { self.peer = peer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        peer.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { peer.close(promise: nil) }
}
