import ArgumentParser

/// `fedtrain explain`: what an exit code means and what to do, offline.
struct ExplainCommand: ResultCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Explain an error code, or list all of them.",
        discussion: "Takes a code as printed (FT0013), its number (13) or its name (verification).")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A code, number or name; all are listed when not given.")
    var code: String?

    struct Payload: Encodable {
        let codes: [Explanation]
    }

    func execute(_ console: Console) throws -> Payload {
        guard let code else { return Payload(codes: ExitStatus.allCases.map(Explanation.init)) }
        guard let found = Explanation.find(code) else {
            throw CommandFailure(
                .usage, "`\(code)` is no code of this version",
                hint: "fedtrain explain lists all codes")
        }
        return Payload(codes: [found])
    }

    func describe(_ payload: Payload) -> String {
        if code != nil { return payload.codes[0].text }
        return payload.codes.map { "\($0.code)  \($0.name): \($0.meaning)" }.joined(separator: "\n")
    }
}
