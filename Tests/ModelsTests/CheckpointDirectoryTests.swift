import Foundation
import Models
import Testing

@Suite struct CheckpointDirectoryTests {
    static let configuration = ModelConfiguration(
        vocabularySize: 300, hiddenSize: 8, intermediateSize: 12, layerCount: 1, headCount: 2,
        keyValueHeadCount: 1, maximumPositions: 32, beginTokenID: 0, endTokenIDs: [1])

    static func contents(_ type: TensorDataType = .f32) -> Checkpoint.Contents {
        let trainer = BPETrainer(vocabularySize: 300, specialTokens: ["<a>", "<b>"], beginToken: "<a>")
        return Checkpoint.Contents(
            configuration: configuration,
            tensors: [
                SafeTensor(name: "x", shape: [2, 2], values: [1, 2, 3, 4], as: type),
                SafeTensor(name: "y", shape: [1], values: [0.5], as: type),
            ],
            tokenizer: trainer.train(["some words and some more words"]), beginToken: "<a>", endToken: "<b>")
    }

    @Test(arguments: [TensorDataType.f32, .bf16])
    func whatIsWrittenIsReadBackAndTheSameEachTime(type: TensorDataType) throws {
        try Fixtures.withDirectory { directory in
            try Checkpoint.write(Self.contents(type), to: directory + "/one")
            try Checkpoint.write(Self.contents(type), to: directory + "/two")
            let checkpoint = try Checkpoint.load(directory: directory + "/one")
            #expect(checkpoint.configuration == Self.configuration)
            #expect(checkpoint.tensorNames == ["x", "y"])
            #expect(try checkpoint.floats("x", shape: [2, 2]) == [1, 2, 3, 4])
            #expect(checkpoint["x"]?.entry.type == type)
            let tokenizer = try Tokenizer(directory: directory + "/one")
            #expect(tokenizer.beginTokenID == 0 && tokenizer.endTokenID == 1)
            #expect(tokenizer.decode(tokenizer.encode("more words"), skipSpecialTokens: true) == "more words")
            #expect(checkpoint.fileList.count == 5)
            for file in checkpoint.fileList {
                #expect(
                    try Fixtures.read("\(directory)/one/\(file)") == Fixtures.read("\(directory)/two/\(file)")
                )
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: directory + "/one")
            #expect(Set(left) == Set(checkpoint.fileList))
        }
    }

    @Test func shardsAreFoundThroughTheIndex() throws {
        try Fixtures.withDirectory { directory in
            try writeSharded(
                directory, index: #"{"weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}"#
            )
            let checkpoint = try Checkpoint.load(directory: directory)
            #expect(try checkpoint.floats("x", shape: [1]) == [1])
            #expect(try checkpoint.floats("y", shape: [1]) == [2])
            #expect(
                checkpoint.fileList == [
                    "config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors",
                    "model.safetensors.index.json",
                ])
        }
    }

    static let badIndexes: [(String, String)] = [
        (#"{"weight_map": {"x": "model-1.safetensors", "y": "model-1.safetensors"}}"#, "tensor y is not in"),
        (#"{"weight_map": {"x": "model-1.safetensors", "y": "model-3.safetensors"}}"#, "no such file"),
        (#"{"weight_map": {"x": "../model-1.safetensors"}}"#, "not a file name"),
        (#"{"weight_map": {"x": "model-1.safetensors", "x": "model-2.safetensors"}}"#, "twice"),
        (#"{"metadata": {}}"#, "weight_map"),
        (#"{"weight_map": "#, "not valid JSON"),
    ]

    @Test(arguments: badIndexes)
    func badIndexesAreRefused(index: String, word: String) throws {
        try Fixtures.withDirectory { directory in
            try writeSharded(directory, index: index)
            let error = #expect(throws: CheckpointError.self) { try Checkpoint.load(directory: directory) }
            #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        }
    }

    @Test func aDirectoryWithoutWeightsNamesTheMissingFile() throws {
        try Fixtures.withDirectory { directory in
            try Checkpoint.write(Self.contents(), to: directory)
            try FileManager.default.removeItem(atPath: directory + "/model.safetensors")
            let error = #expect(throws: CheckpointError.self) { try Checkpoint.load(directory: directory) }
            #expect(error?.kind == .missingFile && error?.file == directory + "/model.safetensors")
        }
    }

    @Test func writingWhereThereIsNoDirectoryToWriteToFailsCleanly() throws {
        try Fixtures.withDirectory { directory in
            try Fixtures.write("a file", to: directory + "/file")
            let error = #expect(throws: CheckpointError.self) {
                try Checkpoint.write(Self.contents(), to: directory + "/file/model")
            }
            #expect(error?.kind == .cannotWrite)
        }
    }

    private func writeSharded(_ directory: String, index: String) throws {
        try Checkpoint.write(Self.contents(), to: directory)
        for name in ["model.safetensors", "generation_config.json", "tokenizer_config.json"] {
            try FileManager.default.removeItem(atPath: "\(directory)/\(name)")
        }
        try SafeTensorsFile.write(
            [SafeTensor(name: "x", shape: [1], values: [1])], to: directory + "/model-1.safetensors")
        try SafeTensorsFile.write(
            [SafeTensor(name: "y", shape: [1], values: [2])], to: directory + "/model-2.safetensors")
        try Fixtures.write(index, to: directory + "/model.safetensors.index.json")
    }
}
