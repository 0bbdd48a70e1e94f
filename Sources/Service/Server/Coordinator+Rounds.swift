import FedTrain
import Foundation
import NIOCore
import SecureAgg

extension Coordinator {
    /// One round, from the reservation to the new adapter or to a failure that opened nothing.
    func runRound(_ number: Int, _ session: ServerSession) async throws {
        let began = now
        var opened = OpenRound(
            number: number, session: session, manifest: session.manifestMessage,
            deadline: began + timing.train, began: began, adapter: ByteBuffer(bytes: host.adapter.values))
        opened.trace.invited = host.invited
        round = opened
        defer { round = nil }
        try host.stageOpens(.advertiseKeys, round: number, members: Array(peers.keys))
        for id in peers.keys { enqueue(.train(trainInstruction(opened)), for: id) }
        try host.passes("stage advertise sent")
        tell(.roundStarted(number, of: host.roundsPlanned, clients: peers.count))
        try await wait(
            for: "announcements of round \(number)", until: opened.deadline, need: host.invited,
            have: { session.advertised }, isDone: { self.hasEveryoneAdvertised(session) })

        var survivors = 0
        var stageBegan = began
        while true {
            let closed = session.stage
            round!.trace.completed[closed] =
                closed == .advertiseKeys ? session.advertised : round!.asked - session.awaited.count
            round!.trace.seconds[closed] = now - stageBegan
            stageBegan = now
            try host.passes("stage \(closed.name) answered")
            let action = session.closeStage()
            dropUploads()
            try host.passes("stage \(closed.name) closed")
            switch action {
            case .send(let stage, let messages):
                if stage == .confirmSurvivors { survivors = messages.count }
                if stage == .unmask {
                    try host.commit(round: number, survivors: survivors, trace: round!.trace)
                }
                try await open(stage, messages, session)
            case .released(let sum, let messages):
                let summary = try host.release(sum, trace: round!.trace)
                try conclude(summary, results: messages, began: began)
                return
            case .aborted(let fault):
                let summary = try host.abort(
                    fault, trace: round!.trace, isCharged: round!.mayHaveLeft)
                try conclude(summary, results: [], began: began)
                return
            }
        }
    }

    /// Hands out a stage's messages and waits for the answers.
    private func open(
        _ stage: Stage, _ messages: [OutgoingMessage], _ session: ServerSession
    ) async throws {
        let number = round!.number
        let deadline = now + timing.stage
        round!.deadline = deadline
        round!.asked = messages.count
        try host.stageOpens(stage, round: number, members: messages.map(\.recipient))
        if stage == .submitMaskedInput { round!.mayHaveLeft = true }
        for message in messages {
            var answer = Fedtrain_Service_V1_Answer()
            answer.round = UInt32(number)
            answer.stage = stage.name
            answer.message = Data(message.bytes)
            answer.deadlineMs = milliseconds(until: deadline)
            round!.trace.received(message.bytes.count, by: message.recipient, at: stage)
            enqueue(.answer(answer), for: message.recipient)
        }
        try host.passes("stage \(stage.name) sent")
        tell(
            .stageOpened(
                stage, round: number, members: messages.count, seconds: Int(timing.stage.rounded(.up))))
        let asked = messages.count
        try await wait(
            for: "stage \(stage.name) of round \(number)", until: deadline, need: asked,
            have: { asked - session.awaited.count },
            isDone: {
                let left = self.round?.left ?? []
                return session.awaited.allSatisfy(left.contains)
            })
    }

    /// Everyone who is coming is here: all who are invited; or, after the grace time, everyone who has
    /// fetched the round's adapter and has not gone silent since.
    private func hasEveryoneAdvertised(_ session: ServerSession) -> Bool {
        guard let round else { return true }
        if session.advertised >= host.invited { return true }
        guard session.advertised >= host.minCohort, now >= round.began + timing.grace else { return false }
        return !peers.values.contains {
            $0.fetchedRound == round.number && $0.acceptedCount(round.number, .advertiseKeys) == 0
                && isPresent($0)
        }
    }

    func trainInstruction(_ round: OpenRound) -> Fedtrain_Service_V1_Train {
        var train = Fedtrain_Service_V1_Train()
        train.round = UInt32(round.number)
        train.manifest = Data(round.manifest)
        train.adapterDigest = Data(host.adapter.digest.bytes)
        train.deadlineMs = milliseconds(until: round.deadline)
        return train
    }

    /// Tells everyone how the round ended.
    private func conclude(
        _ summary: RoundSummary, results: [OutgoingMessage], began: Double
    ) throws {
        let results = Dictionary(uniqueKeysWithValues: results.map { ($0.recipient, $0.bytes) })
        for id in peers.keys {
            var ended = Fedtrain_Service_V1_RoundEnded()
            ended.round = UInt32(summary.round)
            ended.released = summary.isReleased
            ended.result = Data(results[id] ?? [])
            ended.reason = summary.fault?.check.rawValue ?? ""
            enqueue(.ended(ended), for: id)
        }
        let epsilon = try host.epsilonSpent
        let counts = RoundCounts(summary.trace)
        recent.append(
            ServiceStatus.RoundLine(
                round: summary.round, outcome: summary.isReleased ? "released" : "aborted",
                invited: summary.trace.invited, survivors: summary.survivors, seconds: now - began,
                epsilon: epsilon,
                lost: Dictionary(
                    uniqueKeysWithValues: Stage.allCases.map { ($0.name, counts.lost(in: $0)) }),
                reason: summary.fault.map { $0.check.meaning }))
        if recent.count > 200 { recent.removeFirst(recent.count - 200) }
        tell(.roundEnded(summary, epsilon: epsilon))
    }
}
