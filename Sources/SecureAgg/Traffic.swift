import Sodium

/// How many bytes a round moves, message by message: what planners print and drills are checked against.
///
/// Exact when nobody is lost (but for time stamps, whose length varies by a few bytes); with losses
/// on a ring, a member's lost neighbours are taken as the cohort's average.
public struct Traffic: Hashable, Sendable {
    /// Bytes of protocol messages at one stage, without what the transport adds.
    public struct Volume: Hashable, Sendable {
        /// From one client that answers the stage.
        public let upPerClient: Int
        /// To one client that is sent the stage's message.
        public let downPerClient: Int
        public let senders: Int
        public let receivers: Int

        public var up: Int { upPerClient * senders }
        public var down: Int { downPerClient * receivers }
    }

    public let stages: [Stage: Volume]
    /// The signed result at the end, to each survivor.
    public let resultPerClient: Int

    /// Bytes that a client sends when it answers every stage.
    public var upPerClient: Int { stages.values.reduce(0) { $0 + $1.upPerClient } }
    /// Bytes that a client receives when it answers every stage, the result included.
    public var downPerClient: Int { stages.values.reduce(resultPerClient) { $0 + $1.downPerClient } }
    public var totalUp: Int { stages.values.reduce(0) { $0 + $1.up } }
    public let totalDown: Int

    /// - Parameters:
    ///   - advertised … unmasked: how many clients answer each stage; nil means as many as the stage before.
    /// - Throws: `ParameterError` when the parameters do not allow a cohort of this size.
    public init(
        _ parameters: AggregationParameters, advertised: Int, shared: Int? = nil, masked: Int? = nil,
        confirmed: Int? = nil, unmasked: Int? = nil
    ) throws(ParameterError) {
        let topology = try parameters.topology(cohortSize: advertised)
        let shared = shared ?? advertised
        let masked = masked ?? shared
        let confirmed = confirmed ?? masked
        let unmasked = unmasked ?? confirmed
        let holders = topology.holders
        let others = topology.shape == .complete ? holders - 1 : holders
        // Neighbours in U2 of a member of U2: itself is there for certain.
        let sharedOthers = topology.neighbours * (shared - 1) / max(1, advertised - 1)
        let sharedHolders = sharedOthers + (holders - others)
        let maskedHolders =
            topology.neighbours * (masked - 1) / max(1, advertised - 1) + (holders - others)
        let boxLength = SealedShare.length(shares: parameters.sharesPerHolder)
        let noise = parameters.removableNoise
        let opened = noise.map { $0.count - ($0.kept(lost: parameters.cohort.upperBound - masked) ?? 0) }
        let slotBits = BitSet.byteCount(holders)
        let memberBits = BitSet.byteCount(advertised)
        typealias Size = WireSize

        let manifest = RoundManifest(
            parameters: parameters, serverNonce: .of([]),
            rosterDigest: parameters.profile == .maliciousServer ? .of([]) : nil,
            deadlines: [UInt64](repeating: 1 << 40, count: Stage.allCases.count), expiry: 1 << 40)
        let announcement = 9 + 3 * Size.field(32)
        let vectorBytes = (0..<parameters.chunkCount).reduce(0) { sum, index in
            let packed = parameters.packedBytes(parameters.chunk(index).count)
            return sum + Size.envelope(body: Size.integer(index) + Size.field(packed), signed: false)
        }
        let statement = Size.field(memberBits) + Size.field(32)
        let pathLength = 32 * (Int.bitWidth - max(1, masked - 1).leadingZeroBitCount)
        let evidence = topology.threshold - (holders - others)

        stages = [
            .advertiseKeys: Volume(
                upPerClient: Size.envelope(body: announcement, signed: true),
                downPerClient: Size.envelope(
                    body: manifest.encodedBody().count, signed: true, session: false),
                senders: advertised, receivers: advertised),
            .shareKeys: Volume(
                upPerClient: Size.envelope(
                    body: 2 * Size.field(32) + Size.field((noise?.count ?? 0) * Digest.length),
                    signed: true) + Size.field(others * boxLength),
                downPerClient: Size.envelope(
                    body: advertised * Size.field(Size.field(announcement) + Size.field(64)),
                    signed: false),
                senders: shared, receivers: advertised),
            .submitMaskedInput: Volume(
                upPerClient: Size.envelope(
                    body: Size.field(parameters.chunkCount * 32), signed: true) + vectorBytes,
                downPerClient: Size.envelope(
                    body: Size.field(slotBits) + Size.field(sharedOthers * boxLength),
                    signed: false),
                senders: masked, receivers: shared),
            .confirmSurvivors: Volume(
                upPerClient: Size.envelope(body: 0, signed: true),
                downPerClient: Size.envelope(
                    body: Size.field(statement) + Size.field(pathLength), signed: false),
                senders: confirmed, receivers: masked),
            .unmask: Volume(
                upPerClient: Size.envelope(
                    body: Size.field(sharedHolders * Shamir.shareLength)
                        + Size.field(maskedHolders * (opened ?? 0) * Shamir.shareLength),
                    signed: true),
                downPerClient: Size.envelope(
                    body: Size.field(slotBits) + Size.field(evidence * 64), signed: false),
                senders: unmasked, receivers: confirmed),
        ]
        resultPerClient = Size.envelope(
            body: Size.field(memberBits) + 2 * Size.field(32), signed: true)
        totalDown = stages.values.reduce(resultPerClient * masked) { $0 + $1.down }
    }
}

/// Encoded sizes of protocol buffers whose field numbers are below 16.
enum WireSize {
    static func varint(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }

    /// A bytes or message field of `count` bytes; absent when empty.
    static func field(_ count: Int) -> Int { count == 0 ? 0 : 1 + varint(count) + count }

    /// An integer field; absent when zero.
    static func integer(_ value: Int) -> Int { value == 0 ? 0 : 1 + varint(value) }

    static func envelope(body: Int, signed: Bool, session: Bool = true) -> Int {
        2 + (session ? field(Digest.length) : 0) + field(body)
            + (signed ? field(VerifyingKey.signatureLength) : 0)
    }
}
