// Steps between the one who plans and those who do them: the plan may run ahead so far that one can say how much there
// is, and no further.

import DequeModule
import Synchronization

/// A bounded queue of one producer and several consumers.
final class StepQueue<Element: Sendable>: Sendable {
    private struct State {
        var elements: Deque<Element> = []
        var isFinished = false
        var consumers: Deque<CheckedContinuation<Element?, Never>> = []
        var producer: CheckedContinuation<Void, Never>?
    }

    private let countMax: Int
    private let state = Mutex(State())

    init(countMax: Int) { self.countMax = countMax }

    /// Adds an element; waits while the queue is full. After the end nothing is added.
    func add(_ element: Element) async {
        let consumer = state.withLock { state -> CheckedContinuation<Element?, Never>? in
            guard !state.isFinished else { return nil }
            if let consumer = state.consumers.popFirst() { return consumer }
            state.elements.append(element)
            return nil
        }
        if let consumer { return consumer.resume(returning: element) }
        await withCheckedContinuation { continuation in
            let hasRoom = state.withLock { state in
                guard state.elements.count > countMax, !state.isFinished else { return true }
                state.producer = continuation
                return false
            }
            if hasRoom { continuation.resume() }
        }
    }

    /// The next element; nil when there will be none.
    func next() async -> Element? {
        await withCheckedContinuation { continuation in
            let (next, producer) = state.withLock { state -> (Element??, CheckedContinuation<Void, Never>?) in
                if let element = state.elements.popFirst() {
                    guard state.elements.count <= countMax / 2 else { return (.some(element), nil) }
                    defer { state.producer = nil }
                    return (.some(element), state.producer)
                }
                if state.isFinished { return (.some(nil), nil) }
                state.consumers.append(continuation)
                return (nil, nil)
            }
            producer?.resume()
            if let next { continuation.resume(returning: next) }
        }
    }

    /// No more elements come; those that are there are still handed out, unless they are not wanted.
    func finish(dropping drops: Bool = false) {
        let (consumers, producer) = state.withLock { state in
            state.isFinished = true
            if drops { state.elements = [] }
            defer {
                state.consumers = []
                state.producer = nil
            }
            return (state.consumers, state.producer)
        }
        for consumer in consumers { consumer.resume(returning: nil) }
        producer?.resume()
    }
}
