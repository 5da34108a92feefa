// Sizes as people write them.

/// A number of bytes: "4KiB", "1MiB", "8GiB", "65536".
package struct ByteSize: Hashable, Sendable, CustomStringConvertible {
    package let bytes: Int

    package init(bytes: Int) {
        self.bytes = bytes
    }

    /// Digits, then nothing, "B", "KiB", "MiB" or "GiB"; nil for anything else, for zero, and for more than fits.
    package init?(_ text: String) {
        let digits = text.prefix { ("0"..."9").contains($0) }
        let units = ["": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30]
        guard let number = Int(digits), number > 0, let unit = units[String(text.dropFirst(digits.count))] else {
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    package var description: String {
        if bytes % (1 << 30) == 0 { return "\(bytes >> 30)GiB" }
        if bytes % (1 << 20) == 0 { return "\(bytes >> 20)MiB" }
        if bytes % (1 << 10) == 0 { return "\(bytes >> 10)KiB" }
        return "\(bytes)B"
    }
}
