import FedTrain
import Foundation
import NIOCore
import SecureAgg
import Sodium

extension Coordinator {
    // MARK: Sessions

    /// Opens a session for a client of the roster; an older session of the same client ends.
    ///
    /// - Parameter address: where the request came from, for the limit on attempts.
    package func openSession(_ body: [UInt8], from address: String) throws -> [UInt8] {
        requests += 1
        try limitSessions(from: address)
        let signed: Fedtrain_Service_V1_SignedSessionRequest = try decodeBody(body)
        let (client, nonce, until) = try identities.client(
            of: signed, now: UInt64(max(0, environment.epochSeconds())))
        do { try host.accepts(nonce: nonce, until: until) } catch {
            fail(error)
            throw error
        }
        let id = ClientID(client.number)
        let isNew = peers[id] == nil
        let token = environment.randomBytes(32)
        var peer =
            peers[id]
            ?? Peer(
                id: id, name: client.name, token: token, lastSeen: now,
                rate: RateLimit(burst: limits.requestBurst, now: now))
        if !isNew {
            tokens[peer.token] = nil
            replaced = replaced.filter { $0.value != id }
            replaced[peer.token] = id
        }
        peer.token = token
        peer.lastSeen = now
        // A client that opens a session has forgotten what it was told before.
        peer.mailbox = []
        peer.transfers = 0
        discardUpload(&peer)
        tokens[token] = id
        let sequence = peer.sequence
        peers[id] = peer
        endPoll(of: id)
        if let round, round.session.stage == .advertiseKeys, !round.session.hasEnded,
            peer.acceptedCount(round.number, .advertiseKeys) == 0
        {
            enqueue(.train(trainInstruction(round)), for: id)
        } else if !isNew, let round, !round.session.hasEnded {
            // What it knew of the round died with its older session, so nobody need wait for it.
            self.round!.left.insert(id)
        }
        if isFinished {
            var ended = Fedtrain_Service_V1_RunEnded()
            ended.rounds = UInt32(host.counts.started)
            ended.released = UInt32(host.counts.released)
            enqueue(.finished(ended), for: id)
        }
        if isNew { tell(.joined(name: client.name, have: peers.count, need: host.minCohort)) }
        wake()
        var session = Fedtrain_Service_V1_Session()
        session.nonce = Data(nonce.bytes)
        session.token = Data(token)
        session.terms = terms.wire
        session.sequence = sequence
        let bytes = encodeBody(session)
        var answer = Fedtrain_Service_V1_SignedSession()
        answer.body = Data(bytes)
        answer.signature = Data(key.sign(ServiceProtocol.signed(ServiceProtocol.sessionLabel, bytes)))
        return encodeBody(answer)
    }

    /// The enrolment file, for a client that has its fingerprint.
    package func enrolmentFile(for address: String) throws -> [UInt8] {
        requests += 1
        try limitSessions(from: address)
        guard let enrolment else { throw Problem(.notFound, "this server hands out no enrolment file") }
        return enrolment
    }

    private func limitSessions(from address: String) throws(Problem) {
        if sessionRates.count >= limits.addressesMax, sessionRates[address] == nil { sessionRates = [:] }
        var rate = sessionRates[address] ?? RateLimit(burst: limits.sessionBurst, now: now)
        let wait = rate.take(burst: limits.sessionBurst, rate: limits.sessionsPerSecond, now: now)
        sessionRates[address] = rate
        if let wait {
            throw Problem(.tooManyRequests, "too many attempts to open a session", retryAfter: wait)
        }
    }

    /// The client that a request's token belongs to.
    func authenticate(_ token: [UInt8]) throws(Problem) -> ClientID {
        requests += 1
        guard isFinished || !isClosed else {
            throw Problem(.overloaded, "the server is going away", retryAfter: 1)
        }
        guard let id = tokens[token] else { throw lost(token) }
        let now = now
        if let wait = peers[id]!.rate.take(
            burst: limits.requestBurst, rate: limits.requestsPerSecond, now: now)
        {
            throw Problem(.tooManyRequests, "slow down", retryAfter: wait)
        }
        peers[id]!.lastSeen = now
        return id
    }

    /// Why a token is not one: its client opened another session, or this process never gave it out.
    func lost(_ token: [UInt8]) -> Problem {
        replaced[token] != nil
            ? Problem(.superseded, "another session of this client took over")
            : Problem(.noSession, "open a session first, or again")
    }

    // MARK: Instructions

    /// Instructions after `sequence`; waits for one if there is none.
    package func next(_ token: [UInt8], after sequence: UInt64, waitSeconds: Int) async throws -> [UInt8] {
        let id = try authenticate(token)
        peers[id]!.mailbox.removeAll { $0.sequence <= sequence }
        let seconds = min(waitSeconds, ServiceProtocol.pollSeconds)
        if peers[id]!.mailbox.isEmpty, seconds > 0, !isClosed {
            endPoll(of: id)
            let deadline = now + Double(seconds)
            await withCheckedContinuation { peers[id]!.poll = ($0, deadline) }
            // The session may have been taken over in the meantime.
            guard tokens[token] == id else { throw lost(token) }
            peers[id]!.lastSeen = now
        }
        var next = WireNext()
        next.instructions = peers[id]!.mailbox.map(refreshed)
        if let wait = currentWait {
            next.waitingFor = "\(wait.what) (\(wait.have) of \(wait.need))"
            next.deadlineMs = UInt64(wait.secondsLeft) * 1000
        }
        return encodeBody(next)
    }

    /// The instruction with the time that is left now.
    private func refreshed(_ instruction: WireInstruction) -> WireInstruction {
        guard let round else { return instruction }
        var instruction = instruction
        let left = milliseconds(until: round.deadline)
        switch instruction.kind {
        case .train(var train) where train.round == round.number:
            train.deadlineMs = left
            instruction.kind = .train(train)
        case .answer(var answer)
        where answer.round == round.number && answer.stage == round.session.stage.name:
            answer.deadlineMs = left
            instruction.kind = .answer(answer)
        default: break
        }
        return instruction
    }

    func enqueue(_ kind: WireInstruction.OneOf_Kind, for id: ClientID) {
        guard peers[id] != nil else { return }
        var instruction = WireInstruction()
        peers[id]!.sequence += 1
        instruction.sequence = peers[id]!.sequence
        instruction.kind = kind
        peers[id]!.mailbox.append(instruction)
        // A client that is this far behind has missed its rounds anyway.
        if peers[id]!.mailbox.count > limits.mailboxMax { peers[id]!.mailbox.removeFirst() }
        endPoll(of: id)
    }

    func endPoll(of id: ClientID) {
        let poll = peers[id]?.poll
        peers[id]?.poll = nil
        poll?.waiter.resume()
    }

    // MARK: Adapter and status

    /// The open round's incoming adapter, as little-endian 32-bit floats.
    ///
    /// The caller reports the end of the transfer with `transferEnded`.
    package func adapter(_ token: [UInt8], round number: Int) throws -> ByteBuffer {
        let id = try authenticate(token)
        guard let round, round.number == number, round.session.stage == .advertiseKeys else {
            throw Problem(.wrongStage, "round \(number) does not hand out its adapter now")
        }
        try beginTransfer(of: id)
        peers[id]!.fetchedRound = number
        self.round!.trace.received(round.adapter.readableBytes, by: id, at: .advertiseKeys)
        return round.adapter
    }

    /// Counts a body on its way to or from a client: one client cannot make the server hold many at once.
    func beginTransfer(of id: ClientID) throws(Problem) {
        guard peers[id]!.transfers < limits.transfersMax else {
            throw Problem(.tooManyRequests, "too many bodies of this client at once", retryAfter: 1)
        }
        peers[id]!.transfers += 1
    }

    /// The body is through, or its connection is gone.
    package func transferEnded(_ token: [UInt8]) {
        // A session that was replaced meanwhile began to count anew.
        if let id = tokens[token] { peers[id]!.transfers = max(0, peers[id]!.transfers - 1) }
    }

    /// Counts a refused request.
    package func note(_ problem: Problem, from token: [UInt8]?) {
        rejected[problem.kind.rawValue, default: 0] += 1
        let peer = token.flatMap { tokens[$0] }.flatMap { peers[$0]?.name }
        tell(.rejected(kind: problem.kind.rawValue, peer: peer, detail: problem.detail))
    }

    package var status: ServiceStatus {
        let counts = host.counts
        let now = now
        return ServiceStatus(
            federation: terms.federation, run: terms.run, roundsPlanned: host.roundsPlanned,
            roundsStarted: counts.started, roundsReleased: counts.released, minCohort: host.minCohort,
            minSurvivors: host.minSurvivors, epsilon: try? host.epsilonSpent,
            epsilonMax: privacy.epsilonMax, delta: privacy.delta, unit: privacy.unit,
            openRound: round?.number, stage: round?.session.stage.name, wait: currentWait,
            members: peers.values.sorted { $0.name < $1.name }.map {
                ServiceStatus.Member(
                    name: $0.name, silentSeconds: $0.poll != nil ? 0 : Int(now - $0.lastSeen))
            },
            recent: recent, rejected: rejected, requests: requests, bytesIn: bytesIn,
            isEncrypted: isEncrypted, isFinished: isFinished)
    }
}
