import DP

/// The report's claims in words. The word "private" does not occur without a number and a unit.
enum ReportSentences {
    /// "training record" or "client".
    static func noun(_ unit: PrivacyUnit) -> String {
        switch unit {
        case .client: "client"
        case .record: "training record"
        }
    }

    /// The claim: unit, neighbours, ε and δ, adversary.
    static func guarantee(_ account: RunAccount) -> String {
        let plan = account.plan
        let one =
            switch account.unit {
            case .client: "one client"
            case .record: "one training record of any client"
            }
        let change =
            switch plan.event.adjacency {
            case .zeroOut: "setting its contributions to zero"
            case .addRemove: "adding or removing it"
            case .replaceOne: "exchanging its data for other data"
            }
        return """
            For any \(one), \(change) changes the distribution of everything that this run released \
            by at most ε = \(epsilon(account.spent.epsilon)) at δ = \(delta(account.spent.delta)) \
            ((ε, δ)-differential privacy). This holds against \(adversary(plan)), and against everyone who \
            reads the adapter
            """ + "."
    }

    static func adversary(_ plan: PlanStatement) -> String {
        let server =
            plan.profile == "malicious-server"
            ? "a server that may break the protocol" : "a server that follows the protocol (semi-honest)"
        switch plan.colluders {
        case 0: return server + " and colludes with no client"
        case 1: return server + " and colludes with one client"
        default: return server + " and colludes with up to \(plan.colluders) clients"
        }
    }

    static func colludingClients(_ plan: PlanStatement) -> String {
        switch plan.colluders {
        case 0: "no colluding client"
        case 1: "one colluding client"
        default: "\(plan.colluders) colluding clients"
        }
    }

    /// ε at the other standard values of δ, by the accountant of the budget.
    static func equivalents(_ figures: PrivacyFigures) -> String {
        guard let line = figures.lines.first(where: { $0.accountant == figures.accountant }) else {
            return ""
        }
        let parts = line.epsilons.filter { $0.delta != figures.delta }
            .map { "ε = \(epsilon($0.epsilon)) at δ = \(delta($0.delta))" }
        return parts.joined(separator: "; ") + ". " + basis(figures.basis, figures.accountant)
    }

    static func basis(_ basis: BoundBasis, _ accountant: AccountantKind) -> String {
        let method = method(accountant)
        switch basis {
        case .published: return "Derived by \(method) from published theorems."
        case .ownCertificate:
            return "Derived by \(method) with this project's own certificate for integer noise, "
                + "which nobody else has reviewed."
        }
    }

    static func method(_ accountant: AccountantKind) -> String {
        let names = [
            "gdp": "Gaussian differential privacy", "zcdp": "zero-concentrated differential privacy",
            "rdp": "Rényi differential privacy", "pld": "privacy loss distributions",
        ]
        return names[accountant.rawValue] ?? accountant.rawValue
    }

    static func bestTest(_ account: RunAccount) -> String {
        let tests = account.spent.bestTests.map { test in
            "with \(Figures.percent(test.falsePositiveRate)) false alarms it finds at most "
                + "\(Figures.percent(test.truePositiveRateMax, .up)) of those that took part"
        }
        return "Whatever test someone runs on the releases to find out whether a given "
            + "\(noun(account.unit)) took part: " + tests.joined(separator: "; ") + "."
    }

    static func assumes(_ account: RunAccount) -> String {
        let plan = account.plan
        var text =
            "only sums over at least \(plan.minSurvivors) of \(plan.clients) clients are opened; "
            + "\(noiseKept(plan)); clients run the published code"
        if let rate = plan.samplingRate, rate < 1 {
            text += "; each client samples its own records with secret coins, rate \(rate)"
        } else {
            text += ". No amplification by sampling is claimed"
        }
        return text + ". Section 11 says which of these are enforced and which are trusted."
    }

    /// How many clients may spoil the noise without weakening the claim.
    static func noiseKept(_ plan: PlanStatement) -> String {
        switch plan.colluders {
        case 0: "none of them reveals or leaves out its noise"
        case 1: "at most one of them reveals or leaves out its noise"
        default: "at most \(plan.colluders) of them reveal or leave out their noise"
        }
    }

    static func groups(_ account: RunAccount) -> String {
        account.spent.groups.map { group in
            let bound = group.epsilon.map { "ε = \(epsilon($0))" } ?? "no useful bound"
            return "\(group.size) \(noun(account.unit))s that belong together: \(bound)"
        }.joined(separator: "; ") + ", at the same δ."
    }

    /// The hypothesis-testing reading and its limits, for readers who do not calculate.
    static func plainWords(_ account: RunAccount) -> String {
        let noun = noun(account.unit)
        let strongest = account.spent.bestTests[0]
        return """
            Imagine someone who knows everything about this run except whether one particular \(noun) was \
            used, and who may study every released sum and the final adapter. If they are content to be wrong \
            about \(Figures.percent(strongest.falsePositiveRate)) of those that were not used, they will \
            recognise at most \(Figures.percent(strongest.truePositiveRateMax, .up)) of those that were. The \
            number bounds what the presence of one \(noun) changes. It does not hide what follows from the \
            data of everybody, such as a disease being frequent in a region; it does not cover what the base \
            model knew before; and it says nothing about data that is used elsewhere.
            """
    }

    static func epsilon(_ value: Double) -> String { Figures.text(value, digits: 4, .up) }
    static func delta(_ value: Double) -> String { Figures.text(Figures.rounded(value)) }
}
