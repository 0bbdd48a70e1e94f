import Foundation
import SecureAgg
import Sodium
import Testing

/// Every kind of message with every kind of defect: a typed fault that names the check and, at the server,
/// the peer; the server drops that peer and goes on, a client ends its session.
@Suite struct MessageDefectTests {
    enum Defect: String, CaseIterable, Sendable {
        case empty, truncated, oversized, trailingBytes, unknownField, otherKind, wrongSession, noSession
        case forged, unsigned, laterStage, earlierStage, badBody
    }

    /// What a client sends: kind, stage and place among the stage's messages.
    enum Sent: String, CaseIterable, Sendable {
        case advertise, share, header, chunk, confirm, unmask

        var stage: Stage {
            switch self {
            case .advertise: .advertiseKeys
            case .share: .shareKeys
            case .header, .chunk: .submitMaskedInput
            case .confirm: .confirmSurvivors
            case .unmask: .unmask
            }
        }

        var place: Int { self == .chunk ? 1 : 0 }

        /// Signed by its sender; a chunk is vouched for by its header.
        var isSigned: Bool { self != .chunk }
    }

    private static func edit(_ bytes: [UInt8], _ change: (inout Message) -> Void) -> [UInt8] {
        var message = try! Message(decoding: bytes, limit: bytes.count)
        change(&message)
        return message.encoded()
    }

    /// The message with the defect; nil where the kind cannot have it.
    private static func damage(
        _ bytes: [UInt8], _ defect: Defect, isSigned: Bool, hasSession: Bool, other: MessageKind,
        later: [UInt8]?, earlier: [UInt8]?
    ) -> [UInt8]? {
        switch defect {
        case .empty: []
        case .truncated: Array(bytes.dropLast(bytes.count / 3))
        case .oversized: bytes + [UInt8](repeating: 0x2a, count: 1 << 20)
        // Field 15, length 1: no such field; and bytes that are no field at all.
        case .unknownField: bytes + [0x7a, 1, 0]
        case .trailingBytes: bytes + [0xff, 0xff]
        case .otherKind: edit(bytes) { $0.kind = other }
        case .wrongSession: hasSession ? edit(bytes) { $0.session = .of([9]) } : nil
        case .noSession: hasSession ? edit(bytes) { $0.session = nil } : nil
        case .forged: isSigned ? edit(bytes) { $0.signature[5] ^= 1 } : nil
        case .unsigned: isSigned ? edit(bytes) { $0.signature = [] } : nil
        case .laterStage: later
        case .earlierStage: earlier
        // Field 1 as a fixed 32-bit number, which no body has there.
        case .badBody: isSigned ? nil : edit(bytes) { $0.body = [0x0d, 1, 2, 3, 4] }
        }
    }

    /// The checks that may answer a defect at the server. Where a damaged envelope cannot be told from a
    /// forged one either name is right.
    private static func allowed(_ defect: Defect) -> Set<AggregationFault.Check> {
        switch defect {
        case .empty: [.unexpectedKind, .wrongSession, .malformed]
        case .truncated: [.malformed, .badSignature]
        case .oversized: [.tooLarge]
        case .trailingBytes, .unknownField, .badBody: [.malformed]
        case .otherKind: [.unexpectedKind, .wrongStage]
        case .wrongSession, .noSession: [.wrongSession]
        case .forged, .unsigned: [.badSignature]
        case .laterStage, .earlierStage: [.wrongStage, .unexpectedKind, .tooLarge]
        }
    }

    @Test(
        "Every defect of every message of a client names the sender and the check, and the round goes on",
        arguments: Sent.allCases, Defect.allCases)
    func atTheServer(sent: Sent, defect: Defect) throws {
        // What the victim sends in the other stages, from a round without defects.
        let clean = try LoopbackRound(clients: 5)
        var messages: [Stage: [[UInt8]]] = [:]
        clean.tamperUp = { stage, index, all in
            if index == 2 { messages[stage] = all }
            return all
        }
        #expect(clean.run().sum != nil)

        let round = try LoopbackRound(clients: 5)
        var applied = false
        round.tamperUp = { stage, index, all in
            guard stage == sent.stage, index == 2 else { return all }
            let next = Stage(rawValue: stage.rawValue + 1)
            let previous = Stage(rawValue: stage.rawValue - 1)
            guard
                let damaged = Self.damage(
                    all[sent.place], defect, isSigned: sent.isSigned, hasSession: true, other: .manifest,
                    later: next.map { messages[$0]![0] }, earlier: previous.map { messages[$0]![0] })
            else { return all }
            applied = true
            var result = all
            result[sent.place] = damaged
            return result
        }
        let outcome = round.run()
        guard applied else { return }
        let victim = round.identities[2].id
        let fault = try #require(outcome.refused.first)
        #expect(fault.scope == .peer(victim) && fault.culprits == [victim] && fault.stage == sent.stage)
        #expect(Self.allowed(defect).contains(fault.check), "\(fault)")
        // A chunk without its header is refused as well; nothing else is.
        #expect(outcome.refused.allSatisfy { $0.scope == .peer(victim) })
        let survivors = sent.stage <= .submitMaskedInput ? [0, 1, 3, 4] : [0, 1, 2, 3, 4]
        #expect(outcome.sum?.elements == round.plainSum(survivors))
    }

    @Test(
        "Every message of a client twice, or again in the next stage, changes nothing",
        arguments: Sent.allCases)
    func repeated(sent: Sent) throws {
        let round = try LoopbackRound(clients: 5)
        var held: [[UInt8]] = []
        round.tamperUp = { stage, index, all in
            guard index == 2 else { return all }
            if stage == sent.stage {
                held = [all[sent.place]]
                return all + held
            }
            defer { held = [] }
            return all + held
        }
        let outcome = round.run()
        #expect(outcome.sum?.elements == round.plainSum(0..<5))
        // In its own stage a repeat is no fault; later it is, and only its own.
        #expect(outcome.refused.count == (sent == .unmask ? 0 : 1))
        #expect(outcome.refused.allSatisfy { [.wrongStage, .wrongSession].contains($0.check) })
    }

    @Test(
        "A message under another member's name, or a stranger's, is refused and costs nobody anything",
        arguments: Sent.allCases)
    func underAnotherName(sent: Sent) throws {
        let round = try LoopbackRound(clients: 5)
        var taken: [UInt8] = []
        round.tamperUp = { stage, index, all in
            if stage == sent.stage, index == 2 { taken = all[sent.place] }
            return all
        }
        round.beforeClose = { stage, server in
            guard stage == sent.stage else { return }
            for (sender, culprits) in [
                (ClientID(4_000), [ClientID(4_000)]), (round.identities[3].id, [round.identities[3].id]),
            ] {
                do throws(AggregationFault) {
                    try server.receive(taken, from: sender)
                    Issue.record("\(sent.rawValue) was taken from \(sender)")
                } catch {
                    #expect(error.scope == .peer(sender) && error.culprits == culprits)
                    #expect(
                        [.unknownPeer, .badSignature, .vectorDigest, .conflictingRepeat].contains(
                            error.check), "\(error)")
                }
            }
        }
        #expect(round.run().sum?.elements == round.plainSum(0..<5))
    }

    // MARK: At a client

    /// What the server sends; nil stands for the result.
    private static let received: [Stage?] = Stage.allCases + [nil]

    @Test(
        "Every defect of every message of the server ends the session with the check's name",
        arguments: [0, 1, 2, 3, 4, 5], Defect.allCases)
    func atAClient(position: Int, defect: Defect) throws {
        let stage = Stage(rawValue: position)
        let clean = try LoopbackRound(clients: 5)
        var messages: [Stage: [UInt8]] = [:]
        clean.tamperDown = { at, index, bytes in
            if index == 2 { messages[at] = bytes }
            return bytes
        }
        var result: [UInt8] = []
        _ = clean.run(tamperResult: { bytes, index in
            if index == 2 { result = bytes }
            return bytes
        })
        // The same client again, with the same draws, up to the damaged message.
        let round = try LoopbackRound(clients: 5)
        let original = stage.map { messages[$0]! } ?? result
        let isSigned = stage == .advertiseKeys || stage == nil
        guard
            let damaged = Self.damage(
                original, defect, isSigned: isSigned, hasSession: stage != .advertiseKeys, other: .advertise,
                later: stage.flatMap { Stage(rawValue: $0.rawValue + 1) }.map { messages[$0]! },
                earlier: Stage(rawValue: position - 1).map { messages[$0]! })
        else { return }
        round.tamperDown = { at, index, bytes in at == stage && index == 2 ? damaged : bytes }
        let outcome = round.run(tamperResult: { bytes, index in stage == nil && index == 2 ? damaged : bytes }
        )
        let victim = round.identities[2].id
        if stage == nil {
            #expect(outcome.results[victim] == nil)
        } else {
            let fault = try #require(outcome.clientFaults[victim])
            #expect(fault.scope == .round && fault.stage == stage)
            let names = Self.allowed(defect).union(
                // A truncated list of entries or boxes is one that is too short.
                defect == .truncated ? [.cohortSize, .shareCount, .ownVectorMissing, .duplicateIdentity] : [])
            #expect(names.contains(fault.check), "\(fault)")
        }
        // The others finish without it, and the ended session refuses every further call.
        let survivors = position <= 2 ? [0, 1, 3, 4] : [0, 1, 2, 3, 4]
        #expect(outcome.sum?.elements == round.plainSum(survivors))
        #expect(throws: AggregationFault.self) {
            try round.sessions[2].unmask(messages[.unmask]!)
        }
        #expect(throws: AggregationFault.self) { try round.sessions[2].finish(result) }
    }
}
