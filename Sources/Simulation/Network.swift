import SecureAgg

/// One end of a link.
enum Receiver {
    case server(sender: Int)
    case client(Int)
}

/// Copies of messages of this and earlier rounds, and the order of what was delivered.
struct MailArchive {
    private(set) var letters: [(receiver: Receiver, bytes: [UInt8])] = []
    private var next = 0
    private static let capacity = 160
    /// Per link, the number of the latest message that was delivered, and of the latest that was sent.
    var delivered: [Int]
    var sent: [Int]

    init(links: Int) {
        delivered = [Int](repeating: 0, count: links)
        sent = delivered
    }

    /// Keeps some of the mail; old letters make room.
    mutating func keep(_ receiver: Receiver, _ bytes: [UInt8]) {
        if letters.count < Self.capacity {
            letters.append((receiver, bytes))
        } else {
            letters[next] = (receiver, bytes)
            next = (next + 7) % Self.capacity
        }
    }
}

extension World {
    /// Sends the messages of one answer: together on one connection, so in order unless reordered.
    func post(_ messages: [[UInt8]], from client: Int) {
        let base = UInt64(1 + random.below(20))
        for message in messages { post(message, to: .server(sender: client), after: base) }
    }

    func post(_ bytes: [UInt8], to receiver: Receiver, after base: UInt64? = nil) {
        if random.happens(rates.loss) { return happened(.loss) }
        let copies = random.happens(rates.duplicate) ? 2 : 1
        if copies == 2 { happened(.duplicate) }
        if rates.replay > 0, random.below(3) == 0 { mail.keep(receiver, bytes) }
        for _ in 0..<copies {
            var delay = base ?? UInt64(1 + random.below(20))
            if random.happens(rates.reorder) { delay += UInt64(random.below(60)) }
            if random.happens(rates.slow) {
                happened(.delay)
                delay += UInt64(random.below(3 * Int(Self.deadline)))
            }
            deliver(damaged(bytes), to: receiver, at: now + delay)
        }
        replayOld()
    }

    private func deliver(_ bytes: [UInt8], to receiver: Receiver, at time: UInt64) {
        let link: Int
        switch receiver {
        case .server(let sender): link = 2 * sender
        case .client(let index): link = 2 * index + 1
        }
        mail.sent[link] += 1
        // The number travels beside the message, for the count of overtakings only.
        let place = link << 32 | mail.sent[link]
        switch receiver {
        case .server(let sender): queue.add(.toServer(sender: sender, bytes: bytes, link: place), at: time)
        case .client(let index): queue.add(.toClient(index, bytes: bytes, link: place), at: time)
        }
    }

    func noteOrder(_ place: Int) {
        let (link, number) = (place >> 32, place & 0xffff_ffff)
        if number < mail.delivered[link] { happened(.reorder) }
        mail.delivered[link] = max(number, mail.delivered[link])
    }

    private func damaged(_ bytes: [UInt8]) -> [UInt8] {
        guard random.happens(rates.damage), !bytes.isEmpty else { return bytes }
        var bytes = bytes
        if random.below(4) == 0 {
            happened(.truncate)
            bytes.removeLast(1 + random.below(bytes.count))
        } else {
            happened(.flip)
            bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        }
        return bytes
    }

    /// An old message comes again: to where it went, under another name, or to somebody else.
    private func replayOld() {
        guard random.happens(rates.replay), !mail.letters.isEmpty else { return }
        let letter = random.pick(mail.letters)
        var receiver = letter.receiver
        switch (receiver, random.below(3)) {
        case (.server, 0):
            happened(.impersonation)
            receiver = .server(sender: random.below(clients.count))
        case (.client, 0):
            happened(.misdelivery)
            receiver = .client(random.below(clients.count))
        default: happened(.replay)
        }
        deliver(letter.bytes, to: receiver, at: now + UInt64(1 + random.below(100)))
    }
}
