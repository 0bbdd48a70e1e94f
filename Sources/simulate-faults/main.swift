import Glibc
import Simulation

// Runs simulated worlds one after another and says what happened in them. Called by
// scripts/simulate-faults, which chooses between libsodium and toy cryptography when it builds.

#if TOY_CRYPTO
    let cryptography = "toy cryptography"
    let replayFlag = ""
#else
    let cryptography = "libsodium"
    let replayFlag = " --real-crypto"
#endif

struct Arguments {
    var options = World.Options()
    var rounds = 4000
    var firstSeed: UInt64 = 1
    /// Empty: go on to the end. All of them: stop at the first violation.
    var stopping: Set<Invariant> = []

    static let usage = """
        usage: scripts/simulate-faults [--rounds N] [--seed S] [--clients N] [--until INVARIANT] [--trace]
                                       [--real-crypto]
          --rounds N     how many rounds, eight to a world (default 4000)
          --seed S       the first world's seed; the next worlds have S+1, S+2, … (default 1)
          --clients N    clients per world, 5 to 64 (default 16)
          --until NAME   stop at the first world that breaks this invariant, or `any`
          --trace        print every event
          --real-crypto  libsodium in the place of toy cryptography
        """

    init(_ words: [String]) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--rounds": rounds = Self.number(word, words.popFirst(), 1...1_000_000_000)
            case "--seed": firstSeed = Self.number(word, words.popFirst(), 0...UInt64.max / 2)
            case "--clients": options.clients = Self.number(word, words.popFirst(), 5...64)
            case "--until": stopping = Self.invariants(words.popFirst())
            case "--trace": options.traces = true
            default: Self.stop("unknown argument '\(word)'")
            }
        }
    }

    private static func number<Value: FixedWidthInteger>(
        _ name: String, _ text: String?, _ range: ClosedRange<Value>
    ) -> Value {
        guard let text else { stop("\(name) needs a number") }
        guard let value = Value(text), range.contains(value) else {
            stop("\(name): '\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func invariants(_ name: String?) -> Set<Invariant> {
        if name == "any" { return Set(Invariant.allCases) }
        guard let name, let invariant = Invariant(rawValue: name) else {
            stop("--until needs one of any, \(Invariant.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return [invariant]
    }

    private static func stop(_ message: String) -> Never {
        let text = "simulate-faults: \(message)\n\(usage)\n"
        _ = text.utf8.withContiguousStorageIfAvailable { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(64)
    }
}

func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func describe(_ report: World.Report, after rounds: Int, clients: Int) {
    print("VIOLATION seed \(report.seed), after \(rounds) rounds")
    for violation in report.violations.prefix(5) { print("  \(violation)") }
    print(
        "  replay: scripts/simulate-faults --seed \(report.seed) --rounds 1 --clients \(clients)"
            + "\(replayFlag) --trace")
}

let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
let start = processorSeconds()
var campaign = Campaign()
var seed = arguments.firstSeed
var described = 0
while campaign.rounds < arguments.rounds {
    let report = World(seed: seed, options: arguments.options).run()
    for line in report.lines { print(line) }
    campaign.add(report)
    seed += 1
    guard !report.violations.isEmpty else { continue }
    let found = report.violations.first { arguments.stopping.contains($0.invariant) }
    // A few say enough, and the one that was asked for.
    if described < 10 || found != nil {
        described += 1
        describe(report, after: campaign.rounds, clients: arguments.options.clients)
    }
    if let found {
        print("FOUND \(found.invariant.rawValue) after \(campaign.rounds) rounds")
        break
    }
}
let seconds = processorSeconds() - start
let perHour = Int(Double(campaign.rounds) / max(seconds, 1e-9) * 3600)

print(
    "worlds \(campaign.worlds) (seeds from \(arguments.firstSeed)), rounds \(campaign.rounds), "
        + "\(arguments.options.clients) clients, \(cryptography), events \(campaign.events)")
print("outcomes")
for (name, count) in campaign.outcomes.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
    print("  \(count)  \(name)")
}
print("faults")
for fault in Fault.allCases { print("  \(campaign.faults[fault] ?? 0)  \(fault.rawValue)") }
print("trace digest \(String(campaign.digest, radix: 16))")
print("violations \(campaign.violations)")
print("processor time \(Int(seconds * 1000)) ms, \(perHour) rounds per hour and core")
exit(campaign.violations == 0 ? 0 : 1)
