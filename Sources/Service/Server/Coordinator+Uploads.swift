import FedTrain
import SecureAgg

// Uploads: a message comes in pieces, each after the bytes that are here already. A connection may be cut
// anywhere; what has arrived stays, and the client asks how far it came.

extension Coordinator {
    /// A message's place: which round, stage, and which of the stage's messages.
    package struct MessagePlace: Sendable, Equatable {
        package let round: Int
        package let stage: Stage
        package let index: Int

        package init(round: Int, stage: Stage, index: Int) {
            self.round = round
            self.stage = stage
            self.index = index
        }
    }

    /// How far a message has come.
    package func receipt(_ token: [UInt8], _ place: MessagePlace) throws -> [UInt8] {
        let id = try authenticate(token)
        try requireOpen(place)
        let peer = peers[id]!
        if place.index < peer.acceptedCount(place.round, place.stage) {
            return Self.receipt(offset: 0, accepted: true)
        }
        return Self.receipt(offset: held(peer, place), accepted: false)
    }

    /// Checks a piece before its bytes are read; the caller reports its end with `transferEnded`.
    package func admit(
        _ token: [UInt8], _ place: MessagePlace, offset: Int, total: Int
    ) throws {
        let id = try authenticate(token)
        try requireOpen(place)
        let limit = round!.session.messageLimit
        guard total > 0, total <= limit else {
            throw Problem(.tooLarge, "\(total) bytes; at most \(limit) at this stage")
        }
        let accepted = peers[id]!.acceptedCount(place.round, place.stage)
        guard place.index <= accepted else {
            throw Problem(.offset, "message \(accepted) of the stage comes first", offset: 0)
        }
        // Once more the whole of an accepted message: the session will know it.
        if place.index < accepted, offset == 0 { return try beginTransfer(of: id) }
        let held = held(peers[id]!, place)
        guard offset == held, offset < total else {
            throw Problem(.offset, "the next piece starts at \(held)", offset: held)
        }
        guard bufferedBytes + min(total, ServiceProtocol.pieceBytes) <= limits.bufferedBytes else {
            throw Problem(.overloaded, "too many uploads at once", retryAfter: 1)
        }
        try beginTransfer(of: id)
    }

    /// Takes the bytes of a piece, as many as came, and hands a complete message to the round.
    package func receive(
        _ token: [UInt8], _ place: MessagePlace, offset: Int, total: Int, bytes: [UInt8]
    ) throws -> [UInt8] {
        guard let id = tokens[token] else { throw lost(token) }
        try requireOpen(place)
        bytesIn += bytes.count
        let accepted = peers[id]!.acceptedCount(place.round, place.stage)
        if place.index < accepted {
            guard bytes.count == total else { return Self.receipt(offset: 0, accepted: true) }
            try accept(bytes, from: id, place, isRepeat: true)
            return Self.receipt(offset: UInt64(total), accepted: true)
        }
        var peer = peers[id]!
        if peer.upload.map({ $0.index != place.index || $0.stage != place.stage || $0.total != total })
            ?? true
        {
            discardUpload(&peer)
            peer.upload = Peer.Upload(
                round: place.round, stage: place.stage, index: place.index, total: total)
        }
        guard peer.upload!.bytes.count == offset, offset + bytes.count <= total else {
            peers[id] = peer
            throw Problem(
                .offset, "the next piece starts at \(peer.upload!.bytes.count)",
                offset: peer.upload!.bytes.count)
        }
        peers[id]!.upload = nil
        peer.upload!.bytes += bytes
        bufferedBytes += bytes.count
        guard peer.upload!.bytes.count == total else {
            peers[id] = peer
            return Self.receipt(offset: UInt64(peer.upload!.bytes.count), accepted: false)
        }
        let message = peer.upload!.bytes
        discardUpload(&peer)
        peers[id] = peer
        try accept(message, from: id, place, isRepeat: false)
        return Self.receipt(offset: UInt64(total), accepted: true)
    }

    private func accept(
        _ message: [UInt8], from id: ClientID, _ place: MessagePlace, isRepeat: Bool
    ) throws {
        do {
            try round!.session.receive(message, from: id)
        } catch {
            if round!.trace.faults.count < limits.faultsMax { round!.trace.faults.append(error) }
            throw Problem(.rejected, "\(error)")
        }
        guard !isRepeat else { return }
        round!.trace.sent(message.count, by: id, at: place.stage)
        peers[id]!.accepted = (
            place.round, place.stage, peers[id]!.acceptedCount(place.round, place.stage) + 1
        )
        wake()
    }

    private func requireOpen(_ place: MessagePlace) throws(Problem) {
        guard !isFinished else { throw Problem(.ended, "the run has ended") }
        guard let round, round.number == place.round, round.session.stage == place.stage,
            !round.session.hasEnded
        else {
            throw Problem(
                .wrongStage, "stage \(place.stage.name) of round \(place.round) is not open")
        }
    }

    private func held(_ peer: Peer, _ place: MessagePlace) -> Int {
        guard let upload = peer.upload, upload.round == place.round, upload.stage == place.stage,
            upload.index == place.index
        else { return 0 }
        return upload.bytes.count
    }

    func discardUpload(_ peer: inout Peer) {
        bufferedBytes -= peer.upload?.bytes.count ?? 0
        peer.upload = nil
    }

    /// A closed stage takes nothing more.
    func dropUploads() {
        for id in peers.keys { discardUpload(&peers[id]!) }
    }

    private static func receipt(offset: some BinaryInteger, accepted: Bool) -> [UInt8] {
        var receipt = Fedtrain_Service_V1_Receipt()
        receipt.offset = UInt64(offset)
        receipt.accepted = accepted
        return encodeBody(receipt)
    }
}
