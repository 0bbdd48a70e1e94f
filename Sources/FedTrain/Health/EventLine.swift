import Foundation
import Models

/// One line of a run's `events.jsonl`, as `fedtrain log` shows it.
public struct EventLine: Sendable, Equatable {
    public let round: Int
    public let outcome: String
    public let reason: String?
    public let survivors: Int
    public let invited: Int
    public let epsilon: Double
    /// Seconds and bytes of all stages together; bytes of all clients.
    public let seconds: Double
    public let bytesUp: Int
    public let bytesDown: Int

    /// Reads a log; lines that this version cannot read are counted, not guessed at.
    public static func read(_ run: RunDirectory) throws -> (lines: [EventLine], unreadable: Int) {
        guard let data = FileManager.default.contents(atPath: run.events) else {
            guard FileManager.default.fileExists(atPath: run.path) else {
                throw FederationError.notARun(run.path)
            }
            return ([], 0)
        }
        let texts = data.split(separator: UInt8(ascii: "\n"))
        let lines = texts.compactMap { EventLine(Array($0)) }
        return (lines, texts.count - lines.count)
    }

    private init?(_ bytes: [UInt8]) {
        guard let line = try? JSON.parse(bytes), let round = line["round"]?.integer,
            let outcome = line["outcome"]?.string, let survivors = line["survivors"]?.integer,
            let invited = line["invited"]?.integer, let epsilon = line["epsilon"]?.number
        else { return nil }
        self.round = round
        self.outcome = outcome
        reason = line["reason"]?.string
        self.survivors = survivors
        self.invited = invited
        self.epsilon = epsilon
        var (seconds, up, down) = (0.0, 0, 0)
        for member in line["stages"]?.members ?? [] {
            seconds += member.value["seconds"]?.number ?? 0
            up += member.value["bytesUp"]?.integer ?? 0
            down += member.value["bytesDown"]?.integer ?? 0
        }
        (self.seconds, bytesUp, bytesDown) = (seconds, up, down)
    }
}
