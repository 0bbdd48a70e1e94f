/// Why an enrolment document, an identity or a pin was refused.
package enum EnrolmentError: Error, Equatable, Sendable {
    /// The file is damaged, or of another kind or version.
    case malformed(file: String, kind: String)
    case badSignature(file: String)
    /// The file names one key, but another is in use.
    case wrongAuthority(file: String)
    case nameTaken(String)
    case keyTaken(name: String)
    case unknownName(String)
    /// This client's key is not in the roster.
    case notEnrolled(fingerprint: String)
    /// The server's certificate or key is not the pinned one.
    case wrongServer(String)
    /// A roster older than one seen before, or another one under the same edition.
    case rosterRolledBack(epoch: UInt64, seen: UInt64)
    case fingerprintDiffers(expected: String, found: String)
}
