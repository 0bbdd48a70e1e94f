import FedTrain

extension CommandFailure {
    init(studyData error: StudyDataError) {
        let privacy = "nothing was trained or spent"
        switch error {
        case .overlap(let task, let records, let count):
            self.init(
                .badInput,
                "\(records) of the \(count) validation and test records of task \(task) are also trained on: such a "
                    + "score measures memory",
                privacy: privacy,
                hint:
                    "take them out (fedtrain data prepare --against), or set tasks.\(task).allowOverlap to true"
            )
        case .split(let task, let split, let reason):
            self.init(
                .badInput, "split \(split) of task \(task): \(reason)", privacy: privacy,
                hint: "a client without records cannot take part or be scored")
        case .noRecords(let task, let part):
            self.init(
                .badInput, "task \(task) has no \(part.rawValue) records", privacy: privacy,
                hint: part == .test ? "name tasks.\(task).test, or a testShare" : "check tasks.\(task).train")
        }
    }

    init(study error: StudyError) {
        switch error {
        case .overBudget(let task, let planned, let budget, let runs):
            self.init(
                .budget,
                "the \(runs) runs on task \(task) would cost ε = \(decimal(planned, 4)) together, the study's budget "
                    + "is ε = \(decimal(budget, 4))",
                privacy: "nothing was trained or spent",
                hint:
                    "fewer cells or trials, more noise, or a larger budget.epsilon; a run needs a twentieth of it "
                    + "to start")
        case .noSuchCell(let key, let known):
            self.init(
                .usage, "no single cell's key starts with `\(key)`",
                hint: "keys are in results.jsonl; the first is \(known.first ?? "none")")
        case .cellNotRun(let title, let key):
            self.init(
                .missingInput, "the cell \(title) has no result yet", at: key,
                hint: "run the study first: the same command without --cell")
        }
    }
}
