/// The commented files that `fedtrain init` writes.
public enum FederationTemplates {
    /// Sites with a JSONL file each; the guarantee is about one record.
    public static func crossSilo(base: String, clients: String, heldOut: String?) -> String {
        """
        # A few organisations fine-tune one model together. The guarantee is about one training record.
        # Unknown keys are errors. Numbers of the privacy section are read exactly as written.
        schema: fedtrain/1
        name: cross-silo

        model:
          base: \(quoted(base))      # Hugging Face directory: config.json, model.safetensors, tokenizer.json
          adapter: {kind: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj]}

        data:
          clients: \(quoted(clients))   # one JSONL file per client (instruction/input/output, or text)
        \(heldOut.map { "  heldOut: \(quoted($0))   # scored before and after; never trained on" } ?? "  # heldOut: held-out files, scored before and after")
          template: alpaca           # plain, alpaca, or text
          tokensMax: 256             # longest record in tokens
          overlong: truncate         # truncate a long prompt at its start, or drop the record

        rounds:
          count: 20                  # rounds started; an aborted one stays charged
          minSurvivors: 12           # nothing is opened below this many contributions

        training:
          algorithm: dp-fedsgd       # one clipped gradient per sampled record and round
          aggregation: ffa           # A stays frozen, B is averaged: exact, and noise stays linear
          server: {optimizer: adam, learningRate: 0.01, momentum: 0.9}

        privacy:
          unit: record
          epsilon: 8                 # the run stops before it would spend more; the noise is solved from it
          delta: 0.00001
          clipNorm: 1                # L2 bound on one record's gradient
          samplingRate: 1/4          # chance that a record takes part in a round; the coins stay at the site
          colluders: 1               # clients that may pool what they know with the server

        secagg:
          profile: malicious-server
          allowTinyCohort: true      # below 32 clients each member can subtract itself: DP is the only protection

        # report: {operator: "", contact: "", retention: "", registry: ""}   # said word for word in the privacy report

        """
    }

    /// Many clients; the guarantee is about a whole client.
    public static func crossDevice(base: String, clients: String, heldOut: String?) -> String {
        """
        # Many clients train locally; the server sees only their sum. The guarantee is about a whole client.
        # Unknown keys are errors. Numbers of the privacy section are read exactly as written.
        schema: fedtrain/1
        name: cross-device

        model:
          base: \(quoted(base))      # Hugging Face directory: config.json, model.safetensors, tokenizer.json
          adapter: {kind: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj]}

        data:
          clients: \(quoted(clients))   # one JSONL file per client (instruction/input/output, or text)
        \(heldOut.map { "  heldOut: \(quoted($0))   # scored before and after; never trained on" } ?? "  # heldOut: held-out files, scored before and after")
          template: alpaca
          tokensMax: 256
          overlong: truncate

        rounds:
          count: 10
          minSurvivors: 32

        training:
          algorithm: fedavg
          aggregation: ffa
          localSteps: 10
          batchSize: 8
          learningRate: 0.002
          server: {optimizer: sgd, learningRate: 1}

        privacy:
          unit: client
          epsilon: 8
          delta: 0.00001
          clipNorm: 0.5              # L2 bound on a client's whole update
          colluders: 4
          # participationGap: 4      # clients take turns: each in one round of four, which costs it less ε
          # participationLimit: 3    # and in no more than three; its own ledger enforces both

        secagg:
          profile: malicious-server

        # report: {operator: "", contact: "", retention: "", registry: ""}   # said word for word in the privacy report

        """
    }

    /// Sites tune the adapter blocks of an emulator; the full model never leaves its owner. The guarantee
    /// is about one note of the generated sites, or one record of the sites' own files.
    public static func offsite(emulator: String, clients: String?, heldOut: String?) -> String {
        let data =
            clients.map { clients in
                """
                  clients: \(quoted(clients))   # one JSONL file per client
                \(heldOut.map { "  heldOut: \(quoted($0))   # scored before and after; never trained on" } ?? "  # heldOut: held-out files, scored before and after")
                  template: alpaca
                  tokensMax: 256
                """
            } ?? """
                  clients: built-in          # generated notes of eight sites
                  sites: 8
                  recordsPerSite: 500
                  heldOutCount: 240
                  template: plain
                  tokensMax: 128
                """
        // Chosen by measurement for the generated notes; files of one's own start from Adam.
        let server =
            clients == nil
            ? "{optimizer: sgd, learningRate: 250, momentum: 0.7, decayRounds: 30}"
            : "{optimizer: adam, learningRate: 0.01, momentum: 0.9}"
        return """
            # Offsite tuning: sites train adapters on an emulator; its owner plugs them into the full model with
            # `fedtrain emulator plug-in`. Unknown keys are errors.
            schema: fedtrain/1
            name: offsite

            model:
              base: \(quoted(emulator))      # made by `fedtrain emulator make`; only its adapter blocks are trained
              adapter: {kind: lora, rank: 2, alpha: 4, targets: [gate_proj, up_proj, down_proj]}

            data:
            \(data)

            rounds:
              count: 30                  # rounds started; an aborted one stays charged
              minSurvivors: 6            # nothing is opened below this many contributions

            training:
              algorithm: dp-fedsgd       # one clipped gradient per sampled record and round
              aggregation: ffa           # A stays frozen, B is averaged: exact, and noise stays linear
              server: \(server)

            privacy:
              unit: record
              epsilon: 8                 # the run stops before it would spend more; the noise is solved from it
              delta: 0.00001
              clipNorm: \(clients == nil ? "0.04" : "1")             # L2 bound on one record's gradient
              samplingRate: 1/10         # chance that a record takes part; the coins stay at the site
              colluders: 1               # clients that may pool what they know with the server

            secagg:
              profile: malicious-server
              allowTinyCohort: true      # below 32 clients each member can subtract itself: DP is the only protection

            """
    }

    /// A double-quoted YAML scalar.
    private static func quoted(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\""
    }
}
