import Models

/// What the owner's full model makes of a cell's adapter.
public struct OffsiteCellResult: Sendable, Equatable {
    /// Loss of everyone's test under the full model, untuned and with the adapter plugged in.
    public let fullLoss: Double
    public let plugInLoss: Double
    /// Shares of exact answers, for tasks scored so.
    public let fullExact: Double?
    public let plugInExact: Double?
    /// Share of the owner's parameters that travels bit for bit.
    public let exactFraction: Double
    /// exp(loss of the full model − loss of the emulator as it is) on held-out public text.
    public let recovery: Double

    var json: JSON {
        .object([
            .init("fullLoss", .real(fullLoss)), .init("plugInLoss", .real(plugInLoss)),
            .init("fullExact", fullExact.map(JSON.real) ?? .null),
            .init("plugInExact", plugInExact.map(JSON.real) ?? .null),
            .init("exactFraction", .real(exactFraction)), .init("recovery", .real(recovery)),
        ])
    }
}

extension OffsiteCellResult {
    init?(json: JSON) {
        guard let fullLoss = json["fullLoss"]?.number, let plugInLoss = json["plugInLoss"]?.number,
            let exactFraction = json["exactFraction"]?.number, let recovery = json["recovery"]?.number
        else { return nil }
        self.init(
            fullLoss: fullLoss, plugInLoss: plugInLoss, fullExact: json["fullExact"]?.number,
            plugInExact: json["plugInExact"]?.number, exactFraction: exactFraction, recovery: recovery)
    }
}
