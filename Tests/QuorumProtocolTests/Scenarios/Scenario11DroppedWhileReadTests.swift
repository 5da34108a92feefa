// Scenario 11. A reader fetches the fragments of T. Meanwhile T2 commits, and without any grace each server drops T
// just before the reader asks it. Then the same happens to T2. A reader that insisted on T would wait for ever; one
// that mixed the answers to T with those to T2 would count acknowledgements or fragments of the wrong version.
//
// The rule: a server that has dropped T has committed something higher, and a valid higher claim takes the read there
// (docs/protocol.md, Read); fragments and acknowledgements count for the version they name.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 11, dropped while it is read")
struct Scenario11DroppedWhileReadTests {
    /// Drops a version as soon as a higher one commits.
    static let hasty: ProtocolLimits = {
        var limits = ProtocolLimits()
        limits.retainedVersionsMax = 0
        limits.retentionMilliseconds = 0
        return limits
    }()

    /// The READs wait at all servers but the first until the next version has committed; those that follow do so again.
    private func overtakeTwice(_ simulation: Simulation) {
        let group = simulation.group
        func overtake(_ text: String, _ counter: UInt64) {
            let timestamp = group.version(.photo, text, counter: counter).timestamp
            #expect(simulation.write("value \(counter + 1)").wrote != nil)
            for server in group.servers {
                #expect(simulation.host(server).record(.photo).version(timestamp) == nil, "\(server) holds \(text)")
            }
        }
        #expect(simulation.write("value 1").wrote != nil)
        let reader = simulation.startRead(.photo, preference: group.servers)
        simulation.note(
            "bob's questions are under way to all but A; the next version is written meanwhile, without grace")
        simulation.holds = { event in
            if case .request(let server, reader, .read) = event { server != 0 } else { false }
        }
        simulation.settle()
        #expect(simulation.sessions[reader].isRunning)
        overtake("value 1", 1)
        simulation.note("they arrive where the first version is gone; what bob asks then is under way for as long")
        simulation.release()
        simulation.holds = { event in
            if case .request(_, reader, .read(let read)) = event { read.version != nil } else { false }
        }
        simulation.settle()
        #expect(simulation.sessions[reader].isRunning)
        overtake("value 2", 2)
        simulation.note("that arrives where the second version is gone")
        simulation.release()
        let read = simulation.finish(reader, retransmissions: 2)
        #expect(read.text == "value 3", "\(String(describing: read))")
        #expect(read.read?.observations.misbehaving.isEmpty == true, "who has dropped a version is not to blame")
    }

    @Test("11: a reader whose version is dropped at server after server, twice, returns the next one")
    func transcript() {
        let transcript = Transcript("Scenario 11: dropped while it is read (f = 1, m = 2, servers A to D, no grace)")
        let simulation = Simulation(TestGroup(limits: Self.hasty), transcript: transcript)
        overtakeTwice(simulation)
        simulation.note("verdict: the reader has followed the higher claims, and has read the last version whole")
        transcript.expectKept(as: "11-dropped-while-read")
    }

    @Test(
        "11: a reader follows the versions that overtake it, with any code",
        arguments: [
            TestGroup(limits: hasty), TestGroup(faults: 2, limits: hasty),
            TestGroup(dataFragmentCount: 8, limits: hasty),
        ])
    func everyGroup(group: TestGroup) { overtakeTwice(Simulation(group)) }

    @Test("11: a reader whose version is dropped at server after server goes on to the next one", arguments: 0..<60)
    func droppedWhileRead(seed: UInt64) {
        let group = TestGroup(limits: Self.hasty)
        let simulation = Simulation(group, seed: seed)
        #expect(simulation.write("value 0").wrote != nil)
        let reader = simulation.startRead(.photo)
        for number in 1...3 {
            for _ in 0..<Int.random(in: 0...12, using: &simulation.generator) { simulation.step() }
            let writer = simulation.startWrite(.photo, Array("value \(number)".utf8), by: .alice)
            while simulation.sessions[writer].isRunning, simulation.step() {}
        }
        let read = simulation.finish(reader)
        #expect(read.text?.hasPrefix("value") == true, "seed \(seed): \(String(describing: read))")
    }

    @Test("11: acknowledgements of one version's write-back do not count for the higher one that comes meanwhile")
    func writeBackOvertaken() {
        let group = TestGroup()
        let (lower, higher) = (group.version(.photo, "lower", counter: 1), group.version(.photo, "higher", counter: 2))
        func version(_ version: TestVersion?, at server: Position) -> Reply {
            .version(
                CommittedClaim(certificate: version.map { group.certificate(of: $0) }),
                version.map {
                    HeldParts(
                        timestamp: $0.timestamp, position: server, descriptor: $0.descriptor,
                        fragments: $0.fragments[server.offset])
                })
        }
        let simulation = Simulation(group)
        simulation.loses = { _ in true }
        let reader = simulation.startRead(.photo)
        func reply(_ reply: Reply, of server: Position) {
            simulation.feed(reader, Reader.Input.reply(server, reply))
            simulation.settle()
        }
        func prove(_ version: TestVersion, by server: Position) {
            let certificate = group.certificate(of: version)
            reply(.certificate(CommittedClaim(certificate: certificate), certificate), of: server)
        }
        // The lower version is named by server 0, held by server 1, and unknown at server 2.
        reply(version(lower, at: 0), of: 0)
        reply(.version(CommittedClaim(certificate: nil), nil), of: 1)
        reply(.version(CommittedClaim(certificate: nil), nil), of: 2)
        prove(lower, by: 0)
        reply(
            .version(
                CommittedClaim(certificate: nil),
                HeldParts(
                    timestamp: lower.timestamp, position: 1, descriptor: lower.descriptor,
                    fragments: lower.fragments[1])),
            of: 1)
        reply(.committed(lower.timestamp, needsDescriptor: false), of: 1)
        #expect(simulation.sessions[reader].isRunning, "two of three have it")
        // Server 3 names the higher one; server 0 has it as well.
        reply(version(higher, at: 3), of: 3)
        reply(version(higher, at: 0), of: 0)
        prove(higher, by: 0)
        #expect(simulation.sessions[reader].isRunning, "the acknowledgement of server 1 was for the lower version")
        reply(.committed(lower.timestamp, needsDescriptor: false), of: 2)
        #expect(simulation.sessions[reader].isRunning, "and so is this one")
        reply(.committed(higher.timestamp, needsDescriptor: false), of: 2)
        #expect(simulation.sessions[reader].outcome.text == "higher")
    }
}
