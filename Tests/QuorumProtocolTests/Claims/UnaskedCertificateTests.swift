// CERTIFICATE that nobody asked for (docs/protocol.md, Claims: what was not asked for is not looked at).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A certificate that nobody asked for")
struct UnaskedCertificateTests {
    private static let groups = TestGroup.scenarioGroups

    /// What a server may send unasked: genuine, forged, or nothing, beside claims of all kinds.
    private static func replies(_ group: TestGroup, _ server: Position) -> [Reply] {
        let higher = group.version(.photo, "higher", counter: 5)
        let genuine = group.certificate(of: higher)
        let forged = group.forgedCertificate(.photo, higher.timestamp, liar: server)
        return [
            .certificate(CommittedClaim(certificate: genuine), genuine),
            .certificate(CommittedClaim(certificate: genuine), nil),
            .certificate(CommittedClaim(certificate: nil), nil),
            .certificate(CommittedClaim(certificate: nil), genuine),
            .certificate(CommittedClaim(certificate: forged), forged),
        ]
    }

    @Test("moves no reader and is held against nobody", arguments: groups)
    func reader(group: TestGroup) {
        let low = group.version(.photo, "low", counter: 1)
        var reader = Reader(parameters: group.parameters, key: .photo, wantsValue: true, preference: group.servers)
        var effects: [Reader.Effect] = []
        func sendUnasked() {
            effects = []
            for server in group.servers {
                for reply in Self.replies(group, server) { reader.handle(.reply(server, reply), into: &effects) }
            }
            #expect(effects.isEmpty)
        }
        reader.handle(.start, into: &effects)
        sendUnasked()
        for server in group.servers.prefix(group.quorums.quorum - 1) {
            reader.handle(
                .reply(server, group.showing(low, group.certificate(of: low), at: server)), into: &effects)
        }
        let fragments = effects
        for effect in fragments {
            guard case .work(_, let work) = Reader.step(effect, key: .photo, verifier: group.verifier) else { continue }
            reader.handle(work(), into: &effects)
        }
        sendUnasked()
        let last = group.servers[group.quorums.quorum - 1]
        let claim = CommittedClaim(certificate: group.certificate(of: low))
        reader.handle(.reply(last, .version(claim, nil)), into: &effects)
        guard case .finish(.success(let outcome))? = effects.last else {
            Issue.record("\(effects)")
            return
        }
        #expect(outcome.found.timestamp == low.timestamp && outcome.rounds == 1)
        #expect(outcome.observations.misbehaving.isEmpty)
    }

    @Test("moves no writer, in any phase", arguments: groups)
    func writer(group: TestGroup) {
        let low = group.version(.photo, "low", counter: 1)
        let own = group.version(.photo, "own", counter: 2)
        var writer = Writer(
            parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0))
        var effects: [Writer.Effect] = []
        func sendUnasked() {
            effects = []
            for server in group.servers {
                for reply in Self.replies(group, server) { writer.handle(.reply(server, reply), into: &effects) }
            }
            #expect(effects.isEmpty)
        }
        let quorum = group.servers.prefix(group.quorums.quorum)
        writer.handle(.start, into: &effects)
        writer.handle(.encoded(own.descriptor, fragments: own.fragments), into: &effects)
        sendUnasked()
        for server in quorum {
            let claim = CommittedClaim(certificate: group.certificate(of: low))
            writer.handle(.reply(server, .timestamp(claim)), into: &effects)
        }
        sendUnasked()
        for server in quorum {
            let signed = group.statement(of: server, .photo, own.timestamp)
            let verified = Result { () throws(CertificateError) in
                try group.verifier.verify(signed, key: .photo, timestamp: own.timestamp)
            }
            writer.handle(.reply(server, .prepared(signed, committed: low.timestamp)), into: &effects)
            writer.handle(.statementVerified(server, signed, own.timestamp, verified), into: &effects)
        }
        sendUnasked()
        for server in quorum {
            writer.handle(.reply(server, .committed(own.timestamp, needsDescriptor: false)), into: &effects)
        }
        guard case .finish(.success(let outcome))? = effects.last else {
            Issue.record("\(effects)")
            return
        }
        #expect(outcome.timestamp == own.timestamp && outcome.rounds == 3)
        #expect(outcome.observations.misbehaving.isEmpty)
    }

    @Test("is looked at once, when it was asked for, however often it comes", arguments: groups)
    func repeated(group: TestGroup) {
        let (low, high) = (group.version(.photo, "low", counter: 1), group.version(.photo, "high", counter: 2))
        var reader = Reader(parameters: group.parameters, key: .photo, wantsValue: true, preference: group.servers)
        var effects: [Reader.Effect] = []
        reader.handle(.start, into: &effects)
        for server in group.servers.prefix(group.quorums.quorum) {
            let claim = CommittedClaim(certificate: group.certificate(of: server == 0 ? high : low))
            reader.handle(.reply(server, .version(claim, nil)), into: &effects)
        }
        #expect(effects.count { $0.asksForCertificate } == 1)
        effects = []
        let certificate = group.certificate(of: high)
        let answer = Reply.certificate(CommittedClaim(certificate: certificate), certificate)
        for server in group.servers.reversed() {
            for _ in 0..<3 { reader.handle(.reply(server, answer), into: &effects) }
        }
        let verified = effects.compactMap { effect -> Position? in
            if case .verifyCertificate(let server, certificate) = effect { server } else { nil }
        }
        #expect(verified == [0])
    }
}
