// Comparing bytes where they lie, eight at a time: what lists of many keys spend their time on.

extension UnsafeRawBufferPointer {
    /// Below 0, 0 or above 0, as these bytes come before the others, are the same, or come after them.
    package func order(_ other: UnsafeRawBufferPointer) -> Int {
        let common = Swift.min(count, other.count)
        var offset = 0
        while offset + 8 <= common {
            let left = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let right = other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if left != right { return left.bigEndian < right.bigEndian ? -1 : 1 }
            offset += 8
        }
        while offset < common {
            if self[offset] != other[offset] { return self[offset] < other[offset] ? -1 : 1 }
            offset += 1
        }
        return count - other.count
    }

    package func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
        count == other.count && order(other) == 0
    }

    package func begins(with prefix: [UInt8]) -> Bool {
        guard count >= prefix.count else { return false }
        return prefix.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: self[..<$0.count]).order($0) == 0 }
    }

    /// Whether these bytes come before others.
    package func precedes(_ other: [UInt8]) -> Bool { other.withUnsafeBytes { order($0) < 0 } }

    /// Whether every byte is below 128, and so all of them are UTF-8.
    package var isASCII: Bool {
        var offset = 0
        var seen: UInt64 = 0
        while offset + 8 <= count {
            seen |= loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        while offset < count {
            seen |= UInt64(self[offset])
            offset += 1
        }
        return seen & 0x8080_8080_8080_8080 == 0
    }

    /// A part of the bytes.
    func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }
}
