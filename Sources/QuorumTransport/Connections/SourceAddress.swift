// Whom an unfinished handshake is charged to: all that is known of a stranger is where he connects from.

import Glibc
import NIOCore

/// Where a connection comes from: an IPv4 address, or the 64 bits of an IPv6 address that name its network, since
/// whoever has one address of it has them all.
package struct SourceAddress: Hashable, Sendable {
    private enum Family: Hashable { case v4, v6, other }

    private let family: Family
    private let bits: UInt64

    /// The source of a connection from `address`; all whose address is not known share one.
    package init(_ address: SocketAddress?) {
        switch address {
        case .v4(let address)?:
            self.init(v4: address.address.sin_addr)
        case .v6(let address)?:
            self.init(v6: address.address.sin6_addr)
        case .unixDomainSocket?, nil:
            self.init(.other, 0)
        }
    }

    private init(_ family: Family, _ bits: UInt64) {
        self.family = family
        self.bits = bits
    }

    private init(v4 address: in_addr) {
        family = .v4
        bits = UInt64(UInt32(bigEndian: address.s_addr))
    }

    private init(v6 address: in6_addr) {
        let bytes = withUnsafeBytes(of: address) { Array($0) }
        func number(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        // An IPv4 address as a socket for both families shows it: ::ffff:a.b.c.d.
        if number(bytes[..<8]) == 0, number(bytes[8..<12]) == 0xffff {
            family = .v4
            bits = number(bytes[12...])
        } else {
            family = .v6
            bits = number(bytes[..<8])
        }
    }

    /// The sources that a listed name or address stands for; none when nobody knows the name. Asks the system's
    /// resolver and waits for it, so no event loop may call it.
    package static func resolving(host: String) -> Set<SourceAddress> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &found) == 0 else { return [] }
        defer { freeaddrinfo(found) }
        var sources: Set<SourceAddress> = []
        var next = found
        while let entry = next?.pointee {
            if let address = entry.ai_addr {
                switch entry.ai_family {
                case AF_INET:
                    address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                        _ = sources.insert(SourceAddress(v4: $0.pointee.sin_addr))
                    }
                case AF_INET6:
                    address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                        _ = sources.insert(SourceAddress(v6: $0.pointee.sin6_addr))
                    }
                default: break
                }
            }
            next = entry.ai_next
        }
        return sources
    }
}
