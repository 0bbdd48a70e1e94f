/// Why a ledger was refused, or refused to go on.
public enum LedgerError: Error, Hashable, Sendable {
    // The file does not verify.
    /// Line number (from 1) and reason.
    case malformedLine(Int, String)
    case badSignature(line: Int)
    case brokenChain(line: Int)
    /// The ledger is signed by another key than the expected one.
    case wrongKey
    /// The last line is not the expected one.
    case wrongHead
    /// A line breaks a rule: line, rule.
    case ruleBroken(line: Int, String)
    case empty
    /// Bytes after the last complete line.
    case tornTail(bytes: Int)
    /// Lines that were acknowledged as durable are gone: acknowledged and remaining bytes.
    case truncated(acknowledged: Int, found: Int)
    case acknowledgementUnreadable(String)

    // The request is refused; the ledger is unchanged.
    /// ε spent so far, ε after the request, budget, as printed numbers.
    case budgetExceeded(spent: String, requested: String, budget: String)
    case participationLimit(Int)
    /// Required and actual difference of round numbers.
    case participationGap(required: Int, actual: Int)
    case refused(String)
    case accounting(AccountingError)

    // The disk.
    case alreadyExists
    case inUse
    /// Nothing was recorded; what failed and why.
    case storage(String)
    /// A failed write could not be undone, so this process stops writing.
    case writerStopped
}

extension LedgerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformedLine(let line, let reason):
            "ledger line \(line) cannot be read: \(reason)"
        case .badSignature(let line):
            "ledger line \(line) is not signed by the ledger's key: it was changed after it was written"
        case .brokenChain(let line):
            "ledger line \(line) does not follow line \(line - 1): lines were changed, removed or reordered"
        case .wrongKey:
            "the ledger is signed by another key than the expected one"
        case .wrongHead:
            "the ledger does not end with the expected line: lines were removed or added at its end"
        case .ruleBroken(let line, let rule):
            "ledger line \(line) breaks a rule: \(rule)"
        case .empty:
            "the ledger holds no complete line"
        case .tornTail(let bytes):
            "the ledger ends in an incomplete line of \(bytes) bytes"
        case .truncated(let acknowledged, let found):
            """
            \(acknowledged) bytes of the ledger were acknowledged as durable but only \(found) are \
            there: spent budget would be forgotten; restore the file
            """
        case .acknowledgementUnreadable(let reason):
            "the ledger's acknowledgement file does not match it: \(reason)"
        case .budgetExceeded(let spent, let requested, let budget):
            "the privacy budget is ε = \(budget): \(spent) is spent and this would make it \(requested)"
        case .participationLimit(let limit):
            "this client already took part in \(limit) rounds, its limit"
        case .participationGap(let required, let actual):
            "this client took part \(actual) rounds ago; its gap is \(required)"
        case .refused(let reason):
            "the ledger refuses: \(reason)"
        case .accounting(let error):
            "\(error)"
        case .alreadyExists:
            "a ledger already exists here; a run never starts twice"
        case .inUse:
            "another process holds this ledger"
        case .storage(let reason):
            "the ledger could not be written, nothing was recorded: \(reason)"
        case .writerStopped:
            "an earlier write failed and could not be undone; reopen the ledger"
        }
    }
}
