// Who is who: clients, clusters, lives of servers. Newtypes, so that none is taken for another.

import Fingerprint

/// How often a server's durable state has been begun anew, from 1; a statement names it, so that a wiped server's old
/// promises can be told from its new ones.
public struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Of a store that was made with its cluster, and has forgotten nothing.
    package static let first = Incarnation(1)

    public static func < (left: Incarnation, right: Incarnation) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "incarnation \(rawValue)" }
}

/// A 16-byte name, ordered as its bytes are.
public protocol SixteenByteName: Hashable, Comparable, Sendable, CustomStringConvertible {
    var high: UInt64 { get }
    var low: UInt64 { get }
    init(high: UInt64, low: UInt64)
}

extension SixteenByteName {
    public static func < (left: Self, right: Self) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// The name from its 16 bytes; nil when there are more or fewer.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var words: (high: UInt64, low: UInt64) = (0, 0)
        for (position, byte) in bytes.enumerated() {
            if position < 8 {
                words.high = words.high << 8 | UInt64(byte)
            } else {
                words.low = words.low << 8 | UInt64(byte)
            }
        }
        self.init(high: words.high, low: words.low)
    }

    /// The name from 32 hexadecimal digits; nil for anything else.
    public init?(hexadecimal: String) {
        guard hexadecimal.utf8.count == 32, hexadecimal.utf8.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let high = UInt64(hexadecimal.prefix(16), radix: 16), let low = UInt64(hexadecimal.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// The 16 bytes, most significant first.
    public var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
    }

    /// 32 lower-case hexadecimal digits.
    public var description: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// A client's name: 16 random bytes drawn when it is made; the cluster's configuration binds it to the certificate
/// that the client must present.
public struct ClientID: SixteenByteName {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// A cluster's name, 16 random bytes drawn when it is made; statements and connections are bound to it.
public struct ClusterID: SixteenByteName {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// Sixteen random bytes in a descriptor that has no hashes to be told from others by.
package struct VersionSalt: SixteenByteName {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func random() -> VersionSalt {
        VersionSalt(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
    }
}

/// Who is at the other end of an authenticated channel, as the channel's certificate proves it.
public enum Principal: Hashable, Sendable, CustomStringConvertible {
    case client(ClientID)
    case server(NodeID)

    public var description: String {
        switch self {
        case .client(let id): "client \(id)"
        case .server(let node): node.description
        }
    }
}
