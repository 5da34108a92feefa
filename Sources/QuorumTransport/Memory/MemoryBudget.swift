// One budget for all bytes that peers make a server hold: frames that come in, requests that are not answered yet, and
// answers that wait for a socket.
//
// Shares. A connection may take more as long as what it has, what its identity has, and what it asks for are together
// no more than what is free. So who is alone gets a third with one connection and nearly half with many, the more are
// there the less each of them gets, and there is always room for somebody who has nothing. Nobody's share has to be
// known beforehand, and no list of who is there has to be gone through.
//
// Who asks for too much waits: his connection is not read from until enough was given back. Waiting connections are
// looked at in turn, so that one that asks for a lot is not forgotten.

import NIOCore
import Synchronization

/// What a budget's owner may want to know of it.
package struct MemoryCounts: Sendable, Equatable, Codable {
    /// Bytes that may be held, that are held now, and the most that were held at once.
    package var budgetBytes = 0
    package var heldBytes = 0
    package var mostHeldBytes = 0
    /// How often a connection was not read from any more because of its share.
    package var pauses: UInt64 = 0
    /// Answers for which their receiver's share had no room.
    package var droppedAnswers: UInt64 = 0

    package init() {}
}

/// A process's budget for bytes held on behalf of peers. Safe to use from any thread.
package final class MemoryBudget: Sendable {
    /// The default, in bytes.
    package static let defaultBytes = 512 << 20
    /// A budget has room for so many of the largest frames, or a single one could be too large for ever.
    package static let largestFramesMin = 8

    fileprivate struct Identity {
        var heldBytes = 0
        var connectionCount = 0
    }

    fileprivate struct Connection {
        let identity: PeerIdentity
        let wake: @Sendable () -> Void
        var heldBytes = 0
        var wantedBytes: Int?
        var isClosed = false
    }

    fileprivate struct State {
        var counts: MemoryCounts
        var identities: [PeerIdentity: Identity] = [:]
        var connections: [Int: Connection] = [:]
        var nextConnection = 0
        /// Connections that want more, the next one to be looked at first.
        var waiting = CircularBuffer<Int>()
    }

    /// What one release looks at, so that its cost does not grow with the number of those who wait.
    private static let wakeupsMax = 64

    private let state: Mutex<State>

    /// A budget of `limitBytes`, of which clients may use three quarters: what is left is for nodes.
    package init(limitBytes: Int = MemoryBudget.defaultBytes) {
        precondition(limitBytes > 0)
        var counts = MemoryCounts()
        counts.budgetBytes = limitBytes
        state = Mutex(State(counts: counts))
    }

    /// Bytes held now, and what became of those who asked for too much.
    package var counts: MemoryCounts { state.withLock { $0.counts } }

    /// Whether so much is held that whoever holds memory must make progress: more than a quarter of what clients may
    /// use. As long as it is not, nobody waits whose frame is no larger than that.
    package var isShort: Bool {
        state.withLock { $0.counts.heldBytes > $0.counts.budgetBytes / 4 * 3 / 4 }
    }

    /// An account for a new connection.
    ///
    /// - Parameter wake: called, on any thread, when a reservation that was put off is worth another try.
    func account(of identity: PeerIdentity, wake: @escaping @Sendable () -> Void) -> MemoryAccount {
        state.withLock { state in
            let number = state.nextConnection
            state.nextConnection += 1
            state.connections[number] = Connection(identity: identity, wake: wake)
            state.identities[identity, default: Identity()].connectionCount += 1
            return MemoryAccount(number: number, budget: self)
        }
    }

    fileprivate func reserve(_ bytes: Int, for number: Int) -> Bool {
        state.withLock { state in
            let (connection, identity) = state.holders(number)
            if connection.heldBytes + identity.heldBytes + bytes <= state.freeBytes(for: connection.identity) {
                state.hold(bytes, for: number)
                return true
            }
            if connection.wantedBytes == nil {
                state.waiting.append(number)
                state.counts.pauses += 1
            }
            state.connections[number]?.wantedBytes = bytes
            return false
        }
    }

    fileprivate func reserveAnswer(_ bytes: Int, for number: Int) -> Bool {
        state.withLock { state in
            let (connection, identity) = state.holders(number)
            guard identity.heldBytes + bytes <= state.freeBytes(for: connection.identity) else {
                state.counts.droppedAnswers += 1
                return false
            }
            state.hold(bytes, for: number)
            return true
        }
    }

    fileprivate func hold(_ bytes: Int, for number: Int) {
        state.withLock { $0.hold(bytes, for: number) }
    }

    fileprivate func release(_ bytes: Int, for number: Int) {
        guard bytes > 0 else { return }
        let wakeups = state.withLock { state in
            state.hold(-bytes, for: number)
            state.forgetIfDone(number)
            return state.nextToWake(atMost: Self.wakeupsMax)
        }
        for wake in wakeups { wake() }
    }

    /// Looks at all who wait: a release looks at some only.
    func wakeAll() {
        let wakeups = state.withLock { $0.nextToWake(atMost: .max) }
        for wake in wakeups { wake() }
    }

    fileprivate func close(_ number: Int) {
        state.withLock { state in
            if state.connections[number]?.wantedBytes != nil { state.waiting.removeAll { $0 == number } }
            state.connections[number]?.wantedBytes = nil
            state.connections[number]?.isClosed = true
            state.forgetIfDone(number)
        }
    }
}

extension MemoryBudget.State {
    fileprivate func holders(_ number: Int) -> (MemoryBudget.Connection, MemoryBudget.Identity) {
        guard let connection = connections[number], let identity = identities[connection.identity] else {
            preconditionFailure("a connection that is over and holds nothing asks for memory")
        }
        return (connection, identity)
    }

    fileprivate func freeBytes(for identity: PeerIdentity) -> Int {
        switch identity {
        case .server: counts.budgetBytes - counts.heldBytes
        case .client: counts.budgetBytes / 4 * 3 - counts.heldBytes
        }
    }

    fileprivate mutating func hold(_ bytes: Int, for number: Int) {
        guard let identity = connections[number]?.identity else {
            preconditionFailure("a connection that is over and holds nothing asks for memory")
        }
        connections[number]?.heldBytes += bytes
        identities[identity]?.heldBytes += bytes
        counts.heldBytes += bytes
        counts.mostHeldBytes = max(counts.mostHeldBytes, counts.heldBytes)
        precondition(connections[number]?.heldBytes ?? 0 >= 0, "more was given back than was held")
    }

    /// What a connection left under way counts until it is done, so that nobody gets rid of it by connecting anew.
    fileprivate mutating func forgetIfDone(_ number: Int) {
        guard let connection = connections[number], connection.isClosed, connection.heldBytes == 0 else { return }
        connections[number] = nil
        identities[connection.identity]?.connectionCount -= 1
        if identities[connection.identity]?.connectionCount == 0 { identities[connection.identity] = nil }
    }

    /// Takes out those who may have what they want, out of the first `count`; the others go to the end.
    fileprivate mutating func nextToWake(atMost count: Int) -> [@Sendable () -> Void] {
        guard !waiting.isEmpty else { return [] }
        var wakeups: [@Sendable () -> Void] = []
        var promisedBytes = 0
        for _ in 0..<min(count, waiting.count) {
            let number = waiting.removeFirst()
            let (connection, identity) = holders(number)
            let wanted = connection.wantedBytes ?? 0
            let freeBytes = freeBytes(for: connection.identity) - promisedBytes
            if connection.heldBytes + identity.heldBytes + wanted <= freeBytes {
                promisedBytes += wanted
                connections[number]?.wantedBytes = nil
                wakeups.append(connection.wake)
            } else {
                waiting.append(number)
            }
        }
        return wakeups
    }
}

/// What one connection holds of a budget. Safe to use from any thread.
final class MemoryAccount: Sendable {
    private let number: Int
    private let budget: MemoryBudget

    fileprivate init(number: Int, budget: MemoryBudget) {
        self.number = number
        self.budget = budget
    }

    /// Takes memory for a frame; false when the share has no room for it, and the account's `wake` will be called.
    func reserve(_ bytes: Int) -> Bool { budget.reserve(bytes, for: number) }

    /// Takes memory for an answer, which cannot wait; false when there is no room for it.
    func reserveAnswer(_ bytes: Int) -> Bool { budget.reserveAnswer(bytes, for: number) }

    /// Notes memory that is held already, whatever the share.
    func hold(_ bytes: Int) { budget.hold(bytes, for: number) }

    /// Gives memory back.
    func release(_ bytes: Int) { budget.release(bytes, for: number) }

    /// The connection is over: it asks for nothing more. What it holds is still to be given back.
    func close() { budget.close(number) }
}
