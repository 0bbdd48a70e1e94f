import Models

/// What one cell came to: a function of the cell's key alone, so it holds no times and no paths.
public struct CellResult: Sendable, Equatable {
    public static let schema = "fedtrain-cell/1"

    public struct Losses: Sendable, Equatable {
        /// Mean over all predicted tokens of all clients' test records; of personal models the mean over models.
        public let pooled: Double
        /// Each client's model on that client's own test records, in the order of the clients.
        public let own: [Double]
        /// The mean over models on each client's test records; of one model for all the same as `own`.
        public let byTest: [Double]
    }

    public struct Canaries: Sendable, Equatable {
        /// Bits, of each planted canary.
        public let planted: [Double]
        /// The same of canaries that nobody trained on.
        public let controls: [Double]
    }

    public let key: String
    public let clients: [String]
    /// Of the base model alone.
    public let base: Losses
    public let trained: Losses
    /// On the operator's validation records; what searches go by.
    public let validation: Double?
    /// Share of exact answers before and after, for tasks scored so.
    public let exactBefore: Double?
    public let exactAfter: Double?
    /// `record`, `client`, or `none` for a run in clear.
    public let unit: String
    /// Charged; nil for a run in clear, which bounds nothing.
    public let epsilon: Double?
    public let delta: Double
    public let noiseMultiplier: Double
    public let rounds: Int
    public let released: Int
    public let fewestSurvivors: Int
    /// Numbers of a contribution.
    public let coordinates: Int
    /// The busiest client's bytes in one round.
    public let bytesUp: Int
    public let bytesDown: Int
    public let membership: MembershipTest?
    public let canaries: Canaries?
    /// Of a cell that trains an emulator.
    public let offsite: OffsiteCellResult?
    /// Over the shared adapter's files, and over every client's own where there are some.
    public let adapter: String
}

extension CellResult {
    /// As a line of JSON; equal results give equal bytes.
    public var json: JSON {
        func losses(_ losses: Losses) -> JSON {
            .object([
                .init("pooled", .real(losses.pooled)), .init("own", .array(losses.own.map(JSON.real))),
                .init("byTest", .array(losses.byTest.map(JSON.real))),
            ])
        }
        func area(_ area: MembershipTest.Area) -> JSON {
            .array([.real(area.value), .real(area.low), .real(area.high)])
        }
        func optional(_ value: Double?) -> JSON { value.map(JSON.real) ?? .null }
        return .object(
            [
                .init("schema", .string(Self.schema)), .init("key", .string(key)),
                .init("clients", .array(clients.map(JSON.string))), .init("base", losses(base)),
                .init("trained", losses(trained)), .init("validation", optional(validation)),
                .init("exactBefore", optional(exactBefore)), .init("exactAfter", optional(exactAfter)),
                .init("unit", .string(unit)), .init("epsilon", optional(epsilon)),
                .init("delta", .real(delta)),
                .init("noiseMultiplier", .real(noiseMultiplier)), .init("rounds", .integer(rounds)),
                .init("released", .integer(released)), .init("fewestSurvivors", .integer(fewestSurvivors)),
                .init("coordinates", .integer(coordinates)), .init("bytesUp", .integer(bytesUp)),
                .init("bytesDown", .integer(bytesDown)),
                .init(
                    "membership",
                    membership.map { test in
                        .object([
                            .init("loss", area(test.loss)), .init("calibrated", area(test.calibrated)),
                            .init("foundAtFivePercent", area(test.foundAtFivePercent)),
                            .init("members", .integer(test.members)), .init("others", .integer(test.others)),
                        ])
                    } ?? .null),
                .init(
                    "canaries",
                    canaries.map { canaries in
                        .object([
                            .init("planted", .array(canaries.planted.map(JSON.real))),
                            .init("controls", .array(canaries.controls.map(JSON.real))),
                        ])
                    } ?? .null),
            ] + (offsite.map { [JSON.Member("offsite", $0.json)] } ?? []) + [
                .init("adapter", .string(adapter))
            ])
    }

    /// Reads what `json` wrote; nil for anything else, which is then made anew.
    public init?(json: JSON) {
        func losses(_ key: String) -> Losses? {
            guard let pooled = json[key]?["pooled"]?.number,
                let own = json[key]?["own"]?.array?.compactMap(\.number),
                let byTest = json[key]?["byTest"]?.array?.compactMap(\.number)
            else { return nil }
            return Losses(pooled: pooled, own: own, byTest: byTest)
        }
        func area(_ json: JSON?) -> MembershipTest.Area? {
            guard let values = json?.array?.compactMap(\.number), values.count == 3 else { return nil }
            return .init(value: values[0], low: values[1], high: values[2])
        }
        guard json["schema"]?.string == Self.schema, let key = json["key"]?.string,
            let clients = json["clients"]?.array?.compactMap(\.string), let base = losses("base"),
            let trained = losses("trained"), let unit = json["unit"]?.string,
            let delta = json["delta"]?.number, let noiseMultiplier = json["noiseMultiplier"]?.number,
            let rounds = json["rounds"]?.integer, let released = json["released"]?.integer,
            let fewest = json["fewestSurvivors"]?.integer, let coordinates = json["coordinates"]?.integer,
            let bytesUp = json["bytesUp"]?.integer, let bytesDown = json["bytesDown"]?.integer,
            let adapter = json["adapter"]?.string
        else { return nil }
        self.key = key
        self.clients = clients
        self.base = base
        self.trained = trained
        validation = json["validation"]?.number
        exactBefore = json["exactBefore"]?.number
        exactAfter = json["exactAfter"]?.number
        self.unit = unit
        epsilon = json["epsilon"]?.number
        self.delta = delta
        self.noiseMultiplier = noiseMultiplier
        self.rounds = rounds
        self.released = released
        fewestSurvivors = fewest
        self.coordinates = coordinates
        self.bytesUp = bytesUp
        self.bytesDown = bytesDown
        self.adapter = adapter
        if let found = json["offsite"] {
            guard let owned = OffsiteCellResult(json: found) else { return nil }
            offsite = owned
        } else {
            offsite = nil
        }
        if let test = json["membership"], !test.isNull {
            guard let loss = area(test["loss"]), let calibrated = area(test["calibrated"]),
                let found = area(test["foundAtFivePercent"]), let members = test["members"]?.integer,
                let others = test["others"]?.integer
            else { return nil }
            membership = MembershipTest(
                loss: loss, calibrated: calibrated, foundAtFivePercent: found, members: members,
                others: others)
        } else {
            membership = nil
        }
        if let found = json["canaries"], !found.isNull {
            guard let planted = found["planted"]?.array?.compactMap(\.number),
                let controls = found["controls"]?.array?.compactMap(\.number)
            else { return nil }
            canaries = Canaries(planted: planted, controls: controls)
        } else {
            canaries = nil
        }
    }
}

extension MembershipTest {
    init(loss: Area, calibrated: Area, foundAtFivePercent: Area, members: Int, others: Int) {
        self.loss = loss
        self.calibrated = calibrated
        self.foundAtFivePercent = foundAtFivePercent
        self.members = members
        self.others = others
    }
}
