/// The two-gap rule: refuses survivor lists whose dropouts would cut the ring in two.
///
/// A server that sees the ring could declare two runs of k/2 neighbours dropped and so separate an
/// arc, whose sum it would then open alone. Among any two disjoint windows of k/2 ring places it may
/// also rely on its c₂ corrupt clients; honest dropouts stay far below k − 1 − c₂ in every pair of
/// windows. Sound under the bounds of `NeighbourSelection`; O(n).
package enum DropPattern {
    package static func isPlausible(survivors: BitSet, neighbours: Neighbours) -> Bool {
        guard let limit = neighbours.topology.windowDropLimit else { return true }
        let dropped = neighbours.ringOrder.map { survivors[$0] ? 0 : 1 }
        return mostInTwoWindows(dropped, width: neighbours.topology.neighbours / 2) <= limit
    }

    /// The largest number of marks that two disjoint windows of `width` places on a ring can hold.
    package static func mostInTwoWindows(_ marks: [Int], width: Int) -> Int {
        let count = marks.count
        precondition(width >= 1 && 2 * width <= count)
        // window[i]: marks in places i … i + width − 1.
        var window = [Int](repeating: 0, count: count)
        window[0] = marks[..<width].reduce(0, +)
        for start in 1..<count {
            window[start] = window[start - 1] - marks[start - 1] + marks[(start + width - 1) % count]
        }
        // Both windows start in 0 ..< n; the second starts at least `width` after the first and at
        // least `width` before it comes round again.
        var best = 0
        var bestSoFar = 0
        for second in width..<count {
            bestSoFar = max(bestSoFar, window[second - width])
            // A first window at `f` meets a second that wraps past n when f + n − second < width; those
            // firsts are few, and are left out by looking at the exact range.
            let overlap = second + width - count
            let first =
                overlap <= 0
                ? bestSoFar : (overlap...(second - width)).reduce(0) { max($0, window[$1]) }
            best = max(best, first + window[second])
        }
        return best
    }
}
