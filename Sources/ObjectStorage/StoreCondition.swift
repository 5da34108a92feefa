// How a store is, for whoever asks.

/// What a store holds and what it still takes.
package struct StoreCondition: Equatable, Sendable {
    package enum State: Sendable {
        case writable
        /// No more than what is kept back is free on the disk: what frees space is taken, and little else.
        case full
        /// A write failed: nothing is taken before the store is opened anew.
        case failed
    }

    package let state: State
    /// Bytes of the journal that were not given back to the disk.
    package let usedBytes: UInt64
    package let freeBytes: UInt64
    /// What storing leaves free on the disk, so that deleting and saying again what is true go on.
    package let reservedBytes: UInt64
}

extension ObjectStore {
    /// How the store is now. Waits for the batch that is being written, so it is nothing for an event loop.
    package var condition: StoreCondition {
        let (failure, used, reserved) = writer.withLock { writer in
            (writer.failure, writer.unreclaimed.values.reduce(0) { $0 &+ $1 }, writer.leftByStoringBytes)
        }
        let free = options.system.files.freeBytes(at: directory) ?? 0
        return StoreCondition(
            state: failure != nil ? .failed : free <= reserved ? .full : .writable, usedBytes: used, freeBytes: free,
            reservedBytes: reserved)
    }
}
