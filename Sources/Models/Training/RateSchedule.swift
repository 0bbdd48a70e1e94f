import Glibc

/// How the learning rate changes over a training's steps, as a factor of the highest rate. The forms of
/// transformers' `get_scheduler`, with the step that is about to be taken.
public enum RateSchedule: Sendable, Equatable {
    case constant
    /// Up from 0 over `warmUp` steps, then down in a straight line to reach 0 after the last.
    case linear(warmUp: Int = 0)
    /// Up from 0 over `warmUp` steps, then down along half a cosine, to 0 after the last.
    case cosine(warmUp: Int = 0)

    /// Between 0 and 1.
    public func factor(at step: Int, of steps: Int) -> Float {
        let warmUp =
            switch self {
            case .constant: 0
            case .linear(let warmUp), .cosine(let warmUp): warmUp
            }
        if step < warmUp { return Float(step) / Float(warmUp) }
        let share = Double(step - warmUp) / Double(max(1, steps - warmUp))
        switch self {
        case .constant: return 1
        case .linear: return Float(max(0, 1 - share))
        case .cosine: return Float(max(0, 0.5 * (1 + cos(Double.pi * share))))
        }
    }
}
