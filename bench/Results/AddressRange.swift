// Private IPv4 addresses that nobody on this machine uses.

/// Addresses with a common prefix.
package struct AddressRange: Equatable, Sendable, CustomStringConvertible {
    /// The first address, in host byte order.
    let base: UInt32
    let prefixLength: Int

    /// "10.1.2.0/24", or one address without a length; nil for anything else.
    package init?(_ text: Substring) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        let parts = (halves.first ?? "").split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count <= 2, (1...4).contains(parts.count), parts.count == 4 || halves.count == 2,
            let length = halves.count == 2 ? Int(halves[1]) : 32, (0...32).contains(length)
        else { return nil }
        var base: UInt32 = 0
        for position in 0..<4 {
            // A route's prefix may be written without its last zeros.
            guard let part = position < parts.count ? UInt8(parts[position]) : 0 else { return nil }
            base = base << 8 | UInt32(part)
        }
        self.init(base: base, prefixLength: length)
    }

    private init(base: UInt32, prefixLength: Int) {
        self.base = base & Self.mask(prefixLength)
        self.prefixLength = prefixLength
    }

    private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~0 << UInt32(32 - length) }

    package func overlaps(_ other: AddressRange) -> Bool {
        let mask = Self.mask(min(prefixLength, other.prefixLength))
        return base & mask == other.base & mask
    }

    /// One of the range's addresses, counted from 0.
    package func address(_ number: Int) -> String {
        let value = base | UInt32(number)
        return [24, 16, 8, 0].map { "\(value >> $0 & 0xff)" }.joined(separator: ".")
    }

    package var description: String { "\(address(0))/\(prefixLength)" }

    /// Where `unused` looks.
    package static let choices = AddressRange(base: 10 << 24 | 213 << 16, prefixLength: 16)

    /// The first range of 254 addresses that no route overlaps with; what only the default route leads to is free.
    ///
    /// - Parameter routes: all tables, as `ip -4 route show table all` prints them.
    package static func unused(routes: String) -> AddressRange? {
        let taken = routes.split(separator: "\n").compactMap { line -> AddressRange? in
            // "local 10.1.2.3 dev ..." and the like name the kind of route first.
            line.split(separator: " ").prefix(2).lazy.compactMap { AddressRange($0) }.first
        }.filter { $0.prefixLength > 0 }
        return (0..<256).lazy.map { AddressRange(base: choices.base | UInt32($0) << 8, prefixLength: 24) }
            .first { choice in !taken.contains { $0.overlaps(choice) } }
    }
}
