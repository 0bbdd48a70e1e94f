import Foundation
import NIOCore
import NIOPosix
import Sodium
import Synchronization

/// A wire that is cut again and again: forwards to a server and drops each connection after a random number
/// of the client's bytes, until it has cut often enough.
final class CuttingProxy: Sendable {
    let port: Int
    private let channel: any Channel
    private let state: State

    fileprivate final class State: Sendable {
        let target: Int
        let cutsMax: Int
        let bytesMax: UInt64
        let cuts = Mutex(0)
        let random: Mutex<SplitMix>

        init(target: Int, cutsMax: Int, bytesMax: Int, seed: UInt64) {
            self.target = target
            self.cutsMax = cutsMax
            self.bytesMax = UInt64(bytesMax)
            random = Mutex(SplitMix(state: seed))
        }

        /// After how many bytes the next connection is cut; nil: never.
        func nextCut() -> Int? {
            guard cuts.withLock({ $0 }) < cutsMax else { return nil }
            return Int(random.withLock { $0.next() } % bytesMax)
        }

        func countCut() { cuts.withLock { $0 += 1 } }
    }

    fileprivate struct SplitMix {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    init(target: Int, cuts: Int, bytesMax: Int, seed: UInt64) async throws {
        let state = State(target: target, cutsMax: cuts, bytesMax: bytesMax, seed: seed)
        self.state = state
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop)
                    .connect(host: "127.0.0.1", port: state.target)
                    .flatMap { server in
                        client.eventLoop.makeCompletedFuture {
                            try client.pipeline.syncOperations.addHandler(
                                Forwarder(to: server, cutAfter: state.nextCut(), state: state))
                            try server.pipeline.syncOperations.addHandler(
                                Forwarder(to: client, cutAfter: nil, state: state))
                        }
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress!.port!
    }

    var cuts: Int { state.cuts.withLock { $0 } }

    func close() async { try? await channel.close().get() }
}

/// Passes bytes on, and cuts both sides when its allowance is used up.
private final class Forwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let peer: any Channel
    private var allowance: Int?
    private let state: CuttingProxy.State

    init(to peer: any Channel, cutAfter allowance: Int?, state: CuttingProxy.State) {
        self.peer = peer
        self.allowance = allowance
        self.state = state
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if let left = allowance {
            allowance = left - buffer.readableBytes
            if buffer.readableBytes >= left {
                state.countCut()
                if let part = buffer.readSlice(length: left) { peer.writeAndFlush(part, promise: nil) }
                peer.close(promise: nil)
                context.close(promise: nil)
                return
            }
        }
        peer.writeAndFlush(buffer, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { peer.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        peer.close(promise: nil)
        context.close(promise: nil)
    }
}
