import FedTrain
import SecureAgg
import Service
import Synchronization

/// Tells a person how a served run goes: who came, what is waited for and until when, how rounds ended.
/// On a terminal four lines below the history are kept up to date; elsewhere a line every half minute
/// says what is waited for.
final class ServiceWatcher: Sendable {
    private let console: SharedConsole
    private let plan: RoundPlan
    private let latestLine = Mutex(monotonicSeconds())

    init(console: SharedConsole, plan: RoundPlan) {
        self.console = console
        self.plan = plan
    }

    /// Shows the server's state until the task is cancelled.
    func follow(_ coordinator: Coordinator) async {
        while !Task.isCancelled {
            let status = await coordinator.status
            console { console in
                if console.isLive {
                    console.block(Self.block(status, console))
                } else if let wait = status.wait, monotonicSeconds() - latestLine.withLock({ $0 }) >= 30 {
                    say(wait, console)
                }
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    @Sendable func observe(_ event: ServiceEvent) {
        console { console in
            switch event {
            case .joined(let name, let have, let need):
                console.say(
                    "\(name) joined (\(have) of at least \(need))", event: "joined",
                    fields: ["client": .text(name), "have": .integer(have), "need": .integer(need)])
            case .waiting(let wait):
                say(wait, console)
            case .roundStarted(let round, let planned, let clients):
                console.say(
                    "round \(round)/\(planned)  started with \(clients) clients", event: "round-started",
                    fields: ["round": .integer(round), "clients": .integer(clients)])
            case .stageOpened(let stage, let round, let members, let seconds):
                console.detail(
                    "round \(round)/\(plan.rounds)  stage \(stage.name): \(members) asked, at most \(seconds) s",
                    event: "stage-opened",
                    fields: [
                        "round": .integer(round), "stage": .text(stage.name), "asked": .integer(members),
                        "seconds": .integer(seconds),
                    ])
            case .roundEnded(let summary, let epsilon):
                var fields: [String: LogLine.Value] = [
                    "round": .integer(summary.round), "released": .flag(summary.isReleased),
                    "invited": .integer(summary.trace.invited), "survivors": .integer(summary.survivors),
                    "epsilon": .real(epsilon), "charged": .flag(summary.isCharged),
                ]
                fields["reason"] = summary.fault.map { .text($0.check.rawValue) }
                console.say(
                    RunWatcher.line(summary, epsilon: epsilon, plan: plan), event: "round-ended",
                    fields: fields)
            case .rejected(let kind, let peer, let detail):
                var fields: [String: LogLine.Value] = ["kind": .text(kind)]
                fields["client"] = peer.map { .text($0) }
                console.detail(
                    "refused \(kind)\(peer.map { " from \($0)" } ?? ""): \(detail)", event: "refused",
                    fields: fields)
            case .finished(let started, let released, let stopped):
                console.say(
                    "the run is over: \(released) of \(started) rounds released", event: "finished",
                    fields: [
                        "rounds": .integer(started), "released": .integer(released),
                        "stopped": .flag(stopped),
                    ])
            }
        }
    }

    private func say(_ wait: ServiceStatus.Wait, _ console: Console) {
        latestLine.withLock { $0 = monotonicSeconds() }
        console.step(
            "waiting for \(wait.what): \(wait.have) of \(wait.need), at most \(wait.secondsLeft) s",
            event: "waiting",
            fields: [
                "what": .text(wait.what), "have": .integer(wait.have), "need": .integer(wait.need),
                "seconds": .integer(wait.secondsLeft),
            ])
    }

    /// Run and ε; the stages; what is waited for; who is there and how long it may take.
    private static func block(_ status: ServiceStatus, _ console: Console) -> [String] {
        let epsilon = status.epsilon.map { decimal($0, 3) } ?? "?"
        let head =
            "\(console.bold(status.federation)) run \(status.run)  round \(status.openRound ?? status.roundsStarted)"
            + " of \(status.roundsPlanned)  ε \(epsilon) of \(decimal(status.epsilonMax, 3)) at δ = "
            + "\(status.delta) per \(status.unit)"
            + (status.isEncrypted ? "" : "  " + console.paint("NOT ENCRYPTED", "31"))
        let open = status.openRound == nil ? nil : Stage.allCases.firstIndex { $0.name == status.stage }
        let lane = Stage.allCases.enumerated().map { index, stage in
            guard let open else { return "· \(stage.name)" }
            return index < open
                ? console.paint("✓ \(stage.name)", "32")
                : index == open ? console.bold("▶ \(stage.name)") : "· \(stage.name)"
        }
        let wait =
            status.isFinished
            ? "the run is over"
            : status.wait.map {
                "waiting for \($0.what): \($0.have) of \($0.need), at most \($0.secondsLeft) s"
            }
                ?? "working"
        var tail = "\(status.presentCount) clients present, \(bytes(status.bytesIn)) received"
        if !status.recent.isEmpty, status.roundsPlanned > status.roundsStarted {
            let mean = status.recent.map(\.seconds).reduce(0, +) / Double(status.recent.count)
            let left = mean * Double(status.roundsPlanned - status.roundsStarted)
            tail += ", about \(Int(left.rounded(.up))) s for the rounds that are left"
        }
        return [head, lane.joined(separator: "  "), wait, tail]
    }
}
