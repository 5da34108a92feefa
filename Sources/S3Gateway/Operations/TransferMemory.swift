// What transfers that are larger than a few kilobytes may have in memory together.

import Synchronization

/// Bytes that a transfer has; given back when nobody has this any more.
final class MemoryLease: Sendable {
    private let memory: TransferMemory
    private let sizeBytes: Int

    fileprivate init(_ memory: TransferMemory, _ sizeBytes: Int) {
        self.memory = memory
        self.sizeBytes = sizeBytes
    }

    deinit { memory.give(sizeBytes) }
}

final class TransferMemory: Sendable {
    private struct Waiter {
        let number: UInt64
        let sizeBytes: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var freeBytes: Int
        var nextNumber: UInt64 = 0
        var waiting: [Waiter] = []

        mutating func granted() -> [Waiter] {
            var granted: [Waiter] = []
            while let first = waiting.first, first.sizeBytes <= freeBytes {
                waiting.removeFirst()
                freeBytes -= first.sizeBytes
                granted.append(first)
            }
            return granted
        }
    }

    /// Who finds no room in this time is told to come again.
    private static let patience = Duration.seconds(30)
    private static let waitingMax = 4096

    let sizeBytes: Int
    private let state: Mutex<State>

    init(sizeBytes: Int) {
        self.sizeBytes = max(1, sizeBytes)
        state = Mutex(State(freeBytes: max(1, sizeBytes)))
    }

    var freeBytes: Int { state.withLock { $0.freeBytes } }
    /// Transfers that wait for room.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// - Throws: `.slowDown` when there is no room for a while.
    func lease(_ wantedBytes: Int) async throws(S3Error) -> MemoryLease {
        let wantedBytes = min(max(0, wantedBytes), sizeBytes)
        let number = state.withLock { state -> UInt64? in
            guard state.waiting.isEmpty, wantedBytes <= state.freeBytes else {
                state.nextNumber += 1
                return state.nextNumber
            }
            state.freeBytes -= wantedBytes
            return nil
        }
        guard let number else { return MemoryLease(self, wantedBytes) }
        let limit = Task {
            try? await Task.sleep(for: Self.patience)
            self.giveUp(number)
        }
        defer { limit.cancel() }
        let isGranted = await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
            let (refused, granted) = state.withLock { state -> (Bool, [Waiter]) in
                guard state.waiting.count < Self.waitingMax else { return (true, []) }
                state.waiting.append(Waiter(number: number, sizeBytes: wantedBytes, continuation: continuation))
                return (false, state.granted())
            }
            if refused { continuation.resume(returning: false) }
            for waiter in granted { waiter.continuation.resume(returning: true) }
        }
        guard isGranted else {
            throw S3Error(.slowDown, "The gateway has no memory for another transfer. Please try again.")
        }
        return MemoryLease(self, wantedBytes)
    }

    private func giveUp(_ number: UInt64) {
        let (waiter, granted) = state.withLock { state -> (Waiter?, [Waiter]) in
            guard let place = state.waiting.firstIndex(where: { $0.number == number }) else { return (nil, []) }
            let waiter = state.waiting.remove(at: place)
            return (waiter, state.granted())
        }
        waiter?.continuation.resume(returning: false)
        for waiter in granted { waiter.continuation.resume(returning: true) }
    }

    fileprivate func give(_ bytes: Int) {
        let granted = state.withLock { state in
            state.freeBytes += bytes
            return state.granted()
        }
        for waiter in granted { waiter.continuation.resume(returning: true) }
    }
}
