// One server's public key as everybody who checks its signatures has it: a cluster's keys are few, and the same ones
// check signature after signature, so tables for a key that is used soon pay for themselves.

import CKnownKey
import Crypto
import Dispatch
import Fingerprint
import Synchronization

/// A P-256 key with which many signatures are checked. Its tables, about 160 KiB, are made in the background once
/// `checksBeforeTable` signatures were checked; a check then takes less than half of the time. Safe to use from any
/// thread.
package final class KnownKey: Sendable {
    /// Making the tables takes as long as hundreds of checks: whoever checks fewer goes without.
    package static let checksBeforeTable = 500

    /// Where tables are made, one at a time: all keys of a cluster want theirs at about the same time, and each takes a
    /// processor for tens of milliseconds, which tasks must not have to wait for.
    private static let workshop = DispatchQueue(label: "known keys", qos: .utility)

    /// Tables that live as long as this.
    private final class Table: @unchecked Sendable {
        // Never changes once it is made.
        private let pointer: OpaquePointer

        init?(_ key: P256.Signing.PublicKey) {
            guard let pointer = solidus_known_key_create(Array(key.x963Representation)) else { return nil }
            self.pointer = pointer
        }

        deinit { solidus_known_key_destroy(pointer) }

        /// Nil if that could not be found out.
        func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool? {
            let verdict = withExtendedLifetime(self) {
                Digest256.sha256(message).withUnsafeBytes { digest in
                    solidus_known_key_check(pointer, digest.baseAddress, signature)
                }
            }
            return verdict == SOLIDUS_SIGNATURE_UNCHECKED ? nil : verdict == SOLIDUS_SIGNATURE_VALID
        }
    }

    private let key: P256.Signing.PublicKey
    private let checkCount = Atomic<Int>(0)
    private let table = AtomicLazyReference<Table>()

    package init(_ key: P256.Signing.PublicKey) {
        self.key = key
    }

    /// Makes the tables now, which takes tens of milliseconds, unless there are some.
    package func makeTable() {
        guard table.load() == nil, let made = Table(key) else { return }
        _ = table.storeIfNil(made)
    }

    package var hasTable: Bool { table.load() != nil }

    /// Whether the signature, r ‖ s, is this key's over the message.
    package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == SignedStatement.signatureSizeBytes else { return false }
        if let isValid = table.load()?.isValid(signature, for: message) { return isValid }
        if checkCount.wrappingAdd(1, ordering: .relaxed).newValue == Self.checksBeforeTable {
            Self.workshop.async { self.makeTable() }
        }
        guard let parsed = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
        return key.isValidSignature(parsed, for: message)
    }
}
