import Foundation
import Models

/// The files of one conversation with an external trainer, readable by this user alone and gone afterwards.
struct TrainerWorkspace {
    private let directory: String
    /// Where answers are copied before they are read: a file that changes while it is mapped would end us.
    private let checked: String
    private let base: ModelConfiguration

    var adapterDirectory: String { directory + "/adapter" }
    var examplesFile: String { directory + "/examples.jsonl" }
    var answerDirectory: String { directory + "/answer" }

    init(base: ModelConfiguration) throws {
        self.base = base
        directory = try Self.makePrivateDirectory()
        checked = try Self.makePrivateDirectory()
    }

    private static func makePrivateDirectory() throws -> String {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("fedtrain-trainer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        return directory.path
    }

    func remove() {
        for path in [directory, checked] { try? FileManager.default.removeItem(atPath: path) }
    }

    func write(adapter: LoRAAdapter, examples: [TokenizedExample]) throws {
        try PeftAdapter.write(adapter, to: adapterDirectory)
        try FileManager.default.copyItem(
            atPath: adapterDirectory + "/" + PeftAdapter.configurationFile,
            toPath: checked + "/" + PeftAdapter.configurationFile)
        try FileManager.default.createDirectory(
            atPath: answerDirectory, withIntermediateDirectories: false)
        var lines = ""
        for example in examples {
            let tokens = JSON.array(example.tokens.map { .integer(Int($0)) })
            lines +=
                JSON.object([.init("tokens", tokens), .init("targetStart", .integer(example.targetStart))])
                .text() + "\n"
        }
        try Data(lines.utf8).write(to: URL(fileURLWithPath: examplesFile))
    }

    /// An answer file with the tensors of `adapter`: read whole, checked, in the graph's order.
    /// - Throws: `ExternalTrainerError`.
    func answer(_ name: String, like adapter: LoRAAdapter) throws -> LoRAAdapter {
        let path = answerDirectory + "/" + name
        // Numbers in 32 bits, and room for the header.
        let bytesMax = 4 * adapter.values.count + (1 << 20)
        // Neither a link nor a pipe that nobody writes to.
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw ExternalTrainerError.missingAnswer(file: name) }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            throw ExternalTrainerError.missingAnswer(file: name)
        }
        guard Int(facts.st_size) <= bytesMax, let bytes = try handle.read(upToCount: bytesMax + 1),
            bytes.count <= bytesMax
        else {
            throw ExternalTrainerError.oversizedAnswer(
                file: name, bytes: Int(facts.st_size), bytesMax: bytesMax)
        }
        try bytes.write(to: URL(fileURLWithPath: checked + "/" + PeftAdapter.weightsFile))
        do {
            return try PeftAdapter.read(checked, base: base)
        } catch {
            throw ExternalTrainerError.wrongAnswer("\(name): \(error.reason)")
        }
    }
}
