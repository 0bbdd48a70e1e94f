extension Drill {
    /// What became of one client at one stage.
    public enum Fate: UInt8, Hashable, Sendable, CaseIterable {
        /// Not sent the stage's message: gone before, or left out of the frozen set.
        case absent
        /// Its answer was taken.
        case answered
        /// Received the stage's message and never answered, as the drill was told.
        case lost
        /// Answered when the stage was closed.
        case late
        /// The server refused its answer.
        case refused
        /// One of its own checks failed: it wiped its keys and left.
        case left
    }

    /// Every client's way through the stages.
    public struct Trace: Hashable, Sendable {
        /// Per stage that was reached, one fate per client.
        public internal(set) var fates: [Stage: [Fate]] = [:]
        /// Whether each client's vector is in an opened sum.
        public internal(set) var isInSum: [Bool]

        init(clients: Int) { isInSum = Array(repeating: false, count: clients) }

        public func count(_ fate: Fate, at stage: Stage) -> Int {
            fates[stage]?.count { $0 == fate } ?? 0
        }

        mutating func open(_ stage: Stage, for receivers: [Int], lost: (Int) -> Bool) {
            var fates = [Fate](repeating: .absent, count: isInSum.count)
            // Whoever is asked and says nothing is late, until something else is known.
            for index in receivers { fates[index] = lost(index) ? .lost : .late }
            self.fates[stage] = fates
        }

        mutating func set(_ fate: Fate, of index: Int, at stage: Stage) {
            fates[stage]?[index] = fate
        }
    }

    /// Two ways of knowing that the opened sum is the right one.
    public struct Checks: Hashable, Sendable {
        /// Coordinates in which client u holds 1 if u ≡ its number modulo `units`, else 0: element j of the
        /// sum then counts the survivors among j, j + units, … and names them where units = clients.
        public var units = 0
        /// Whether those coordinates count exactly the survivors.
        public var unitsExact = false
        /// Coordinates of random ring elements.
        public var random = 0
        /// Whether those equal the survivors' plaintext sum, bit for bit.
        public var randomExact = false
        /// Whether every survivor that stayed to the end verified the server's signed result.
        public var clientsAgree = false
        /// Whether exactly the noise seeds were opened that the number of survivors calls for.
        public var noiseIsRight = false
    }
}
