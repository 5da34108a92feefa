// Which lives of servers count: those that the list of keys names last (docs/protocol.md, Rebuilding).

import Crypto
import QuorumProtocol
import Testing

@Suite("Fences")
struct FencesTests {
    private let group = TestGroup()

    private func entry(_ node: UInt16, _ incarnation: UInt64) -> KeyEntry {
        KeyEntry(
            node: NodeID(node), incarnation: Incarnation(incarnation), key: P256.Signing.PrivateKey().publicKey)
    }

    @Test("follow from the list of keys: of each server's lives the last one counts")
    func list() throws {
        let fences = Fences(try KeyList([entry(0, 1), entry(1, 1), entry(1, 4), entry(1, 2), entry(2, 3)]))
        #expect(fences.incarnation(of: NodeID(0)) == Incarnation(1))
        #expect(fences.incarnation(of: NodeID(1)) == Incarnation(4))
        #expect(fences.incarnation(of: NodeID(2)) == Incarnation(3))
        #expect(fences.incarnation(of: NodeID(9)) == Incarnation(1))
        #expect(fences.outliving(Incarnation(3), of: NodeID(1)) == Incarnation(4))
        for life in [4, 5] as [UInt64] { #expect(fences.outliving(Incarnation(life), of: NodeID(1)) == nil) }
    }

    @Test("only rise, in whatever order keys become known")
    func rise() {
        let raised = group.renew(1, incarnation: 3)
        #expect(raised.incarnation(of: group.node(1)) == Incarnation(3))
        for life in [2, 1, 3] as [UInt64] { #expect(group.renew(1, incarnation: life) == raised) }
        #expect(group.renew(1, incarnation: 4).incarnation(of: group.node(1)) == Incarnation(4))
    }

    @Test("make a certificate count no more, which stays the proof that it was")
    func certificate() throws {
        let version = group.version(.photo, "value", counter: 1)
        let certificate = group.certificate(of: version)
        let (first, other) = (group.statement(of: 2, .photo, version.timestamp), group.servers[0])
        #expect(try group.verifier.verifyCounting(certificate, key: .photo).timestamp == version.timestamp)
        let fences = group.renew(2)
        #expect(fences.fencedServer(in: certificate) == group.node(2) && !fences.counts(first))
        #expect(fences.counts(group.statement(of: other, .photo, version.timestamp)))
        #expect(throws: CertificateError.fenced(group.node(2))) {
            try group.verifier.verifyCounting(certificate, key: .photo)
        }
        #expect(throws: CertificateError.fenced(group.node(2))) {
            try group.verifier.verifyCounting(first, key: .photo, timestamp: version.timestamp)
        }
        // Whoever has remembered it, and whoever has not.
        for verifier in [group.verifier, group.freshVerifier()] {
            #expect(try verifier.verify(certificate, key: .photo).timestamp == version.timestamp)
        }
        let second = group.certificate(of: version, by: [0, 1, 2], renewed: 2)
        #expect(try group.verifier.verifyCounting(second, key: .photo).timestamp == version.timestamp)
        #expect(CertificateError.fenced(group.node(2)).isIgnorance)
    }
}
