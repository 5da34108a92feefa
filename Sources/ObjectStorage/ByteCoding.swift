// Fixed-width integers in and out of bytes, and the checksum of everything on disk. Reading never trusts a length.

import CISAL
import ErasureCode

/// CRC-32C, as the journal and the index use it.
enum Checksum {
    static func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard var position = bytes.baseAddress else { return 0 }
        var left = bytes.count
        var state: UInt32 = ~0
        while left > 0 {
            let step = min(left, 1 << 30)
            // The C function takes a mutable pointer, though it only reads.
            let start = UnsafeMutablePointer(mutating: position.assumingMemoryBound(to: UInt8.self))
            state = crc32_iscsi(start, Int32(step), state)
            position += step
            left -= step
        }
        return ~state
    }

    static func crc32c(_ bytes: SharedBytes) -> UInt32 {
        bytes.withUnsafeBytes { crc32c($0) }
    }

    static func crc32c(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { crc32c($0) }
    }
}

extension [UInt8] {
    /// Appends an integer, least significant byte first.
    mutating func appendLittle<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends an integer, most significant byte first, so that bytes order as numbers do.
    mutating func appendBig<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Overwrites bytes at `offset` with an integer, least significant byte first.
    mutating func replaceLittle<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self) }
    }
}

/// Reads forward through bytes of unknown origin; nil when they end early.
struct ByteCursor {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remainingCount: Int { bytes.count - offset }

    mutating func little<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        guard remainingCount >= MemoryLayout<T>.size else { return nil }
        defer { offset += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    mutating func big<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        little(T.self).map { T(bigEndian: $0.littleEndian) }
    }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, remainingCount >= count else { return nil }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }
}

/// The next multiple of the page size at or above `offset`.
func pageAlignedUp(_ offset: UInt64) -> UInt64 {
    (offset + FormatLimit.pageSizeBytes - 1) & ~(FormatLimit.pageSizeBytes - 1)
}

/// The last multiple of the page size at or below `offset`.
func pageAlignedDown(_ offset: UInt64) -> UInt64 {
    offset & ~(FormatLimit.pageSizeBytes - 1)
}
