// Segment files open for reading, and the gate that lets a store close only between its readers' calls.

import Glibc
import Synchronization

/// Segment files that readers opened, at most `countMax` of them; the least recently used makes room.
final class SegmentCache: Sendable {
    private struct State {
        var files: [UInt64: (file: SegmentFile, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let directory: String
    private let files: any StorageFiles
    private let countMax: Int
    private let state = Mutex(State())

    init(directory: String, files: any StorageFiles, countMax: Int) {
        self.directory = directory
        self.files = files
        self.countMax = max(countMax, 1)
    }

    /// The file of a segment, opened if it is not; `.missingSegment` when it does not exist.
    ///
    /// - Parameter inMemory: whether to throw `.notInMemory` rather than open it.
    func file(_ number: UInt64, inMemory: Bool = false) throws(StorageError) -> SegmentFile {
        let known = state.withLock { state -> SegmentFile? in
            state.clock += 1
            state.files[number]?.lastUse = state.clock
            return state.files[number]?.file
        }
        if let known { return known }
        if inMemory { throw .notInMemory }
        let file = try SegmentFile.open(in: directory, number: number, forWriting: false, files: files)
        state.withLock { state in
            if state.files.count >= countMax,
                let oldest = state.files.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.files[oldest.key] = nil
            }
            state.files[number] = (file, state.clock)
        }
        return file
    }

    func forget(_ number: UInt64) {
        state.withLock { $0.files[number] = nil }
    }

    func forgetAll() {
        state.withLock { $0.files = [:] }
    }
}

/// Many callers pass at once until the gate is shut; shutting waits for those inside.
///
/// Unchecked: the lock lives at a fixed address, and `isShut` changes only under its exclusive side.
final class ClosingGate: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
    private var isShut = false

    init() {
        let code = pthread_rwlock_init(lock, nil)
        precondition(code == 0)
    }

    deinit {
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    /// Runs `body` unless the gate is shut; throws `.closed` then.
    func pass<R>(_ body: () throws(StorageError) -> R) throws(StorageError) -> R {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard !isShut else { throw .closed }
        return try body()
    }

    /// Shuts the gate and then runs `body`, once; later calls do nothing.
    func shut(_ body: () -> Void) {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        guard !isShut else { return }
        isShut = true
        body()
    }
}
