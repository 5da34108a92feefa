// Refusals that a server takes back by granting the same request when it comes again.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Refusals that are taken back")
struct WithdrawnRefusalTests {
    private let group = TestGroup()
    private let version: TestVersion

    init() {
        version = group.version(.photo, "a value", counter: 1)
    }

    @Test("a server that refused COMMIT and then took it does not count among those that refuse")
    func commitTakenAfterAll() throws {
        var writer = committingWriter()
        let outcome = feed(
            &writer,
            [
                .reply(0, .refused(.storageFull)),
                .retransmit,
                .reply(0, .committed(version.timestamp, needsDescriptor: false)),
                .reply(1, .refused(.storageFull)),
                .reply(2, .committed(version.timestamp, needsDescriptor: false)),
                .reply(3, .committed(version.timestamp, needsDescriptor: false)),
            ])
        #expect(try outcome?.get().timestamp == version.timestamp)
    }

    @Test("more than f servers that refuse COMMIT and do not take it back end the write")
    func commitRefused() {
        var writer = committingWriter()
        let outcome = feed(&writer, [.reply(0, .refused(.storageFull)), .reply(1, .refused(.storageFull))])
        guard case .failure(.refused(.commit, _))? = outcome else {
            Issue.record("the write ended with \(String(describing: outcome))")
            return
        }
    }

    @Test("more than f servers that are full at first and then refuse PREPARE for good end the write")
    func fullThenRefused() {
        var writer = preparingWriter()
        let full = Reply.refused(.tooManyPending([]))
        #expect(feed(&writer, [.reply(0, full), .reply(1, full), .reply(0, .refused(.storageFull))]) == nil)
        guard case .failure(.refused(.prepare, _))? = feed(&writer, [.reply(1, .refused(.storageFull))]) else {
            Issue.record("the write goes on")
            return
        }
    }

    @Test("a server's list of pending versions is looked at once, however often it comes")
    func repeatedList() {
        var writer = preparingWriter()
        let left = group.version(.photo, "left behind", counter: 1)
        let list = Reply.refused(
            .tooManyPending([
                PendingVersion(
                    timestamp: left.timestamp, descriptor: left.descriptor,
                    statement: group.statement(of: 0, .photo, left.timestamp))
            ]))
        var effects: [Writer.Effect] = []
        for _ in 0..<5 { writer.handle(.reply(0, list), into: &effects) }
        let verifications = effects.filter { effect in
            if case .verifyStatement = effect { true } else { false }
        }
        #expect(verifications.count == 1)
    }

    @Test(
        "what more than f servers answer to a STAGE says nothing of a COMMIT that follows",
        arguments: [Refusal.stripeHeld, .uploadEnded, .otherStripeSize(512, expected: 1024), .tooScattered(limit: 1)])
    func lateAnswersToStage(refusal: Refusal) {
        var writer = committingWriter()
        let late = group.servers.map { Writer.Input.reply($0, .refused(refusal)) }
        #expect(feed(&writer, late) == nil)
        let acknowledged = group.servers.map {
            Writer.Input.reply($0, .committed(version.timestamp, needsDescriptor: false))
        }
        guard case .success? = feed(&writer, acknowledged) else {
            Issue.record("the write has not succeeded")
            return
        }
    }

    /// A writer whose PREPARE has just left.
    private func preparingWriter() -> Writer {
        var writer = Writer(
            parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0))
        let none = Reply.timestamp(CommittedClaim(certificate: nil))
        let inputs: [Writer.Input] = [
            .start, .encoded(version.descriptor, fragments: version.fragments), .reply(0, none), .reply(1, none),
            .reply(2, none),
        ]
        #expect(feed(&writer, inputs) == nil)
        return writer
    }

    /// A writer whose COMMIT has just left.
    private func committingWriter() -> Writer {
        var writer = preparingWriter()
        var inputs: [Writer.Input] = []
        for server in group.servers.prefix(group.quorums.quorum) {
            let signed = group.statement(of: server, .photo, version.timestamp)
            inputs.append(.reply(server, .prepared(signed, committed: nil)))
        }
        #expect(feed(&writer, inputs) == nil)
        return writer
    }

    /// Feeds the inputs, verifying statements as they are to be verified; the outcome if there is one.
    private func feed(_ writer: inout Writer, _ inputs: [Writer.Input]) -> Result<WriteOutcome, OperationFailure>? {
        var outcome: Result<WriteOutcome, OperationFailure>?
        var waiting = inputs[...]
        while let input = waiting.popFirst() {
            var effects: [Writer.Effect] = []
            writer.handle(input, into: &effects)
            for effect in effects {
                switch effect {
                case .finish(let result):
                    outcome = result
                case .verifyStatement(let server, let signed, let timestamp):
                    let result = Result { () throws(CertificateError) in
                        try group.verifier.verify(signed, key: .photo, timestamp: timestamp)
                    }
                    waiting = [.statementVerified(server, signed, timestamp, result)] + waiting
                case .send, .encode, .verifyCertificate, .verifyFragment, .reencode, .checkEncoding, .startHedge:
                    break
                }
            }
        }
        return outcome
    }
}
