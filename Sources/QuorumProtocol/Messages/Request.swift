// What clients ask of servers (docs/protocol.md, Write and Read).

import ErasureCode
import Fingerprint

/// A request of the protocol; the sender is who the channel's certificate says, never what a message says.
///
/// Each case is one reference: a message passes through many hands.
package enum Request: Equatable, Sendable {
    /// Which version has been committed?
    case readTimestamp(ObjectKey)
    case prepare(Prepare)
    case commit(Commit)
    indirect case read(Read)
    /// Prove what you named: show this version's certificate.
    indirect case certificate(ObjectKey, Timestamp)
    case describe(Describe)
    case stage(Stage)
    case discard(Discard)
    case fetch(Fetch)
    case listHeld(ListHeld)
    case restate(Restate)

    package var key: ObjectKey {
        switch self {
        case .readTimestamp(let key): key
        case .prepare(let prepare): prepare.key
        case .commit(let commit): commit.key
        case .read(let read): read.key
        case .certificate(let key, _): key
        case .describe(let describe): describe.key
        case .stage(let stage): stage.key
        case .discard(let discard): discard.key
        case .fetch(let fetch): fetch.key
        case .listHeld(let list): list.key
        case .restate(let restate): restate.key
        }
    }

    /// Of the fragments that it brings.
    package var fragmentSizeBytes: Int {
        switch self {
        case .prepare(let prepare): prepare.fragments.reduce(0) { $0 + $1.count }
        case .stage(let stage): stage.fragment.count
        case .readTimestamp, .commit, .read, .certificate, .describe, .discard, .fetch, .listHeld, .restate: 0
        }
    }
}

/// Whom a request is for: a group in an epoch. A node may be in several groups, and answers for an object only in the
/// group that has the object's slot.
package struct Route: Hashable, Sendable {
    package let epoch: UInt64
    package let group: GroupID

    package init(epoch: UInt64, group: GroupID) {
        self.epoch = epoch
        self.group = group
    }
}

/// "Store your fragments of this version and sign that you have."
package final class Prepare: Equatable, Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp
    /// The receiver's among the object's.
    package let position: Position
    package let descriptor: SealedDescriptor
    /// The receiver's own fragments, one for each stripe; in the mode `full` the stripes' blocks.
    package let fragments: [SharedBytes]
    /// Proof of the version whose counter is one below, for a server that has not seen it committed.
    package let justification: Certificate?
    /// f + 1 *stored* statements for this version: they make a server that is full of this client's pending versions
    /// admit it all the same.
    package let admission: [SignedStatement]

    package init(
        key: ObjectKey, timestamp: Timestamp, position: Position, descriptor: SealedDescriptor,
        fragments: [SharedBytes],
        justification: Certificate? = nil, admission: [SignedStatement] = []
    ) {
        self.key = key
        self.timestamp = timestamp
        self.position = position
        self.descriptor = descriptor
        self.fragments = fragments
        self.justification = justification
        self.admission = admission
    }

    package static func == (left: Prepare, right: Prepare) -> Bool {
        left === right
            || left.key == right.key && left.timestamp == right.timestamp && left.position == right.position
                && left.descriptor == right.descriptor && left.fragments == right.fragments
                && left.justification == right.justification
                && left.admission == right.admission
    }
}

/// "This version has its quorum: make it the object's."
package final class Commit: Equatable, Sendable {
    package let key: ObjectKey
    package let certificate: Certificate

    package init(key: ObjectKey, certificate: Certificate) {
        self.key = key
        self.certificate = certificate
    }

    package static func == (left: Commit, right: Commit) -> Bool {
        left === right || left.key == right.key && left.certificate == right.certificate
    }
}

/// "Here is the descriptor of the version that you have committed." Anyone may send it: it is believed by its digest,
/// which the timestamp names.
package final class Describe: Equatable, Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp
    package let descriptor: SealedDescriptor

    package init(key: ObjectKey, timestamp: Timestamp, descriptor: SealedDescriptor) {
        self.key = key
        self.timestamp = timestamp
        self.descriptor = descriptor
    }

    package static func == (left: Describe, right: Describe) -> Bool {
        left === right
            || left.key == right.key && left.timestamp == right.timestamp && left.descriptor == right.descriptor
    }
}

/// "What is the committed version, and what do you hold of it, or of the version I name?"
package struct Read: Hashable, Sendable {
    /// How much of the version is wanted beside the claim.
    package enum Portion: UInt8, Sendable, Comparable {
        case timestamp = 0
        case descriptor = 1
        case fragments = 2

        package static func < (left: Portion, right: Portion) -> Bool { left.rawValue < right.rawValue }
    }

    package let key: ObjectKey
    /// The version asked for; nil asks for the committed one.
    package let version: Timestamp?
    package let portion: Portion

    package init(key: ObjectKey, version: Timestamp? = nil, portion: Portion) {
        self.key = key
        self.version = version
        self.portion = portion
    }
}
