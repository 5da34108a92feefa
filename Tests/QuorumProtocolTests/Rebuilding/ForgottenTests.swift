// A replica whose store went back to an earlier state finds out by its own word (docs/protocol.md, Rebuilding).

import ErasureCode
import QuorumProtocol
import Testing

@Suite("A replica that is shown its own word")
struct ForgottenTests {
    private let group = TestGroup()
    private let host: ReplicaHost
    private let version: TestVersion
    /// By the servers 0 to 2, the host's among them.
    private let certificate: Certificate

    init() {
        host = ReplicaHost(group, 0)
        version = group.version(.photo, "value", counter: 1)
        certificate = group.certificate(of: version)
    }

    private func learn(_ certificate: Certificate, by host: ReplicaHost) throws {
        let verified = try group.verifier.verify(certificate, key: .photo)
        host.runToEnd(.learned(.photo, verified, number: 1))
    }

    @Test("of a version that it knows nothing of says that it has gone back, by COMMIT and by anti-entropy")
    func forgotten() throws {
        _ = host.answer(version.commit(certificate))
        #expect(host.forgotten == [version.timestamp])
        let other = ReplicaHost(group, 0)
        try learn(certificate, by: other)
        #expect(other.forgotten == [version.timestamp])
    }

    @Test("says nothing of what it holds, has lost and knows that, or has committed, or where it has not signed")
    func known() throws {
        host.expectStored(version)
        _ = host.answer(version.commit(certificate))
        _ = host.answer(version.commit(certificate))
        try learn(certificate, by: host)
        #expect(host.forgotten.isEmpty)

        let losing = ReplicaHost(group, 0)
        losing.expectStored(version)
        losing.runToEnd(.lost(.photo, [.fragments(version.timestamp)], answering: nil))
        _ = losing.answer(version.commit(certificate))
        #expect(losing.forgotten.isEmpty)

        let absent = ReplicaHost(group, 3)
        _ = absent.answer(version.commit(certificate))
        #expect(absent.forgotten.isEmpty)

        // What lies below the committed version is not looked for.
        let ahead = ReplicaHost(group, 0)
        let next = group.version(.photo, "next", counter: 2)
        _ = ahead.answer(next.commit(group.certificate(of: next, by: [1, 2, 3])))
        _ = ahead.answer(version.commit(certificate))
        #expect(ahead.forgotten.isEmpty)
    }

    @Test("does not count what it signed in an earlier life")
    func earlierLife() {
        let renewed = ReplicaHost(group, 0, incarnation: 2)
        _ = renewed.answer(version.commit(certificate))
        #expect(renewed.forgotten.isEmpty)
    }
}
