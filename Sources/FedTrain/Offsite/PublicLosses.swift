import Models

/// Losses on held-out public text: what full model, emulator and control can do before any tuning.
public struct PublicLosses: Codable, Sendable, Equatable {
    public let full: Double
    public let emulator: Double
    /// Nil without a control, or where its tokenizer is another one, so that losses cannot be compared.
    public let control: Double?
    /// Loss of the control less the emulator's: what the emulator gives away beyond what is public.
    public let beyondControl: Estimate?

    /// - Parameter heldOut: tokenized with the full model's tokenizer.
    public init(
        full: BaseModel, emulator: BaseModel, control: BaseModel?, heldOut: [TokenizedExample]
    ) throws {
        func records(_ base: BaseModel) throws -> RecordScores {
            RecordScores(try Evaluator(model: base.model).losses(heldOut))
        }
        func tokenizerDigest(_ base: BaseModel) throws -> String {
            try fileDigest(base.directory + "/tokenizer.json").hex
        }
        let small = try records(emulator)
        self.full = try records(full).score
        self.emulator = small.score
        let rival = try control.flatMap { control in
            try tokenizerDigest(control) == tokenizerDigest(full) ? try records(control) : nil
        }
        self.control = rival?.score
        beyondControl = rival.map { rival in Estimate(of: [small, rival]) { $0[1] - $0[0] } }
    }
}
