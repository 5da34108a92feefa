// Answers that cost something, shared by all who ask at about the same time.

import Synchronization

/// One answer for everybody who asks within some time; no more than one is being found at a time. So asking without end
/// makes no more work than asking now and then.
final class SharedAnswer<Answer: Sendable>: Sendable {
    private struct State {
        var last: (answer: Answer, at: ContinuousClock.Instant)?
        var finding: Task<(answer: Answer, at: ContinuousClock.Instant), Never>?
    }

    private let ageMax: Duration
    private let find: @Sendable () async -> Answer
    private let state = Mutex(State())

    /// - Parameters:
    ///   - ageMax: how old an answer may be.
    ///   - find: takes a bounded time.
    init(ageMax: Duration, find: @escaping @Sendable () async -> Answer) {
        self.ageMax = ageMax
        self.find = find
    }

    /// The answer, and when it was found.
    func get() async -> (answer: Answer, at: ContinuousClock.Instant) {
        let (known, finding) = state.withLock { state in
            if let last = state.last, ContinuousClock.now - last.at < ageMax { return (state.last, state.finding) }
            // A task of its own: who asked first may go, and others wait for it.
            let finding = state.finding ?? Task { await self.findAnew() }
            state.finding = finding
            return (nil, finding)
        }
        if let known { return known }
        guard let finding else { preconditionFailure("nobody finds an answer that is not there") }
        return await finding.value
    }

    private func findAnew() async -> (answer: Answer, at: ContinuousClock.Instant) {
        let found = (answer: await find(), at: ContinuousClock.now)
        state.withLock { $0 = State(last: found, finding: nil) }
        return found
    }
}
