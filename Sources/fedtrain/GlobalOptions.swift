import ArgumentParser

/// What every command takes.
struct GlobalOptions: ParsableArguments {
    @Flag(help: "Print one JSON object on stdout instead of text.")
    var json = false

    @Flag(help: "Say nothing on stderr but errors.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say more on stderr.")
    var verbose = false

    @Flag(help: "No colour, whatever the terminal; NO_COLOR in the environment does the same.")
    var noColor = false
}

/// For commands that read `federation.yaml`.
struct ConfigurationOptions: ParsableArguments {
    @Argument(help: "The federation's file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String = "federation.yaml"

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Replace one value of the file (repeatable).", valueName: "path=value"))
    var overrides: [String] = []
}
