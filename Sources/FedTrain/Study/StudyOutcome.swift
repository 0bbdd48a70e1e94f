import Models

/// A study's results, and the tables that are made of them.
public struct StudyOutcome: Sendable {
    public struct Row: Sendable {
        public let cell: StudyCell
        public let result: CellResult
    }

    public let definition: StudyDefinition
    /// One per cell in the matrix's order; of a search its best trial.
    public let rows: [Row]
    /// Every trial of a search; empty without one.
    public let trials: [Row]
    public let accounts: [StudyTotal]
    public let excluded: [(labels: [StudyAxis: String], because: String)]
    public let splits: [String: ClientSplit]
    /// Whether all cells are there.
    public let isComplete: Bool

    /// Axes that the study gives more than one value, or a name.
    public var axes: [StudyAxis] {
        StudyAxis.allCases.filter { axis in
            rows.contains { !($0.cell.labels[axis] ?? "").isEmpty }
        }
    }

    /// Cells that differ in their seed alone, in the matrix's order.
    public var groups: [Group] {
        var order: [[String]] = []
        var members: [[String]: [Row]] = [:]
        for row in rows {
            let name = StudyAxis.allCases.map { row.cell.labels[$0] ?? "" }
            if members[name] == nil { order.append(name) }
            members[name, default: []].append(row)
        }
        return order.map { Group(labels: members[$0]![0].cell.labels, rows: members[$0]!) }
    }

    public struct Group: Sendable {
        public let labels: [StudyAxis: String]
        public let rows: [Row]

        /// Over seeds; with one seed over clients where there is a value for each.
        func estimate(
            _ value: (CellResult) -> Double?, byClient: ((CellResult) -> [Double])? = nil
        ) -> MeanEstimate? {
            let values = rows.compactMap { value($0.result) }
            if values.count == 1, let byClient { return MeanEstimate(byClient(rows[0].result)) }
            return MeanEstimate(values)
        }

        /// Loss of everyone's test records.
        public var everyone: MeanEstimate? {
            guard let over = estimate({ $0.trained.pooled }) else { return nil }
            return over
        }

        /// Loss of each client's model on the client's own test records, mean over clients.
        public var own: MeanEstimate? {
            estimate({ mean($0.trained.own) }, byClient: { $0.trained.own })
        }

        public var exact: MeanEstimate? { estimate { $0.exactAfter } }
        /// The largest of the seeds', for it is a bound.
        public var epsilon: Double? { rows.compactMap(\.result.epsilon).max() }
        /// Bytes that a client sends in all rounds.
        public var bytesUp: Double { mean(rows.map { Double($0.result.bytesUp * $0.result.rounds) }) }
        /// Of cells that train an emulator.
        func offsite(_ value: (OffsiteCellResult) -> Double?) -> MeanEstimate? {
            estimate { $0.offsite.flatMap(value) }
        }
        public var membership: MeanEstimate? { estimate { $0.membership?.calibrated.value } }
        /// Planted canaries over all seeds.
        public var exposure: MeanEstimate? {
            MeanEstimate(rows.flatMap { $0.result.canaries?.planted ?? [] })
        }
        public var controlExposure: MeanEstimate? {
            MeanEstimate(rows.flatMap { $0.result.canaries?.controls ?? [] })
        }

        /// Per client the mean over seeds.
        func perClient(_ value: (CellResult) -> [Double]) -> [Double] {
            let lists = rows.map { value($0.result) }
            return lists[0].indices.map { client in mean(lists.map { $0[client] }) }
        }
    }

    /// How an algorithm differs from the reference, client by client: negative is better.
    public struct Comparison: Sendable {
        public let labels: [StudyAxis: String]
        /// On the client's own test, each with its model.
        public let own: MeanEstimate
        /// On every client's test, mean over models.
        public let everyone: MeanEstimate
    }

    /// Paired differences of loss against the reference algorithm, over clients.
    public var comparisons: [Comparison] {
        guard let reference = definition.reference else { return [] }
        let groups = groups
        return groups.compactMap { group in
            guard group.labels[.algorithm] != reference,
                let other = groups.first(where: { other in
                    StudyAxis.allCases.allSatisfy { axis in
                        axis == .algorithm
                            ? other.labels[axis] == reference : other.labels[axis] == group.labels[axis]
                    }
                }), group.rows[0].result.clients == other.rows[0].result.clients
            else { return nil }
            func difference(_ value: (CellResult) -> [Double]) -> MeanEstimate? {
                MeanEstimate(zip(group.perClient(value), other.perClient(value)).map { $0 - $1 })
            }
            guard let own = difference({ $0.trained.own }), let everyone = difference({ $0.trained.byTest })
            else { return nil }
            return Comparison(labels: group.labels, own: own, everyone: everyone)
        }
    }
}

private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
