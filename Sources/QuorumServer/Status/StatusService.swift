// What a server says of itself to those who ask.

import NIOCore
import NIOPosix
import QuorumWire
import Synchronization

/// Answers questions for the server's status. What is said is made at most once a second, on a worker thread, however
/// many ask. Safe to use from any thread.
final class StatusService: Sendable {
    typealias Answer = @Sendable (ServerStatus?) -> Void

    private struct State {
        var measure: (@Sendable () -> ServerStatus)?
        var last: (status: ServerStatus, at: NIODeadline)?
        /// Who waits for the one that is being made; nil while none is.
        var waiting: [UInt64: Answer]?
        var nextNumber: UInt64 = 0
    }

    private static let age = TimeAmount.seconds(1)

    private let workers: NIOThreadPool
    private let state = Mutex(State())

    init(workers: NIOThreadPool) {
        self.workers = workers
    }

    /// Names what finds out how the server is; before that, and after `detach`, nothing is said.
    func attach(_ measure: @escaping @Sendable () -> ServerStatus) {
        state.withLock { $0.measure = measure }
    }

    func detach() {
        state.withLock { $0.measure = nil }
    }

    private enum Step {
        case answer(ServerStatus?)
        case measure(@Sendable () -> ServerStatus)
        case wait
    }

    /// Has `answer` told how the server is, at once or by a worker thread; nil when the server does not say.
    ///
    /// - Returns: a number by which `forget` ends the waiting.
    @discardableResult
    func ask(_ answer: @escaping Answer) -> UInt64 {
        let (number, step) = state.withLock { state -> (UInt64, Step) in
            state.nextNumber += 1
            return (state.nextNumber, next(answer, state.nextNumber, &state))
        }
        switch step {
        case .answer(let status): answer(status)
        case .wait: break
        case .measure(let measure):
            workers.submit { _ in
                let status = measure()
                let waiting = self.state.withLock { state in
                    state.last = (status, .now())
                    defer { state.waiting = nil }
                    return state.waiting ?? [:]
                }
                for (_, answer) in waiting.sorted(by: { $0.key < $1.key }) { answer(status) }
            }
        }
        return number
    }

    private func next(_ answer: @escaping Answer, _ number: UInt64, _ state: inout State) -> Step {
        guard let measure = state.measure else { return .answer(nil) }
        if let last = state.last, .now() - last.at < Self.age { return .answer(last.status) }
        guard state.waiting == nil else {
            state.waiting?[number] = answer
            return .wait
        }
        state.waiting = [number: answer]
        return .measure(measure)
    }

    /// Lets go of who does not wait any more: while a disk hangs, nothing else would.
    func forget(_ number: UInt64) { state.withLock { $0.waiting?[number] = nil } }
}
