import Glibc
import Kernels
import Testing

@Suite("Elementwise kernels agree with their formulas in double precision")
struct ElementwiseTests {
    @Test("exp is within two units in the last place over its range, and keeps 0, infinity and NaN")
    func exponentialIsAccurate() {
        func exponential(_ x: [Float]) -> [Float] {
            x.unaligned { _ = exponentials($0, x.count, minus: 0) }
        }
        let arguments = (0...200_000).map { Float(-87 + 175.5 * Double($0) / 200_000) }
        let worst = zip(arguments, exponential(arguments)).map { x, y in
            abs(Double(y) / exp(Double(x)) - 1)
        }.max()!
        #expect(worst < 2.4e-7)
        let special: [Float] = [0, -200, -.infinity, 90, .infinity, .nan, -88, 1, 10]
        // A run of its own for each, so that whole vectors and the rest of one are both met.
        for count in [1, 40] {
            let results = special.map { exponential([Float](repeating: $0, count: count)) }
            #expect(results[0].allSatisfy { $0 == 1 })
            #expect((results[1] + results[2] + results[6]).allSatisfy { $0 == 0 })
            #expect((results[3] + results[4]).allSatisfy { $0 == .infinity })
            #expect(results[5].allSatisfy { $0.isNaN })
        }
    }

    // Unit-scale input: float32 rounding of sums of up to 200 terms stays below these bounds.
    @Test("RMSNorm forward and backward", arguments: [1, 2, 7, 8, 16, 37, 64, 200])
    func rmsNormAgrees(width: Int) {
        var numbers = Numbers(seed: UInt64(width))
        let rows = 3
        let (x, gain, weights) = (
            numbers.floats(rows * width), numbers.floats(width), numbers.floats(rows * width)
        )
        var inverse = [Float](repeating: 0, count: rows)
        let y = x.unaligned { y in
            rmsNorm(
                rows: rows, width: width, x: x, gain: gain, epsilon: 1e-5, y: y, inverseRMS: &inverse)
        }
        #expect(
            largestDifference(
                y, Naive.rmsNorm(x.doubles, gain: gain.doubles, rows: rows, epsilon: 1e-5)) < 2e-6)

        let start = numbers.floats(rows * width)
        let dx = start.unaligned { dx in
            rmsNormGradient(
                rows: rows, width: width, x: x, gain: gain, inverseRMS: inverse, dy: weights, dx: dx)
        }
        let expected = Naive.gradient(x.doubles) {
            dotProduct(
                Naive.rmsNorm($0, gain: gain.doubles, rows: rows, epsilon: 1e-5), weights.doubles)
        }
        #expect(largestDifference(dx, zip(start, expected).map { Double($0) + $1 }) < 2e-5)

        let dGain = [Float](repeating: 0, count: width).unaligned { dGain in
            rmsNormGainGradient(
                rows: rows, width: width, x: x, inverseRMS: inverse, dy: weights, dGain: dGain)
        }
        let expectedGain = Naive.gradient(gain.doubles) {
            dotProduct(Naive.rmsNorm(x.doubles, gain: $0, rows: rows, epsilon: 1e-5), weights.doubles)
        }
        #expect(largestDifference(dGain, expectedGain) < 2e-5)
    }

    @Test("LayerNorm forward and backward", arguments: [1, 2, 7, 8, 16, 37, 64, 200])
    func layerNormAgrees(width: Int) {
        var numbers = Numbers(seed: UInt64(100 + width))
        let rows = 3
        // A mean far from 0, as residual streams have.
        let x = numbers.floats(rows * width).map { $0 + 2 }
        let (gain, bias, weights) = (
            numbers.floats(width), numbers.floats(width), numbers.floats(rows * width)
        )
        func naive(_ x: [Double], _ gain: [Double], _ bias: [Double]) -> [Double] {
            Naive.layerNorm(x, gain: gain, bias: bias, rows: rows, epsilon: 1e-5)
        }
        var (mean, inverse) = ([Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows))
        let y = x.unaligned { y in
            layerNorm(
                rows: rows, width: width, x: x, gain: gain, bias: bias, epsilon: 1e-5, y: y,
                mean: &mean, inverseDeviation: &inverse)
        }
        #expect(largestDifference(y, naive(x.doubles, gain.doubles, bias.doubles)) < 3e-6)

        // One element only has no slope: the row is constant whatever it holds.
        let start = numbers.floats(rows * width)
        let dx = start.unaligned { dx in
            layerNormGradient(
                rows: rows, width: width, x: x, gain: gain, mean: mean, inverseDeviation: inverse,
                dy: weights, dx: dx)
        }
        let expected = Naive.gradient(x.doubles) {
            dotProduct(naive($0, gain.doubles, bias.doubles), weights.doubles)
        }
        // Two elements may lie close together, and the slope grows with 1/deviation.
        let scale = Double(max(1, inverse.max()!))
        #expect(largestDifference(dx, zip(start, expected).map { Double($0) + $1 }) < 2e-5 * scale)

        var dGain = [Float](repeating: 0, count: width)
        var dBias = [Float](repeating: 0, count: width)
        layerNormParameterGradient(
            rows: rows, width: width, x: x, mean: mean, inverseDeviation: inverse, dy: weights,
            dGain: &dGain, dBias: &dBias)
        #expect(
            largestDifference(
                dGain,
                Naive.gradient(gain.doubles) {
                    dotProduct(naive(x.doubles, $0, bias.doubles), weights.doubles)
                }) < 2e-5)
        #expect(
            largestDifference(
                dBias,
                Naive.gradient(bias.doubles) {
                    dotProduct(naive(x.doubles, gain.doubles, $0), weights.doubles)
                }) < 2e-5)
    }

    @Test(
        "GELU forward and backward over its range, by the error function and by tanh",
        arguments: [false, true])
    func geluAgrees(tanh: Bool) {
        let x = (0...4001).map { Float(-10 + 20 * Double($0) / 4001) }
        let y = x.unaligned { gelu(count: x.count, x: x, y: $0, tanh: tanh) }
        #expect(largestDifference(y, x.doubles.map { Naive.gelu($0, tanh: tanh) }) < 1e-6)
        let dy = [Float](repeating: 0.7, count: x.count)
        let dx = x.unaligned { geluGradient(count: x.count, x: $0, dy: dy, tanh: tanh) }
        let slopes = x.doubles.map { x in
            0.7 * (Naive.gelu(x + 1e-5, tanh: tanh) - Naive.gelu(x - 1e-5, tanh: tanh)) / 2e-5
        }
        // The tanh form's slope multiplies rounding by up to 4.
        #expect(largestDifference(dx, slopes) < 2e-6)
        let ends = [Float(0), 100, -100, .nan].unaligned { gelu(count: 4, x: $0, y: $0, tanh: tanh) }
        #expect(ends[0] == 0 && ends[1] == 100 && ends[2] == 0 && ends[3].isNaN)
    }

    @Test("SwiGLU forward and backward", arguments: [1, 5, 8, 33])
    func swiGLUAgrees(width: Int) {
        var numbers = Numbers(seed: UInt64(width))
        let rows = 3
        let gateUp = numbers.floats(rows * 2 * width).map { 4 * $0 }
        let weights = numbers.floats(rows * width)
        let y = [Float](repeating: 0, count: rows * width).unaligned {
            swiGLU(rows: rows, width: width, gateUp: gateUp, y: $0)
        }
        #expect(largestDifference(y, Naive.swiGLU(gateUp.doubles, rows: rows, width: width)) < 4e-6)
        let gradient = gateUp.unaligned {
            swiGLUGradient(rows: rows, width: width, gateUp: $0, dy: weights)
        }
        let expected = Naive.gradient(gateUp.doubles) {
            dotProduct(Naive.swiGLU($0, rows: rows, width: width), weights.doubles)
        }
        #expect(largestDifference(gradient, expected) < 4e-6)
    }

    @Test("a rotation by half-split pairs, and its inverse undoes it", arguments: [2, 8, 22, 64])
    func rotationAgrees(size: Int) {
        var numbers = Numbers(seed: UInt64(size))
        let (rows, heads) = (4, 3)
        let frequencies = (0..<size / 2).map { pow(10_000, -2 * Double($0) / Double(size)) }
        let table = RotaryTable(frequencies: frequencies, positions: 50)
        let positions: [Int32] = [0, 1, 17, 49]
        let x = numbers.floats(rows * heads * size)
        var expected = x.doubles
        for row in 0..<rows {
            for head in 0..<heads {
                for pair in 0..<size / 2 {
                    let first = (row * heads + head) * size + pair
                    let angle = Double(positions[row]) * frequencies[pair]
                    let (a, b) = (Double(x[first]), Double(x[first + size / 2]))
                    expected[first] = a * cos(angle) - b * sin(angle)
                    expected[first + size / 2] = b * cos(angle) + a * sin(angle)
                }
            }
        }
        func turn(_ x: [Float], inverse: Bool) -> [Float] {
            x.unaligned {
                rotate(
                    rows: rows, heads: heads, headSize: size, x: $0, ldx: heads * size,
                    positions: positions, table: table, inverse: inverse)
            }
        }
        let turned = turn(x, inverse: false)
        #expect(largestDifference(turned, expected) < 1e-6)
        #expect(largestDifference(turn(turned, inverse: true), x.doubles) < 1e-6)
    }

    @Test("embedding gathers rows, and its gradient adds up repeated tokens")
    func embeddingAgrees() {
        let table: [Float] = [1, 2, 3, 4, 5, 6]
        var y = [Float](repeating: 0, count: 6)
        table.withUnsafeBufferPointer {
            embed(
                rows: 3, width: 2, tokens: [2, 0, 2],
                table: StoredMatrix($0.baseAddress!, outputs: 3, inputs: 2), y: &y)
        }
        #expect(y == [5, 6, 1, 2, 5, 6])
        var gradient = [Float](repeating: 1, count: 6)
        embedGradient(rows: 3, width: 2, tokens: [2, 0, 2], dy: [1, 2, 3, 4, 5, 6], dTable: &gradient)
        #expect(gradient == [4, 5, 1, 1, 7, 9])
    }

    @Test("the largest number wins wherever it stands, and NaN is never lost", arguments: [1, 7, 8, 9, 31])
    func largestFindsMaximumAndNaN(count: Int) {
        for place in 0..<count {
            var x = [Float](repeating: -3, count: count)
            x[place] = 5
            #expect(largest(x, count) == 5)
            x[place] = .nan
            #expect(largest(x, count).isNaN)
        }
    }

    @Test("AdamW and SGD follow the update rules", arguments: [1, 2, 19])
    func optimisersAgree(steps: Int) {
        var numbers = Numbers(seed: 5)
        let count = 21
        var parameters = numbers.floats(count)
        var (expected, m, v) = (
            parameters.doubles, [Double](repeating: 0, count: count), [Double](repeating: 0, count: count)
        )
        var (first, second) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
        var (momentum, buffer) = (parameters, [Float](repeating: 0, count: count))
        var (expectedMomentum, b) = (parameters.doubles, [Double](repeating: 0, count: count))
        for step in 1...steps {
            let gradient = numbers.floats(count)
            adamW(
                AdamWStep(
                    learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1,
                    step: step),
                count: count, gradientScale: 0.5, parameters: &parameters, gradient: gradient,
                first: &first, second: &second)
            sgd(
                learningRate: 0.01, momentum: 0.9, count: count, parameters: &momentum,
                gradient: gradient, buffer: &buffer)
            for i in 0..<count {
                let g = 0.5 * Double(gradient[i])
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.99 * v[i] + 0.01 * g * g
                let (mHat, vHat) = (
                    m[i] / (1 - pow(0.9, Double(step))), v[i] / (1 - pow(0.99, Double(step)))
                )
                expected[i] = expected[i] * (1 - 0.001) - 0.01 * mHat / (vHat.squareRoot() + 1e-8)
                b[i] = 0.9 * b[i] + Double(gradient[i])
                expectedMomentum[i] -= 0.01 * b[i]
            }
        }
        #expect(largestDifference(parameters, expected) < 1e-6 * Double(steps))
        #expect(largestDifference(momentum, expectedMomentum) < 1e-6)
    }
}
