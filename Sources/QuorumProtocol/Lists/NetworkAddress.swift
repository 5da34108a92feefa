// "host:port" as it stands in the list of addresses.

/// Where a server listens: a name, an IPv4 address or an IPv6 address, and a port.
package struct NetworkAddress: Hashable, CustomStringConvertible {
    package static let hostSizeBytesMax = 253

    /// Without the brackets of an IPv6 address.
    package let host: String
    /// 1 to 65535.
    package let port: Int

    /// Nil unless the host is a plausible name or address and the port in range.
    package init?(host: String, port: Int) {
        let isSpelledRight = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: ":"), UInt8(ascii: "%"):
                true
            default:
                false
            }
        }
        guard isSpelledRight, (1...Self.hostSizeBytesMax).contains(host.utf8.count), (1...65535).contains(port) else {
            return nil
        }
        self.host = host
        self.port = port
    }

    /// Reads "host:port", with an IPv6 address in brackets; nil for anything else.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let port = Int(digits)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
