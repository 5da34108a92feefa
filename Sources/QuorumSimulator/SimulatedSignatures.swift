// A signature scheme for the simulator: a keyed digest instead of public-key cryptography, a thousand times as fast.
//
// Who has no secret cannot sign with it; and nobody is handed another's secret. Checking needs the secret too, but the
// closure that checks tells nothing of it. The digest is no cryptographic one and need not be: the liars are scripts of
// ours that alter, replay and invent signatures, and none of them does cryptanalysis.

import QuorumFaults
import QuorumProtocol

/// One server's key of the simulated scheme.
struct SimulatedKey: Sendable {
    private let secret: (UInt64, UInt64)

    init(seed: UInt64, server: ServerIndex) {
        var stream = SeededGenerator(seed: seed &* 0xa076_1d64_78bd_642f &+ UInt64(server.rawValue))
        secret = (stream.next(), stream.next())
    }

    /// A signature's words, drawn from a stream that the message and the secret seed.
    private static func words(_ secret: (UInt64, UInt64), _ message: [UInt8]) -> SeededGenerator {
        var (state, other) = secret
        message.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: 8) {
                var word: UInt64 = 0
                if start + 8 <= bytes.count {
                    word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
                } else {
                    for byte in bytes[start...].reversed() { word = word << 8 | UInt64(byte) }
                }
                let product = (state ^ word).multipliedFullWidth(by: other | 1)
                state = product.high ^ product.low
                other = (other ^ word) &* 0x9e37_79b9_7f4a_7c15
                other ^= other >> 32
            }
        }
        return SeededGenerator(seed: state ^ other ^ UInt64(message.count))
    }

    /// Signs; for the server itself.
    var signing: StatementKey {
        .scheme { [secret] message in
            var stream = Self.words(secret, message)
            return stream.bytes(count: SignedStatement.signatureSizeBytes)
        }
    }

    /// Checks; for everybody.
    var verification: StatementVerificationKey {
        .scheme { [secret] signature, message in
            guard signature.count == SignedStatement.signatureSizeBytes else { return false }
            var stream = Self.words(secret, message)
            return signature.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: 8).allSatisfy { start in
                    bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self).littleEndian == stream.next()
                }
            }
        }
    }
}
