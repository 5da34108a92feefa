// Rows that are sums are added to by nearly every batch, and they are always the same few: what they are is kept here,
// so that the index is not asked each time.

/// Rows of sums as the index has them.
struct KnownSums {
    private static let countMax = 4096

    private var rows: [HashedBytes: [Int64]] = [:]

    /// The row with this key in the index, if it is known.
    subscript(key: HashedBytes) -> [Int64]? { rows[key] }

    /// Takes over what a batch has made of rows, once the index has it; of nil nothing is known any more.
    mutating func take(_ changed: [HashedBytes: [Int64]?]) {
        if rows.count + changed.count > Self.countMax { rows = [:] }
        for (key, sum) in changed { rows[key] = sum }
    }

    mutating func forgetAll() {
        rows = [:]
    }
}

/// Bytes as a dictionary's key, hashed as one run: an array of bytes hashes them one by one.
struct HashedBytes: Hashable {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
