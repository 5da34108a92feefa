// Which connection is whose, where any may come first.

import NIOCore
import Synchronization

/// Hands out promises, one to each connection in the order in which they are accepted.
final class Accepted: Sendable {
    private let waiting: Mutex<[EventLoopPromise<Void>]>

    init(_ promises: [EventLoopPromise<Void>]) { waiting = Mutex(promises) }

    func next() -> EventLoopPromise<Void> { waiting.withLock { $0.removeLast() } }
}
