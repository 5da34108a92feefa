// The keys behind signatures: P-256 everywhere but in the simulator, whose millions of runs cannot afford it.

import Crypto

/// The secret with which one server signs the roots of its statements.
package enum StatementKey: Sendable {
    case p256(P256.Signing.PrivateKey)
    /// Another scheme: makes the `SignedStatement.signatureSizeBytes` bytes of a signature over a message.
    case scheme(@Sendable (_ message: [UInt8]) -> [UInt8])

    /// The signature over a message, `SignedStatement.signatureSizeBytes` long.
    func signature(for message: [UInt8]) throws(SigningError) -> [UInt8] {
        switch self {
        case .p256(let key):
            do {
                return Array(try key.signature(for: message).rawRepresentation)
            } catch {
                throw SigningError(reason: "\(error)")
            }
        case .scheme(let sign):
            return sign(message)
        }
    }
}

/// What everybody knows of one server's key: enough to check its signatures.
package enum StatementVerificationKey: Sendable {
    /// ECDSA over P-256 with SHA-256.
    case p256(KnownKey)
    /// Another scheme: whether the signature is the server's over the message.
    case scheme(@Sendable (_ signature: [UInt8], _ message: [UInt8]) -> Bool)

    func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        switch self {
        case .p256(let key): key.isValid(signature, for: message)
        case .scheme(let verify): verify(signature, message)
        }
    }
}
