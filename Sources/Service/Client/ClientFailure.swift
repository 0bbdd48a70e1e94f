import SecureAgg

/// Why a client's part in a federation ended before the run did.
package enum ClientFailure: Error, Equatable, Sendable {
    /// No answer from the server for so long; `hadBegun` tells whether there ever was one.
    case unreachable(url: String, seconds: Int, hadBegun: Bool, detail: String)
    /// The server refused this client.
    case refused(Problem)
    /// The server's answers break the protocol.
    case serverBroke(String)
    /// The run's plan differs from what its terms give here.
    case planDiffers(here: String, there: String)
    /// Another process takes part under the same identity.
    case identityInUse
}
