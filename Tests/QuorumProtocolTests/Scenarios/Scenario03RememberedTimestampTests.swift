// Scenario 3, of a writer that remembers the timestamp of its last write and begins with PREPARE one above it. Since
// then somebody else has written, completely, and nobody has verified it. Servers must not call the writer superseded
// by what may be poisonous, so they sign *stored*, and q of these are a certificate. A writer that was overtaken after
// reading the timestamp commits with it. This one began after the other's write had ended: its own would be complete
// and below, and nobody would ever read it.
//
// The rule: PREPARED names what is committed at the server, verified or not, and a single server that names something
// above the writer's timestamp puts it in doubt. Of the q servers that sign, one is correct and has whatever was
// complete before; it may be the only one that says so. The writer then reads the object, which brings the highest
// sound version to q servers: if that is above its own, it takes a new timestamp, and else goes on (docs/protocol.md,
// Remembered certificates).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 3, a writer that remembers a timestamp")
struct Scenario03RememberedTimestampTests {
    private static let modes: [VerificationMode] = [.fingerprint, .full, .lazy, .readTime]
    private static let shapes = [
        TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8),
        TestGroup.Shape(faults: 2, dataFragmentCount: 8),
    ]

    /// When the correct servers find out which versions are sound.
    private enum Moment: CaseIterable {
        case never, beforeTheWrite, inDoubt, afterTheWrite
    }

    /// A wide code makes the same messages of more bytes: there the two moments that differ most are enough.
    private func moments(_ shape: TestGroup.Shape) -> [Moment] {
        shape.dataFragmentCount == nil ? Moment.allCases : [.never, .inDoubt]
    }

    /// bob's remembered version, and who does what while he writes above it.
    private final class Play {
        let simulation: Simulation
        let remembered: WriteOutcome
        /// What each server signed for the timestamp that bob began with.
        private(set) var statements: [Position: SignedStatement] = [:]
        private(set) var writer = 0

        var group: TestGroup { simulation.group }
        private var faults: Int { group.quorums.faults }
        /// They show what bob remembers as the last version, and sign whatever he wants.
        var liars: [Position] { Array(group.servers.prefix(faults)) }
        /// Their answers to PREPARE are late.
        var late: [Position] { Array(group.servers[faults..<2 * faults]) }
        /// They have not heard of what overtakes bob.
        var behind: [Position] { Array(group.servers.suffix(faults)) }
        /// q servers, so that what these have is complete.
        var informed: [Position] { Array(group.servers.prefix(group.quorums.quorum)) }
        var correct: [Position] { Array(group.servers.dropFirst(faults)) }

        /// Readers ask the liars first, or those who were behind.
        var preferences: [[Position]] { [group.servers, group.servers.reversed()] }

        /// The version that bob begins to write.
        var own: TestVersion { group.version(.photo, "three", counter: 2, writer: .bob) }

        init(_ simulation: Simulation) throws {
            self.simulation = simulation
            simulation.verifies = { _ in false }
            remembered = try #require(simulation.write("one", by: .bob).wrote)
        }

        /// Starts bob's write and runs it as far as it comes without what is held.
        func begin(
            verifiedAt moment: Moment = .never, holdingToo: @escaping (Simulation.Event) -> Bool = { _ in false }
        ) {
            if moment == .beforeTheWrite { simulation.verifyMeanwhile(by: correct) }
            simulation.note(
                "a liar from now on, showing bob's version as the last: \(TranscriptNames.names(liars)); "
                    + "late with PREPARED: \(TranscriptNames.names(late))")
            let session = simulation.sessions.count
            let stale = CommittedClaim(certificate: remembered.certificate)
            let (late, last, proof) = (late, remembered.timestamp, remembered.certificate)
            for server in group.servers {
                let isLiar = liars.contains(server)
                simulation.rewrites[server] = { [unowned self] _, asking, reply in
                    if asking == session, case .prepared(let signed, _) = reply, statements[server] == nil {
                        statements[server] = signed
                    }
                    guard isLiar else { return [reply] }
                    return switch reply {
                    case .timestamp: [.timestamp(stale)]
                    case .version: [.version(stale, nil)]
                    case .prepared(let signed, _): [.prepared(signed, committed: last)]
                    case .certificate: [.certificate(stale, proof)]
                    case .committed, .staged, .discarded, .fetched, .held, .refused: [reply]
                    }
                }
            }
            simulation.holds = { event in
                switch event {
                case .reply(session, let server, .prepared): late.contains(server)
                case .reply(session, _, .version): moment == .inDoubt || holdingToo(event)
                default: holdingToo(event)
                }
            }
            writer = simulation.startWrite(.photo, Array("three".utf8), by: .bob, remembered: remembered.proof)
            #expect(writer == session)
            simulation.settle()
            if moment == .inDoubt {
                #expect(simulation.sessions[writer].isRunning)
                simulation.verifyMeanwhile(by: correct)
            }
        }

        /// What became of it. What was late comes when it is over.
        func end(verifiedAt moment: Moment = .never) -> WriteOutcome? {
            let outcome = simulation.finish(writer)
            if moment == .afterTheWrite { simulation.verifyMeanwhile(by: correct) }
            simulation.release()
            simulation.settle()
            return outcome.wrote
        }

        /// Somebody shows everybody the certificate that the signatures for bob's first timestamp make.
        func reveal() {
            let signed = group.servers.compactMap { statements[$0] }
            #expect(signed.count >= group.quorums.quorum, "it might be committed at any time")
            let certificate = group.certificate(own.timestamp, Array(signed.prefix(group.quorums.quorum)))
            simulation.commit(own, certificate, at: group.servers, as: .mallory)
        }

        /// alice's version, which is above what bob begins to write: complete, or committed at these servers only.
        func overtake(at servers: [Position]? = nil) throws -> Timestamp {
            let overtaking = group.version(.photo, "two", counter: 2).timestamp
            #expect(own.timestamp < overtaking)
            if let servers {
                simulation.writePartially("two", committingAt: servers)
            } else {
                let behind = behind
                simulation.loses = Simulation.losing { server, _ in behind.contains(server) }
                let wrote = try #require(simulation.write("two").wrote)
                simulation.loses = { _ in false }
                #expect(wrote.timestamp == overtaking)
            }
            return overtaking
        }
    }

    @Test(
        "3: a writer that remembers a timestamp begins anew above a complete version that only one server tells it of")
    func transcript() throws {
        let transcript = Transcript(
            "Scenario 3: a remembered timestamp, overtaken (lazy, f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(mode: .lazy), transcript: transcript)
        let play = try Play(simulation)
        simulation.note(
            "bob remembers the certificate; alice's write is complete before his next one begins, and nobody verifies"
                + " it; behind remains: \(TranscriptNames.names(play.behind))")
        let overtaking = try play.overtake()
        play.begin()
        let wrote = try #require(play.end())
        #expect(overtaking < wrote.timestamp)
        simulation.note(
            "C alone has told bob; mallory shows everybody a certificate of what the servers signed for 2·bob")
        play.reveal()
        #expect(simulation.read(by: .alice).text == "three")
        simulation.note("verdict: what was written last is read, and 2·bob lies below alice's version for ever")
        transcript.expectKept(as: "03-remembered-timestamp")
    }

    @Test(
        "3: a write above a remembered timestamp comes after every write that had ended before, verified or not",
        arguments: shapes, modes)
    func overtaken(shape: TestGroup.Shape, mode: VerificationMode) throws {
        for moment in mode.verifiesLater ? moments(shape) : [.never] {
            let simulation = Simulation(shape.group(mode))
            let play = try Play(simulation)
            let overtaking = try play.overtake()
            play.begin(verifiedAt: moment)
            let wrote = try #require(play.end(verifiedAt: moment), "\(moment)")
            #expect(wrote.timestamp.counter == 3 && overtaking < wrote.timestamp, "\(moment)")
            #expect(wrote.rounds == 5, "PREPARE, the doubt, and all three rounds: \(moment)")
            if mode.verifiesLater && moment != .beforeTheWrite {
                #expect(
                    play.statements.values.allSatisfy { $0.claim == .stored },
                    "nothing but the doubt keeps it from being committed: \(moment)")
            }
            play.reveal()
            for preference in play.preferences {
                let read = simulation.read(by: .alice, preference: preference)
                #expect(read.text == "three", "\(moment): \(String(describing: read))")
                #expect(read.read?.found.timestamp == wrote.timestamp, "\(moment)")
            }
            // What he remembers now is the last version again.
            let next = simulation.startWrite(.photo, Array("four".utf8), by: .bob, remembered: wrote.proof)
            let last = try #require(simulation.finish(next).wrote)
            #expect(last.timestamp.counter == 4 && last.rounds == 2, "\(moment)")
            #expect(simulation.read(by: .alice).text == "four", "\(moment)")
        }
    }

    @Test(
        "3: before it takes a new timestamp, what overtook it is at q servers, so that the first one can never surface",
        arguments: shapes, modes)
    func committedAtFew(shape: TestGroup.Shape, mode: VerificationMode) throws {
        let simulation = Simulation(shape.group(mode))
        let group = simulation.group
        let play = try Play(simulation)
        let faults = group.quorums.faults
        // f correct servers know of it, and tell bob at once. Too few others answer his reading to do without them.
        let overtaking = try play.overtake(at: Array(group.servers[2 * faults..<3 * faults]))
        let late = play.late
        play.begin { event in
            switch event {
            case .request(_, _, .prepare(let prepare)): prepare.timestamp.counter == 3
            case .reply(_, let server, .version): late.contains(server)
            default: false
            }
        }
        simulation.remind(play.writer)
        simulation.settle()
        #expect(simulation.sessions[play.writer].isRunning)
        let holders = group.servers.filter { server in
            let record = simulation.host(server).record(.photo)
            return record.committed?.timestamp == overtaking
                || record.unverified.contains { $0.timestamp == overtaking }
        }
        #expect(holders.count >= group.quorums.quorum)
        // Were it read now, one write would take effect twice, once before alice's and once after.
        play.reveal()
        for preference in play.preferences {
            #expect(simulation.read(by: .alice, preference: preference).text == "two")
        }
        simulation.release()
        #expect(play.end()?.timestamp.counter == 3)
        for preference in play.preferences {
            #expect(simulation.read(by: .alice, preference: preference).text == "three")
        }
    }

    @Test(
        "3: a write above a remembered timestamp goes on below poison, and stays when the poison is dropped",
        arguments: shapes, [.lazy, .readTime] as [VerificationMode])
    func poison(shape: TestGroup.Shape, mode: VerificationMode) throws {
        for moment in moments(shape) {
            let simulation = Simulation(shape.group(mode))
            let group = simulation.group
            let play = try Play(simulation)
            let poison = group.poisonedVersion(.photo, "evil", garbageAt: play.late[0], counter: 2)
            #expect(play.own.timestamp < poison.timestamp)
            let statements = simulation.prepare(poison, at: play.informed)
            let certificate = group.certificate(poison.timestamp, statements)
            #expect(simulation.commit(poison, certificate, at: play.informed, as: .mallory))
            play.begin(verifiedAt: moment)
            let wrote = try #require(play.end(verifiedAt: moment), "\(moment)")
            #expect(wrote.timestamp == play.own.timestamp, "\(moment)")
            #expect(wrote.certificate.statements.allSatisfy { $0.claim == .stored }, "\(moment)")
            for isVerified in [false, true] {
                if isVerified { for server in play.correct { simulation.verifyMeanwhile(by: [server]) } }
                for preference in play.preferences {
                    let read = simulation.read(by: .alice, preference: preference)
                    #expect(read.text == "three", "\(moment): \(String(describing: read))")
                }
            }
        }
    }
}
