import DP
import GMP
import Models
import SecureAgg

extension FederationConfiguration {
    /// The only version of the file format so far.
    public static let schema = "fedtrain/1"

    /// Reads and checks a whole configuration tree.
    ///
    /// - Throws: `ConfigurationError` for the first thing that is wrong: an unknown key, a wrong type,
    ///   a value out of range, or two values that contradict each other.
    public init(reading node: ConfigurationNode) throws(ConfigurationError) {
        var root = try ConfigurationSection(node, path: "")
        let schema = try root.string("schema")
        guard schema == Self.schema else {
            throw root.error("schema", "is `\(schema)`; this version reads `\(Self.schema)`")
        }
        name = try root.string("name")
        var section = try root.section("model")
        model = try Model(reading: &section)
        section = try root.section("data")
        data = try DataSource(reading: &section)
        section = try root.section("rounds")
        rounds = Rounds(
            count: try section.integer("count", in: 1...1_000_000),
            minSurvivors: try section.integer("minSurvivors", in: 3...1_000_000),
            minCohort: try section.optionalInteger("minCohort", in: 3...1_000_000))
        try section.finish()
        section = try root.section("training")
        training = try Training(reading: &section, adapter: model.adapter)
        let trainingSection = section
        var privacySection = try root.section("privacy")
        privacy = try Privacy(reading: &privacySection, algorithm: training.algorithm)
        section = try root.section("secagg")
        aggregation = try Aggregation(reading: &section)
        section = try root.section("simulation")
        simulation = try Simulation(reading: &section)
        if root.has("trainer") {
            section = try root.section("trainer")
            trainer = try ExternalTrainer.Command(reading: &section)
            if let refusal = trainerRefusal {
                throw section.error(
                    "command", "has no use: \(refusal)",
                    suggestion: "leave trainer out, or change that setting")
            }
        }
        if root.has("network") {
            section = try root.section("network")
            network = try Network(reading: &section)
        }
        section = try root.section("report")
        for fact in [
            LedgerFacts.operatorName, LedgerFacts.contact, LedgerFacts.retention, LedgerFacts.registry,
        ] {
            if let text = try section.optionalString(fact), !text.isEmpty { statements[fact] = text }
        }
        try section.finish()
        try root.finish()
        try checkTogether(trainingSection, privacySection)
    }

    /// What no single key can be blamed for on its own.
    private func checkTogether(
        _ trainingSection: ConfigurationSection, _ section: ConfigurationSection
    ) throws(ConfigurationError) {
        if let refusal = Compatibility.refusal(of: self) {
            let blamed = refusal.key == "unit" ? section : trainingSection
            throw blamed.error(refusal.key, refusal.reason, suggestion: refusal.suggestion)
        }
        // Nothing is hidden in a run in clear, so nobody can collude.
        if privacy.isInClear { return }
        // Over a network more clients may be enrolled than a round takes.
        let bounds = privacy.participation
        if network == nil, let limit = bounds.limit,
            ParticipationBounds(gap: bounds.gap).participations(in: rounds.count) > limit
        {
            throw section.error(
                "participationLimit",
                "is \(limit): nobody may take part after round \(limit * bounds.gap) of \(rounds.count)",
                suggestion: "lower rounds.count, or raise privacy.participationLimit or participationGap")
        }
        guard rounds.minSurvivors > privacy.colluders else {
            throw section.error(
                "colluders",
                "is \(privacy.colluders), but only \(rounds.minSurvivors) contributions need to survive: "
                    + "no honest noise would be left",
                suggestion: "raise rounds.minSurvivors or lower privacy.colluders")
        }
    }
}

extension FederationConfiguration.Model {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        let base = try section.optionalString("base") ?? "built-in"
        baseDirectory = base == "built-in" ? nil : base
        if let name = try section.optionalString("store") {
            guard let store = WeightStore(rawValue: name) else {
                throw section.error(
                    "store", "is `\(name)`",
                    suggestion: "one of \(WeightStore.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.store = store
        }
        startDirectory = try section.optionalString("start")
        var adapter = try section.section("adapter")
        self.adapter = try AdapterConfiguration(reading: &adapter)
        try section.finish()
    }
}

extension FederationConfiguration.DataSource {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        let files = try section.strings("clients")
        let sites = try section.integer("sites", in: 3...100_000, default: 8)
        let recordsPerSite = try section.integer("recordsPerSite", in: 1...1_000_000, default: 500)
        let form: NoteTask.Form = try section.choice("form", default: .codes)
        clients =
            files.isEmpty || files == ["built-in"]
            ? .builtIn(sites: sites, recordsPerSite: recordsPerSite, form: form) : .files(files)
        heldOut = try section.strings("heldOut").filter { $0 != "built-in" }
        heldOutCount = try section.integer("heldOutCount", in: 1...1_000_000, default: 240)
        siteHeldOut = try section.strings("siteHeldOut")
        siteHeldOutCount = try section.integer("siteHeldOutCount", in: 0...1_000_000, default: 0)
        template = try section.choice("template", default: .plain)
        tokensMax = try section.integer("tokensMax", in: 8...1_000_000, default: 512)
        overlong = try section.choice("overlong", default: .drop)
        try section.finish()
    }
}

extension ExternalTrainer.Command {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        arguments = try section.strings("command")
        guard let program = arguments.first, !program.isEmpty else {
            throw section.error(
                "command", "names no program", suggestion: "a list: the program, then its arguments")
        }
        timeoutSeconds = try section.integer("timeoutSeconds", in: Self.timeoutSecondsRange, default: 3600)
        try section.finish()
    }
}

extension FederationConfiguration.Privacy {
    init(
        reading section: inout ConfigurationSection, algorithm: FederationConfiguration.Algorithm
    ) throws(ConfigurationError) {
        isInClear = try section.optionalString("unit") == "none"
        unit = isInClear ? (algorithm == .dpFedSGD ? .record : .client) : try section.choice("unit")
        let hasClipNorm = section.has("clipNorm")
        clips = !isInClear || hasClipNorm
        delta = try section.rational("delta", upTo: Rational(1, 10), default: "0.00001")
        clipNorm = try section.rational("clipNorm", upTo: 1_000_000, default: "1")
        samplingRate = try section.rational("samplingRate", upTo: 1, default: "1")
        guard samplingRate.denominator <= 1_000_000_000 else {
            throw section.error("samplingRate", "must be a fraction with a denominator of at most 10^9")
        }
        colluders = try section.integer("colluders", in: 0...1_000_000, default: 0)
        dropoutNoise = try section.choice("dropoutNoise", default: .floor)
        mechanism = try section.choice(
            "mechanism", default: dropoutNoise == .exact ? .skellam : .discreteGaussian)
        guard dropoutNoise == .floor || mechanism == .skellam else {
            throw section.error(
                "dropoutNoise", "is `exact`, which needs noise that adds up exactly",
                suggestion: "set privacy.mechanism to skellam, or leave it out")
        }
        participation = ParticipationBounds(
            limit: try section.optionalInteger("participationLimit", in: 1...1_000_000),
            gap: try section.optionalInteger("participationGap", in: 1...1_000_000))
        if section.has("noiseMultiplier") {
            noise = .multiplier(try section.rational("noiseMultiplier", upTo: 1_000_000))
            epsilonMax = try section.rational("epsilon", upTo: 1_000_000)
        } else {
            epsilonMax = try section.rational("epsilon", upTo: 1_000_000, default: "8")
            noise = .forEpsilon(epsilonMax)
        }
        try section.finish()
    }
}

extension FederationConfiguration.Aggregation {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        profile = try section.choice("profile", default: .maliciousServer)
        allowTinyCohort = try section.flag("allowTinyCohort", default: false)
        modulusBits = try section.optionalInteger("modulusBits", in: 8...32)
        dropoutFraction = try section.rational("dropoutFraction", upTo: Rational(9, 10), default: "1/4")
        try section.finish()
    }
}

extension FederationConfiguration.Network {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        clients = try section.optionalInteger("clients", in: 3...100_000)
        recordsPerClient = try section.optionalInteger("recordsPerClient", in: 1...10_000_000)
        listen = try section.optionalString("listen") ?? "127.0.0.1:8443"
        hosts = try section.strings("hosts")
        gatherSeconds = try section.integer("gatherSeconds", in: 1...2_592_000, default: 86_400)
        trainSeconds = try section.integer("trainSeconds", in: 1...604_800, default: 3600)
        stageSeconds = try section.integer("stageSeconds", in: 1...86_400, default: 120)
        graceSeconds = try section.integer("graceSeconds", in: 1...86_400, default: 15)
        try section.finish()
    }
}

extension FederationConfiguration.Simulation {
    init(reading section: inout ConfigurationSection) throws(ConfigurationError) {
        var losses: [Loss] = []
        for var loss in try section.sections("lose") {
            losses.append(
                Loss(
                    round: try loss.integer("round", in: 1...1_000_000),
                    stage: try Self.stage(of: &loss),
                    clients: try loss.integer("clients", in: 1...1_000_000)))
            try loss.finish()
        }
        lose = losses
        try section.finish()
    }

    private static func stage(
        of section: inout ConfigurationSection
    ) throws(ConfigurationError) -> Stage {
        let name = try section.optionalString("stage") ?? Stage.submitMaskedInput.name
        guard let stage = Stage(name: name) else {
            let names = Stage.allCases.map(\.name)
            throw section.error(
                "stage", "is `\(name)`; it must be one of \(names.joined(separator: ", "))",
                suggestion: closest(to: name, among: names).map { "did you mean `\($0)`?" })
        }
        return stage
    }
}
