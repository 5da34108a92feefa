// An index in memory that keeps over a crash what the library's promises, and no more: a prefix of the batches that
// were written to it, each whole.

import Glibc
import ObjectStorage
import Synchronization

/// Rows in the order of their keys.
struct OrderedRows: Equatable {
    private(set) var keys: [[UInt8]] = []
    private(set) var values: [[UInt8]] = []

    /// The place of the first key at or above one.
    func place(_ key: [UInt8]) -> Int { key.withUnsafeBytes { place($0) } }

    private func place(_ key: ArraySlice<UInt8>) -> Int { key.withUnsafeBytes { place($0) } }

    private func place(_ key: UnsafeRawBufferPointer) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].withUnsafeBytes({ Self.precedes($0, key) }) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let count = min(left.count, right.count)
        guard count > 0, let first = left.baseAddress, let second = right.baseAddress else {
            return left.count < right.count
        }
        let order = memcmp(first, second, count)
        return order == 0 ? left.count < right.count : order < 0
    }

    func value(_ key: [UInt8]) -> [UInt8]? {
        let place = place(key)
        return place < keys.count && keys[place] == key ? values[place] : nil
    }

    mutating func apply(_ changes: IndexChanges) {
        changes.forEach { change in
            switch change {
            case .put(let key, let value):
                let place = place(key)
                if place < keys.count, keys[place][...] == key {
                    values[place] = Array(value)
                } else {
                    keys.insert(Array(key), at: place)
                    values.insert(Array(value), at: place)
                }
            case .delete(let key):
                let place = place(key)
                if place < keys.count, keys[place][...] == key {
                    keys.remove(at: place)
                    values.remove(at: place)
                }
            case .deleteRange(let first, let end):
                let range = place(first)..<place(end)
                keys.removeSubrange(range)
                values.removeSubrange(range)
            }
        }
    }
}

/// Indexes that live beside files in memory and share their power.
package final class MemoryIndexes: StorageIndexes {
    fileprivate struct Contents {
        var disk = OrderedRows()
        /// Batches that the disk does not have yet.
        var waiting: [IndexChanges] = []
        /// Rows that cannot be read until they are written anew.
        var damaged: Set<[UInt8]> = []
    }

    fileprivate struct State {
        var dice: Dice
        var indexes: [String: Contents] = [:]
        var isFull = false
        var failedReads = 0
        var ruined: Set<String> = []
    }

    fileprivate let state: Mutex<State>
    fileprivate let files: MemoryFiles

    package init(files: MemoryFiles, dice: Dice) {
        self.files = files
        state = Mutex(State(dice: dice))
    }

    package func create(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex {
        try files.step(path)
        state.withLock { state in
            state.indexes[path] = Contents()
            state.ruined.remove(path)
        }
        return try open(path, options: options)
    }

    package func open(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex {
        try files.step(path)
        let rows = state.withLock { state -> OrderedRows? in
            // What an earlier life had only in memory went with it.
            state.indexes[path]?.waiting = []
            return state.ruined.contains(path) ? nil : state.indexes[path]?.disk
        }
        guard let rows else { throw .recordLost(path: path, reason: "there is none") }
        return MemoryIndex(path: path, rows: rows, indexes: self)
    }

    package func remove(_ path: String) throws(StorageError) {
        try files.step(path)
        state.withLock { $0.indexes[path] = nil }
    }

    package func replace(_ path: String, with other: String) throws(StorageError) {
        try remove(path)
        try files.step(path)
        state.withLock { state in
            state.indexes[path] = state.indexes.removeValue(forKey: other)
            state.ruined.remove(path)
        }
    }

    // MARK: What the world does

    /// No index that there is can be opened any more.
    package func ruin() { state.withLock { $0.ruined.formUnion($0.indexes.keys) } }

    /// Some of what waits reaches the disk; at times nothing, at times all.
    package func progress() { state.withLock { $0.progress() } }

    /// Power goes, or the process ends: what waits is gone but for what had just reached the disk.
    package func crash() {
        state.withLock { state in
            state.progress()
            for path in state.indexes.keys {
                state.indexes[path]?.waiting = []
            }
        }
    }

    /// Whether there is no room for what waits.
    package func setFull(_ isFull: Bool) { state.withLock { $0.isFull = isFull } }

    /// How many of a hundred looks into an index fail.
    package func setFailedReads(_ percent: Int) { state.withLock { $0.failedReads = percent } }

    /// One of the rows on the disk whose keys start so cannot be read any more; its key, or nil when there is none.
    package func damage(_ path: String, rowsStartingWith prefix: [UInt8]) -> [UInt8]? {
        state.withLock { state in
            let keys = state.indexes[path]?.disk.keys.filter { $0.starts(with: prefix) } ?? []
            guard !keys.isEmpty else { return nil }
            let key = state.dice.pick(keys)
            state.indexes[path]!.damaged.insert(key)
            return key
        }
    }

    package struct Image {
        fileprivate let indexes: [String: Contents]
    }

    package func image() -> Image { Image(indexes: state.withLock { $0.indexes }) }

    package func restore(_ image: Image) { state.withLock { $0.indexes = image.indexes } }
}

extension MemoryIndexes.State {
    fileprivate mutating func progress() {
        guard !isFull else { return }
        for path in indexes.keys.sorted() {
            let count = dice.below(indexes[path]!.waiting.count + 1)
            settle(path, dice.chance(30) ? indexes[path]!.waiting.count : count)
        }
    }

    fileprivate mutating func settle(_ path: String, _ count: Int) {
        for changes in indexes[path]!.waiting.prefix(count) { indexes[path]!.disk.apply(changes) }
        indexes[path]!.waiting.removeFirst(count)
    }
}

extension MemoryIndexes.Contents {
    /// What is written or deleted no longer needs the damaged block.
    fileprivate mutating func mend(_ changes: IndexChanges) {
        changes.forEach { change in
            switch change {
            case .put(let key, _), .delete(let key): damaged.remove(Array(key))
            case .deleteRange(let first, let end):
                damaged = damaged.filter {
                    $0.lexicographicallyPrecedes(first) || !$0.lexicographicallyPrecedes(end)
                }
            }
        }
    }
}

private final class MemoryIndex: StorageIndex {
    let path: String
    private let rows: Mutex<OrderedRows>
    private let indexes: MemoryIndexes

    init(path: String, rows: OrderedRows, indexes: MemoryIndexes) {
        self.path = path
        self.rows = Mutex(rows)
        self.indexes = indexes
    }

    func read(
        _ key: [UInt8], from place: IndexPlace, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool {
        let onDisk = place == .onDisk
        let (disk, fails) = indexes.state.withLock { state in
            let isDamaged = state.indexes[path]!.damaged.contains(key)
            return (
                onDisk ? state.indexes[path]?.disk.value(key) : nil, state.dice.chance(state.failedReads) || isDamaged
            )
        }
        if fails { throw .index(path: path, reason: "a block is damaged") }
        guard let value = onDisk ? disk : rows.withLock({ $0.value(key) }) else { return false }
        value.withUnsafeBytes(body)
        return true
    }

    func write(_ changes: IndexChanges) throws(StorageError) {
        try indexes.files.step(path)
        rows.withLock { $0.apply(changes) }
        indexes.state.withLock { state in
            state.indexes[path]!.waiting.append(changes)
            if !state.indexes[path]!.damaged.isEmpty { state.indexes[path]!.mend(changes) }
            // Memory may be written to disk at any time.
            if state.dice.chance(5) { state.progress() }
        }
    }

    func flush(waiting: Bool) throws(StorageError) {
        try indexes.files.step(path)
        let isFull = indexes.state.withLock { state in
            if waiting, !state.isFull { state.settle(path, state.indexes[path]!.waiting.count) }
            return state.isFull
        }
        if waiting, isFull { throw .indexFull(path: path, reason: "the disk is full") }
    }

    func walk() -> any IndexWalk {
        MemoryIndexWalk(
            path: path, rows.withLock { $0 }, damaged: indexes.state.withLock { $0.indexes[path]!.damaged })
    }

    var isShortOfSpace: Bool {
        indexes.state.withLock { $0.isFull && !($0.indexes[path]?.waiting.isEmpty ?? true) }
    }

    var unflushedSizeBytes: UInt64 {
        indexes.state.withLock { UInt64($0.indexes[path]?.waiting.reduce(0) { $0 + $1.bytes.count } ?? 0) }
    }

    func releaseSetAside(_ size: UInt64) -> UInt64 { 0 }
    func replenishSetAside() {}
    func close() {}
}

/// A walk over what was there when it began.
private final class MemoryIndexWalk: IndexWalk {
    private let path: String
    private let rows: OrderedRows
    private let damaged: Set<[UInt8]>
    private var place = 0

    init(path: String, _ rows: OrderedRows, damaged: Set<[UInt8]>) {
        self.path = path
        self.rows = rows
        self.damaged = damaged
    }

    func seek(_ key: [UInt8], backward: Bool) {
        place = rows.place(key)
        if backward, !(place < rows.keys.count && rows.keys[place] == key) { place -= 1 }
    }

    func next() { place += 1 }
    func previous() { place -= 1 }

    func withKey(
        startingWith prefix: [UInt8], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool {
        guard rows.keys.indices.contains(place) else { return false }
        if !damaged.isEmpty, damaged.contains(rows.keys[place]) {
            throw .index(path: path, reason: "a block is damaged")
        }
        guard rows.keys[place].starts(with: prefix) else { return false }
        rows.keys[place].withUnsafeBytes(body)
        return true
    }

    func read(_ body: (UnsafeRawBufferPointer) -> Void) { rows.values[place].withUnsafeBytes(body) }
}
