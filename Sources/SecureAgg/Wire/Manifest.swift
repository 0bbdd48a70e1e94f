import Foundation
import GMP
import Sodium

/// The server's opening statement of a round: parameters, freshness and time terms.
public struct RoundManifest: Hashable, Sendable {
    static let version: UInt32 = 1

    public let parameters: AggregationParameters
    /// 32 random bytes of the server.
    public let serverNonce: Digest
    /// The roster that the cohort is drawn from; nil makes the round semi-honest.
    public let rosterDigest: Digest?
    /// When each stage closes, in the server's clock: for liveness only, nothing is checked against them.
    public let deadlines: [UInt64]
    /// The last moment at which a client may enter the round.
    public let expiry: UInt64

    public init(
        parameters: AggregationParameters, serverNonce: Digest, rosterDigest: Digest?,
        deadlines: [UInt64] = [], expiry: UInt64
    ) {
        precondition(deadlines.count <= Stage.allCases.count)
        precondition(
            rosterDigest != nil || parameters.profile == .semiHonest,
            "without a signed roster a round is semi-honest")
        self.parameters = parameters
        self.serverNonce = serverNonce
        self.rosterDigest = rosterDigest
        self.deadlines = deadlines
        self.expiry = expiry
    }

    /// The scope of the manifest's own signature: there is no session yet.
    static let signatureScope = Digest(bytes: [UInt8](repeating: 0, count: Digest.length))!

    /// The digest that names the manifest everywhere else.
    package static func digest(ofBody body: [UInt8]) -> Digest { Labels.manifest.hash([body]) }

    func encodedBody() -> [UInt8] {
        var wire = Secagg_V1_RoundManifest()
        wire.version = Self.version
        wire.task = parameters.task
        wire.round = parameters.round
        wire.serverNonce = Data(serverNonce.bytes)
        wire.context = Data(parameters.context.bytes)
        wire.vectorLength = UInt32(parameters.vectorLength)
        wire.modulusBits = UInt32(parameters.modulusBits)
        wire.chunkLength = UInt32(parameters.chunkLength)
        wire.cohortMin = UInt32(parameters.cohort.lowerBound)
        wire.cohortMax = UInt32(parameters.cohort.upperBound)
        wire.minSurvivors = UInt32(parameters.minSurvivors)
        wire.profile = UInt32(parameters.profile.rawValue)
        wire.colluders = Secagg_V1_Fraction(parameters.colluderFraction)
        wire.dropouts = Secagg_V1_Fraction(parameters.dropoutFraction)
        wire.securityBits = UInt32(parameters.securityBits)
        wire.correctnessBits = UInt32(parameters.correctnessBits)
        wire.allowTinyCohort = parameters.allowTinyCohort
        if let rosterDigest { wire.roster = Data(rosterDigest.bytes) }
        wire.deadlines = deadlines
        wire.expiry = expiry
        if let noise = parameters.removableNoise {
            wire.noiseLevels = noise.dropouts.map { UInt32($0) }
            wire.noiseDerivation = Data(noise.derivation.bytes)
        }
        return encodeWire(wire)
    }

    /// Reads a body whose signature was checked. Faults name the manifest's first unusable value.
    package init(body: [UInt8]) throws(AggregationFault) {
        func fault(_ check: AggregationFault.Check, _ detail: String = "") -> AggregationFault {
            AggregationFault(check, at: .advertiseKeys, detail)
        }
        let wire: Secagg_V1_RoundManifest
        do { wire = try decodeWire(body) } catch { throw error.fault(at: .advertiseKeys, scope: .round) }
        guard wire.version == Self.version else {
            throw fault(.unsupportedVersion, "version \(wire.version)")
        }
        guard let nonce = Digest(bytes: wire.serverNonce), let context = Digest(bytes: wire.context),
            let profile = SecurityProfile(rawValue: Int(wire.profile)),
            let colluders = wire.colluders.rational, let dropouts = wire.dropouts.rational,
            wire.cohortMin <= wire.cohortMax, wire.deadlines.count <= Stage.allCases.count
        else { throw fault(.malformed) }
        let roster: Digest?
        if wire.roster.isEmpty {
            roster = nil
        } else {
            guard let digest = Digest(bytes: wire.roster) else { throw fault(.malformed) }
            roster = digest
        }
        guard roster != nil || profile == .semiHonest else {
            throw fault(.parameters, "the malicious-server profile needs a roster")
        }
        var noise: RemovableNoise?
        if !wire.noiseLevels.isEmpty || !wire.noiseDerivation.isEmpty {
            guard let derivation = Digest(bytes: wire.noiseDerivation) else { throw fault(.malformed) }
            do {
                noise = try RemovableNoise(
                    dropouts: wire.noiseLevels.map { Int($0) }, derivation: derivation)
            } catch { throw fault(.parameters, error.description) }
        }
        let parameters: AggregationParameters
        do {
            parameters = try AggregationParameters(
                task: wire.task, round: wire.round, context: context,
                vectorLength: Int(wire.vectorLength), modulusBits: Int(wire.modulusBits),
                cohort: Int(wire.cohortMin)...Int(wire.cohortMax),
                minSurvivors: Int(wire.minSurvivors), profile: profile, colluderFraction: colluders,
                dropoutFraction: dropouts, securityBits: Int(wire.securityBits),
                correctnessBits: Int(wire.correctnessBits), allowTinyCohort: wire.allowTinyCohort,
                chunkLength: Int(wire.chunkLength), removableNoise: noise)
        } catch {
            throw fault(.parameters, error.description)
        }
        self.init(
            parameters: parameters, serverNonce: nonce, rosterDigest: roster,
            deadlines: wire.deadlines, expiry: wire.expiry)
    }
}

extension Secagg_V1_Fraction {
    init(_ value: Rational) {
        // Parameters keep both halves below 2^32.
        numerator = UInt32(value.numerator.asUInt64!)
        denominator = UInt32(value.denominator.asUInt64!)
    }

    var rational: Rational? {
        denominator == 0 ? nil : Rational(BigInteger(UInt64(numerator)), BigInteger(UInt64(denominator)))
    }
}
