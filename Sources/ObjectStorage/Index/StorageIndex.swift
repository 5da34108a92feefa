// The index as the store needs it: an ordered map of bytes that takes whole batches of changes, and keeps a prefix of
// them over a crash. Production has a library's; tests and the simulator have one in memory.

/// Makes and opens indexes.
package protocol StorageIndexes: Sendable {
    /// Makes an empty index in a directory that is not there yet.
    func create(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex

    /// Opens an index; `.recordLost` when it is missing or damaged.
    func open(_ path: String, options: StorageOptions) throws(StorageError) -> any StorageIndex

    /// Removes an index that nobody has open; nothing happens when there is none.
    func remove(_ path: String) throws(StorageError)

    /// Puts an index in the place of another one. After a crash there is one of them, or none at `path`.
    func replace(_ path: String, with other: String) throws(StorageError)
}

/// Where to look a key up.
package enum IndexPlace: Sendable {
    /// What was written last, wherever it is.
    case anywhere
    /// No less than what a crash now would keep, and no more.
    case onDisk
    /// What was written last, if that is in memory: waits for no disk.
    case inMemory
}

/// An open index. Any number of threads may use it.
///
/// What it promises over a crash: of the batches written to it, in their order, a prefix is there, each whole; all of
/// those that `flush(waiting: true)` came after.
package protocol StorageIndex: AnyObject, Sendable {
    var path: String { get }

    /// Calls `body` with the value of `key`; false when there is none. Throws `.notInMemory` when it takes the disk to
    /// tell.
    func read(
        _ key: [UInt8], from place: IndexPlace, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool

    /// Makes all changes visible together. Waits for no disk.
    func write(_ changes: IndexChanges) throws(StorageError)

    /// Begins to write what only memory holds to disk; with `waiting`, returns when that is done.
    /// Throws `.noSpace` when there is no room for it.
    func flush(waiting: Bool) throws(StorageError)

    /// A walk over what the index holds now. Must not outlive the index.
    func walk() -> any IndexWalk

    /// Whether a flush waits for room on the disk. What is written meanwhile gathers in memory.
    var isShortOfSpace: Bool { get }

    /// Bytes that only memory holds.
    var unflushedSizeBytes: UInt64 { get }

    /// Gives up to `size` bytes of the room that the index set aside for itself to whoever needs it; how many.
    func releaseSetAside(_ size: UInt64) -> UInt64

    /// Sets room aside again if some of it was used and there is plenty.
    func replenishSetAside()

    /// Closes and leaves what a crash would leave. No other call may be running or follow.
    func close()
}

/// A walk over the index in the order of its keys.
package protocol IndexWalk: AnyObject {
    /// Goes to the first key at or above `key`; backward, to the last one at or below.
    func seek(_ key: [UInt8], backward: Bool)

    func next()

    /// Goes to the key before the present one; only while there is a present one.
    func previous()

    /// Calls `body` with the present key, valid until the walk goes on, if there is one and it starts with `prefix`;
    /// whether there is. Throws when the walk failed.
    func withKey(
        startingWith prefix: [UInt8], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) -> Bool

    /// Calls `body` with the present value; only after a present key was told.
    func read(_ body: (UnsafeRawBufferPointer) -> Void)
}

extension StorageIndex {
    /// What `body` makes of the value of `key`, or nil when there is none.
    func withValue<R>(
        of key: [UInt8], from place: IndexPlace = .anywhere, _ body: (UnsafeRawBufferPointer) -> R
    ) throws(StorageError) -> R? {
        var result: R?
        _ = try read(key, from: place) { result = body($0) }
        return result
    }
}

extension IndexWalk {
    /// The present key if there is one and it starts with `prefix`; throws when the walk failed.
    func key(startingWith prefix: [UInt8]) throws(StorageError) -> [UInt8]? {
        var key: [UInt8]?
        _ = try withKey(startingWith: prefix) { key = Array($0) }
        return key
    }

    func seek(_ key: [UInt8]) { seek(key, backward: false) }

    func withValue<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        var result: R?
        read { result = body($0) }
        return result!
    }
}

/// Changes that enter the index together or not at all, in their order.
package struct IndexChanges: Sendable {
    /// Each a kind, then sizes (u32, little-endian) followed by so many bytes, as `CIndexDatabase` takes them.
    package private(set) var bytes: [UInt8] = []

    package enum Change {
        case put(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)
        case delete(key: ArraySlice<UInt8>)
        /// All keys from the first on and below the second.
        case deleteRange(from: ArraySlice<UInt8>, to: ArraySlice<UInt8>)
    }

    private enum Kind {
        static let put: UInt8 = 1
        static let delete: UInt8 = 2
        static let deleteRange: UInt8 = 3
    }

    package init() {}

    package mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        bytes.append(Kind.put)
        append(key)
        append(value)
    }

    package mutating func delete(_ key: [UInt8]) {
        bytes.append(Kind.delete)
        append(key)
    }

    package mutating func deleteRange(from first: [UInt8], to end: [UInt8]) {
        bytes.append(Kind.deleteRange)
        append(first)
        append(end)
    }

    private mutating func append(_ item: [UInt8]) {
        bytes.appendLittle(UInt32(item.count))
        bytes.append(contentsOf: item)
    }

    /// Calls `body` with each change.
    package func forEach(_ body: (Change) -> Void) {
        var offset = 0
        func item() -> ArraySlice<UInt8> {
            let size = bytes.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            }
            defer { offset += 4 + size }
            return bytes[offset + 4..<offset + 4 + size]
        }
        while offset < bytes.count {
            let kind = bytes[offset]
            offset += 1
            switch kind {
            case Kind.put:
                let key = item()
                body(.put(key: key, value: item()))
            case Kind.delete:
                body(.delete(key: item()))
            default:
                let first = item()
                body(.deleteRange(from: first, to: item()))
            }
        }
    }
}
