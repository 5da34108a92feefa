// The name under which a certificate is pinned: the SHA-256 of its DER encoding.

import Crypto

/// SHA-256 (32 bytes) of a certificate's DER encoding; whoever proves possession of that certificate's key is the peer
/// the configuration pinned.
package struct CertificatePin: Hashable, Sendable, CustomStringConvertible {
    /// Number of bytes of a pin.
    package static let sizeBytes = 32

    /// The 32 bytes of the digest.
    package let bytes: [UInt8]

    /// The pin of the certificate with this DER encoding.
    package init(derCertificate: some Sequence<UInt8>) {
        var hash = SHA256()
        hash.update(data: Array(derCertificate))
        bytes = Array(hash.finalize())
    }

    /// A pin from its 32 bytes; nil for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.bytes = Array(bytes)
    }

    /// A pin from 64 hexadecimal digits, upper or lower case; nil for anything else.
    package init?(hex: String) {
        let digits = Array(hex.utf8)
        guard digits.count == 2 * Self.sizeBytes else { return nil }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(Self.sizeBytes)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.nibble(digits[index]), let low = Self.nibble(digits[index + 1]) else { return nil }
            decoded.append(high << 4 | low)
        }
        bytes = decoded
    }

    /// 64 lower-case hexadecimal digits.
    package var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * Self.sizeBytes)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
