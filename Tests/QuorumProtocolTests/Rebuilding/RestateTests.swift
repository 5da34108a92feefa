// What a replica answers RESTATE: it signs what it has, or that it has something higher; what it lacks it takes up on
// the word of f + 1 servers, and signs once it has it (docs/protocol.md, Rebuilding).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("RESTATE")
struct RestateTests {
    private let group = TestGroup()
    private let host: ReplicaHost
    private let version: TestVersion
    /// By the servers 0 to 2, of which 2 has lost its memory.
    private let certificate: Certificate

    init() {
        host = ReplicaHost(group, 3)
        version = group.version(.photo, "value", counter: 1)
        certificate = group.certificate(of: version)
        host.fence(2)
    }

    private func stored(by servers: [Position], incarnation: UInt64 = 1) -> [SignedStatement] {
        servers.map { group.statement(of: $0, .photo, version.timestamp, incarnation: incarnation) }
    }

    /// Expects a statement of this server on the version.
    private func expectSigned(
        _ reply: Reply, _ claim: Claim, by group: TestGroup? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        guard case .prepared(let signed, _) = reply else {
            Issue.record("\(reply)", sourceLocation: sourceLocation)
            return
        }
        let group = group ?? self.group
        let verified = try group.verifier.verifyCounting(signed, key: .photo, timestamp: version.timestamp)
        #expect(verified.signed.claim == claim, sourceLocation: sourceLocation)
        #expect(verified.signed.node == group.node(3), sourceLocation: sourceLocation)
    }

    private func expectRefused(
        _ reply: @autoclosure () -> Reply, _ refusal: Refusal, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = host.store
        #expect(reply() == .refused(refusal), sourceLocation: sourceLocation)
        #expect(host.store == before && host.changesUnderWay.isEmpty, sourceLocation: sourceLocation)
    }

    @Test("is signed by who has the version, committed or not, and commits nothing")
    func held() throws {
        host.expectStored(version)
        let before = host.store
        try expectSigned(host.restate(version, certificate), .stored)
        #expect(host.store == before && host.record(.photo).committed == nil)
        _ = host.answer(version.commit(group.certificate(of: version, by: [0, 1, 3])))
        host.crash()
        try expectSigned(host.restate(version, certificate), .stored)
    }

    @Test("is signed as superseded by who has something higher committed, and lacks the version")
    func superseded() throws {
        let next = group.version(.photo, "next", counter: 2)
        host.runToEnd(.learned(.photo, try verified(group.certificate(of: next, by: [0, 1, 3])), number: 1))
        try expectSigned(host.restate(version, certificate), .superseded)
        // One that is not committed says nothing.
        let other = ReplicaHost(group, 3)
        let pending = group.version(.photo, "pending", counter: 1, writer: ClientID(high: 1, low: 0))
        other.expectStored(pending)
        #expect(pending.timestamp > version.timestamp)
        #expect(other.restate(version, certificate) == .refused(.invalidAdmission(have: 0, need: 2)))
    }

    private func verified(_ certificate: Certificate) throws -> VerifiedCertificate {
        try group.verifier.verify(certificate, key: .photo)
    }

    @Test("is refused by who lacks the version, unless f + 1 servers say that they have it, in lives that count")
    func unproven() {
        let good = stored(by: [0, 1])
        var forged = stored(by: [0, 3])
        forged[0] = SignedStatement(
            node: group.node(0), incarnation: Incarnation(1), claim: .stored, leafIndex: 0, leafCount: 1, path: [],
            signature: forged[1].signature)
        let superseded = group.statement(of: 1, .photo, version.timestamp, .superseded)
        let elsewhere = group.statement(of: 1, .other, version.timestamp)
        expectRefused(host.restate(version, certificate), .invalidAdmission(have: 0, need: 2))
        expectRefused(host.restate(version, certificate, describes: true), .invalidAdmission(have: 0, need: 2))
        // The certificate itself says no more than that it was so once.
        for few in [
            [good[0]], [good[0], good[0]], stored(by: [0, 2]), [forged[0], good[1]], [good[0], superseded],
            [good[0], elsewhere], stored(by: [0]) + stored(by: [1], incarnation: 7),
        ] {
            expectRefused(
                host.restate(version, certificate, describes: true, few), .invalidAdmission(have: 1, need: 2))
        }
        expectRefused(host.restate(version, certificate, good), .invalidAdmission(have: 2, need: 2))
        #expect(host.record(.photo) == ObjectRecord() && host.wanted() == nil)
    }

    @Test("is refused with a descriptor of something else, and with a certificate that proves nothing")
    func wrong() throws {
        let statements = stored(by: [0, 1])
        let other = group.version(.photo, "other", counter: 1)
        func restate(_ certificate: Certificate, _ descriptor: SealedDescriptor?) -> Reply {
            host.answer(
                .restate(
                    Restate(key: .photo, certificate: certificate, descriptor: descriptor, statements: statements)),
                from: .server(group.node(0)))
        }
        expectRefused(restate(certificate, other.descriptor), .digestMismatch)
        let foreign = group.version(.other, "value", counter: 1)
        let taken = TestVersion(
            timestamp: foreign.timestamp, descriptor: foreign.descriptor, fragments: foreign.fragments)
        let naming = group.certificate(
            taken.timestamp, [0, 1, 2].map { group.statement(of: $0, .photo, taken.timestamp) })
        expectRefused(restate(naming, foreign.descriptor), .foreignDescriptor)
        let forged = group.forgedCertificate(.photo, version.timestamp, liar: 1)
        for descriptor in [nil, version.descriptor] {
            guard case .refused(.invalidCertificate) = restate(forged, descriptor) else {
                Issue.record("a forged certificate is believed")
                return
            }
        }
        #expect(host.record(.photo) == ObjectRecord())
    }

    @Test("has who lacks the version want it, and sign it once it is there")
    func takenUp() throws {
        let statements = stored(by: [0, 1])
        #expect(host.restate(version, certificate, describes: true, statements) == .refused(.notHeld))
        #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
        #expect(host.record(.photo).committed == nil)
        // Whatever it is told until then, nothing changes, and nothing is signed.
        host.crash()
        host.runToEnd(.fenced(group.verifier.fences))
        for (descriptor, some) in [(true, statements), (false, []), (true, [])] {
            expectRefused(host.restate(version, certificate, describes: descriptor, some), .notHeld)
        }
        host.expectTaken(version.found(for: 3))
        #expect(host.state(version) == .held && host.wanted() == nil)
        try expectSigned(host.restate(version, certificate), .stored)
        #expect(host.record(.photo).committed == nil, "a quorum of statements is what commits")
        let counting = group.certificate(of: version, by: [0, 1, 3])
        #expect(host.answer(version.commit(counting)) == .committed(version.timestamp, needsDescriptor: false))
    }

    @Test("has a tombstone held at once, of which there is nothing to bring")
    func tombstone() throws {
        let gone = group.version(.photo, nil, counter: 1)
        let statements = [0, 1].map { group.statement(of: $0, .photo, gone.timestamp) }
        let certificate = group.certificate(of: gone)
        #expect(host.restate(gone, certificate, describes: true, statements) == .refused(.notHeld))
        #expect(host.wanted() == nil)
        guard case .prepared(let signed, _) = host.restate(gone, certificate) else {
            Issue.record("it is not signed")
            return
        }
        #expect(signed.claim == .stored)
    }

    @Test("is not signed by who has lost the fragments, nor by who has committed and lacks them")
    func lost() throws {
        let counting = group.certificate(of: version, by: [0, 1, 3])
        host.runToEnd(.learned(.photo, try verified(counting), number: 1))
        #expect(host.record(.photo).committed?.timestamp == version.timestamp)
        // It is needed here now, be it that a partial write left it out.
        #expect(host.restate(version, certificate, describes: true, stored(by: [0, 1])) == .refused(.notHeld))
        #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
        host.expectTaken(version.found(for: 3))
        try expectSigned(host.restate(version, certificate), .stored)
        let other = ReplicaHost(group, 3)
        other.expectStored(version)
        other.runToEnd(.lost(.photo, [.fragments(version.timestamp)], answering: nil))
        #expect(other.state(version) == .lost)
        #expect(other.restate(version, certificate) == .refused(.notHeld))
    }

    @Test("is refused of what is known to be poisonous")
    func poisonous() {
        let group = TestGroup(mode: .lazy)
        let host = ReplicaHost(group, 3)
        let good = group.version(.photo, "good", counter: 1)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
        for version in [good, poison] {
            host.prepare(version)
            host.commit(version)
        }
        host.runToEnd(.found(.photo, group.findings(group.shown([good, poison]), by: 3)))
        #expect(host.record(.photo).isPoisonous(poison.timestamp))
        host.fence(2)
        #expect(host.restate(poison, group.certificate(of: poison)) == .refused(.poisonous))
    }
}
