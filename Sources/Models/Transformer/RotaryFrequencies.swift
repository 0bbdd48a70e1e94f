import Glibc

extension ModelConfiguration.RotaryEmbedding {
    /// The angle per position of each pair of a head: θ^(−2i/`width`), rescaled.
    ///
    /// Llama 3's rule: with the wavelength λ = 2π/f, waves longer than L₀/low are slowed by `factor`,
    /// those shorter than L₀/high kept, those between blended.
    package func frequencies(headSize: Int) -> [Double] {
        let width = width ?? headSize
        return (0..<width / 2).map { pair in
            let frequency = pow(theta, -2 * Double(pair) / Double(width))
            switch scaling {
            case .none:
                return frequency
            case .linear(let factor):
                return frequency / factor
            case .llama3(let factor, let low, let high, let originalPositions):
                let wavelength = 2 * Double.pi / frequency
                let turns = Double(originalPositions) / wavelength
                if turns < low { return frequency / factor }
                if turns > high { return frequency }
                let share = (turns - low) / (high - low)
                return (1 - share) * frequency / factor + share * frequency
            }
        }
    }
}
