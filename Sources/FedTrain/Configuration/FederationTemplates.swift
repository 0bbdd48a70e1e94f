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

        secagg:
          profile: malicious-server

        """
    }

    /// A double-quoted YAML scalar.
    private static func quoted(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\""
    }
}
