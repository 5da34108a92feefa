// Servers that lie about which version is committed (docs/protocol.md, Write, step 1; Read, step 1).

import ErasureCode
import QuorumProtocol

/// What a liar says in the place of its claim.
struct FalseClaim {
    let certificate: Certificate?
    /// Its parts of the version that it claims, for a READ that asks for the committed version's.
    var parts: HeldParts?
}

/// A server that lies about what is committed, and is honest in everything else.
protocol ClaimLiar: ServerFault {
    /// What is claimed instead of the truth; nil leaves the honest reply as it is.
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim?
}

extension ClaimLiar {
    mutating func send(
        _ reply: Reply, to client: ClientID, answering request: Request, _ context: inout FaultContext
    ) -> [Reply] {
        switch reply {
        case .timestamp(let genuine):
            guard let lie = claim(inPlaceOf: genuine, of: request.key, to: client, &context) else { return [reply] }
            return [.timestamp(told(lie, inPlaceOf: genuine, of: request.key, &context))]
        case .version(let genuine, let parts):
            guard case .read(let read) = request,
                let lie = claim(inPlaceOf: genuine, of: request.key, to: client, &context)
            else { return [reply] }
            let shown = read.version == nil ? lie.parts.flatMap { $0.limited(to: read.portion) } : parts
            return [.version(told(lie, inPlaceOf: genuine, of: request.key, &context), shown)]
        case .certificate:
            // Asked for its proof, it sticks to its story.
            guard case .certificate(let key, let timestamp) = request,
                let promised = context.conspiracy.promised(timestamp, of: key)
            else { return [reply] }
            return [.certificate(CommittedClaim(certificate: promised), promised)]
        case .prepared, .committed, .staged, .discarded, .fetched, .held, .refused:
            return [reply]
        }
    }

    /// The lie as a claim. Where versions are verified later, it may also stand among the versions that wait for that:
    /// one that is there is then the last, and what is above it hidden; any other comes on top of what is true.
    private func told(
        _ lie: FalseClaim, inPlaceOf genuine: CommittedClaim, of key: ObjectKey, _ context: inout FaultContext
    ) -> CommittedClaim {
        if let certificate = lie.certificate { context.conspiracy.promise(certificate, of: key) }
        guard context.parameters.mode.verifiesLater, let alleged = lie.certificate,
            context.generator.chance(percent: 50), genuine.verified.precedes(alleged.timestamp)
        else { return CommittedClaim(certificate: lie.certificate) }
        let isNamed = genuine.unverified.contains { $0.timestamp == alleged.timestamp }
        let others = genuine.unverified.filter { isNamed ? $0.timestamp < alleged.timestamp : true }
        return CommittedClaim(
            sound: genuine.sound,
            unverified: (others + [ClaimedVersion(alleged)]).sorted { $0.timestamp < $1.timestamp },
            poisonous: genuine.poisonous)
    }
}

extension HeldParts {
    /// No more than a READ of this portion gets.
    func limited(to portion: Read.Portion) -> HeldParts? {
        switch portion {
        case .timestamp: nil
        case .descriptor: HeldParts(timestamp: timestamp, position: position, descriptor: descriptor, fragments: nil)
        case .fragments: self
        }
    }
}

extension FaultContext {
    /// The certificate by which the honest replica has its highest version, or an older one; nil when none was seen.
    func newestCertificate(_ genuine: CommittedClaim, _ key: ObjectKey) -> Certificate? {
        let known = conspiracy.certificates(of: key).map(\.certificate)
        return known.last { genuine.names($0.timestamp) } ?? known.last
    }

    /// A genuine claim below `timestamp` with what the liar had of that version; no version at all when none is known.
    mutating func olderClaim(_ key: ObjectKey, below timestamp: Timestamp?) -> FalseClaim {
        let older = conspiracy.certificates(of: key).filter { $0.certificate.timestamp.precedes(timestamp) }
        guard let chosen = generator.pick(older) else { return FalseClaim(certificate: nil) }
        return FalseClaim(certificate: chosen.certificate, parts: seenParts(key, chosen.certificate.timestamp))
    }

    /// What the liar was seen to have of a version.
    func seenParts(_ key: ObjectKey, _ timestamp: Timestamp) -> HeldParts? {
        conspiracy.parts(of: timestamp, at: node).map {
            HeldParts(
                timestamp: $0.timestamp, position: position(of: key), descriptor: $0.descriptor,
                fragments: $0.fragments)
        }
    }

    /// What the liar would hold of a version.
    func parts(of version: ForgedVersion) -> HeldParts { version.parts(at: position(of: version.key)) }
}

/// Shows old versions, with their genuine certificates and fragments, as the newest. Against Read, step 1: the highest
/// valid claim of q servers counts, not the most frequent or the fastest.
struct StaleServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        context.olderClaim(key, below: genuine.timestamp)
    }
}

/// Claims that nothing was ever committed. Against Read, step 1, and the promise that f servers lose nothing.
struct DenyingServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? { FalseClaim(certificate: nil) }
}

/// Claims timestamps far ahead, up to the last one, without any proof. Against Promises (no exhaustion) and Write,
/// step 1: an unproven higher claim is no reply.
struct InflatingServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? { Self.claim(genuine, key, &context) }

    static func claim(_ genuine: CommittedClaim, _ key: ObjectKey, _ context: inout FaultContext) -> FalseClaim {
        let inflated = context.inflatedTimestamp(above: genuine.timestamp)
        switch context.generator.below(3) {
        case 0:
            return FalseClaim(certificate: context.placement(of: key).certificate(of: inflated, []))
        case 1:
            if let certificate = context.newestCertificate(genuine, key) {
                return FalseClaim(certificate: certificate.altered(timestamp: inflated))
            }
            return FalseClaim(certificate: context.forgedCertificate(key, inflated))
        default:
            return FalseClaim(certificate: context.forgedCertificate(key, inflated))
        }
    }
}

/// Answers every question with dozens of claims, each higher than the one before. Against Write, step 1: a claim that
/// is disproven must not keep the next one from being judged for ever.
struct FloodingServer: ServerFault {
    static let claimCount = 24

    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard request.isQuestion else { return .pass(request) }
        let first = Timestamp(
            counter: 1 << 32, writer: ClientID(high: 0, low: context.generator.next()), digest: context.randomDigest())
        let certificate = context.forgedCertificate(request.key, first)
        return .answer(
            (0..<Self.claimCount).compactMap { position in
                request.answer(
                    claiming: certificate.altered(
                        timestamp: first.altered(counter: first.counter + UInt64(position))))
            })
    }
}

/// Makes up whole versions, sound in themselves, under a forged certificate, and serves them. Against Promises (no
/// forgery): servers alone cannot make a version.
struct FabricatingServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let version = context.fabricate(key, above: genuine.timestamp)
        return FalseClaim(
            certificate: context.forgedCertificate(key, version.timestamp),
            parts: context.parts(of: version))
    }
}

extension ForgedVersion {
    /// What the server at a position would hold of it.
    func parts(at position: Position) -> HeldParts {
        HeldParts(
            timestamp: timestamp, position: position, descriptor: descriptor, fragments: fragments[position.offset])
    }
}

/// Shows genuine certificates with one thing altered: names, counts, signatures, the version they are of. Against
/// Statements and certificates: everything in a certificate is bound by its signatures.
struct AlteringServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        guard let certificate = context.newestCertificate(genuine, key) else { return nil }
        let alterations = CertificateAlteration.allCases
        let alteration = alterations[context.generator.below(alterations.count)]
        return FalseClaim(certificate: alteration.apply(to: certificate, &context.generator))
    }
}

/// Shows other objects' genuine certificates, or the statements of one version under the timestamp of another. Against
/// Statements and certificates: a statement is bound to its key and version.
struct ReplayingServer: ClaimLiar {
    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let foreign = context.conspiracy.certificates.filter { $0.isGenuine && $0.key != key }
        if let replayed = context.generator.pick(foreign) {
            return FalseClaim(certificate: replayed.certificate)
        }
        guard let certificate = context.newestCertificate(genuine, key) else { return nil }
        let older = context.conspiracy.certificates(of: key).first?.certificate ?? certificate
        return FalseClaim(
            certificate: older.altered(timestamp: context.inflatedTimestamp(above: certificate.timestamp)))
    }
}

/// Tells each client another story, and sticks to it: the truth, the past, or the future. Against Read: what one
/// correct reader returns, every later one must.
struct EquivocatingServer: ClaimLiar {
    private var faces: [ClientID: Int] = [:]

    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let face = faces[client] ?? faces.count % 3
        faces[client] = face
        switch face {
        case 0:
            return nil
        case 1:
            return context.olderClaim(key, below: genuine.timestamp)
        default:
            return InflatingServer.claim(genuine, key, &context)
        }
    }
}

/// Shows each new certificate to the first client that asks, and the one before to all others: the newest version is
/// proven to one reader only. Against Read, step 3 (write-back before returning).
struct SecretiveServer: ClaimLiar {
    private var confidants: [Timestamp: ClientID] = [:]

    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        guard let newest = genuine.timestamp else { return nil }
        let confidant = confidants[newest] ?? client
        confidants[newest] = confidant
        guard confidant != client else { return nil }
        return context.olderClaim(key, below: newest)
    }
}

/// Shows, now and then, certificates of versions that are committed nowhere: those that a conspiring client hides, and
/// those of COMMITs that it does not carry out itself. Against Read, step 3: a version that one reader returned must be
/// returned by all later ones, although its writer never committed it (scenarios 10 and 12).
struct LeakingServer: ClaimLiar {
    mutating func receive(_ request: Request, from client: ClientID, _ context: inout FaultContext) -> Intake {
        guard case .commit = request, context.generator.chance(percent: 50) else { return .pass(request) }
        return .swallow
    }

    mutating func claim(
        inPlaceOf genuine: CommittedClaim, of key: ObjectKey, to client: ClientID, _ context: inout FaultContext
    ) -> FalseClaim? {
        let hidden = context.conspiracy.certificates.filter {
            $0.key == key && genuine.timestamp.precedes($0.certificate.timestamp)
        }
        guard context.generator.chance(percent: 50), let leaked = context.generator.pick(hidden) else { return nil }
        return FalseClaim(
            certificate: leaked.certificate, parts: context.seenParts(key, leaked.certificate.timestamp))
    }
}
