// A signature scheme for the simulator: a keyed digest instead of public-key cryptography, a hundred times as fast.
//
// Who has no secret cannot sign with it; and nobody is handed another's secret. Checking needs the secret too, but the
// closure that checks tells nothing of it, so within the simulator the scheme is as unforgeable as SHA-256.

import Fingerprint
import QuorumProtocol

/// One server's key of the simulated scheme.
struct SimulatedKey: Sendable {
    private let secret: [UInt8]

    init(seed: UInt64, server: ServerIndex) {
        var encoder = CanonicalEncoder(reservingBytes: 64)
        encoder.append(tag: "solidus.simulated-key.1")
        encoder.append(seed)
        encoder.append(server.rawValue)
        secret = encoder.bytes
    }

    private static func digest(_ secret: [UInt8], _ message: [UInt8]) -> Digest256 {
        Digest256.sha256(secret + message)
    }

    /// Signs; for the server itself.
    var signing: StatementKey {
        .scheme { [secret] message in
            let bytes = Self.digest(secret, message).bytes
            return bytes + bytes
        }
    }

    /// Checks; for everybody.
    var verification: StatementVerificationKey {
        .scheme { [secret] signature, message in
            guard signature.count == SignedStatement.signatureSizeBytes else { return false }
            let bytes = Self.digest(secret, message).bytes
            return signature == bytes + bytes
        }
    }
}
