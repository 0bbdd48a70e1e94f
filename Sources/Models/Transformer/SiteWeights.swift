import Kernels

/// One site's frozen matrices and bias, as the graph multiplies with them.
///
/// Linears that share an input stand side by side in the site's output row, but each has a matrix of its
/// own: a mapped file may hold them anywhere.
///
/// `@unchecked` because of the bias: nothing writes to it while the model lives.
package struct SiteWeights: @unchecked Sendable {
    /// One linear's matrix and the first column of its outputs in the site's output row.
    package struct Part: Sendable {
        package let matrix: StoredMatrix
        package let column: Int
    }

    package let parts: [Part]
    package let bias: UnsafePointer<Float>?
    package let inputs: Int
    package let outputs: Int

    /// - Parameter matrix: the linear whose numbers start so many places after the site's first.
    init(
        _ dimensions: [(outputs: Int, inputs: Int)], bias: UnsafePointer<Float>?,
        matrix: (_ offset: Int) -> StoredMatrix
    ) {
        var parts: [Part] = []
        var column = 0
        for (outputs, inputs) in dimensions {
            parts.append(Part(matrix: matrix(column * inputs), column: column))
            column += outputs
        }
        self.parts = parts
        self.bias = bias
        inputs = dimensions[0].inputs
        outputs = column
    }

    /// The same site with its matrices as floats one below the other.
    init(_ other: SiteWeights, movedTo floats: UnsafePointer<Float>) {
        inputs = other.inputs
        outputs = other.outputs
        bias = other.bias
        let inputs = other.inputs
        parts = other.parts.map {
            Part(
                matrix: StoredMatrix(
                    floats + $0.column * inputs, outputs: $0.matrix.outputs, inputs: inputs),
                column: $0.column)
        }
    }

    /// y = x·Wᵀ + bias (+ y), rows × outputs.
    func multiply(
        rows: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, accumulate: Bool
    ) {
        for part in parts {
            part.matrix.multiply(
                rows: rows, x, inputs, y + part.column, outputs, accumulate: accumulate)
        }
        if let bias { addBias(rows: rows, width: outputs, bias: bias, y: y) }
    }

    /// dx = dy·W, rows × inputs.
    func multiplyGradient(
        rows: Int, _ dy: UnsafePointer<Float>, _ dx: UnsafeMutablePointer<Float>
    ) {
        for (index, part) in parts.enumerated() {
            part.matrix.multiplyGradient(
                rows: rows, dy + part.column, outputs, dx, inputs, accumulate: index > 0)
        }
    }
}

extension WeightLayout.Layer {
    /// Where one site's matrices and biases start.
    package func places(of site: Site) -> (weight: Int, bias: Int?) {
        switch site {
        case .queryKeyValue: (fusedQKV, fusedQKVBias)
        case .output: (output, outputBias)
        case .gateUp: (gateUp, gateUpBias)
        case .down: (down, downBias)
        }
    }
}

extension RotaryTable {
    /// The table of a family with rotary positions; nil for the others.
    package convenience init?(_ configuration: ModelConfiguration) {
        guard let rotary = configuration.rotary else { return nil }
        self.init(
            frequencies: rotary.frequencies(headSize: configuration.headSize),
            positions: configuration.sequenceLengthMax)
    }
}
