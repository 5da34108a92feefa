// The mode `none`: nothing is signed, and only there does what is not signed count.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Unsigned statements")
struct UnsignedModeTests {
    private static let signedModes = VerificationMode.allCases.filter { $0 != .none }

    @Test("are what the mode none works with, a server being down")
    func accepted() {
        for shape in [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)] {
            let simulation = Simulation(shape.group(.none))
            for server in simulation.group.servers.suffix(simulation.group.quorums.faults) { simulation.crash(server) }
            let wrote = simulation.write("value").wrote
            #expect(wrote?.certificate.statements.allSatisfy { $0.signature.isEmpty } ?? false)
            #expect(simulation.read().text == "value")
            #expect(simulation.write(nil).wrote?.timestamp.counter == 2)
            #expect(simulation.read().text == nil && simulation.read().read != nil)
        }
    }

    /// Found by simulation: an answer to the PREPARE of a version that a client finished counted for its new one.
    @Test("on one version are none on another, of whatever counter, digest or object")
    func bound() throws {
        let group = TestGroup(mode: .none)
        let version = group.version(.photo, "value", counter: 1)
        let signed = group.statement(of: 0, .photo, version.timestamp)
        #expect(throws: Never.self) { try group.verifier.verify(signed, key: .photo, timestamp: version.timestamp) }
        let digest = version.timestamp.digest
        let others = [
            (ObjectKey.photo, Timestamp(counter: 2, writer: .alice, digest: digest)),
            (.photo, Timestamp(counter: 1, writer: .bob, digest: digest)),
            (.photo, group.version(.photo, "other", counter: 1).timestamp), (.other, version.timestamp),
        ]
        for (key, timestamp) in others {
            #expect(throws: CertificateError.invalidPath(group.node(0))) {
                try group.verifier.verify(signed, key: key, timestamp: timestamp)
            }
        }
    }

    @Test("make two writings of one value two versions all the same")
    func salted() {
        let parameters = TestGroup(mode: .none).parameters
        func digest() -> Digest256 {
            let value = SharedBytes(Array("value".utf8))
            return EncodedValue(value, key: .photo, metadata: ObjectMetadata(), parameters: parameters).descriptor
                .digest
        }
        #expect(digest() != digest())
    }

    @Test("count for nothing where statements are signed", arguments: signedModes)
    func refused(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let unsigning = TestGroup(mode: .none)
        let version = group.version(.photo, "value", counter: 1)
        let unsigned = unsigning.servers.prefix(3).map { unsigning.statement(of: $0, .photo, version.timestamp) }
        let certificate = group.certificate(version.timestamp, unsigned)
        #expect(throws: CertificateError.invalidPath(group.node(0))) {
            try group.verifier.verify(certificate, key: .photo)
        }
        let host = ReplicaHost(group, 0)
        #expect(
            host.answer(version.commit(certificate)) == .refused(.invalidCertificate(.invalidPath(group.node(0)))))
        let simulation = Simulation(group)
        simulation.rewrites[2] = { _, _, reply in
            guard case .prepared(let signed, let committed) = reply else { return [reply] }
            let bare = SignedStatement(
                node: group.node(2), incarnation: signed.incarnation, claim: signed.claim, leafIndex: 0, leafCount: 1,
                path: [],
                signature: [])
            return [.prepared(bare, committed: committed)]
        }
        let wrote = simulation.write("value").wrote
        #expect((wrote?.certificate.statements).map { group.signers($0) } == [0, 1, 3])
        #expect(wrote?.observations.misbehaviours[2] == .invalidStatement(.invalidSignature(group.node(2))))
    }

    @Test("of another mode's cluster count for nothing, signed or not", arguments: signedModes, signedModes)
    func foreignMode(mode: VerificationMode, other: VerificationMode) {
        guard mode != other else { return }
        let (group, foreign) = (TestGroup(mode: mode), TestGroup(mode: other))
        let version = group.version(.photo, "value", counter: 1)
        let certificate = group.certificate(
            version.timestamp,
            foreign.servers.prefix(3).map { foreign.statement(of: $0, .photo, version.timestamp) })
        #expect(throws: CertificateError.invalidSignature(group.node(0))) {
            try group.verifier.verify(certificate, key: .photo)
        }
    }
}
