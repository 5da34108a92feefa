// Waiting for something to happen, instead of looking for it now and then.

import Synchronization

/// Lets tasks sleep until something happens, and no longer than a time. What happens between a look at `count` and a
/// `wait` is not missed. Safe to use from any thread.
final class Wakeup: Sendable {
    private struct State {
        var count: UInt64 = 0
        var lastNumber: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    /// How often something has happened.
    var count: UInt64 { state.withLock { $0.count } }

    /// Something has happened: ends all sleep.
    func wake() {
        let waiting = state.withLock { state in
            state.count += 1
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Sleeps until something has happened since `count` was this, at most for this time.
    ///
    /// - Returns: false when the task was cancelled.
    func wait(after count: UInt64, atMost time: Duration) async -> Bool {
        let number = state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        var timer: Task<Void, Never>?
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let sleeps = state.withLock { state in
                    guard state.count == count else { return false }
                    state.waiting[number] = continuation
                    return true
                }
                guard sleeps else { return continuation.resume() }
                // Both end only what is there by now.
                timer = Task {
                    guard (try? await Task.sleep(for: time)) != nil else { return }
                    self.end(number)
                }
                if Task.isCancelled { end(number) }
            }
        } onCancel: {
            end(number)
        }
        timer?.cancel()
        return !Task.isCancelled
    }

    private func end(_ number: UInt64) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
    }
}
