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
