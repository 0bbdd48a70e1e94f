import FedTrain
import Foundation
import SecureAgg
import Sodium

/// What a watcher of a client gets to hear.
package enum ClientEvent: Sendable {
    case connected(federation: String, run: String)
    case waiting(String, secondsLeft: Int)
    case training(round: Int, secondsLeft: Int)
    case stageAnswered(Stage, round: Int)
    /// This client is out of the round; the next one is open to it.
    case leftRound(Int, reason: String)
    case roundEnded(Int, released: Bool, verified: Bool, reason: String)
    case reconnecting(String)
}

/// One client of a federation: waits for instructions, trains, takes part, until the run ends.
///
/// The corridor of a round is `ClientSession`, as in a simulation. A client that comes too late for a
/// stage, or that refuses a message of the server, leaves the round and waits for the next one.
package final class FederationClient: Sendable {
    package struct Outcome: Sendable, Equatable {
        package var rounds = 0
        package var released = 0
        /// Rounds in which this client's masked vector was accepted.
        package var contributed = 0
        /// Rounds whose signed result this client verified.
        package var verified = 0
        package var stopped = false
    }

    private let enrolment: EnrolmentFile
    private let key: SigningKey
    private let connection: ServiceConnection
    private let worker: SerialWorker<State>
    private let environment: Coordinator.Environment
    private let observe: @Sendable (ClientEvent) -> Void
    /// Told each point that a crash may come after, by name.
    private let passing: @Sendable (_ point: String) throws -> Void

    /// What only the worker touches.
    private final class State {
        let host: any SiteHost
        var session: ClientSession?
        var random: StreamRandom?
        var contribution: [Int32] = []
        var round = 0

        init(host: any SiteHost) { self.host = host }

        /// Ends the open session, and settles its round.
        func leave() throws {
            session?.leave()
            session = nil
            random = nil
            contribution = []
            if round > 0 { try host.settle(round) }
        }
    }

    package init(
        _ enrolment: EnrolmentFile, key: SigningKey, host: sending any SiteHost,
        settings: ServiceConnection.Settings, environment: Coordinator.Environment,
        passing: @escaping @Sendable (_ point: String) throws -> Void = { _ in },
        observe: @escaping @Sendable (ClientEvent) -> Void
    ) throws {
        self.passing = passing
        self.enrolment = enrolment
        self.key = key
        self.environment = environment
        self.observe = observe
        connection = try ServiceConnection(enrolment, settings: settings, environment: environment)
        worker = SerialWorker(State(host: host), label: "fedtrain.client")
    }

    /// Takes part until the run ends.
    package func run() async throws -> Outcome {
        do {
            let outcome = try await participate()
            await connection.close()
            return outcome
        } catch {
            await connection.close()
            try? await worker.run { try $0.leave() }
            throw error
        }
    }

    private func participate() async throws -> Outcome {
        var outcome = Outcome()
        var sequence = try await enter()
        var lostSessions: [Double] = []
        while true {
            do {
                let next = try await connection.next(after: sequence)
                if next.instructions.isEmpty, !next.waitingFor.isEmpty {
                    observe(.waiting(printable(next.waitingFor), secondsLeft: Int(next.deadlineMs / 1000)))
                }
                for instruction in next.instructions {
                    sequence = max(sequence, instruction.sequence)
                    if try await follow(instruction, after: sequence, &outcome) { return outcome }
                }
            } catch let problem as Problem where problem.endsSession {
                // The server was restarted, as often as it may be; or another process took the session over,
                // which cannot go on for long.
                if problem.kind == .superseded {
                    lostSessions = lostSessions.filter { environment.monotonic() - $0 < 120 }
                    lostSessions.append(environment.monotonic())
                    guard lostSessions.count < 5 else { throw ClientFailure.identityInUse }
                }
                observe(.reconnecting(problem.detail))
                try await worker.run { try $0.leave() }
                sequence = try await enter()
            } catch let problem as Problem {
                throw ClientFailure.refused(problem)
            }
        }
    }

    /// Opens a session and looks at the terms.
    private func enter() async throws -> UInt64 {
        let (terms, sequence): (HostTerms, UInt64)
        do {
            (terms, sequence) = try await connection.open(key)
        } catch let problem as Problem {
            throw ClientFailure.refused(problem)
        }
        guard terms.federation == enrolment.federation else {
            throw EnrolmentError.wrongServer("it serves `\(printable(terms.federation))`")
        }
        let roster = try Roster(signedBytes: terms.roster, authority: enrolment.authority)
        guard let entry = roster.entries.first(where: { $0.key == key.verifyingKey }) else {
            throw EnrolmentError.notEnrolled(fingerprint: Fingerprint(of: key.verifyingKey).hex)
        }
        let identity = ClientIdentity(id: entry.id, signingKey: key)
        observe(.connected(federation: printable(terms.federation), run: printable(terms.run)))
        try await worker.run { try $0.host.enter(terms, identity: identity, roster: roster) }
        try passing("terms entered")
        return sequence
    }

    /// Follows one instruction; true when the run is over.
    private func follow(
        _ instruction: WireInstruction, after sequence: UInt64, _ outcome: inout Outcome
    ) async throws -> Bool {
        switch instruction.kind {
        case .train(let train):
            try await guarded(Int(train.round)) { try await self.enterRound(train, after: sequence) }
        case .answer(let answer):
            let contributed = try await guarded(Int(answer.round)) { try await self.answer(answer) }
            if contributed == true, answer.stage == Stage.submitMaskedInput.name {
                outcome.contributed += 1
            }
        case .ended(let ended):
            try await endRound(ended, &outcome)
        case .finished(let finished):
            outcome.rounds = Int(finished.rounds)
            outcome.released = Int(finished.released)
            outcome.stopped = finished.stopped
            try await worker.run { state in
                try state.leave()
                try state.host.close()
            }
            try passing("run ended")
            // The server need not wait for this client to hear of the end.
            await connection.heartbeat(after: instruction.sequence)
            return true
        case nil:
            break
        }
        return false
    }

    /// Runs a step of a round. What goes wrong in it ends the round for this client, not the run.
    private func guarded<Result: Sendable>(
        _ round: Int, _ step: () async throws -> Result
    ) async throws -> Result? {
        do {
            return try await step()
        } catch let fault as AggregationFault {
            observe(.leftRound(round, reason: "\(fault)"))
        } catch let error as ExternalTrainerError {
            observe(.leftRound(round, reason: "\(error); the round's price was returned"))
        } catch let problem as Problem where !problem.endsSession {
            observe(.leftRound(round, reason: "\(problem.kind.rawValue): \(problem.detail)"))
        }
        try await worker.run { try $0.leave() }
        return nil
    }

    // MARK: A round

    /// Fetches the adapter, trains, and announces keys.
    private func enterRound(_ train: Fedtrain_Service_V1_Train, after sequence: UInt64) async throws {
        let round = Int(train.round)
        guard let digest = Digest(bytes: train.adapterDigest) else {
            throw ClientFailure.serverBroke("the adapter's digest has another length")
        }
        let mayEnter = try await worker.run { state in
            guard try round > state.round && state.host.mayEnter(round) else { return false }
            try state.leave()
            state.round = round
            return true
        }
        guard mayEnter else { return }
        try passing("round entered")
        let adapter = try await connection.adapter(round: round)
        try passing("adapter fetched")
        observe(.training(round: round, secondsLeft: Int(train.deadlineMs / 1000)))
        let pulse = Task { [connection] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(10))
                if !Task.isCancelled { await connection.heartbeat(after: sequence) }
            }
        }
        defer { pulse.cancel() }
        let manifest = [UInt8](train.manifest)
        let now = UInt64(max(0, environment.epochSeconds()))
        let message = try await worker.run { [passing] state in
            state.contribution = try state.host.contribution(
                round: round, adapter: adapter, digest: digest)
            try passing("contribution made")
            let (session, random) = try state.host.session(round: round, incoming: digest)
            state.session = session
            state.random = random
            var source = random
            return try session.advertiseKeys(manifest, now: now, random: &source)
        }
        pulse.cancel()
        try passing("stage advertise recorded")
        try await connection.upload(message, round: round, stage: .advertiseKeys, index: 0)
        try passing("stage advertise sent")
        observe(.stageAnswered(.advertiseKeys, round: round))
    }

    /// Answers a stage; false when this client is not in the round.
    private func answer(_ answer: Fedtrain_Service_V1_Answer) async throws -> Bool {
        let round = Int(answer.round)
        guard let stage = Stage(name: answer.stage), stage != .advertiseKeys else {
            throw ClientFailure.serverBroke("there is no stage `\(printable(answer.stage))`")
        }
        let bytes = [UInt8](answer.message)
        if stage == .submitMaskedInput {
            let upload = try await worker.run { state -> MaskedUpload? in
                guard state.round == round, let session = state.session else { return nil }
                let values = state.contribution
                state.contribution = []
                let upload = try session.maskedInput(bytes, values: values)
                // Final before the first byte leaves.
                try state.host.commit(round)
                return upload
            }
            guard let upload else { return false }
            try passing("stage mask recorded")
            try await connection.upload(upload.header, round: round, stage: stage, index: 0)
            try passing("mask header sent")
            for index in 0..<upload.chunkCount {
                try await connection.upload(
                    upload.chunk(index), round: round, stage: stage, index: index + 1)
                if index == 0 { try passing("mask chunk sent") }
            }
            try passing("stage mask sent")
        } else {
            let message = try await worker.run { state -> [UInt8]? in
                guard state.round == round, let session = state.session, var random = state.random else {
                    return nil
                }
                switch stage {
                case .shareKeys: return try session.shareKeys(bytes, random: &random)
                case .confirmSurvivors: return try session.confirmSurvivors(bytes)
                case .unmask: return try session.unmask(bytes)
                case .advertiseKeys, .submitMaskedInput: preconditionFailure("answered elsewhere")
                }
            }
            guard let message else { return false }
            try passing("stage \(stage.name) recorded")
            try await connection.upload(message, round: round, stage: stage, index: 0)
            try passing("stage \(stage.name) sent")
        }
        observe(.stageAnswered(stage, round: round))
        return true
    }

    private func endRound(
        _ ended: Fedtrain_Service_V1_RoundEnded, _ outcome: inout Outcome
    ) async throws {
        let round = Int(ended.round)
        let result = [UInt8](ended.result)
        let verified = try await guarded(round) { [passing] in
            try await worker.run { state -> Bool in
                guard state.round == round else { return false }
                var verified = false
                if let session = state.session, !result.isEmpty {
                    _ = try session.finish(result)
                    verified = true
                    try passing("result verified")
                }
                try state.leave()
                try passing("round settled")
                return verified
            }
        }
        if verified == true { outcome.verified += 1 }
        observe(
            .roundEnded(
                round, released: ended.released, verified: verified ?? false,
                reason: printable(ended.reason)))
    }
}
