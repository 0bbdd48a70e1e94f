import ArgumentParser

/// `fedtrain emulator`: offsite tuning for the owner of a model.
struct EmulatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "emulator",
        abstract: "Offsite tuning: hand out a compressed emulator instead of the model.",
        discussion: """
            Sites tune an adapter against the emulator with `simulate`, `serve` and `join` as they would \
            against any base; the owner plugs it into the full model. An emulator reduces the convenience \
            of copying: it gives no cryptographic and no differential-privacy guarantee for the owner. \
            Tutorial: docs/offsite-tuning.md.
            """,
        subcommands: [
            EmulatorMakeCommand.self, EmulatorPlugInCommand.self, EmulatorRealignCommand.self,
            EmulatorAssessCommand.self, EmulatorCompareCommand.self,
        ])
}
