import Dispatch
import Synchronization

/// Runs asynchronous work to its end from a command, which is synchronous.
func runAsync<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    let semaphore = DispatchSemaphore(value: 0)
    let result = Mutex<Result<Value, any Error>?>(nil)
    Task.detached {
        let outcome: Result<Value, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        result.withLock { $0 = outcome }
        semaphore.signal()
    }
    semaphore.wait()
    return try result.withLock { $0! }.get()
}

/// A console that tasks may talk through at the same time.
final class SharedConsole: @unchecked Sendable {
    // The console is used only under the lock.
    private let console: Console
    private let lock = Mutex(())

    init(_ console: Console) { self.console = console }

    func callAsFunction(_ body: (Console) -> Void) {
        lock.withLock { _ in body(console) }
    }
}
