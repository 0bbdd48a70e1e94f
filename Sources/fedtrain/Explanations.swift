/// What an exit code means, for `fedtrain explain`: offline, one page each.
struct Explanation: Encodable {
    let code: String
    let status: Int32
    /// The word that `explain` also takes.
    let name: String
    let meaning: String
    /// What it says about privacy.
    let privacy: String
    let causes: [String]
    /// What to do, the likeliest first.
    let next: [String]

    init(_ status: ExitStatus) {
        let text = status.explanation
        code = status.code
        self.status = status.rawValue
        name = status.name
        meaning = text.meaning
        privacy = text.privacy
        causes = text.causes
        next = text.next
    }

    /// The explanation of `FT0013`, `13`, or a name such as `verification`, in any case of letters.
    static func find(_ word: String) -> Explanation? {
        let wanted = word.lowercased()
        return ExitStatus.allCases.first {
            [$0.code.lowercased(), "\($0.rawValue)", $0.name].contains(wanted)
        }.map(Explanation.init)
    }

    var text: String {
        var lines = ["\(code) (exit \(status), \(name)): \(meaning)", "", "privacy: \(privacy)"]
        if !causes.isEmpty { lines += ["", "common causes:"] + causes.map { "  - \($0)" } }
        if !next.isEmpty { lines += ["", "what to do:"] + next.map { "  - \($0)" } }
        return lines.joined(separator: "\n")
    }
}

extension ExitStatus {
    var name: String {
        switch self {
        case .ok: "ok"
        case .budget: "budget"
        case .quorum: "quorum"
        case .identity: "identity"
        case .verification: "verification"
        case .deadline: "deadline"
        case .peer: "peer"
        case .state: "state"
        case .usage: "usage"
        case .badInput: "input"
        case .missingInput: "missing"
        case .unreachable: "unreachable"
        case .internalError: "bug"
        case .cannotCreate: "create"
        case .inputOutput: "disk"
        case .tryAgain: "again"
        case .configuration: "configuration"
        case .interrupted: "interrupted"
        }
    }

    /// Every code has one: the compiler sees to it.
    fileprivate var explanation: (meaning: String, privacy: String, causes: [String], next: [String]) {
        switch self {
        case .ok:
            ("done, or nothing was left to do.", "nothing unusual happened.", [], [])
        case .budget:
            (
                "the privacy budget is spent, or the command would spend more than is left.",
                "nothing more was spent. The refusal came before any data was touched.",
                [
                    "more rounds or less noise than privacy.epsilon allows",
                    "earlier runs of the same workspace: they share one budget, because they train on the same people",
                    "a client that reached its own limit of rounds, which it keeps whatever the server says",
                ],
                [
                    "fedtrain plan federation.yaml shows what fits: fewer rounds, more noise, more clients",
                    "fedtrain status shows what each run has spent",
                    "raise privacy.epsilon only if everybody concerned agrees; what is spent stays spent",
                ]
            )
        case .quorum:
            (
                "fewer contributions arrived than the survivor floor or the threshold; the round opened nothing.",
                "no sum was opened. If masked vectors had left the clients, the round's price stays spent, since nobody "
                    + "can prove what happened to them; otherwise it was returned.",
                [
                    "clients that vanished in the middle of a round",
                    "a floor too close to the number of clients",
                ],
                [
                    "fedtrain log shows at which stage clients were lost",
                    "lower rounds.minSurvivors (more noise per client then), or invite more clients",
                ]
            )
        case .identity:
            (
                "a key, certificate or roster entry is unknown, expired or not the expected one.",
                "nothing was sent to, or accepted from, that party.",
                ["a renewed key that was not enrolled", "an older roster", "somebody in the middle"],
                [
                    "compare fingerprints with the other side by another channel before trusting a new key",
                    "enrol the key again with the authority",
                ]
            )
        case .verification:
            (
                "a ledger, report, transcript, adapter or audited claim does not verify.",
                "the figures concerned must not be relied on until the cause is known.",
                [
                    "a file that was changed, cut or mixed with those of another run",
                    "a report written by another version of this program",
                    "an empirical audit whose guesses contradict the claim (`fedtrain audit --empirical`)",
                ],
                [
                    "fedtrain audit RUN names the first place that differs",
                    "get the files again from their owner, or from a copy made at the time",
                ]
            )
        case .deadline:
            (
                "a wait with a stated deadline ran out.",
                "a round that ran out of time opened nothing; its price stays spent if masked vectors had left.",
                ["a slow or absent peer", "a deadline shorter than training takes"],
                ["fedtrain log names the stage", "give stages more time, or invite clients that are awake"]
            )
        case .peer:
            (
                "a peer broke the protocol, by error or on purpose.",
                "no sum was opened on its word; what it sent was refused.",
                ["different versions or plans on both sides", "a damaged message", "a party that cheats"],
                [
                    "compare versions: fedtrain --version on both sides",
                    "keep the message shown: it names stage and sender, and never holds anyone's data",
                ]
            )
        case .state:
            (
                "the workspace or a store is in a state that does not allow this.",
                "nothing was spent by this command.",
                [
                    "another process is at work in the workspace",
                    "earlier runs under another unit or δ, whose costs do not add",
                    "files of another version",
                ],
                [
                    "fedtrain doctor names what is wrong and one next command",
                    "use a new workspace for other terms or other people's data",
                ]
            )
        case .usage:
            (
                "the command line was not understood.", "nothing was read or spent.",
                ["a misspelt option", "a value that is no number"], ["fedtrain COMMAND --help"]
            )
        case .badInput:
            (
                "a file is malformed: data, checkpoint, tokenizer or message.",
                "nothing was trained or spent.",
                [
                    "a line that is not JSON", "a checkpoint of a family that cannot be run",
                    "a download cut short",
                ],
                ["the message names file and line; correct it there", "get the file again"]
            )
        case .missingInput:
            (
                "a file or directory is missing or cannot be read.", "nothing was trained or spent.",
                ["a wrong path", "a pattern that matches nothing", "missing rights"],
                ["check the path that the message names", "fedtrain init DIR writes a commented example"]
            )
        case .unreachable:
            (
                "a server or peer could not be reached, after the stated number of tries.",
                "nothing left this machine that had not left before.",
                ["no network", "a wrong address or port", "a firewall"],
                ["try the address with another program", "run the same command again later"]
            )
        case .internalError:
            (
                "an invariant of this program broke: a bug of ours.",
                "ledgers are written before anything leaves, so what they say is spent is the upper bound.",
                [], ["report the command and the message", "fedtrain doctor checks what is on disk"]
            )
        case .cannotCreate:
            (
                "a file or directory could not be created.",
                "nothing was spent; nothing that existed was changed.",
                ["the directory is not empty", "missing rights", "a read-only file system"],
                ["choose another directory", "check the rights of the one that the message names"]
            )
        case .inputOutput:
            (
                "reading or writing a disk failed.",
                "no round runs without a durable ledger entry; what was there before is unchanged.",
                ["a full disk", "a limit on file sizes", "a failing disk"],
                ["free some space, then run the same command again", "fedtrain doctor shows what is free"]
            )
        case .tryAgain:
            (
                "something temporary is in the way.", "nothing was spent by this attempt.",
                ["a busy server", "a restart under way"], ["run the same command again"]
            )
        case .configuration:
            (
                "the configuration is invalid, or its terms cannot be met together.",
                "nothing was read, trained or spent.",
                [
                    "an unknown or repeated key", "a value outside its range",
                    "noise, clients and modulus for which no plan exists",
                ],
                [
                    "the message names file:line:column and what was probably meant",
                    "fedtrain plan FILE checks again",
                ]
            )
        case .interrupted:
            (
                "stopped by Ctrl-C.",
                "what was charged so far stays spent; ledger, adapter and report are complete.",
                [], ["fedtrain status shows what is there", "run the command again to start the next run"]
            )
        }
    }
}
