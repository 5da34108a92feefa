// What servers answer. All of it reflects durable state only.

import ErasureCode
import Fingerprint

/// A server's answer to one request; one reference, as a request is.
package indirect enum Reply: Equatable, Sendable {
    /// To READ-TIMESTAMP.
    case timestamp(CommittedClaim)
    /// To PREPARE: the signed statement, and the highest committed timestamp the server knows, verified or not.
    case prepared(SignedStatement, committed: Timestamp?)
    /// To COMMIT of the version named: it, or a higher one, is durably committed here.
    case committed(Timestamp)
    /// To READ: the committed version, and what the server holds of the version asked for.
    case version(CommittedClaim, HeldParts?)
    /// To any request: what was wrong with it; it changed nothing.
    case refused(Refusal)
}

/// A server's claim about what it has seen committed, and the proof it has. One reference, since every answer of every
/// server carries a claim and clients look at all of them again with each one more.
package final class CommittedClaim: Equatable, Sendable {
    /// The highest committed version that this server knows to be sound: in the modes that verify at PREPARE, the
    /// highest committed one. nil: there was never any.
    package let certificate: Certificate?
    /// In the modes that verify later, every committed version above it, in ascending order.
    package let unverified: [Certificate]
    /// Versions above it of which this server can prove that they are poisonous, in ascending order.
    package let poisonous: [PoisonousVersion]

    package init(
        certificate: Certificate?, unverified: [Certificate] = [], poisonous: [PoisonousVersion] = []
    ) {
        self.certificate = certificate
        self.unverified = unverified
        self.poisonous = poisonous
    }

    package static func == (left: CommittedClaim, right: CommittedClaim) -> Bool {
        left === right
            || left.certificate == right.certificate && left.unverified == right.unverified
                && left.poisonous == right.poisonous
    }

    /// The version that the server vouches for as sound.
    package var verified: Timestamp? { certificate?.timestamp }

    /// The highest committed version, verified or not.
    package var timestamp: Timestamp? { unverified.last?.timestamp ?? certificate?.timestamp }

    /// The highest version named at all: a correct server's never goes down, as `timestamp` does when a version turns
    /// out to be poisonous.
    var highest: Timestamp? {
        let committed = timestamp
        guard let poisonous = poisonous.last?.timestamp, committed.precedes(poisonous) else { return committed }
        return poisonous
    }

    /// The highest committed version but for those.
    func highest(except excluded: Set<Timestamp>) -> Timestamp? {
        unverified.last { !excluded.contains($0.timestamp) }?.timestamp
            ?? certificate.flatMap { excluded.contains($0.timestamp) ? nil : $0.timestamp }
    }

    /// The committed versions named, verified or not, in ascending order.
    package var certificates: [Certificate] { (certificate.map { [$0] } ?? []) + unverified }

    /// Whether the server names the version as committed; nil stands for "none ever was".
    package func names(_ timestamp: Timestamp?) -> Bool {
        guard let timestamp else { return self.timestamp == nil }
        return certificate?.timestamp == timestamp || unverified.contains { $0.timestamp == timestamp }
    }
}

/// A version whose fragments are no block's encoding, with what servers have signed to say so.
package struct PoisonousVersion: Equatable, Sendable {
    package let timestamp: Timestamp
    /// *Poisonous* statements of distinct servers, in the servers' order; f + 1 of them prove it.
    package let statements: [SignedStatement]

    package init(timestamp: Timestamp, statements: [SignedStatement]) {
        self.timestamp = timestamp
        self.statements = statements.sorted { $0.node < $1.node }
    }
}

/// What a server holds of one version.
package struct HeldParts: Equatable, Sendable {
    package let timestamp: Timestamp
    /// Whose fragments they are among the object's.
    package let position: Position
    package let descriptor: SealedDescriptor
    /// The server's fragments, one for each stripe; nil when none were asked for or they are not held.
    package let fragments: [SharedBytes]?

    package init(
        timestamp: Timestamp, position: Position, descriptor: SealedDescriptor, fragments: [SharedBytes]?
    ) {
        self.timestamp = timestamp
        self.position = position
        self.descriptor = descriptor
        self.fragments = fragments
    }
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

/// Why a server did not do what a request asked (docs/protocol.md, What bad input gets). A refusal changes no state.
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
    /// The client has as many uncommitted versions at this object as it may: these.
    case tooManyPending([PendingVersion])
    /// Too many requests wait for this object.
    case busy
    /// The version is known to be poisonous.
    case poisonous
    /// So many versions wait to be verified that no more are taken until they are.
    case tooManyUnverified(limit: Int)
    /// The server's disk is full.
    case storageFull
    /// The server cannot read or write its storage.
    case storageFailed
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
        case .tooManyPending(let versions): "\(versions.count) uncommitted versions of this client are pending"
        case .busy: "too many requests wait for this object"
        case .poisonous: "the version's fragments are known to be no value's encoding"
        case .tooManyUnverified(let limit): "\(limit) versions of the object wait to be verified"
        case .storageFull: "the server's disk is full"
        case .storageFailed: "the server cannot use its storage"
        }
    }
}

extension Refusal {
    /// Whether this answers a PREPARE and nothing else; in another phase it is a late answer and says nothing.
    package var answersPrepareOnly: Bool {
        switch self {
        case .foreignTimestamp, .foreignPosition, .wrongFragmentCount, .tooManyStripes, .invalidFragment,
            .justificationRequired,
            .counterSkipped, .invalidAdmission, .tooManyPending, .tooManyUnverified:
            true
        case .notEntitled, .digestMismatch, .foreignDescriptor, .foreignGroup, .unknownEpoch, .invalidCertificate,
            .busy, .poisonous, .storageFull,
            .storageFailed:
            false
        }
    }

    /// Whether the same request may well be granted later, without anything having been wrong with it.
    package var isTransient: Bool {
        switch self {
        case .busy, .tooManyUnverified, .unknownEpoch: true
        case .invalidCertificate(let error): error.isIgnorance
        default: false
        }
    }
}
