// What a liar can make with its own key: statements, and certificates that are none.

import ErasureCode
import Fingerprint
import QuorumProtocol

extension FaultContext {
    func placement(of key: ObjectKey) -> Placement { parameters.placement(of: key) }

    /// The liar's place among the object's; any when it has none, which nobody asks for.
    func position(of key: ObjectKey) -> Position { placement(of: key).position(of: node) ?? Position(0) }

    /// The liar's own statement, validly signed, whether or not it is true.
    func sign(_ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored) -> SignedStatement {
        signer.signing(key, timestamp, claim, in: placement(of: key).scope)
    }

    /// The statements of the conspirators who are members of the object's group.
    func conspirators(_ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored) -> [SignedStatement] {
        let placement = placement(of: key)
        return conspiracy.signers.filter { placement.group.contains($0.node) }
            .map { $0.signing(key, timestamp, claim, in: placement.scope) }
    }

    /// q statements in ascending order of servers: those at hand, and the liar's own signature under all other names.
    func forgedCertificate(
        _ key: ObjectKey, _ timestamp: Timestamp, with atHand: [SignedStatement] = []
    ) -> Certificate {
        let placement = placement(of: key)
        let own = sign(key, timestamp)
        var statements: [SignedStatement] = []
        for known in atHand where !statements.contains(where: { $0.node == known.node }) {
            if statements.count < parameters.quorums.quorum { statements.append(known) }
        }
        for member in placement.group.members where statements.count < parameters.quorums.quorum {
            guard !statements.contains(where: { $0.node == member }) else { continue }
            statements.append(own.altered(node: member))
        }
        return placement.certificate(of: timestamp, statements)
    }

    /// The best that all conspirators together can do for a version: their own genuine statements, and those of correct
    /// servers that they have seen; filled up with forgeries when that is no quorum.
    func colludingCertificate(_ key: ObjectKey, _ timestamp: Timestamp) -> Certificate {
        forgedCertificate(
            key, timestamp, with: conspirators(key, timestamp) + conspiracy.statements(on: timestamp, of: key))
    }

    /// A version of the liar's own invention, sound in itself but for the missing certificate.
    mutating func fabricate(_ key: ObjectKey, above timestamp: Timestamp?) -> ForgedVersion {
        let counter = inflatedCounter(above: timestamp)
        let writer =
            timestamp.map(\.writer) ?? ClientID(high: generator.next(), low: generator.next())
        let value = Array("nobody wrote this: ".utf8) + generator.bytes(count: generator.within(1...24))
        return ForgedVersion.make(key: key, value: value, counter: counter, writer: writer, parameters: parameters)
    }

    /// One ahead, a little ahead, far ahead, or the last counter there is.
    mutating func inflatedCounter(above timestamp: Timestamp?) -> UInt64 {
        let step = [1, 2, 1 << 40, UInt64.max][generator.below(4)]
        let (counter, overflow) = timestamp.counter.addingReportingOverflow(step)
        return overflow ? .max : counter
    }

    /// A timestamp that nobody ever wrote, above the given one.
    mutating func inflatedTimestamp(above timestamp: Timestamp?) -> Timestamp {
        let genuine = timestamp.map { ($0.writer, $0.digest) }
        let (writer, digest) =
            genuine ?? (ClientID(high: generator.next(), low: generator.next()), randomDigest())
        return Timestamp(counter: inflatedCounter(above: timestamp), writer: writer, digest: digest)
    }

    /// A digest of nothing.
    mutating func randomDigest() -> Digest256 { Digest256.sha256(generator.bytes(count: 16)) }

    /// Another member of the object's group.
    mutating func otherServer(of key: ObjectKey) -> NodeID {
        let others = placement(of: key).nodes.filter { $0 != node }
        return generator.pick(others) ?? node
    }
}

extension StatementSigner {
    /// This server's statement on a version. A library that refuses to sign leaves a statement that proves nothing.
    func signing(
        _ key: ObjectKey, _ timestamp: Timestamp, _ claim: Claim = .stored, in scope: StatementScope
    ) -> SignedStatement {
        signing([(key, timestamp, claim)], in: scope)[0]
    }

    /// Several statements under one signature, as a group commit makes them.
    func signing(
        _ versions: [(key: ObjectKey, timestamp: Timestamp, claim: Claim)], in scope: StatementScope
    ) -> [SignedStatement] {
        let statements = versions.map { version in
            Statement(
                scope: scope, node: node, incarnation: incarnation, key: version.key, timestamp: version.timestamp,
                claim: version.claim)
        }
        if let signed = try? sign(statements) { return signed }
        return versions.map { version in
            SignedStatement(
                node: node, incarnation: incarnation, claim: version.claim, leafIndex: 0, leafCount: 1, path: [],
                signature: [UInt8](repeating: 0, count: SignedStatement.signatureSizeBytes))
        }
    }
}

extension SignedStatement {
    /// The statement with some of its fields replaced after it was signed.
    func altered(
        node: NodeID? = nil, incarnation: Incarnation? = nil, claim: Claim? = nil, leafIndex: UInt32? = nil,
        leafCount: UInt32? = nil, path: [Digest256]? = nil, signature: [UInt8]? = nil
    ) -> SignedStatement {
        SignedStatement(
            node: node ?? self.node, incarnation: incarnation ?? self.incarnation, claim: claim ?? self.claim,
            leafIndex: leafIndex ?? self.leafIndex, leafCount: leafCount ?? self.leafCount, path: path ?? self.path,
            signature: signature ?? self.signature)
    }

    /// The statement with one bit of its signature turned.
    func withFlippedSignatureBit(_ generator: inout SeededGenerator) -> SignedStatement {
        guard !signature.isEmpty else { return self }
        var signature = signature
        signature[generator.below(signature.count)] ^= 1 << UInt8(generator.below(8))
        return altered(signature: signature)
    }
}

extension Timestamp {
    /// The timestamp with some of its parts replaced.
    func altered(counter: UInt64? = nil, writer: ClientID? = nil, digest: Digest256? = nil) -> Timestamp {
        Timestamp(
            counter: counter ?? self.counter, writer: writer ?? self.writer, digest: digest ?? self.digest)
    }
}

extension StatementScope {
    /// The scope with some of its parts replaced.
    func altered(epoch: UInt64? = nil, group: GroupID? = nil, mode: VerificationMode? = nil) -> StatementScope {
        StatementScope(
            cluster: cluster, epoch: epoch ?? self.epoch, group: group ?? self.group, mode: mode ?? self.mode)
    }
}

extension Certificate {
    /// The certificate with some of its parts replaced.
    func altered(
        epoch: UInt64? = nil, group: GroupID? = nil, timestamp: Timestamp? = nil, statements: [SignedStatement]? = nil
    ) -> Certificate {
        Certificate(
            epoch: epoch ?? self.epoch, group: group ?? self.group, timestamp: timestamp ?? self.timestamp,
            statements: statements ?? self.statements)
    }
}

/// Alterations of a certificate after which it proves nothing.
package enum CertificateAlteration: CaseIterable, Sendable {
    case counter, writer, digest, droppedStatement, repeatedStatement, addedStatement, swappedNames, foreignServer,
        signatureBit, claim, incarnation, path, leafCount, epoch, group, empty

    /// The altered certificate; a genuine one becomes invalid, whatever the alteration.
    package func apply(to certificate: Certificate, _ generator: inout SeededGenerator) -> Certificate {
        let timestamp = certificate.timestamp
        var statements = certificate.statements
        guard !statements.isEmpty else {
            return certificate.altered(timestamp: timestamp.altered(counter: timestamp.counter &+ 1))
        }
        let position = generator.below(statements.count)
        let victim = statements[position]
        switch self {
        case .counter:
            let (counter, overflow) = timestamp.counter.addingReportingOverflow(1)
            return certificate.altered(timestamp: timestamp.altered(counter: overflow ? 1 : counter))
        case .writer:
            let writer = ClientID(high: ~timestamp.writer.high, low: timestamp.writer.low)
            return certificate.altered(timestamp: timestamp.altered(writer: writer))
        case .digest:
            let digest = Digest256.sha256(timestamp.digest.bytes)
            return certificate.altered(timestamp: timestamp.altered(digest: digest))
        case .droppedStatement: statements.remove(at: position)
        case .repeatedStatement: statements[position] = statements[(position + 1) % statements.count]
        case .addedStatement: statements.append(victim)
        case .swappedNames:
            let other = (position + 1) % statements.count
            statements[position] = victim.altered(node: statements[other].node)
            statements[other] = statements[other].altered(node: victim.node)
        case .foreignServer: statements[position] = victim.altered(node: NodeID(.max))
        case .signatureBit: statements[position] = victim.withFlippedSignatureBit(&generator)
        case .claim:
            statements[position] = victim.altered(claim: victim.claim == .stored ? .superseded : .stored)
        case .incarnation:
            statements[position] = victim.altered(incarnation: Incarnation(victim.incarnation.rawValue &+ 1))
        case .path:
            statements[position] = victim.altered(path: victim.path + [Digest256.sha256(generator.bytes(count: 8))])
        case .leafCount: statements[position] = victim.altered(leafCount: victim.leafCount &+ 1)
        case .epoch:
            return certificate.altered(epoch: certificate.epoch &+ 1 &+ UInt64(generator.below(2)))
        case .group:
            let step = UInt32(generator.within(1...3))
            return certificate.altered(group: GroupID(certificate.group.rawValue &+ step))
        case .empty: statements = []
        }
        if statements == certificate.statements { statements = [] }
        return certificate.altered(statements: statements)
    }
}

extension Request {
    /// READ, READ-TIMESTAMP or FETCH-CERTIFICATE.
    var isQuestion: Bool {
        switch self {
        case .read, .readTimestamp, .certificate: true
        case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
        }
    }

    /// A question's answer that claims a version to be committed; nil for what is no question.
    func answer(claiming certificate: Certificate?, parts: HeldParts? = nil) -> Reply? {
        switch self {
        case .readTimestamp: .timestamp(CommittedClaim(certificate: certificate))
        case .read: .version(CommittedClaim(certificate: certificate), parts)
        case .certificate: .certificate(CommittedClaim(certificate: certificate), certificate)
        case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
        }
    }
}
