import Kernels

/// Sequences laid end to end without padding: what goes through the graph in one pass.
///
/// A row is a token that predicts the next one, so the last token of an example has no row.
package struct Pack: Sendable {
    /// Token id and position in its own sequence, per row.
    package private(set) var tokens: [Int32] = []
    package private(set) var positions: [Int32] = []
    /// One per example, in order.
    package private(set) var segments: [Segment] = []
    /// Rows that are wanted at the end of the graph, ascending: those that predict a target, or a prompt's.
    package private(set) var outputRows: [Int] = []
    /// The token that each output row is to predict; none for prompts.
    package private(set) var targets: [Int32] = []
    /// Each segment's range within `outputRows`.
    package private(set) var outputRanges: [Range<Int>] = []
    /// Runs of rows that go through the same adapter of an `AdaptedModel`.
    package private(set) var runs: [AdapterRun] = []

    /// Rows before every sequence that hold no token of it.
    package let virtualTokens: Int

    package init(virtualTokens: Int = 0) { self.virtualTokens = virtualTokens }

    package var rows: Int { tokens.count }

    /// Adds a sequence; `adapter` is an index into the adapters of the model that will run the pack.
    package mutating func append(_ example: TokenizedExample, adapter: Int = 0) {
        let start = rows
        let count = virtualTokens + example.tokens.count - 1
        appendVirtualTokens()
        tokens.append(contentsOf: example.tokens.dropLast())
        positions.append(contentsOf: 0..<Int32(count))
        segments.append(Segment(start: start, count: count))
        let firstTarget = max(1, example.targetStart)
        targets.append(contentsOf: example.tokens[firstTarget...])
        extendOutputs(start + virtualTokens + firstTarget - 1..<start + count)
        extendRuns(start..<start + count, adapter)
    }

    /// Adds a whole prompt: every token has a row, and the last one (or each) is wanted at the end.
    package mutating func append(prompt: [Int32], wantsEveryRow: Bool = false) {
        let start = rows
        appendVirtualTokens()
        tokens.append(contentsOf: prompt)
        positions.append(contentsOf: 0..<Int32(rows - start))
        segments.append(Segment(start: start, count: rows - start))
        extendOutputs((wantsEveryRow ? start + virtualTokens : rows - 1)..<rows)
        extendRuns(start..<rows, 0)
    }

    /// Their rows take the embedding of token 0 until the adapter fills them.
    private mutating func appendVirtualTokens() {
        tokens.append(contentsOf: repeatElement(0, count: virtualTokens))
    }

    private mutating func extendOutputs(_ rows: Range<Int>) {
        outputRanges.append(outputRows.count..<outputRows.count + rows.count)
        outputRows.append(contentsOf: rows)
    }

    private mutating func extendRuns(_ rows: Range<Int>, _ adapter: Int) {
        if let last = runs.last, last.adapter == adapter {
            runs[runs.count - 1].rows = last.rows.lowerBound..<rows.upperBound
        } else {
            runs.append(AdapterRun(rows: rows, adapter: adapter))
        }
    }
}

extension Pack {
    /// Where the output rows among `rows` stand in `outputRows`.
    package func outputs(among rows: Range<Int>) -> Range<Int> {
        func place(_ row: Int) -> Int {
            var (low, high) = (0, outputRows.count)
            while low < high {
                let middle = (low + high) / 2
                if outputRows[middle] < row { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return place(rows.lowerBound)..<place(rows.upperBound)
    }
}

/// Rows that go through the same adapter.
package struct AdapterRun: Sendable, Equatable {
    package var rows: Range<Int>
    package let adapter: Int
}

/// Cuts a list of lengths into packs: ranges of neighbours of at most `rowsMax` rows and `countMax`
/// sequences, or one sequence that is longer by itself.
package func packRanges(lengths: [Int], rowsMax: Int, countMax: Int = .max) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    var rows = 0
    for (index, length) in lengths.enumerated() {
        if index > start, rows + length > rowsMax || index - start >= countMax {
            ranges.append(start..<index)
            start = index
            rows = 0
        }
        rows += length
    }
    if start < lengths.count { ranges.append(start..<lengths.count) }
    return ranges
}

extension LanguageModel {
    /// Checks what a pass relies on: ids inside the vocabulary, sequences inside the window, and at least
    /// one token to predict.
    package func validate(
        _ examples: [TokenizedExample], virtualTokens: Int = 0
    ) throws(EngineError) {
        guard !examples.isEmpty else { throw EngineError.noExamples }
        for (index, example) in examples.enumerated() {
            try validate(example.tokens, index, virtualTokens: virtualTokens)
            guard example.targetCount > 0 else {
                throw EngineError.nothingToPredict(
                    example: index, tokens: example.tokens.count, targetStart: example.targetStart)
            }
        }
    }

    package func validate(
        _ tokens: [Int32], _ index: Int, virtualTokens: Int = 0
    ) throws(EngineError) {
        let window = configuration.sequenceLengthMax - virtualTokens
        guard tokens.count <= window else {
            throw EngineError.sequenceTooLong(example: index, tokens: tokens.count, window: window)
        }
        let vocabulary = configuration.vocabularySize
        for (position, token) in tokens.enumerated() where token < 0 || token >= vocabulary {
            throw EngineError.tokenOutOfRange(
                example: index, position: position, token: token, vocabulary: vocabulary)
        }
    }
}
