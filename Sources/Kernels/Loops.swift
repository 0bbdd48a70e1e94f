import CVector

/// The loops over runs of floats, in the best set of instructions that this processor has.
///
/// The one place that knows about instruction sets: the loops are written once in C, compiled for plain
/// x86-64 (or any other processor), AVX2 and AVX-512, and chosen here when the process first needs them.
/// Sets differ by rounding; on one machine every result is reproducible bit for bit.
nonisolated(unsafe) let loops: UnsafePointer<vector_loops> = vector_loops_for(vector_level_max())

/// Sets of instructions that this machine can run, from plain to best.
package enum VectorLevel: Int32, CaseIterable, Sendable {
    case plain, avx2, avx512

    /// The best one here.
    package static let best = VectorLevel(rawValue: vector_level_max())!
    /// All that can run here.
    package static var available: [VectorLevel] { allCases.filter { $0.rawValue <= best.rawValue } }

    /// What `fedtrain doctor` and benchmarks print.
    package var name: String { String(cString: vector_loops_for(rawValue).pointee.name) }
}
