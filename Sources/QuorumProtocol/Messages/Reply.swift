// What servers answer. All of it reflects durable state only.

import ErasureCode
import Fingerprint

/// A server's answer to one request; one reference, as a request is.
package indirect enum Reply: Equatable, Sendable {
    /// To READ-TIMESTAMP.
    case timestamp(CommittedClaim)
    /// To PREPARE: the signed statement, and the highest committed timestamp the server knows, verified or not.
    case prepared(SignedStatement, committed: Timestamp?)
    /// To COMMIT and DESCRIPTOR of the version named: it, or a higher one, is durably committed here. If it is this
    /// one, its descriptor may be missing here.
    case committed(Timestamp, needsDescriptor: Bool)
    /// To READ: the committed version, and what the server holds of the version asked for.
    case version(CommittedClaim, HeldParts?)
    /// To FETCH-CERTIFICATE: the claim of now, and the certificate of the version asked for or, if that is not named
    /// any more, of the highest one that is; nil when none is.
    case certificate(CommittedClaim, Certificate?)
    /// To STAGE: the stripe is durable here.
    case staged
    /// To DISCARD: what was staged to the upload is given back.
    case discarded
    /// To FETCH: what the server has of it.
    case fetched(FetchedParts)
    /// To LIST-HELD.
    case held(HeldList)
    /// To any request: what was wrong with it; it changed nothing.
    case refused(Refusal)
}

/// A version that a server says is committed, and by which certificate: whoever doubts it asks for that.
package struct ClaimedVersion: Hashable, Sendable {
    package let timestamp: Timestamp
    /// SHA-256 of the certificate's canonical bytes.
    package let certificateDigest: Digest256

    package init(_ timestamp: Timestamp, certificateDigest: Digest256) {
        self.timestamp = timestamp
        self.certificateDigest = certificateDigest
    }

    package init(_ certificate: Certificate) {
        self.init(certificate.timestamp, certificateDigest: certificate.digest)
    }
}

/// A server's claim about what it has seen committed (docs/protocol.md, Claims). One reference, since every answer of
/// every server carries a claim and clients look at all of them again with each one more.
package final class CommittedClaim: Equatable, Sendable {
    /// The highest committed version that this server knows to be sound: in the modes that verify at PREPARE, the
    /// highest committed one. nil: there was never any.
    package let sound: ClaimedVersion?
    /// In the modes that verify later, every committed version above it, in ascending order.
    package let unverified: [ClaimedVersion]
    /// Versions above it of which this server can prove that they are poisonous, in ascending order.
    package let poisonous: [PoisonousVersion]

    package init(sound: ClaimedVersion?, unverified: [ClaimedVersion] = [], poisonous: [PoisonousVersion] = []) {
        self.sound = sound
        self.unverified = unverified
        self.poisonous = poisonous
    }

    /// The claim of a server that has these certificates.
    package convenience init(
        certificate: Certificate?, unverified: [Certificate] = [], poisonous: [PoisonousVersion] = []
    ) {
        self.init(
            sound: certificate.map { ClaimedVersion($0) }, unverified: unverified.map { ClaimedVersion($0) },
            poisonous: poisonous)
    }

    package static func == (left: CommittedClaim, right: CommittedClaim) -> Bool {
        left === right
            || left.sound == right.sound && left.unverified == right.unverified && left.poisonous == right.poisonous
    }

    /// The version that the server vouches for as sound.
    package var verified: Timestamp? { sound?.timestamp }

    /// The highest committed version, verified or not.
    package var timestamp: Timestamp? { unverified.last?.timestamp ?? sound?.timestamp }

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
            ?? sound.flatMap { excluded.contains($0.timestamp) ? nil : $0.timestamp }
    }

    /// The committed versions named, verified or not, in ascending order.
    package var versions: [ClaimedVersion] { (sound.map { [$0] } ?? []) + unverified }

    /// Whether the server names the version as committed; nil stands for "none ever was".
    package func names(_ timestamp: Timestamp?) -> Bool {
        guard let timestamp else { return self.timestamp == nil }
        return sound?.timestamp == timestamp || unverifiedVersion(timestamp) != nil
    }

    /// The list may be a liar's, and is searched again and again.
    private func unverifiedVersion(_ timestamp: Timestamp) -> ClaimedVersion? {
        var (low, high) = (unverified.startIndex, unverified.endIndex)
        while low < high {
            let middle = (low + high) / 2
            if unverified[middle].timestamp < timestamp { low = middle + 1 } else { high = middle }
        }
        guard low < unverified.endIndex, unverified[low].timestamp == timestamp else { return nil }
        return unverified[low]
    }

    /// Whether this is a certificate of what the server names: of a committed version the very one, of a poisonous
    /// version any.
    package func names(_ certificate: Certificate) -> Bool {
        if poisonous.contains(where: { $0.timestamp == certificate.timestamp }) { return true }
        let named = sound?.timestamp == certificate.timestamp ? sound : unverifiedVersion(certificate.timestamp)
        return named?.certificateDigest == certificate.digest
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
