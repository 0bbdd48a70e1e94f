import FedTrain
import HTTPTypes
import Hummingbird
import NIOCore
import SecureAgg
import Sodium

/// The endpoints of docs/api.md. Each reads its request, asks the coordinator, and writes the answer;
/// whatever goes wrong becomes a problem document in one place.
struct ServiceRoutes {
    let coordinator: Coordinator
    let limits: ServiceLimits
    let monotonic: @Sendable () -> Double

    func router() -> Router<ServiceContext> {
        let router = Router(context: ServiceContext.self)
        router.addMiddleware { ProblemMiddleware(coordinator: coordinator) }
        router.post("/v1/sessions", use: openSession)
        router.get("/v1/enrolment", use: enrolment)
        router.get("/v1/next", use: next)
        router.get("/v1/rounds/:round/adapter", use: adapter)
        router.get("/v1/rounds/:round/:stage/:index", use: receipt)
        router.post("/v1/rounds/:round/:stage/:index", use: receive)
        return router
    }

    @Sendable private func openSession(
        _ request: Request, _ context: ServiceContext
    ) async throws -> Response {
        let body = try await readBody(request, context, limit: 4096)
        return binary(try await coordinator.openSession(body, from: context.address))
    }

    @Sendable private func next(_ request: Request, _ context: ServiceContext) async throws -> Response {
        let token = try Self.token(of: request)
        let after = try number(request, "after", upTo: UInt64.max)
        let wait = try number(request, "wait", upTo: 3600, default: UInt64(ServiceProtocol.pollSeconds))
        return binary(try await coordinator.next(token, after: after, waitSeconds: Int(wait)))
    }

    @Sendable private func adapter(
        _ request: Request, _ context: ServiceContext
    ) async throws -> Response {
        let round = try place(context, "round")
        let token = try Self.token(of: request)
        let adapter = try await coordinator.adapter(token, round: round)
        // Whoever does not read keeps neither the connection nor more than one part of the adapter.
        let end = context.channel.eventLoop.scheduleTask(
            in: .milliseconds(Int64(limits.adapterSeconds * 1000))
        ) { [channel = context.channel] in channel.close(promise: nil) }
        let body = ResponseBody(contentLength: adapter.readableBytes) { [coordinator] writer in
            var rest = adapter
            do {
                while let part = rest.readSlice(length: min(rest.readableBytes, ServiceProtocol.pieceBytes)),
                    part.readableBytes > 0
                {
                    try await writer.write(part)
                }
            } catch {
                end.cancel()
                await coordinator.transferEnded(token)
                throw error
            }
            end.cancel()
            await coordinator.transferEnded(token)
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: ServiceProtocol.contentType, .cacheControl: "no-store"],
            body: body)
    }

    /// The enrolment file, for clients that have its fingerprint from elsewhere.
    @Sendable private func enrolment(
        _ request: Request, _ context: ServiceContext
    ) async throws -> Response {
        let bytes = try await coordinator.enrolmentFile(for: context.address)
        return Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    @Sendable private func receipt(
        _ request: Request, _ context: ServiceContext
    ) async throws -> Response {
        binary(try await coordinator.receipt(try Self.token(of: request), try messagePlace(context)))
    }

    @Sendable private func receive(
        _ request: Request, _ context: ServiceContext
    ) async throws -> Response {
        let token = try Self.token(of: request)
        let place = try messagePlace(context)
        let offset = Int(try number(request, "offset", upTo: UInt64(Int32.max)))
        let total = Int(try number(request, "total", upTo: UInt64(Int64.max)))
        try await coordinator.admit(token, place, offset: offset, total: total)
        do {
            let answer = try await receiveBody(request, context, token, place, offset: offset, total: total)
            await coordinator.transferEnded(token)
            return answer
        } catch {
            await coordinator.transferEnded(token)
            throw error
        }
    }

    /// Reads a piece that was admitted, and hands it on as far as it came.
    private func receiveBody(
        _ request: Request, _ context: ServiceContext, _ token: [UInt8],
        _ place: Coordinator.MessagePlace, offset: Int, total: Int
    ) async throws -> Response {
        var bytes: [UInt8] = []
        do {
            bytes = try await readBody(
                request, context, limit: min(total - offset, ServiceProtocol.pieceBytes),
                whatCame: { bytes = $0 })
        } catch let problem as Problem {
            throw problem
        } catch {
            // The connection was cut: what came is kept, so that the client need not send it again.
            if !bytes.isEmpty {
                _ = try await coordinator.receive(
                    token, place, offset: offset, total: total, bytes: bytes)
            }
            throw Problem(.malformed, "the body ended early")
        }
        guard !bytes.isEmpty else { throw Problem(.malformed, "the piece is empty") }
        return binary(
            try await coordinator.receive(token, place, offset: offset, total: total, bytes: bytes))
    }

    // MARK: Reading

    /// The request's bearer token.
    static func token(of request: Request) throws(Problem) -> [UInt8] {
        guard let value = request.headers[.authorization], value.hasPrefix("Bearer "),
            let token = bytesFromHex(String(value.dropFirst(7))), token.count == 32
        else { throw Problem(.noSession, "the request carries no token") }
        return token
    }

    /// Reads a body of at most `limit` bytes in at most the allowed time.
    ///
    /// - Parameter whatCame: is given everything that came before a connection was cut.
    private func readBody(
        _ request: Request, _ context: ServiceContext, limit: Int, whatCame: ([UInt8]) -> Void = { _ in }
    ) async throws -> [UInt8] {
        let tooLarge = Problem(.tooLarge, "at most \(limit) bytes are taken at once")
        if let length = request.headers[.contentLength] {
            guard let length = Int(length), length <= limit else {
                context.closeSoon()
                throw tooLarge
            }
        }
        let deadline = monotonic() + limits.bodySeconds
        var bytes: [UInt8] = []
        do {
            for try await buffer in request.body {
                bytes += buffer.readableBytesView
                guard bytes.count <= limit else {
                    context.closeSoon()
                    throw tooLarge
                }
                guard monotonic() < deadline else {
                    context.closeSoon()
                    throw Problem(.malformed, "the body came too slowly")
                }
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            whatCame(bytes)
            throw error
        }
        return bytes
    }

    private func number(
        _ request: Request, _ name: String, upTo bound: UInt64, default fallback: UInt64? = nil
    ) throws(Problem) -> UInt64 {
        guard let text = request.uri.queryParameters[Substring(name)] else {
            guard let fallback else { throw Problem(.malformed, "the query lacks `\(name)`") }
            return fallback
        }
        guard let value = UInt64(text), value <= bound else {
            throw Problem(.malformed, "`\(name)` is not a number from 0 to \(bound)")
        }
        return value
    }

    private func place(_ context: ServiceContext, _ name: String) throws(Problem) -> Int {
        guard let text = context.parameters.get(name), let value = UInt32(text) else {
            throw Problem(.notFound, "there is no such \(name)")
        }
        return Int(value)
    }

    private func messagePlace(_ context: ServiceContext) throws(Problem) -> Coordinator.MessagePlace {
        guard let stage = context.parameters.get("stage").flatMap({ Stage(name: $0) }) else {
            throw Problem(.notFound, "there is no such stage")
        }
        return Coordinator.MessagePlace(
            round: try place(context, "round"), stage: stage, index: try place(context, "index"))
    }

    private func binary(_ bytes: [UInt8]) -> Response {
        Response(
            status: .ok, headers: [.contentType: ServiceProtocol.contentType, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

/// Turns every error into a problem document, and counts it.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = ServiceContext
    let coordinator: Coordinator

    func handle(
        _ request: Request, context: ServiceContext,
        next: (Request, ServiceContext) async throws -> Response
    ) async throws -> Response {
        let problem: Problem
        do {
            return try await next(request, context)
        } catch let error as Problem {
            problem = error
        } catch let error as HTTPError {
            problem = Problem(
                error.status == .notFound ? .notFound : .malformed, error.body ?? "\(error.status)")
        } catch {
            problem = Problem(.failed, "the server could not do this; its log says why")
        }
        // Where there is no room, an open connection takes some; and a server that goes away closes all.
        if problem.kind == .overloaded { context.closeSoon() }
        await coordinator.note(problem, from: try? ServiceRoutes.token(of: request))
        var headers: HTTPFields = [.contentType: Problem.contentType, .cacheControl: "no-store"]
        if let seconds = problem.retryAfter { headers[.retryAfter] = "\(seconds)" }
        return Response(
            status: .init(code: problem.kind.status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: problem.json)))
    }
}
