import FedTrain
import SecureAgg
import Service

/// Tells a person how a served run goes: who came, what is waited for and until when, how rounds ended.
final class ServiceWatcher: Sendable {
    private let console: SharedConsole
    private let plan: RoundPlan

    init(console: SharedConsole, plan: RoundPlan) {
        self.console = console
        self.plan = plan
    }

    @Sendable func observe(_ event: ServiceEvent) {
        console { console in
            switch event {
            case .joined(let name, let have, let need):
                console.say("\(name) joined (\(have) of at least \(need))")
            case .waiting(let wait):
                console.step(
                    "waiting for \(wait.what): \(wait.have) of \(wait.need), at most \(wait.secondsLeft) s")
            case .roundStarted(let round, let planned, let clients):
                console.say("round \(round)/\(planned)  started with \(clients) clients")
            case .stageOpened(let stage, let round, let members, let seconds):
                console.detail(
                    "round \(round)/\(plan.rounds)  stage \(stage.name): \(members) asked, at most \(seconds) s"
                )
            case .roundEnded(let summary, let epsilon):
                console.say(RunWatcher.line(summary, epsilon: epsilon, plan: plan))
            case .rejected(let kind, let peer, let detail):
                console.detail("refused \(kind)\(peer.map { " from \($0)" } ?? ""): \(detail)")
            case .finished(let started, let released, _):
                console.say("the run is over: \(released) of \(started) rounds released")
            }
        }
    }
}
