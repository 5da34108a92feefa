// Immutable, reference-counted bytes: the currency in which values and fragments move between rooms without copies.

import Glibc

/// An immutable run of bytes that keeps its storage alive; slices share the storage.
///
/// The bytes may live in a buffer made here, in an array, or in memory that another object owns (a network buffer).
/// Nobody may change them while a `SharedBytes` refers to them: that is the promise of whoever makes one, and the
/// reason why the type may cross threads.
public struct SharedBytes: @unchecked Sendable {
    private let owner: AnyObject?
    private let base: UnsafeRawPointer?
    /// Number of bytes.
    public let count: Int

    /// No bytes.
    public init() {
        owner = nil
        base = nil
        count = 0
    }

    /// A copy of a sequence's bytes.
    public init(_ bytes: some Collection<UInt8>) {
        self.init(uninitializedCount: bytes.count) { target in
            target.copyBytes(from: bytes)
        }
    }

    /// New storage of `count` bytes, aligned to a cache line, zeroed, then filled by `fill`.
    public init<E: Error>(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
        precondition(count >= 0)
        guard count > 0 else {
            self.init()
            return
        }
        let storage = AlignedStorage(count: count)
        storage.bytes.initializeMemory(as: UInt8.self, repeating: 0)
        try fill(storage.bytes)
        self.init(owner: storage, bytes: UnsafeRawBufferPointer(storage.bytes))
    }

    /// New storage of `count` bytes, aligned to a cache line, that `fill` must write in full: every byte that is ever
    /// read. Spares kernels that overwrite everything the zeroing.
    package init(uninitializedCount count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        precondition(count >= 0)
        guard count > 0 else {
            self.init()
            return
        }
        let storage = AlignedStorage(count: count)
        fill(storage.bytes)
        self.init(owner: storage, bytes: UnsafeRawBufferPointer(storage.bytes))
    }

    /// Bytes that `owner` keeps alive and unchanged for as long as it lives itself.
    public init(owner: AnyObject, bytes: UnsafeRawBufferPointer) {
        self.owner = owner
        base = bytes.baseAddress
        count = bytes.count
    }

    /// Calls `body` with the bytes; the pointer is valid only during the call.
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        defer { withExtendedLifetime(owner) {} }
        return try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// The bytes at the offsets `range`, sharing the storage; the range must lie within 0..<count.
    public subscript(range: Range<Int>) -> SharedBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        guard let owner, let base, !range.isEmpty else { return SharedBytes() }
        return SharedBytes(
            owner: owner,
            bytes: UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    /// A copy as an array.
    public var array: [UInt8] {
        withUnsafeBytes { Array($0) }
    }
}

extension SharedBytes: Equatable {
    public static func == (left: SharedBytes, right: SharedBytes) -> Bool {
        guard left.count == right.count else { return false }
        guard left.count > 0 else { return true }
        return left.withUnsafeBytes { a in
            right.withUnsafeBytes { b in memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
        }
    }
}

extension SharedBytes: CustomStringConvertible {
    public var description: String { "\(count) bytes" }
}

/// Pooled memory aligned to 64 bytes, not initialised, given back with its owner.
private final class AlignedStorage {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
        bytes = UnsafeMutableRawBufferPointer(start: BufferPool.shared.take(count: count), count: count)
    }

    deinit { BufferPool.shared.give(bytes.baseAddress!, count: bytes.count) }
}
