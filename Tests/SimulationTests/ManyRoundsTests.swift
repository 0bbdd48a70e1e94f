import Foundation
import Simulation
import Testing

/// What sums alone give away over rounds, however well each of them is masked, and what noise does to it.
@Suite("Attacks over many rounds")
struct ManyRoundsTests {
    private static func normal(_ random: inout SimulationRandom) -> Double {
        let first = (Double(random.next() >> 11) + 0.5) / Double(1 << 53)
        let second = Double(random.next() >> 11) / Double(1 << 53)
        return (-2 * log(first)).squareRoot() * cos(2 * .pi * second)
    }

    @Test(
        "intersection_attack: a cohort with one client more gives that client away, up to the noise of two sums"
    )
    func intersection() {
        var random = SimulationRandom(seed: 39)
        let (clients, dimension) = (40, 2000)
        let values = (0...clients).map { _ in (0..<dimension).map { _ in Double(random.within(-100...100)) } }
        func error(noise: Double) -> Double {
            func sum(_ members: Range<Int>) -> [Double] {
                (0..<dimension).map { place in
                    members.reduce(0) { $0 + values[$1][place] } + noise * Self.normal(&random)
                }
            }
            let (with, without) = (sum(0..<clients + 1), sum(0..<clients))
            let squares = (0..<dimension).map { place in
                let recovered = with[place] - without[place] - values[clients][place]
                return recovered * recovered
            }
            return (squares.reduce(0, +) / Double(dimension)).squareRoot()
        }
        #expect(error(noise: 0) == 0)
        // Two sums: √2 times the noise of one. The estimate of a deviation from 2000 draws is within 10 %
        // except once in 10^9.
        let sigma = 300.0
        let measured = error(noise: sigma)
        print("intersection attack: error 0 without noise, \(measured) with σ = \(sigma)")
        #expect(abs(measured / (sigma * 2.0.squareRoot()) - 1) < 0.1)
    }

    /// Solves A·x = b for a positive definite A, in place (Cholesky); returns x and the diagonal of A⁻¹.
    private func solve(_ matrix: [[Double]], _ right: [Double]) -> (solution: [Double], inverse: [Double]) {
        let count = right.count
        var lower = matrix
        for column in 0..<count {
            for row in column..<count {
                var value = matrix[row][column]
                for inner in 0..<column { value -= lower[row][inner] * lower[column][inner] }
                lower[row][column] = row == column ? value.squareRoot() : value / lower[column][column]
            }
        }
        func backsolve(_ right: [Double]) -> [Double] {
            var result = right
            for row in 0..<count {
                for inner in 0..<row { result[row] -= lower[row][inner] * result[inner] }
                result[row] /= lower[row][row]
            }
            for row in (0..<count).reversed() {
                for inner in row + 1..<count { result[row] -= lower[inner][row] * result[inner] }
                result[row] /= lower[row][row]
            }
            return result
        }
        let inverse = (0..<count).map { place in
            backsolve((0..<count).map { $0 == place ? 1 : 0 })[place]
        }
        return (backsolve(right), inverse)
    }

    @Test(
        "disaggregation: 200 sums over half of 50 clients give every row away; with noise no better than its bound"
    )
    func disaggregation() {
        var random = SimulationRandom(seed: 40)
        let (clients, rounds) = (50, 200)
        let values = (0..<clients).map { _ in Double(random.within(-100...100)) }
        let present = (0..<rounds).map { _ in (0..<clients).map { _ in Double(random.below(2)) } }
        let normalMatrix = (0..<clients).map { row in
            (0..<clients).map { column in present.reduce(0) { $0 + $1[row] * $1[column] } }
        }
        func recover(noise: Double) -> (error: Double, bound: Double) {
            let sums = present.map { row in
                zip(row, values).reduce(0) { $0 + $1.0 * $1.1 } + noise * Self.normal(&random)
            }
            let right = (0..<clients).map { column in
                zip(present, sums).reduce(0) { $0 + $1.0[column] * $1.1 }
            }
            let (solution, inverse) = solve(normalMatrix, right)
            let squares = zip(solution, values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            // Cramér and Rao: no unbiased estimate does better than σ²·(AᵀA)⁻¹.
            return (
                (squares / Double(clients)).squareRoot(),
                noise * (inverse.reduce(0, +) / Double(clients)).squareRoot()
            )
        }
        #expect(recover(noise: 0).error < 1e-9)
        let repeats = 40
        var (squares, bound) = (0.0, 0.0)
        for _ in 0..<repeats {
            let one = recover(noise: 2000)
            squares += one.error * one.error / Double(repeats)
            bound = one.bound
        }
        print("disaggregation: error \(squares.squareRoot()), bound \(bound), rows within ±100")
        // 2000 estimates: within 10 % of the bound except once in 10^8; and above what the rows vary by.
        #expect(abs(squares.squareRoot() / bound - 1) < 0.1)
        #expect(bound > 100)
    }
}
