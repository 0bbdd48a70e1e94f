import FedTrain
import Models
import Testing

/// Each algorithm where its answer is known: on convex problems, by the code that trains adapters.
@Suite struct AlgorithmConvexTests {
    private let start: [Float] = [3, -2, 0.5, 7]

    @Test func fedAvgWithOneStepIsCentralisedGradientDescent() throws {
        let clients = ConvexFederation.clients(isUneven: true)
        var federation = ConvexFederation(clients, .plain(.fedAvg, steps: 1, rate: 0.1), from: start)
        // The independent reference: gradient descent in Double on the mean of the clients' losses.
        var x = start.map(Double.init)
        for round in 0..<40 {
            try federation.runRound(seed: UInt64(round))
            var gradient = [Double](repeating: 0, count: 4)
            for client in clients {
                for centre in client.centres {
                    for k in 0..<4 {
                        gradient[k] +=
                            Double(client.curvature[k]) * (x[k] - Double(centre[k])) / 15
                    }
                }
            }
            for k in 0..<4 { x[k] -= 0.1 * gradient[k] }
            for k in 0..<4 { #expect(abs(Double(federation.x[k]) - x[k]) <= 1e-6 * max(1, abs(x[k]))) }
        }
        #expect(distance(federation.x, start) > 1)
    }

    @Test func fedProxStaysPutAsItsPullGrows() throws {
        var moved: [Double] = []
        for mu in [0, 1, 1e3, 1e6, 1e12] {
            var training = FederationConfiguration.Training.plain(.fedProx, steps: 20, rate: 0.1)
            training.mu = mu
            var federation = ConvexFederation(ConvexFederation.clients(), training, from: start)
            try federation.runRound(seed: 1)
            moved.append(distance(federation.x, start))
        }
        #expect(moved == moved.sorted(by: >))
        #expect(moved[0] > 1 && moved[3] < 1e-4 && moved[4] == 0)
    }

    /// With many steps a FedProx round from w ends at the minimum of F + μ/2‖x − w‖², coordinate by coordinate
    /// (h·a + μ·w)/(h + μ).
    @Test func fedProxSolvesItsProximalProblem() throws {
        let client = ConvexFederation.clients(isUneven: true)[1]
        var training = FederationConfiguration.Training.plain(.fedProx, steps: 400, rate: 0.1)
        training.mu = 2
        var federation = ConvexFederation([client], training, from: start)
        try federation.runRound(seed: 1)
        let a = client.minimum
        let expected = (0..<4).map {
            (client.curvature[$0] * a[$0] + 2 * start[$0]) / (client.curvature[$0] + 2)
        }
        #expect(distance(federation.x, expected) < 1e-5)
    }

    /// Ditto: w is FedAvg's, and v the minimum of F + λ/2‖v − w‖² around it.
    @Test func dittoReachesItsFixedPoint() throws {
        let clients = ConvexFederation.clients(isUneven: true)
        var training = FederationConfiguration.Training.plain(.ditto, steps: 5, rate: 0.1)
        training.lambda = 0.5
        var ditto = ConvexFederation(clients, training, from: start)
        training.algorithm = .fedAvg
        var fedAvg = ConvexFederation(clients, training, from: start)
        for round in 0..<300 {
            try ditto.runRound(seed: UInt64(round))
            try fedAvg.runRound(seed: UInt64(round))
        }
        #expect(ditto.x == fedAvg.x)
        for (client, personal) in zip(clients, ditto.personal) {
            let a = client.minimum
            let expected = (0..<4).map {
                (client.curvature[$0] * a[$0] + 0.5 * ditto.x[$0]) / (client.curvature[$0] + 0.5)
            }
            let own = try #require(personal)
            #expect(distance(own, expected) < 1e-5)
        }
    }

    /// pFedMe: θ_i = (h·a + λ·w)/(h + λ) at each client, and w where the Moreau envelopes' gradients λ(w − θ_i)
    /// cancel: the mean of the a_i with weights λh/(h + λ).
    @Test func pFedMeReachesItsFixedPoint() throws {
        let clients = ConvexFederation.clients(isUneven: true)
        var training = FederationConfiguration.Training.plain(.pFedMe, steps: 1, rate: 0.1)
        training.lambda = 2
        training.innerSteps = 200
        training.outerLearningRate = 0.25
        var federation = ConvexFederation(clients, training, from: start)
        for round in 0..<300 { try federation.runRound(seed: UInt64(round)) }
        for k in 0..<4 {
            let weights = clients.map { 2 * $0.curvature[k] / ($0.curvature[k] + 2) }
            let sum = zip(weights, clients).reduce(0) { $0 + $1.0 * $1.1.minimum[k] }
            #expect(abs(federation.x[k] - sum / weights.reduce(0, +)) < 1e-5)
        }
        for (client, personal) in zip(clients, federation.personal) {
            let a = client.minimum
            let expected = (0..<4).map {
                (client.curvature[$0] * a[$0] + 2 * federation.x[$0]) / (client.curvature[$0] + 2)
            }
            let own = try #require(personal)
            #expect(distance(own, expected) < 1e-5)
        }
    }

    /// Shared coordinates go to the clients' common minimum, private ones to each client's own.
    @Test(arguments: [FederationConfiguration.Algorithm.fedRep, .partial])
    func privateCoordinatesStayPrivate(_ algorithm: FederationConfiguration.Algorithm) throws {
        let clients = ConvexFederation.clients()
        var federation = ConvexFederation(
            clients, .plain(algorithm, steps: 3, rate: 0.3), from: start, shared: [1..<3])
        for round in 0..<200 { try federation.runRound(seed: UInt64(round)) }
        #expect(federation.x[0] == start[0] && federation.x[3] == start[3])
        for k in 1..<3 {
            let common = clients.reduce(0) { $0 + $1.minimum[k] } / 3
            #expect(abs(federation.x[k] - common) < 1e-5)
        }
        for (client, personal) in zip(clients, federation.personal) {
            let own = try #require(personal)
            for k in [0, 3] { #expect(abs(own[k] - client.minimum[k]) < 1e-5) }
        }
    }

    /// In its second phase FedRep moves nothing private, and in its first nothing shared: with no steps
    /// towards a far minimum in either phase the other's coordinates are bit for bit what they were.
    @Test func fedRepTrainsOnePartAtATime() throws {
        let client = ConvexFederation.clients()[0]
        var training = FederationConfiguration.Training.plain(.fedRep, steps: 2, rate: 0.1)
        training.personalSteps = 1
        let work = ClientWork(training: training, objective: client, start: start, shared: [1..<3])
        var personal: [Float]?
        var generator = SplitMix64(seed: 5)
        _ = try work.update(personal: &personal, generator: &generator)
        // One step of the private coordinates, two of the shared ones, each by hand.
        let a = client.minimum
        let expected: [Float] = (0..<4).map {
            let keep: Float = $0 == 0 || $0 == 3 ? 0.9 : 0.81
            return a[$0] + keep * (start[$0] - a[$0])
        }
        let own = try #require(personal)
        #expect(distance(own, expected) < 1e-5)
    }

    // MARK: FedKSeed

    @Test func kSeedReplaysBitForBit() throws {
        let clients = ConvexFederation.clients()
        let directions = SharedDirections(count: 16, dimension: 4, seed: 99)
        var training = FederationConfiguration.Training.plain(.fedKSeed, steps: 12, rate: 0.02)
        training.directions = 16
        var coordinates = [Float](repeating: 0, count: 16)
        var x = start
        var losses: [Double] = []
        for round in 0..<60 {
            var sum = [Float](repeating: 0, count: 16)
            for (index, client) in clients.enumerated() {
                var unused: [Float]?
                var generator = SplitMix64(seed: UInt64(100 * round + index))
                let work = ClientWork(
                    training: training, objective: client, start: x, directions: directions)
                let update = try work.update(personal: &unused, generator: &generator)
                #expect(update.count == 16)
                sum = zip(sum, update).map { $0 + $1 }
            }
            coordinates = zip(coordinates, sum).map { $0 + $1 / 3 }
            x = directions.point(coordinates, from: start)
            losses.append(
                try clients.reduce(0) { try $0 + $1.loss(of: Array(0..<5), at: x) })
        }
        // Whoever has the scalars has the weights, whenever and wherever they are made again.
        let again = SharedDirections(count: 16, dimension: 4, seed: 99)
        #expect(again.point(coordinates, from: start).map(\.bitPattern) == x.map(\.bitPattern))
        let other = SharedDirections(count: 16, dimension: 4, seed: 98)
        #expect(other.point(coordinates, from: start) != x)
        let least = try clients.reduce(0.0) { total, client in
            let common = (0..<4).map { k in clients.reduce(0) { $0 + $1.minimum[k] } / 3 }
            return try total + client.loss(of: Array(0..<5), at: common)
        }
        #expect(losses.last! - least < 0.01 * (losses[0] - least))
    }

    /// Signs only, balanced and uncorrelated. False-alarm rate below 1e-6: five standard deviations each.
    @Test func directionsAreSignsThatHaveNothingToDoWithEachOther() {
        let length = 10_000
        let directions = SharedDirections(count: 8, dimension: length, seed: 7)
        let vectors = (0..<8).map { j -> [Float] in
            var x = [Float](repeating: 0, count: length)
            directions.add(1, along: j, to: &x)
            return x
        }
        for (j, vector) in vectors.enumerated() {
            #expect(vector.allSatisfy { abs($0) == 1 })
            #expect(abs(vector.reduce(0, +)) < 500)
            for other in vectors[..<j] {
                #expect(abs(zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }) < 500)
            }
        }
    }

    /// On a quadratic the difference quotient is the directional derivative itself.
    @Test func aStepAsideMeasuresTheSlope() throws {
        let client = ConvexFederation.clients(isUneven: true)[2]
        var training = FederationConfiguration.Training.plain(.fedKSeed, steps: 1, rate: 1)
        training.directions = 1
        let directions = SharedDirections(count: 1, dimension: 4, seed: 1)
        let work = ClientWork(training: training, objective: client, start: start, directions: directions)
        var unused: [Float]?
        var generator = SplitMix64(seed: 1)
        let moved = try work.update(personal: &unused, generator: &generator)[0]
        var direction = [Float](repeating: 0, count: 4)
        directions.add(1, along: 0, to: &direction)
        let gradient = try client.lossAndGradient(of: Array(0..<5), at: start).gradient
        let slope = zip(direction, gradient).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(moved + slope) <= 1e-3 * abs(slope))
    }
}
