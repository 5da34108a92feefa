// Writers that begin with PREPARE because they remember a certificate: what they are spared, and what puts them in
// doubt (docs/protocol.md, Remembered certificates).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("A writer that remembers a certificate")
struct RememberedCertificateTests {
    static let modes: [VerificationMode] = [.fingerprint, .full, .lazy, .readTime]

    private func write(
        _ simulation: Simulation, _ text: String, by client: ClientID = .alice, remembered: VerifiedCertificate?,
        distrusted: [Position] = []
    ) -> WriteOutcome? {
        let session = simulation.startWrite(
            .photo, Array(text.utf8), by: client, remembered: remembered, distrusted: distrusted)
        return simulation.finish(session).wrote
    }

    @Test("needs two rounds when nobody else has written", arguments: modes)
    func twoRounds(mode: VerificationMode) throws {
        let simulation = Simulation(TestGroup(mode: mode))
        let first = try #require(write(simulation, "one", remembered: nil))
        #expect(first.rounds == 3)
        let second = try #require(write(simulation, "two", remembered: first.proof))
        #expect(second.rounds == 2)
        #expect(second.timestamp.counter == 2)
        #expect(simulation.read().text == "two")
    }

    @Test("takes a place above a write that had ended before, verified or not", arguments: modes)
    func overtaken(mode: VerificationMode) throws {
        let simulation = Simulation(TestGroup(mode: mode))
        simulation.verifies = { _ in false }
        let first = try #require(write(simulation, "one", remembered: nil))
        for text in ["two", "three"] { #expect(write(simulation, text, by: .bob, remembered: nil) != nil) }
        let last = try #require(write(simulation, "four", remembered: first.proof))
        #expect(last.timestamp.counter == 4)
        #expect(simulation.read().text == "four")
    }

    @Test(
        "goes on under its own timestamp when what is above it is poisonous",
        arguments: [.lazy, .readTime] as [VerificationMode])
    func poison(mode: VerificationMode) throws {
        let group = TestGroup(mode: mode)
        let simulation = Simulation(group)
        simulation.verifies = { _ in false }
        let first = try #require(write(simulation, "one", remembered: nil))
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2, writer: ClientID(high: 1, low: 0))
        let statements = simulation.prepare(poison, at: group.servers)
        let certificate = group.certificate(poison.timestamp, Array(statements.prefix(3)))
        #expect(simulation.commit(poison, certificate, at: group.servers, as: .mallory))
        let second = try #require(write(simulation, "two", remembered: first.proof))
        #expect(second.timestamp.counter == 2 && second.timestamp < poison.timestamp)
        #expect(simulation.read().text == "two")
    }

    @Test("loses rounds, and nothing else, to f servers that name versions above it", arguments: modes)
    func alarmed(mode: VerificationMode) throws {
        let group = TestGroup(mode: mode)
        for liar in group.servers {
            let simulation = Simulation(group)
            let first = try #require(write(simulation, "one", remembered: nil))
            let above = Timestamp(counter: 99, writer: .mallory, digest: first.timestamp.digest)
            simulation.rewrites[liar] = { _, _, reply in
                guard case .prepared(let signed, _) = reply else { return [reply] }
                return [.prepared(signed, committed: above)]
            }
            let second = try #require(write(simulation, "two", remembered: first.proof))
            #expect(second.timestamp.counter == 2)
            #expect(simulation.read().text == "two")
            // Once: from then on it is known as a liar.
            #expect(second.observations.liars == (second.rounds > 2 ? [group.node(liar)] : []))
            let third = try #require(write(simulation, "three", remembered: second.proof, distrusted: [liar]))
            #expect(third.rounds == 2 && third.timestamp.counter == 3)
            #expect(simulation.read().text == "three")
        }
    }

    @Test("calls nobody a liar who names a version above its own that there is", arguments: modes)
    func noLiars(mode: VerificationMode) throws {
        let simulation = Simulation(TestGroup(mode: mode))
        simulation.verifies = { _ in false }
        let first = try #require(write(simulation, "one", remembered: nil))
        for text in ["two", "three"] { #expect(write(simulation, text, by: .bob, remembered: nil) != nil) }
        let last = try #require(write(simulation, "four", remembered: first.proof))
        #expect(last.rounds > 2 && last.observations.liars.isEmpty)
    }

    @Test("trusts everybody when more than f are said to be liars")
    func tooManyLiars() throws {
        let group = TestGroup()
        let simulation = Simulation(group)
        let first = try #require(write(simulation, "one", remembered: nil))
        for text in ["two", "three"] { #expect(write(simulation, text, by: .bob, remembered: nil) != nil) }
        let last = try #require(write(simulation, "four", remembered: first.proof, distrusted: [0, 1]))
        #expect(last.timestamp.counter == 4)
        #expect(simulation.read().text == "four")
    }

    @Test("shows its certificate to servers that have not seen the version below")
    func justified() throws {
        let group = TestGroup()
        let simulation = Simulation(group)
        simulation.crash(3)
        let first = try #require(write(simulation, "one", remembered: nil))
        simulation.restart(3)
        simulation.crash(0)
        let second = try #require(write(simulation, "two", remembered: first.proof))
        #expect(second.timestamp.counter == 2)
        #expect(simulation.host(3).record(.photo).committed?.timestamp == second.timestamp)
    }
}
