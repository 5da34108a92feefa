// What servers of a group tell each other of what they have committed (docs/protocol.md, Anti-entropy): a digest of each
// slot, and where two differ, the versions. Nothing of it is believed: it says for which versions to ask the certificate.

import Fingerprint

/// An object and the highest version that a server has committed of it, known to be sound or not.
package struct CommittedObject: Hashable, Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp

    package init(key: ObjectKey, timestamp: Timestamp) {
        self.key = key
        self.timestamp = timestamp
    }
}

/// The digest of all that a server has committed in a slot.
package struct SlotDigest: Hashable, Sendable {
    package let slot: Slot
    package let digest: Digest256

    package init(slot: Slot, digest: Digest256) {
        self.slot = slot
        self.digest = digest
    }
}

/// A slot's digest in the making: of nothing it is 32 zero bytes, and of one object more the SHA-256 of what it was, the
/// key, and the timestamp.
package struct SlotDigesting {
    package private(set) var digest = Digest256 { _ in }

    package init() {}

    /// Takes the next object, in the order of their keys.
    package mutating func take(_ object: CommittedObject) {
        var encoder = CanonicalEncoder(reservingBytes: 128)
        encoder.append(digest)
        encoder.append(counted: object.key.bytes)
        if !isPlanted(.digestWithoutVersions) { encoder.append(object.timestamp) }
        digest = .sha256(encoder.bytes)
    }
}

/// What a server asks another about what that has committed.
package enum SlotQuery: Equatable, Sendable {
    /// Digests of those of these slots that both have.
    case digests(first: Slot, count: UInt16)
    /// Objects of a slot above one, or from the first one on.
    case objects(Slot, after: ObjectKey?)

    /// Slots, and objects, in one answer.
    package static let digestsMax = 1024
    package static let objectsMax = 1000
}

/// What it is told.
package enum SlotAnswer: Equatable, Sendable {
    /// By rising slots.
    case digests([SlotDigest])
    /// By rising keys; there may be more behind the last one. And the version of the list of keys by which the server
    /// went before it looked: nothing is committed there any more by what that list fences.
    case objects([CommittedObject], hasMore: Bool, keysVersion: UInt64)

    /// Whether it can be the answer to a question.
    package func answers(_ query: SlotQuery) -> Bool {
        switch (self, query) {
        case (.digests(let digests), .digests(let first, let count)):
            return digests.allSatisfy {
                $0.slot >= first && Int($0.slot.rawValue) < Int(first.rawValue) + Int(count)
            }
        case (.objects(let objects, let hasMore, _), .objects(let slot, let last)):
            guard !hasMore || !objects.isEmpty else { return false }
            if let last, let first = objects.first, first.key <= last { return false }
            return objects.allSatisfy { $0.key.slot == slot }
        default: return false
        }
    }
}
