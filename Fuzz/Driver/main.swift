import FuzzTargets

// `FuzzDriver TARGET [libFuzzer's arguments]`: hands one target to libFuzzer. Built by scripts/fuzz.

/// libFuzzer's loop as a library call, from the runtime that -sanitize=fuzzer links.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ input: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

nonisolated(unsafe) private var chosen = FuzzTarget.json

guard CommandLine.argc > 1, let target = FuzzTarget(rawValue: CommandLine.arguments[1]) else {
    fatalError("name a target: " + FuzzTarget.allCases.map(\.rawValue).joined(separator: " "))
}
chosen = target
// libFuzzer expects its own name first and knows nothing of targets.
private var arguments = CommandLine.unsafeArgv + 1
private var count = CommandLine.argc - 1
_ = runFuzzer(&count, &arguments) { start, length in
    chosen.run(Array(UnsafeBufferPointer(start: start, count: length)))
    return 0
}
