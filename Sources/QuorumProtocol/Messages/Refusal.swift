// Why a server does not do what a message asks (docs/protocol.md, What bad input gets): the reasons, and all that goes
// with each of them. (Why it does not talk to a peer at all is the transport's `ConnectionRefusal`.)

import ErasureCode
import Fingerprint

/// Why a server did not do what a request asked. A refusal changes no state.
public enum Refusal: Error, Equatable, Sendable {
    /// The sender has none of the rights on the object's bucket of which one would do. Of no right when none would:
    /// servers may read what they hold, and no more.
    case notEntitled(Principal, lacksAll: Rights = [])
    /// The timestamp names another writer than the channel's client.
    case foreignTimestamp(writer: ClientID, sender: ClientID)
    /// The timestamp's digest is not the descriptor's.
    case digestMismatch
    /// The descriptor describes another object.
    case foreignDescriptor
    /// The group that the request is for has not the object's slot.
    case foreignGroup(GroupID, expected: GroupID)
    /// The epoch that the request names is not the one here; it may be, later.
    case unknownEpoch(UInt64, newest: UInt64)
    /// The fragments are those of another position than this server's.
    case foreignPosition(Position, expected: Position)
    /// Fragments and stripes differ in number.
    case wrongFragmentCount(got: Int, expected: Int)
    /// The value is larger than a PREPARE may carry.
    case tooManyStripes(got: Int, limit: Int)
    /// A fragment is not the one that the cross-checksum describes.
    case invalidFragment(StripeIndex, FragmentVerificationError)
    /// The counter is ahead of what this server has seen committed: prove the version below it.
    case justificationRequired(committedCounter: UInt64)
    /// The counter is more than one above what is committed and proven.
    case counterSkipped(got: UInt64, highestAllowed: UInt64)
    /// The certificate proves nothing.
    case invalidCertificate(CertificateError)
    /// An admission statement proves nothing, or there are too few.
    case invalidAdmission(have: Int, need: Int)
    /// The version that is described is not committed here.
    case notCommitted
    /// The client has as many uncommitted versions at this object as it may: these.
    case tooManyPending([PendingVersion])
    /// Too many requests wait for this object, or too many audits of the sender.
    case busy
    /// The version is known to be poisonous.
    case poisonous
    /// So many versions wait to be verified that no more are taken until they are.
    case tooManyUnverified(limit: Int)
    /// The client has as much here as it may.
    case quotaExceeded(Quota, limit: UInt64, used: UInt64)
    /// The server's disk is full.
    case storageFull
    /// The server cannot read or write its storage.
    case storageFailed
    /// The server has lost what it knew of this object; of others it has not.
    case recordLost
    /// Stripes of the version are not staged here, or others are: runs of them by part, as many as are named at a time.
    case stripesMissing([MissingStripes])
    /// The attempt has stripes of another size.
    case otherStripeSize(UInt32, expected: UInt32)
    /// So many attempts are staged at the object that there is no place for another.
    case tooManyAttempts(limit: Int)
    /// The attempt's stripes lie in so many runs that none apart from them is taken.
    case tooScattered(limit: Int)
    /// The upload was discarded, or a version of it committed.
    case uploadEnded
    /// A version holds the stripe.
    case stripeHeld
    /// The version is on its way here, and not here yet.
    case notHeld
    /// The server has lost its memory and is being told by the others what it has to know.
    case rebuilding
    /// The server knows no message of this type.
    case unsupported(type: UInt8)
    /// A reason of another release's, of which only the traits are known.
    case other(code: UInt16, traits: RefusalTraits, evidence: [UInt8])
}

/// A run of stripes of a part that a server has not.
public struct MissingStripes: Hashable, Sendable {
    /// The part's place in the value, from 0.
    public let part: UInt16
    public let stripes: Range<UInt32>

    package init(part: UInt16, stripes: Range<UInt32>) {
        self.part = part
        self.stripes = stripes
    }
}

/// What there is a limit of for each client (docs/protocol.md, Accounts).
public enum Quota: UInt8, CaseIterable, Sendable {
    /// Bytes of its versions, committed or not.
    case storedBytes = 1
    /// Bytes of its versions that are not committed, while the disk is more than half full.
    case uncommittedBytes = 2
    /// The same of all clients together.
    case uncommittedBytesOfAll = 3
    /// Versions at objects of which no version is committed.
    case bareVersions = 4

    /// What counters call it.
    package var name: String { "\(self)Quota" }
}

/// A version that a client left uncommitted at a server, with the server's fresh statement on it.
public struct PendingVersion: Hashable, Sendable {
    public let timestamp: Timestamp
    public let descriptor: SealedDescriptor
    public let statement: SignedStatement

    package init(timestamp: Timestamp, descriptor: SealedDescriptor, statement: SignedStatement) {
        self.timestamp = timestamp
        self.descriptor = descriptor
        self.statement = statement
    }
}

/// What a reason means for whoever is refused. It travels with the reason's number, so that a reason is of use to a
/// release that does not know it.
public struct RefusalTraits: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The same request may well be granted later, without anything having been wrong with it.
    public static let transient = RefusalTraits(rawValue: 1)
    /// It answers a PREPARE, or the STAGE that goes ahead of it, and nothing else; in another phase it is a late answer
    /// and says nothing.
    public static let answersPreparationOnly = RefusalTraits(rawValue: 2)
}

/// The reasons without their evidence: the raw value is the number on the wire; the case's name is the name
/// in counters, except for quotas, which have one each.
package enum RefusalKind: UInt16, CaseIterable, Sendable {
    case notEntitled = 1
    case foreignTimestamp = 2
    case digestMismatch = 3
    case foreignDescriptor = 4
    case wrongFragmentCount = 5
    case tooManyStripes = 6
    case invalidFragment = 7
    case justificationRequired = 8
    case counterSkipped = 9
    case invalidCertificate = 10
    case invalidAdmission = 11
    case tooManyPending = 12
    case busy = 13
    case storageFull = 14
    case storageFailed = 15
    case poisonous = 16
    case tooManyUnverified = 17
    case unsupported = 18
    case foreignGroup = 19
    case unknownEpoch = 20
    case foreignPosition = 21
    case notCommitted = 22
    case recordLost = 23
    case quotaExceeded = 24
    case stripesMissing = 25
    case otherStripeSize = 26
    case tooManyAttempts = 27
    case tooScattered = 28
    case uploadEnded = 29
    case stripeHeld = 30
    case notHeld = 31
    case rebuilding = 32

    package var traits: RefusalTraits {
        switch self {
        case .foreignTimestamp, .foreignPosition, .wrongFragmentCount, .tooManyStripes, .invalidFragment,
            .justificationRequired, .counterSkipped, .invalidAdmission, .tooManyPending, .otherStripeSize,
            .tooManyAttempts, .tooScattered, .uploadEnded, .stripeHeld:
            .answersPreparationOnly
        case .tooManyUnverified, .quotaExceeded, .stripesMissing:
            [.answersPreparationOnly, .transient]
        case .busy, .unknownEpoch, .notCommitted, .notHeld, .rebuilding:
            .transient
        case .notEntitled, .digestMismatch, .foreignDescriptor, .foreignGroup, .invalidCertificate, .poisonous,
            .storageFull, .storageFailed, .recordLost, .unsupported:
            []
        }
    }
}

extension Refusal {
    /// The reason without its evidence; nil for one of another release's.
    package var kind: RefusalKind? {
        switch self {
        case .notEntitled: .notEntitled
        case .foreignTimestamp: .foreignTimestamp
        case .digestMismatch: .digestMismatch
        case .foreignDescriptor: .foreignDescriptor
        case .foreignGroup: .foreignGroup
        case .unknownEpoch: .unknownEpoch
        case .foreignPosition: .foreignPosition
        case .wrongFragmentCount: .wrongFragmentCount
        case .tooManyStripes: .tooManyStripes
        case .invalidFragment: .invalidFragment
        case .justificationRequired: .justificationRequired
        case .counterSkipped: .counterSkipped
        case .invalidCertificate: .invalidCertificate
        case .invalidAdmission: .invalidAdmission
        case .notCommitted: .notCommitted
        case .tooManyPending: .tooManyPending
        case .busy: .busy
        case .poisonous: .poisonous
        case .quotaExceeded: .quotaExceeded
        case .tooManyUnverified: .tooManyUnverified
        case .storageFull: .storageFull
        case .storageFailed: .storageFailed
        case .recordLost: .recordLost
        case .stripesMissing: .stripesMissing
        case .otherStripeSize: .otherStripeSize
        case .tooManyAttempts: .tooManyAttempts
        case .tooScattered: .tooScattered
        case .uploadEnded: .uploadEnded
        case .stripeHeld: .stripeHeld
        case .notHeld: .notHeld
        case .rebuilding: .rebuilding
        case .unsupported: .unsupported
        case .other: nil
        }
    }

    /// The number on the wire.
    package var code: UInt16 {
        if case .other(let code, _, _) = self { code } else { kind?.rawValue ?? 0 }
    }

    /// What the reason means for whoever is refused.
    public var traits: RefusalTraits {
        switch self {
        case .other(_, let traits, _): traits
        // What is not known here yet may be known here later.
        case .invalidCertificate(let error) where error.isIgnorance: .transient
        // Only deleting helps.
        case .quotaExceeded(.storedBytes, _, _): .answersPreparationOnly
        default: kind?.traits ?? []
        }
    }

    /// What it is called in counters and logs: the case's name, or the limit's where one case has several.
    package var name: String {
        if case .quotaExceeded(let quota, _, _) = self { return quota.name }
        return kind.map { "\($0)" } ?? "other"
    }

    /// Whether this answers a PREPARE, or the STAGE that goes ahead of it, and nothing else; in another phase it is a
    /// late answer and says nothing.
    package var answersPreparationOnly: Bool { traits.contains(.answersPreparationOnly) }

    /// Whether what is staged to an upload cannot be gone on with, but only begun anew.
    package var endsUpload: Bool {
        switch self {
        case .uploadEnded, .stripeHeld, .otherStripeSize: true
        default: false
        }
    }

    /// Whether the same request may well be granted later, without anything having been wrong with it.
    package var isTransient: Bool { traits.contains(.transient) }
}

extension Refusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notEntitled(let principal, let rights):
            rights.isEmpty
                ? "\(principal) may not ask this"
                : "\(principal) may not ask this: it takes the right \(rights.alternatives) on the bucket"
        case .foreignTimestamp(let writer, let sender): "the timestamp names writer \(writer); the sender is \(sender)"
        case .digestMismatch: "the timestamp's digest is not that of the descriptor"
        case .foreignDescriptor: "the descriptor is another object's"
        case .foreignGroup(let group, let expected): "the object belongs to \(expected), not to \(group)"
        case .unknownEpoch(let epoch, let newest): "epoch \(epoch) is not known here, the newest is \(newest)"
        case .foreignPosition(let position, let expected):
            "the fragments are for \(position); this server's is \(expected)"
        case .wrongFragmentCount(let got, let expected): "\(got) fragments for \(expected) stripes"
        case .tooManyStripes(let got, let limit): "\(got) stripes; one request may carry \(limit)"
        case .invalidFragment(let stripe, let error): "\(stripe): \(error)"
        case .justificationRequired(let counter):
            "the committed counter here is \(counter); prove the version below yours"
        case .counterSkipped(let got, let highest): "counter \(got) skips ahead; the highest allowed is \(highest)"
        case .invalidCertificate(let error): "invalid certificate: \(error)"
        case .invalidAdmission(let have, let need): "\(have) valid admission statements of \(need)"
        case .notCommitted: "the version that is described is not committed here"
        case .tooManyPending(let versions): "\(versions.count) uncommitted versions of this client are pending"
        case .busy: "too many requests wait for this object"
        case .poisonous: "the version's fragments are known to be no value's encoding"
        case .tooManyUnverified(let limit): "\(limit) versions of the object wait to be verified"
        case .quotaExceeded(let quota, let limit, let used):
            switch quota {
            case .storedBytes: "this client has \(used) bytes stored at the server, of \(limit) that it may have"
            case .uncommittedBytes:
                "this client has \(used) bytes at the server that are not committed, of \(limit) while the disk is scarce"
            case .uncommittedBytesOfAll:
                "all clients together have \(used) bytes at the server that are not committed, of \(limit)"
            case .bareVersions:
                "this client has left \(used) versions uncommitted at new objects, of \(limit) that it may leave"
            }
        case .storageFull: "the server's disk is full"
        case .storageFailed: "the server cannot use its storage"
        case .recordLost: "the server has lost what it knew of this object, and makes it again at its next start"
        case .stripesMissing(let missing):
            "\(missing.reduce(0) { $0 + $1.stripes.count }) of the version's stripes are not staged at the server"
        case .otherStripeSize(let size, let expected):
            "a stripe size of \(size) bytes; the attempt has stripes of \(expected)"
        case .tooManyAttempts(let limit): "\(limit) attempts are staged at the object, as many as may be"
        case .tooScattered(let limit): "the attempt's stripes lie in \(limit) runs, as many as may be"
        case .uploadEnded: "the upload was discarded, or is complete"
        case .stripeHeld: "a version holds the stripe"
        case .notHeld: "the version is on its way to the server"
        case .rebuilding:
            "the server has lost its store and asks the others what it has to know; see `solidus cluster status`"
        case .unsupported(let type): "the server knows no message of type \(type)"
        case .other(let code, _, _): "a reason with the number \(code), which this release does not know"
        }
    }
}
