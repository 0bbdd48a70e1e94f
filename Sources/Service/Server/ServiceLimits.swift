/// Upper bounds on everything that a peer can make the server do or hold.
package struct ServiceLimits: Sendable {
    /// Open connections; further ones wait in the system's queue.
    package var connections = 2048
    /// Seconds without a byte of a request before a connection is closed.
    package var idleSeconds = 30
    /// Seconds in which the body of one request must have come.
    package var bodySeconds = 60.0
    package var headerBytes = 16 << 10
    package var headerCount = 64
    /// Bytes of unfinished uploads of all clients together.
    package var bufferedBytes = 256 << 20
    /// Requests of one client: so many at once, and so many a second.
    package var requestBurst = 2000.0
    package var requestsPerSecond = 500.0
    /// Attempts to open a session from one address.
    package var sessionBurst = 1024.0
    package var sessionsPerSecond = 20.0
    /// Addresses that are remembered for the limit above.
    package var addressesMax = 4096
    /// Adapters and pieces of messages that one client has on the way at once; more than one, since the
    /// server may not know yet that a connection is gone.
    package var transfersMax = 8
    /// Seconds in which an adapter must have been read.
    package var adapterSeconds = 600.0
    /// Refused messages of a round whose reasons are kept.
    package var faultsMax = 1000
    /// Instructions that wait for one client.
    package var mailboxMax = 64
    /// Seconds after which a silent client is not waited for.
    package var absentSeconds = 45.0

    package init() {}
}

/// A token bucket: `burst` at once, `rate` a second.
struct RateLimit {
    private var tokens: Double
    private var latest: Double

    init(burst: Double, now: Double) {
        tokens = burst
        latest = now
    }

    /// Takes one token, or says after how many seconds there will be one.
    mutating func take(burst: Double, rate: Double, now: Double) -> Int? {
        tokens = min(burst, tokens + max(0, now - latest) * rate)
        latest = now
        guard tokens >= 1 else { return max(1, Int(((1 - tokens) / rate).rounded(.up))) }
        tokens -= 1
        return nil
    }
}
