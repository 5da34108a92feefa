// The keys behind signatures: P-256 everywhere but in the simulator, whose millions of runs cannot afford it.

import Crypto

/// The secret with which one server signs the roots of its statements.
package enum StatementKey: Sendable {
    case p256(P256.Signing.PrivateKey)
    /// Another scheme: makes the `SignedStatement.signatureSizeBytes` bytes of a signature over a message.
    case scheme(@Sendable (_ message: UnsafeRawBufferPointer) -> [UInt8])

    /// The signature over a message, `SignedStatement.signatureSizeBytes` long.
    func signature(for message: UnsafeRawBufferPointer) throws(SigningError) -> [UInt8] {
        switch self {
        case .p256(let key):
            do {
                return Array(try key.signature(for: [UInt8](message)).rawRepresentation)
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
    case scheme(@Sendable (_ signature: [UInt8], _ message: UnsafeRawBufferPointer) -> Bool)

    func isValid(_ signature: [UInt8], for message: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .p256(let key): key.isValid(signature, for: [UInt8](message))
        case .scheme(let verify): verify(signature, message)
        }
    }
}
