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

    init(seed: UInt64, node: NodeID) {
        var stream = SeededGenerator(seed: seed &* 0xa076_1d64_78bd_642f &+ UInt64(node.rawValue))
        secret = (stream.next(), stream.next())
    }

    /// A signature's words, drawn from a stream that the message and the secret seed.
    private static func words(_ secret: (UInt64, UInt64), _ message: UnsafeRawBufferPointer) -> SIMD8<UInt64> {
        var (state, other) = secret
        func mix(_ word: UInt64) {
            let product = (state ^ word).multipliedFullWidth(by: other | 1)
            state = product.high ^ product.low
            other = (other ^ word) &* 0x9e37_79b9_7f4a_7c15
            other ^= other >> 32
        }
        let wholeCount = message.count & ~7
        for offset in stride(from: 0, to: wholeCount, by: 8) {
            mix(UInt64(littleEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
        }
        if wholeCount < message.count {
            var last: UInt64 = 0
            for byte in message[wholeCount...].reversed() { last = last << 8 | UInt64(byte) }
            mix(last)
        }
        var stream = SeededGenerator(seed: state ^ other ^ UInt64(message.count))
        var words = SIMD8<UInt64>()
        for position in words.indices { words[position] = stream.next() }
        return words
    }

    /// Signs; for the server itself.
    var signing: StatementKey {
        .scheme { [secret] message in
            withUnsafeBytes(of: Self.words(secret, message)) { [UInt8]($0) }
        }
    }

    /// Checks; for everybody.
    var verification: StatementVerificationKey {
        .scheme { [secret] signature, message in
            guard signature.count == SignedStatement.signatureSizeBytes else { return false }
            return signature.withUnsafeBytes { $0.loadUnaligned(as: SIMD8<UInt64>.self) } == Self.words(secret, message)
        }
    }
}
