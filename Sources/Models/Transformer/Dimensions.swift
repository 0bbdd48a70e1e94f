extension ModelConfiguration {
    /// Width of all query heads side by side.
    package var queryWidth: Int { headCount * headSize }
    /// Width of all key (or value) heads.
    package var keyValueWidth: Int { keyValueHeadCount * headSize }
    /// Width of a row of q, k and v side by side.
    package var fusedWidth: Int { queryWidth + 2 * keyValueWidth }

    /// Width of what the feed-forward block computes before its activation: gate and up, or up alone.
    package var expandedWidth: Int { isGated ? 2 * intermediateSize : intermediateSize }

    /// Rows and columns of one linear's weight.
    public func dimensions(of module: LinearModule) -> (outputs: Int, inputs: Int) {
        switch module {
        case .queryKeyValue: (fusedWidth, hiddenSize)
        case .query: (queryWidth, hiddenSize)
        case .key, .value: (keyValueWidth, hiddenSize)
        case .output: (hiddenSize, queryWidth)
        case .gate, .up: (intermediateSize, hiddenSize)
        case .down: (hiddenSize, intermediateSize)
        }
    }

    /// Whether one linear adds a bias.
    package func hasBias(_ module: LinearModule) -> Bool {
        switch module {
        case .queryKeyValue, .query, .key, .value: hasQueryKeyValueBias
        case .output: hasAttentionOutputBias
        case .gate, .up, .down: hasFeedForwardBias
        }
    }

    /// Whether GELU is computed by its tanh approximation.
    package var usesTanhGELU: Bool { activation == .geluTanh }

    /// θ and scaling of the rotary embedding; nil for a family with learned positions.
    package var rotary: RotaryEmbedding? {
        guard case .rotary(let rotary) = positions else { return nil }
        return rotary
    }
}
