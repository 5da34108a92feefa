// Operations that are under way when a server turns out to have lost its memory: what it said before is not put beside
// what others say afterwards (docs/protocol.md, Rebuilding).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Answers of an earlier life")
struct RenewedAnswersTests {
    private let group = TestGroup()
    private let version: TestVersion
    private let certificate: Certificate

    init() {
        version = group.version(.photo, "a value", counter: 1)
        certificate = group.certificate(of: version)
    }

    /// A machine with what it has sent and how it has ended.
    private struct Run<Machine: OperationMachine> {
        var machine: Machine
        let group: TestGroup
        var sent: [(server: Position, request: Request)] = []
        var result: Result<Machine.Outcome, OperationFailure>?

        init(_ machine: Machine, _ group: TestGroup) {
            self.machine = machine
            self.group = group
        }

        /// Feeds the inputs and does all work that they make, at once.
        mutating func feed(_ inputs: Machine.Input...) {
            for input in inputs {
                var waiting = [input]
                while !waiting.isEmpty {
                    var effects: [Machine.Effect] = []
                    machine.handle(waiting.removeFirst(), into: &effects)
                    for effect in effects {
                        switch Machine.step(effect, key: .photo, verifier: group.verifier) {
                        case .send(let server, let request): sent.append((server, request))
                        case .work(_, let work): waiting.append(work())
                        case .finish(let result): self.result = result
                        case .encode, .startHedge: break
                        }
                    }
                }
            }
        }

        /// What the server was sent since the last time.
        mutating func takeSent(to server: Position) -> [Request] {
            defer { sent = [] }
            return sent.filter { $0.server == server }.map(\.request)
        }
    }

    // MARK: Writes

    private func acknowledgement(_ server: Position) -> Writer.Input {
        .reply(server, .committed(version.timestamp, needsDescriptor: false))
    }

    private func signature(_ server: Position, incarnation: UInt64 = 1) -> Writer.Input {
        .reply(
            server,
            .prepared(
                group.statement(of: server, .photo, version.timestamp, incarnation: incarnation), committed: nil))
    }

    /// A write whose PREPARE has just left.
    private func preparing() -> Run<Writer> {
        var run = Run(
            Writer(
                parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0)),
            group)
        run.feed(.start, .encoded(version.descriptor, fragments: version.fragments))
        for server in group.servers.prefix(3) {
            run.feed(.reply(server, .timestamp(CommittedClaim(certificate: nil))))
        }
        #expect(run.sent.contains { if case .prepare = $0.request { true } else { false } })
        run.sent = []
        return run
    }

    /// A write whose COMMIT has just left.
    private func committing() -> Run<Writer> {
        var run = preparing()
        for server in group.servers.prefix(3) { run.feed(signature(server)) }
        #expect(run.sent.contains { if case .commit = $0.request { true } else { false } })
        run.sent = []
        return run
    }

    @Test("a COMMIT that a server has taken and forgotten is not complete when two others have taken it")
    func acknowledged() throws {
        var run = committing()
        run.feed(acknowledgement(2))
        // Its disk is lost, and the operator has said so.
        group.renew(2)
        run.feed(.renewed(2), acknowledgement(0), acknowledgement(1))
        #expect(run.result == nil, "the server knows nothing of it any more")
        run.feed(acknowledgement(3))
        #expect(try run.result?.get().timestamp == version.timestamp)
    }

    @Test("it is sent to the server again, which may take it in its next life")
    func acknowledgedAgain() throws {
        var run = committing()
        run.feed(acknowledgement(2), acknowledgement(0))
        group.renew(2)
        run.sent = []
        run.feed(.renewed(2))
        let commit = run.takeSent(to: 2)
        guard case .commit(let sent)? = commit.first, commit.count == 1 else {
            Issue.record("\(commit)")
            return
        }
        #expect(sent.certificate.timestamp == version.timestamp)
        run.feed(.renewed(2), .renewed(2), acknowledgement(2))
        #expect(run.result == nil)
        run.feed(acknowledgement(1))
        #expect(try run.result?.get().timestamp == version.timestamp)
    }

    @Test("a statement of before is in no certificate of after")
    func signed() throws {
        var run = preparing()
        run.feed(signature(2), signature(0))
        group.renew(2)
        run.feed(.renewed(2))
        #expect(run.sent.contains { if case .prepare = $0.request { $0.server == 2 } else { false } })
        run.sent = []
        run.feed(signature(1))
        #expect(!run.sent.contains { if case .commit = $0.request { true } else { false } })
        // What was on its way still is no better.
        run.feed(signature(2))
        #expect(!run.sent.contains { if case .commit = $0.request { true } else { false } })
        run.feed(signature(2, incarnation: 2))
        let commits = run.takeSent(to: 0)
        guard case .commit(let commit)? = commits.last else {
            Issue.record("\(commits)")
            return
        }
        let counting = try group.verifier.verifyCounting(commit.certificate, key: .photo)
        #expect(counting.timestamp == version.timestamp)
    }

    @Test("a claim of before does not count among q when it is read which timestamp is the highest")
    func claimed() {
        var run = Run(
            Writer(
                parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0)),
            group)
        let none = Reply.timestamp(CommittedClaim(certificate: nil))
        run.feed(.start, .encoded(version.descriptor, fragments: version.fragments), .reply(2, none))
        group.renew(2)
        run.sent = []
        run.feed(.renewed(2))
        #expect(run.takeSent(to: 2) == [.readTimestamp(.photo)])
        run.feed(.reply(0, none), .reply(1, none))
        #expect(!run.sent.contains { if case .prepare = $0.request { true } else { false } })
        run.feed(.reply(3, none))
        #expect(run.sent.contains { if case .prepare = $0.request { true } else { false } })
    }

    @Test("a writer that is shown a certificate that counts no more takes it for no proof, and blames nobody")
    func shownToWriter() throws {
        group.renew(2)
        var run = Run(
            Writer(
                parameters: group.parameters, key: .photo, writer: .alice, content: .deletion(modifiedMilliseconds: 0)),
            group)
        let none = Reply.timestamp(CommittedClaim(certificate: nil))
        let claim = CommittedClaim(certificate: certificate)
        run.feed(.start, .encoded(version.descriptor, fragments: version.fragments))
        run.feed(.reply(0, .timestamp(claim)), .reply(1, none), .reply(2, none))
        #expect(run.takeSent(to: 0).contains(.certificate(.photo, version.timestamp)))
        run.feed(.reply(0, .certificate(claim, certificate)))
        #expect(!run.sent.contains { if case .prepare = $0.request { true } else { false } })
        // It is asked again, and has another one by then.
        run.sent = []
        run.feed(.retransmit)
        #expect(run.takeSent(to: 0).contains(.readTimestamp(.photo)))
        let counting = group.certificate(of: version, by: [0, 1, 3])
        let later = CommittedClaim(certificate: counting)
        run.feed(.reply(0, .timestamp(later)), .reply(0, .certificate(later, counting)))
        let prepares = run.takeSent(to: 0).compactMap { if case .prepare(let prepare) = $0 { prepare } else { nil } }
        #expect(prepares.map(\.timestamp.counter) == [2])
        let next = try #require(prepares.first).timestamp
        for server in group.servers.prefix(2) {
            run.feed(.reply(server, .prepared(group.statement(of: server, .photo, next), committed: nil)))
        }
        run.feed(
            .reply(2, .prepared(group.statement(of: 2, .photo, next, incarnation: 2), committed: nil)))
        for server in group.servers { run.feed(.reply(server, .committed(next, needsDescriptor: false))) }
        let outcome = try #require(try run.result?.get())
        #expect(outcome.observations.misbehaviours.isEmpty, "\(outcome.observations)")
    }

    // MARK: Reads

    private func showing(_ server: Position, _ certificate: Certificate?) -> Reader.Input {
        guard let certificate else { return .reply(server, .version(CommittedClaim(certificate: nil), nil)) }
        return .reply(server, group.showing(version, certificate, at: server))
    }

    private func reading() -> Run<Reader> {
        var run = Run(
            Reader(parameters: group.parameters, key: .photo, wantsValue: true, preference: group.servers), group)
        run.feed(.start)
        run.sent = []
        return run
    }

    private func text(_ run: Run<Reader>) -> String? {
        guard case .success(let outcome)? = run.result, case .version(_, let descriptor, let stripes) = outcome.found
        else { return nil }
        return (try? descriptor.descriptor.stripes[0].decode(stripes[0])).map {
            String(decoding: $0.array, as: UTF8.self)
        }
    }

    @Test("a read does not end with nothing when one of q that knew nothing has forgotten that")
    func nothingRead() throws {
        var run = reading()
        run.feed(showing(2, nil))
        group.renew(2)
        run.feed(.renewed(2), showing(0, nil), showing(1, nil))
        #expect(run.result == nil)
        run.feed(showing(3, nil))
        #expect(try run.result?.get().found.timestamp == nil && run.result != nil)
    }

    @Test("a version that one of q has forgotten is written back, and not to the others only")
    func namedByForgetful() throws {
        var run = reading()
        run.feed(showing(2, certificate))
        group.renew(2)
        run.feed(.renewed(2), showing(0, certificate), showing(1, certificate))
        #expect(run.result == nil)
        run.feed(showing(3, certificate))
        #expect(text(run) == "a value")
    }

    @Test("a write back that a server has taken and forgotten is not complete")
    func writtenBack() throws {
        let counting = group.certificate(of: version, by: [0, 1, 3])
        var run = reading()
        run.feed(showing(0, counting), showing(1, counting), showing(3, nil))
        // Two name it, which is no quorum: it is to be committed by more.
        run.feed(.reply(0, .certificate(CommittedClaim(certificate: counting), counting)))
        #expect(run.sent.contains { if case .commit = $0.request { $0.server == 2 } else { false } })
        // A server that has named it forgets that: then there are two with the one that takes it.
        group.renew(1)
        run.feed(.renewed(1))
        #expect(run.sent.contains { if case .commit = $0.request { $0.server == 1 } else { false } })
        run.feed(.reply(2, .committed(version.timestamp, needsDescriptor: false)))
        #expect(run.result == nil)
        // And so does that one.
        group.renew(2)
        run.feed(.renewed(2))
        run.feed(.reply(3, .committed(version.timestamp, needsDescriptor: false)), showing(1, nil))
        #expect(run.result == nil)
        run.feed(.reply(1, .committed(version.timestamp, needsDescriptor: false)))
        #expect(text(run) == "a value")
    }

    @Test("a reader that is shown a certificate that counts no more believes nothing by it, and blames nobody")
    func shownToReader() throws {
        group.renew(2)
        var run = reading()
        let claim = CommittedClaim(certificate: certificate)
        run.feed(showing(0, certificate), showing(1, nil), showing(2, nil))
        #expect(run.takeSent(to: 0).contains(.certificate(.photo, version.timestamp)))
        run.feed(.reply(0, .certificate(claim, certificate)))
        #expect(run.result == nil)
        // It is asked again, and has another one by then.
        run.sent = []
        run.feed(.retransmit)
        #expect(run.takeSent(to: 0).contains { if case .read = $0 { true } else { false } })
        let counting = group.certificate(of: version, by: [0, 1, 3])
        run.feed(showing(0, counting))
        #expect(run.takeSent(to: 0).contains(.certificate(.photo, version.timestamp)))
        run.feed(.reply(0, .certificate(CommittedClaim(certificate: counting), counting)))
        // By its word alone the version is valid now: the others are asked for what they have of it.
        #expect(
            run.sent.contains {
                if case .read(let read) = $0.request {
                    $0.server == 3 && read.version == version.timestamp
                } else {
                    false
                }
            })
        run.feed(showing(3, counting))
        for server in group.servers {
            run.feed(.reply(server, .committed(version.timestamp, needsDescriptor: false)))
        }
        #expect(text(run) == "a value")
        let outcome = try #require(try run.result?.get())
        #expect(outcome.observations.misbehaviours.isEmpty, "\(outcome.observations)")
    }

    @Test("what another server shows is looked at when the first one's counts no more")
    func nextShown() throws {
        group.renew(2)
        let counting = group.certificate(of: version, by: [0, 1, 3])
        var run = reading()
        run.feed(showing(2, nil), showing(0, certificate), showing(3, counting))
        for (server, shown) in [(0, certificate), (3, counting)] as [(Position, Certificate)] {
            run.feed(.reply(server, .certificate(CommittedClaim(certificate: shown), shown)))
        }
        let commits = run.sent.compactMap { if case .commit(let commit) = $0.request { commit } else { nil } }
        #expect(commits.allSatisfy { $0.certificate == counting }, "what counts is handed on")
    }
}
