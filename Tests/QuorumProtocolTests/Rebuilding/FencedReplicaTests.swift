// One replica, once a list of keys says that a server has lost its memory: nothing is committed any more by what that
// server said before, and all that is committed already stays so (docs/protocol.md, Rebuilding).

import ErasureCode
import QuorumProtocol
import Testing

@Suite("A replica and statements of an earlier life")
struct FencedReplicaTests {
    private let group = TestGroup()
    private let host: ReplicaHost
    private let version: TestVersion
    /// By the servers 0 to 2.
    private let certificate: Certificate
    /// By the servers 0, 1 and 3.
    private let counting: Certificate

    init() {
        host = ReplicaHost(group, 0)
        version = group.version(.photo, "value", counter: 1)
        certificate = group.certificate(of: version)
        counting = group.certificate(of: version, by: [0, 1, 3])
    }

    /// Expects that a request is refused as fenced, changes nothing, and has the certificate restated.
    private func expectFenced(
        _ request: Request, _ certificate: Certificate, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = host.store
        host.restated = []
        for count in 1...2 {
            #expect(host.answer(request) == group.fencedRefusal(2), sourceLocation: sourceLocation)
            #expect(host.store == before, sourceLocation: sourceLocation)
            #expect(host.restated == Array(repeating: certificate, count: count), sourceLocation: sourceLocation)
        }
    }

    @Test("COMMIT is refused for now, changes nothing, and has the certificate restated")
    func commit() {
        host.expectStored(version)
        host.fence(2)
        expectFenced(version.commit(certificate), certificate)
        #expect(Refusal.invalidCertificate(.fenced(group.node(2))).isTransient)
        #expect(host.answer(version.commit(counting)) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.record(.photo).committed?.certificate == counting && host.restated.count == 2)
    }

    @Test("what the server signs in its next life counts, and in a later one than that nothing before it")
    func nextLife() {
        host.expectStored(version)
        host.fence(2)
        let second = group.certificate(of: version, by: [0, 1, 2], renewed: 2)
        host.runToEnd(.fenced(group.renew(2, incarnation: 3)))
        expectFenced(version.commit(second), second)
        let other = ReplicaHost(TestGroup(), 0)
        let same = other.group.certificate(of: version, by: [0, 1, 2], renewed: 2)
        other.expectStored(version)
        other.fence(2)
        #expect(other.answer(version.commit(same)) == .committed(version.timestamp, needsDescriptor: false))
    }

    @Test("a justification is refused, and what it would justify is not taken")
    func justification() {
        let next = group.version(.photo, "next", counter: 2)
        host.expectStored(version)
        host.fence(2)
        expectFenced(.prepare(next.prepare(for: 0, justification: certificate)), certificate)
        #expect(host.record(.photo).committed == nil && host.record(.photo).version(next.timestamp) == nil)
        guard case .prepared = host.answer(.prepare(next.prepare(for: 0, justification: counting))) else {
            Issue.record("one that counts is refused")
            return
        }
        #expect(host.record(.photo).committed?.certificate == counting)
    }

    @Test("an admission is refused of which too few count")
    func admission() {
        let statements = [1, 2, 3].map { group.statement(of: $0, .photo, version.timestamp) }
        host.fence(2)
        let before = host.store
        let fenced = Request.prepare(version.prepare(for: 0, admission: Array(statements.prefix(2))))
        #expect(host.answer(fenced) == .refused(.invalidAdmission(have: 1, need: 2)) && host.store == before)
        guard
            case .prepared = host.answer(.prepare(version.prepare(for: 0, admission: [statements[0], statements[2]])))
        else {
            Issue.record("one that counts is refused")
            return
        }
    }

    /// What was verified before the fence came.
    enum Verified: CaseIterable {
        case commit
        case justification
        case admission
    }

    @Test("what was verified before the list came is judged by the list all the same", arguments: Verified.allCases)
    func fenceBetween(kind: Verified) throws {
        let next = group.version(.photo, "next", counter: 2)
        host.expectStored(version)
        let admission = [1, 2].map { group.statement(of: $0, .photo, version.timestamp) }
        let (request, refusal): (Request, Refusal) =
            switch kind {
            case .commit: (version.commit(certificate), .invalidCertificate(.fenced(group.node(2))))
            case .justification:
                (
                    .prepare(next.prepare(for: 0, justification: certificate)),
                    .invalidCertificate(.fenced(group.node(2)))
                )
            case .admission:
                (.prepare(version.prepare(for: 0, admission: admission)), .invalidAdmission(have: 1, need: 2))
            }
        let before = host.store
        let verification = host.handle(
            .request(RequestTag(session: 9, request: 9), from: .client(.alice), request))
        try #require(verification.count == 1)
        guard case .input(let verified) = host.run(verification[0]) else {
            Issue.record("nothing is verified")
            return
        }
        host.fence(2)
        #expect(host.runToEnd(verified) == [.refused(refusal)] && host.store == before)
    }

    @Test("what is committed here already, or something higher, is acknowledged as ever")
    func committedBefore() {
        host.expectStored(version)
        host.expectCommitted(version)
        host.fence(2)
        let before = host.store
        #expect(host.answer(version.commit(certificate)) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.store == before && host.restated.isEmpty)
        let next = group.version(.photo, "next", counter: 2)
        host.expectStored(next)
        #expect(
            host.answer(next.commit(group.certificate(of: next, by: [0, 1, 3])))
                == .committed(next.timestamp, needsDescriptor: false))
        guard case .committed(version.timestamp, _) = host.answer(version.commit(certificate)) else {
            Issue.record("what is below what is committed is refused")
            return
        }
        // By a version that is committed one goes on above it.
        let above = group.version(.photo, "above", counter: 3)
        host.expectStored(above)
    }

    @Test("one that counts takes the place of one that does not, and never the other way round")
    func replaced() {
        host.expectStored(version)
        host.expectCommitted(version)
        host.fence(2)
        #expect(host.answer(version.commit(counting)) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.record(.photo).committed?.certificate == counting)
        let before = host.store
        for other in [certificate, group.certificate(of: version, by: [0, 1, 2], renewed: 2)] {
            _ = host.answer(version.commit(other))
            #expect(host.store == before)
        }
        host.crash()
        #expect(host.record(.photo).committed?.certificate == counting)
    }

    @Test("the same holds of what waits to be verified", arguments: [VerificationMode.lazy, .readTime])
    func replacedUnverified(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let (host, version) = (ReplicaHost(group, 0), group.version(.photo, "value", counter: 1))
        let (old, new) = (group.certificate(of: version), group.certificate(of: version, by: [0, 1, 3]))
        let next = group.version(.photo, "next", counter: 2)
        host.prepare(version)
        host.commit(version)
        host.prepare(next)
        #expect(host.record(.photo).unverified.map(\.certificate) == [old])
        host.fence(2)
        #expect(host.answer(next.commit(group.certificate(of: next))) == group.fencedRefusal(2))
        #expect(host.answer(version.commit(old)) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.record(.photo).unverified.map(\.certificate) == [old])
        #expect(host.answer(version.commit(new)) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.record(.photo).unverified.map(\.certificate) == [new])
        _ = host.answer(version.commit(old))
        #expect(host.record(.photo).unverified.map(\.certificate) == [new])
    }

    @Test("what a verification finds is settled only by what counts, or was committed here before")
    func found() {
        for isCommitted in [false, true] {
            let group = TestGroup(mode: .lazy)
            let (host, version) = (ReplicaHost(group, 0), group.version(.photo, "value", counter: 1))
            host.prepare(version)
            if isCommitted { host.commit(version) }
            // Read before this server heard of the list.
            let findings = group.findings(group.shown([version]), by: 0)
            host.fence(2)
            host.runToEnd(.found(.photo, findings))
            #expect((host.record(.photo).committed != nil) == isCommitted)
        }
    }

    @Test("what another server shows to be committed is not taken over, but restated")
    func learned() throws {
        let verified = try group.verifier.verify(certificate, key: .photo)
        host.fence(2)
        let before = host.store
        host.runToEnd(.learned(.photo, verified, number: 5))
        #expect(host.store == before && host.restated == [certificate])
        #expect(host.repairEnds.map(\.failure) == [.notWanted])
    }

    @Test("whoever is to show a certificate that counts no more shows it, and has it restated")
    func shown() {
        host.expectStored(version)
        host.expectCommitted(version)
        let question = Request.certificate(.photo, version.timestamp)
        func shown() -> Certificate? {
            if case .certificate(_, let certificate) = host.answer(question) { certificate } else { nil }
        }
        #expect(shown() == certificate && host.restated.isEmpty)
        host.fence(2)
        #expect(shown() == certificate && host.restated == [certificate])
        _ = host.answer(version.commit(counting))
        #expect(shown() == counting && host.restated == [certificate])
    }

    @Test(
        "it is left to a server whose own earlier life is in it to have it restated",
        arguments: [0, 1, 2, 3] as [Position])
    func shownToFenced(asker: Position) {
        host.expectStored(version)
        host.expectCommitted(version)
        host.fence(2)
        let question = Request.certificate(.photo, version.timestamp)
        guard case .certificate(_, certificate) = host.answer(question, from: .server(group.node(asker))) else {
            Issue.record("\(asker) is not shown the certificate")
            return
        }
        #expect(host.restated == (asker == 2 ? [] : [certificate]), "\(asker)")
    }

    @Test("changes that were decided before the list came are under way until they are durable, and no others")
    func underWay() {
        host.expectStored(version)
        #expect(host.changesUnderWay.isEmpty)
        let stores = host.runToStore(
            .request(RequestTag(session: 9, request: 1), from: .client(.alice), version.commit(certificate)))
        #expect(stores.count == 1)
        // It waits for its turn at the object, and is judged when that comes.
        let next = group.version(.photo, "next", counter: 2)
        let waiting = host.runToStore(
            .request(
                RequestTag(session: 9, request: 2), from: .client(.alice), next.commit(group.certificate(of: next))))
        #expect(waiting.isEmpty)
        host.fence(2)
        let promised = host.changesUnderWay
        #expect(promised.count == 1)
        let replies = host.finish(stores)
        #expect(promised.isDisjoint(with: host.changesUnderWay))
        #expect(replies.contains(.committed(version.timestamp, needsDescriptor: false)))
        #expect(replies.contains(group.fencedRefusal(2)))
        #expect(host.record(.photo).committed?.timestamp == version.timestamp)
        #expect(host.changesUnderWay.isEmpty)
    }
}
