import Foundation
import Synchronization

/// Remembers that Ctrl-C was pressed, so that a run can end after the round it is in.
///
/// A second Ctrl-C ends the process at once; every file is written whole, so that is safe too.
enum SignalWatch {
    private static let count = Atomic<Int>(0)

    static var interrupted: Bool { count.load(ordering: .relaxed) > 0 }

    static func start() {
        signal(SIGINT) { _ in
            if SignalWatch.count.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
        }
    }
}
