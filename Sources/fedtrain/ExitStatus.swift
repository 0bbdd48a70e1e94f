/// Why the process ended, one meaning per number, all below 126 but for Ctrl-C, which has the shell's.
enum ExitStatus: Int32, CaseIterable {
    case ok = 0
    /// The privacy budget is spent or would be exceeded.
    case budget = 10
    /// Fewer contributions than the survivor floor or the threshold; nothing was opened.
    case quorum = 11
    /// A key, certificate or roster entry is unknown, expired or different.
    case identity = 12
    /// A ledger, report, transcript or adapter does not verify.
    case verification = 13
    /// A named wait ran out.
    case deadline = 14
    /// A peer broke the protocol.
    case peer = 15
    /// The workspace is in a state that does not allow this.
    case state = 16
    case usage = 64
    /// A file is malformed.
    case badInput = 65
    case missingInput = 66
    case unreachable = 69
    /// An invariant broke: our bug.
    case internalError = 70
    case cannotCreate = 73
    case inputOutput = 74
    case tryAgain = 75
    case configuration = 78
    /// Interrupted by Ctrl-C, state kept.
    case interrupted = 130

    /// The code that `fedtrain explain` and the JSON envelope use: FT0013.
    var code: String {
        let digits = String(rawValue)
        return "FT" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
