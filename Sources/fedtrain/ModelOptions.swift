import ArgumentParser
import FedTrain
import Models

/// Which model a command works on.
struct ModelOptions: ParsableArguments {
    @Option(help: "Hugging Face directory of the base model; the built-in one when not given.")
    var base: String?

    @Option(help: "Adapter directory in the layout of `peft` (a bottleneck's in that of `adapters`).")
    var adapter: String?

    @Option(
        help:
            "Keep the base's matrices as \(WeightStore.allCases.map(\.rawValue).joined(separator: ", ")); as the files have them when not given."
    )
    var store: WeightStore?

    func loadBase(_ console: Console) throws -> BaseModel {
        let directory = try base ?? BuiltInModel.directory()
        console.detail("loading \(directory)")
        return try BaseModel.load(directory: directory, store: store)
    }

    func loadAdapter(for base: BaseModel) throws -> Adapter? {
        try adapter.map { try PeftAdapter.readAny($0, base: base.model.configuration) }
    }
}

extension PromptTemplate: ExpressibleByArgument {}

extension WeightStore: ExpressibleByArgument {}
