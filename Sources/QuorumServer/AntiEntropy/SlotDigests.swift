// Digests of what a server has committed, by slots, as long as nothing changes in them. A digest that was made while the
// slot changed is not kept: it may be of what was before.

import Fingerprint
import QuorumProtocol
import Synchronization

/// Remembers digests. Safe to use from any thread.
final class SlotDigests: Sendable {
    private struct State {
        var digests = [Digest256?](repeating: nil, count: Slot.count)
        /// How often each slot has changed.
        var changes = [UInt32](repeating: 0, count: Slot.count)
    }

    private let state = Mutex(State())

    /// Something of the slot has changed, or will have when the disk has it.
    func change(_ slot: Slot) {
        state.withLock { state in
            state.digests[Int(slot.rawValue)] = nil
            state.changes[Int(slot.rawValue)] &+= 1
        }
    }

    /// The slot's digest, made by `make` unless it is remembered.
    func digest<Failure: Error>(
        of slot: Slot, _ make: (Slot) throws(Failure) -> Digest256
    ) throws(Failure) -> Digest256 {
        let place = Int(slot.rawValue)
        let (known, before) = state.withLock { ($0.digests[place], $0.changes[place]) }
        if let known { return known }
        let made = try make(slot)
        state.withLock { state in
            if state.changes[place] == before { state.digests[place] = made }
        }
        return made
    }
}
