import FedTrain
import Foundation
import SecureAgg
import Service
import Testing

/// Someone on the way records every request of honest rounds and sends each again where it does not belong,
/// with whatever token is valid there. Nothing of it is taken, and the rounds it disturbs sum exactly.
@Suite(.serialized) struct ReplayTests {
    @Test func noMessageIsTakenInAnotherContext() async throws {
        let adversary = Adversary(clients: 3)
        let toy = try ToyFederation(clients: 3, dimension: 200, rounds: 3)
        // The first process ends after two of the three rounds.
        let first = try ToyFederation(clients: 3, dimension: 200, rounds: 2)
        try await serve(first, process: 1, adversary) { port in
            await adversary.sendUploadsAgain(port: port)
        }
        #expect(first.sumsAreExact())

        // Everything that the first process knew is gone, but for its store.
        toy.nonces.withLock { $0 = first.nonces.withLock { $0 } }
        toy.released.withLock { $0 = first.released.withLock { $0 } }
        try await serve(toy, process: 2, from: 3, adversary)
        #expect(toy.sumsAreExact())

        let other = try ToyFederation(clients: 3, dimension: 200, run: 2)
        other.nonces.withLock { $0 = toy.nonces.withLock { $0 } }
        try await serve(other, process: 3, adversary)
        #expect(other.sumsAreExact())

        let tried = await adversary.tried
        print("replays: \(tried.values.map(\.values.sum).sum), of \(tried.count) messages")
        // Two rounds of three clients: announcement, shares, header and chunk, confirmation, unmasking.
        #expect(tried.count == 2 * 3 * 6)
        for (message, contexts) in tried {
            #expect(Set(contexts.keys) == Set(Adversary.Context.allCases), "\(message)")
        }
        let accepted = await adversary.accepted
        #expect(accepted.isEmpty, "\(accepted)")
        #expect(await adversary.sessionsTried >= 2 * 3)
    }

    private func serve(
        _ toy: ToyFederation, process: Int, from first: Int = 1, _ adversary: Adversary,
        atEnd: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws {
        _ = try await toy.serve(isEncrypted: false, from: first) { port, _ in
            await adversary.sendRequestsAgain(of: process, port: port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...toy.clients {
                    let wire = try await WatchedWire(target: port) {
                        await adversary.sees($0, of: number, process: process, run: toy.run, port: port)
                    }
                    group.addTask {
                        let file = toy.enrolment(port: wire.port, isEncrypted: false)
                        let outcome = try await toy.client(number, port: wire.port, enrolment: file).run()
                        // What was sent in its name cost it nothing.
                        #expect(outcome.contributed == toy.rounds - first + 1)
                        #expect(outcome.verified == outcome.contributed)
                        await wire.close()
                    }
                }
                try await group.waitForAll()
            }
            await atEnd(port)
        }
    }
}

/// Records, waits, and sends again.
private actor Adversary {
    enum Context: CaseIterable {
        case otherClient, otherRound, afterItsStage, afterRestart, otherRun
    }

    /// A place for a message, and whose it was.
    struct Origin: Hashable {
        let process: Int
        let run: UInt8
        let client: Int
        let round: Int
        let stage: String
        let index: Int

        var path: String { "/v1/rounds/\(round)/\(stage)/\(index)" }

        func isSamePlace(_ other: Origin) -> Bool {
            process == other.process && round == other.round && stage == other.stage && index == other.index
        }
    }

    private let clients: Int
    private var messages: [(origin: Origin, request: WatchedWire.Request)] = []
    private var requests: [(process: Int, request: WatchedWire.Request)] = []
    private var waiting: [(origin: Origin, resume: CheckedContinuation<Void, Never>)] = []
    /// For each message of the first process, how often it was tried in which context.
    private(set) var tried: [Origin: [Context: Int]] = [:]
    private(set) var sessionsTried = 0
    /// What should be empty.
    private(set) var accepted: [String] = []

    init(clients: Int) { self.clients = clients }

    /// A client's request is on its way. Before the server gets it, everything recorded is tried in its place.
    func sees(
        _ request: WatchedWire.Request, of client: Int, process: Int, run: UInt8, port: Int
    ) async {
        requests.append((process, request))
        let parts = request.path.split(separator: "/")
        guard request.method == "POST", parts.count == 5 else { return }
        let here = Origin(
            process: process, run: run, client: client, round: Int(parts[2])!, stage: String(parts[3]),
            index: Int(parts[4])!)
        if process == 1 { tried[here] = [:] }
        messages.append((here, request))
        await everyone(at: here)
        for (origin, recorded) in messages where origin != here {
            guard let context = context(of: origin, at: here) else { continue }
            await send(recorded.body, to: here.path, token: request.token, port: port, origin, context)
            if context == .afterItsStage {
                await send(recorded.body, to: origin.path, token: request.token, port: port, origin, context)
            }
        }
    }

    /// What it would mean to take a message of `origin` here; nil if the two differ in more than one way.
    private func context(of origin: Origin, at here: Origin) -> Context? {
        if origin.isSamePlace(here) { return .otherClient }
        guard origin.client == here.client else { return nil }
        if origin.process == here.process, origin.round == here.round {
            // While its stage is open, a message may come again: its sender may not know that it arrived.
            return origin.stage != here.stage ? .afterItsStage : nil
        }
        guard origin.stage == here.stage, origin.index == here.index else { return nil }
        if origin.run != here.run { return .otherRun }
        return origin.process != here.process ? .afterRestart : .otherRound
    }

    /// Waits until every client's message for this place is on the wire.
    private func everyone(at here: Origin) async {
        guard messages.count(where: { $0.origin.isSamePlace(here) }) < clients else {
            for one in waiting where one.origin.isSamePlace(here) { one.resume.resume() }
            waiting.removeAll { $0.origin.isSamePlace(here) }
            return
        }
        await withCheckedContinuation { waiting.append((here, $0)) }
    }

    /// After the last round: every message with its own token, at its own place and in the other round.
    func sendUploadsAgain(port: Int) async {
        for (origin, request) in messages {
            let (token, body) = (request.token, request.body)
            await send(body, to: origin.path, token: token, port: port, origin, .afterItsStage)
            let other = Origin(
                process: origin.process, run: origin.run, client: origin.client, round: 3 - origin.round,
                stage: origin.stage, index: origin.index)
            await send(body, to: other.path, token: token, port: port, origin, .otherRound)
        }
        await sendRequestsAgain(of: nil, port: port)
    }

    /// Every request for a session, byte for byte; and to another process every other request too.
    func sendRequestsAgain(of process: Int?, port: Int) async {
        for (origin, request) in requests where origin != process {
            let isSession = request.path == "/v1/sessions"
            // A token that is valid where it was given out is its client, whoever shows it.
            guard isSession || process != nil else { continue }
            if isSession { sessionsTried += 1 }
            note(await status(request.bytes, port: port), "\(request.method) \(request.path)")
        }
    }

    private func send(
        _ body: [UInt8], to path: String, token: String, port: Int, _ origin: Origin, _ context: Context
    ) async {
        let head =
            "POST \(path)?offset=0&total=\(body.count) HTTP/1.1\r\nHost: h\r\n"
            + "Authorization: Bearer \(token)\r\nContent-Length: \(body.count)\r\n\r\n"
        tried[origin]?[context, default: 0] += 1
        note(await status(Array(head.utf8) + body, port: port), "\(origin) at \(path): \(context)")
    }

    private func note(_ status: Int?, _ what: String) {
        if status.map({ $0 < 400 }) ?? false { accepted.append(what) }
    }

    private nonisolated func status(_ bytes: [UInt8], port: Int) async -> Int? {
        guard let connection = try? await RawConnection.open(port: port, certificate: nil) else { return nil }
        try? await connection.send(bytes)
        let status = await connection.status()
        await connection.cut()
        return status
    }
}

extension Sequence where Element == Int {
    fileprivate var sum: Int { reduce(0, +) }
}
