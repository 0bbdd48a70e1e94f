import FedTrain
import Foundation
import NIOCore
import SecureAgg
import Sodium

/// The server of a federation, as a switchboard: messages come in any order, peers vanish and return,
/// one round after the other is opened, waited for and closed.
///
/// Everything that a round is made of happens in `ServerSession`; everything that costs or outlives it,
/// in the host. The coordinator keeps mailboxes and deadlines. Between two waits it runs to the end of
/// its step, so no request ever sees half of one.
package actor Coordinator {
    /// How long things may take, in seconds.
    package struct Timing: Sendable {
        package var gather: Double
        package var train: Double
        package var stage: Double
        package var grace: Double

        package init(gather: Double, train: Double, stage: Double, grace: Double) {
            self.gather = gather
            self.train = train
            self.stage = stage
            self.grace = grace
        }
    }

    /// The clocks and random bits of a server, handed in from above.
    package struct Environment: Sendable {
        /// Seconds since 1970.
        let epochSeconds: @Sendable () -> Int
        /// Seconds of a clock that never jumps.
        let monotonic: @Sendable () -> Double
        let randomBytes: @Sendable (_ count: Int) -> [UInt8]

        package init(
            epochSeconds: @escaping @Sendable () -> Int, monotonic: @escaping @Sendable () -> Double,
            randomBytes: @escaping @Sendable (Int) -> [UInt8]
        ) {
            self.epochSeconds = epochSeconds
            self.monotonic = monotonic
            self.randomBytes = randomBytes
        }
    }

    /// How the run ended.
    package enum Outcome: Sendable, Equatable {
        case finished
        case stopped
        /// Not enough clients came in time.
        case gatherTimedOut(have: Int, need: Int)
    }

    struct OpenRound {
        let number: Int
        let session: ServerSession
        let manifest: [UInt8]
        var deadline: Double
        var trace = RoundTrace()
        /// How many the open stage waits for, and until when its messages were handed out.
        var asked = 0
        var began: Double
        /// From then on a masked vector may have left a client.
        var mayHaveLeft = false
        /// Clients that announced keys and then opened another session: they have left the round for good.
        var left: Set<ClientID> = []
        /// The incoming adapter, one copy for all who fetch it.
        let adapter: ByteBuffer
    }

    let host: any FederationHost
    let key: SigningKey
    let timing: Timing
    let limits: ServiceLimits
    let environment: Environment
    let isEncrypted: Bool
    let terms: HostTerms
    let privacy: (epsilonMax: Double, delta: Double, unit: String)
    private let observe: @Sendable (ServiceEvent) -> Void

    var identities: IdentityCheck
    var peers: [ClientID: Peer] = [:]
    var tokens: [[UInt8]: ClientID] = [:]
    /// The token that each client had before its present one.
    var replaced: [[UInt8]: ClientID] = [:]
    var round: OpenRound?
    var bufferedBytes = 0
    var sessionRates: [String: RateLimit] = [:]
    var rejected: [String: Int] = [:]
    var requests = 0
    var bytesIn = 0
    var recent: [ServiceStatus.RoundLine] = []
    /// The enrolment file, once it is known where clients reach the server.
    private(set) var enrolment: [UInt8]?
    private(set) var isFinished = false
    /// The run is over, or broke off: no request waits any more.
    private(set) var isClosed = false
    private var isStopping = false
    /// What could not be made durable outside a round's own steps; ends the run as those do.
    private var failure: (any Error)?
    private var driver: CheckedContinuation<Void, Never>?
    private var wait: (what: String, deadline: Double, have: () -> Int, need: Int)?

    package init(
        host: sending any FederationHost, key: SigningKey, roster: RosterFile, timing: Timing,
        limits: ServiceLimits, environment: Environment,
        privacy: (epsilonMax: Double, delta: Double, unit: String), isEncrypted: Bool,
        observe: @escaping @Sendable (ServiceEvent) -> Void
    ) {
        terms = host.terms
        self.host = host
        self.key = key
        self.timing = timing
        self.limits = limits
        self.environment = environment
        self.privacy = privacy
        self.isEncrypted = isEncrypted
        self.observe = observe
        identities = IdentityCheck(
            server: key.verifyingKey, roster: roster, nonces: host.acceptedNonces)
    }

    var now: Double { environment.monotonic() }

    func tell(_ event: ServiceEvent) { observe(event) }

    /// Lets anyone fetch the enrolment file. It holds nothing secret, and a client believes it only if its
    /// fingerprint is the one that the operator gave out.
    package func publish(enrolment bytes: [UInt8]) { enrolment = bytes }

    // MARK: The run

    /// Runs all rounds that are left, and the run's end.
    package func run() async throws -> Outcome {
        let ticker = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(100))
                await self?.tick()
            }
        }
        defer {
            ticker.cancel()
            // Nobody looks at deadlines any more, so nobody may wait for one.
            isClosed = true
            for id in peers.keys { endPoll(of: id) }
        }
        while !isStopping, host.counts.started < host.roundsPlanned {
            if let have = try await gather() {
                return .gatherTimedOut(have: have, need: host.minCohort)
            }
            guard !isStopping,
                let opened = try host.beginRound(
                    lifetimeSeconds: max(RoundPlan.roundLifetimeSeconds, UInt64(timing.train) + 600))
            else { break }
            try await runRound(opened.round, opened.session)
        }
        let stopped = isStopping && host.counts.started < host.roundsPlanned
        // Scoring keeps this actor busy for as long as it takes. Whoever was here before is told of the end
        // after it, however long ago it was heard of; and how the last round ended goes out at once.
        try? await Task.sleep(for: .milliseconds(100))
        let present = peers.values.filter(isPresent).map(\.id)
        try host.finish(stopped: stopped)
        for id in present { peers[id]!.lastSeen = now }
        let counts = host.counts
        var ended = Fedtrain_Service_V1_RunEnded()
        ended.rounds = UInt32(counts.started)
        ended.released = UInt32(counts.released)
        ended.stopped = stopped
        for id in peers.keys { enqueue(.finished(ended), for: id) }
        isFinished = true
        tell(.finished(started: counts.started, released: counts.released, stopped: stopped))
        return stopped ? .stopped : .finished
    }

    /// Ends the run: its state cannot be kept any more.
    func fail(_ error: any Error) {
        failure = error
        wake()
    }

    /// Asks for an end after the open round.
    package func stop() {
        isStopping = true
        wake()
    }

    /// Waits until everyone has fetched its last instructions, but not for long.
    package func drain(seconds: Double) async {
        let deadline = now + seconds
        while now < deadline,
            peers.values.contains(where: {
                // Longer than a client pauses before it asks again.
                !$0.mailbox.isEmpty && ($0.poll != nil || now - $0.lastSeen < 8)
            })
        {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Waits for enough clients before a round; returns how many there were if the time ran out.
    private func gather() async throws -> Int? {
        let deadline = now + timing.gather
        try await wait(
            for: "clients", until: deadline, need: host.minCohort, have: { self.presentCount },
            isDone: { self.presentCount >= self.host.minCohort })
        guard presentCount >= host.minCohort || isStopping else { return presentCount }
        // A moment more for those who are on their way.
        try await wait(
            for: "more clients", until: min(deadline, now + timing.grace), need: host.invited,
            have: { self.presentCount }, isDone: { self.presentCount >= self.host.invited })
        return nil
    }

    func isPresent(_ peer: Peer) -> Bool { peer.poll != nil || now - peer.lastSeen < limits.absentSeconds }

    private var presentCount: Int { peers.values.count(where: isPresent) }

    // MARK: Waiting

    /// Suspends until `isDone`, the deadline, or a request to stop.
    ///
    /// - Throws: what made the run fail meanwhile.
    func wait(
        for what: String, until deadline: Double, need: Int, have: @escaping () -> Int,
        isDone: () -> Bool
    ) async throws {
        wait = (what, deadline, have, need)
        defer { wait = nil }
        if !isDone(), let current = currentWait { tell(.waiting(current)) }
        while failure == nil, !isDone(), now < deadline, !(isStopping && round == nil) {
            await withCheckedContinuation { driver = $0 }
        }
        if let failure { throw failure }
    }

    /// Lets the driver look again.
    func wake() {
        driver?.resume()
        driver = nil
    }

    private func tick() {
        let now = now
        for (id, peer) in peers {
            if let poll = peer.poll, poll.deadline <= now { endPoll(of: id) }
        }
        wake()
    }

    var currentWait: ServiceStatus.Wait? {
        wait.map {
            ServiceStatus.Wait(
                what: $0.what, have: $0.have(), need: $0.need,
                secondsLeft: max(0, Int(($0.deadline - now).rounded(.up))))
        }
    }

    /// Milliseconds until `deadline`.
    func milliseconds(until deadline: Double) -> UInt64 { UInt64(max(0, (deadline - now) * 1000)) }
}
