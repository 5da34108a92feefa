// Scenario 8. A new version is complete, but f servers have missed it and f liars go on showing the old one with its
// genuine certificate: f + 1 servers, and more, agree on what is stale. The replies of those that have the new
// version's certificate are late, or the certificate takes long to be checked. A client that took f + 1 equal claims
// for the answer, or an unproven claim for no claim before it was looked at, would go on with the old version.
//
// The rules (docs/protocol.md, Write, step 1): f + 1 equal claims prove that the version exists, not that it is the
// newest; q answers must count, and claims are judged from the highest down: a higher one is proven or thrown out
// before a lower one matters.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 8, a delayed certificate")
struct Scenario08DelayedCertificateTests {
    /// Who shows the old version, and who has the new one's certificate.
    private struct Cast {
        let stale: [Position]
        let bearers: [Position]
    }

    /// The new version is complete at q servers, of which f lie from then on.
    private func setUp(_ simulation: Simulation) -> Cast {
        let group = simulation.group
        let f = group.quorums.faults
        guard let old = simulation.write("old").wrote else {
            Issue.record("the first write fails")
            return Cast(stale: [], bearers: [])
        }
        let (behind, liars) = (Array(group.servers.suffix(f)), Array(group.servers.suffix(2 * f).dropLast(f)))
        simulation.note("the new version is complete; behind remains: \(TranscriptNames.names(behind))")
        simulation.loses = Simulation.losing { server, _ in behind.contains(server) }
        #expect(simulation.write("new").wrote != nil)
        simulation.loses = { _ in false }
        simulation.note(
            "a liar from now on, showing the old version, which is genuine: \(TranscriptNames.names(liars))")
        let version = group.version(.photo, "old", counter: 1)
        let stale = CommittedClaim(certificate: old.certificate)
        for liar in liars {
            simulation.lies[liar] = { _, _, request in
                switch request {
                case .readTimestamp: [.timestamp(stale)]
                case .read: [group.showing(version, old.certificate, at: liar)]
                case .certificate: [.certificate(stale, old.certificate)]
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
        }
        return Cast(stale: liars + behind, bearers: Array(group.servers.dropLast(2 * f)))
    }

    private func holdReplies(_ simulation: Simulation, of servers: [Position], to session: Int) {
        simulation.holds = { event in
            if case .reply(session, let server, _) = event { servers.contains(server) } else { false }
        }
    }

    private func read(_ simulation: Simulation, _ cast: Cast) {
        let reader = simulation.startRead(.photo, preference: simulation.group.preferring(cast.stale))
        simulation.note(
            "the replies of \(TranscriptNames.names(cast.bearers)) are late; \(cast.stale.count) servers agree")
        holdReplies(simulation, of: cast.bearers, to: reader)
        simulation.settle()
        #expect(simulation.sessions[reader].isRunning, "the stale ones are fewer than q")
        simulation.note("they arrive")
        simulation.release()
        #expect(simulation.finish(reader).text == "new")
    }

    @Test("8: f + 1 servers that agree on a stale version answer no read, while the newer one's certificate is late")
    func transcript() {
        let transcript = Transcript("Scenario 8: a delayed certificate (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        let cast = setUp(simulation)
        read(simulation, cast)
        simulation.note(
            "verdict: the reader has waited for q answers, and the proven higher claim outweighs the others")
        transcript.expectKept(as: "08-delayed-certificate")
    }

    @Test(
        "8: whichever bearers of the new certificate answer last, the read returns the new version",
        arguments: TestGroup.scenarioGroups)
    func everyBearer(group: TestGroup) {
        let simulation = Simulation(group)
        let cast = setUp(simulation)
        for turn in cast.bearers.indices {
            // With the stale ones these make q, but m fragments of the new version only with one of the late ones.
            let early = Array((cast.bearers[turn...] + cast.bearers[..<turn]).dropLast(group.quorums.faults))
            let late = cast.bearers.filter { !early.contains($0) }
            let fresh = Simulation(group)
            let freshCast = setUp(fresh)
            let reader = fresh.startRead(.photo, preference: group.preferring(freshCast.stale))
            holdReplies(fresh, of: late, to: reader)
            fresh.settle()
            #expect(fresh.sessions[reader].isRunning, "early \(early)")
            fresh.release()
            #expect(fresh.finish(reader).text == "new", "early \(early)")
        }
        read(simulation, cast)
    }

    @Test(
        "8: a read waits until the higher certificate has been checked, however many agree on a lower version",
        arguments: TestGroup.scenarioGroups.prefix(2))
    func slowCheck(group: TestGroup) {
        let simulation = Simulation(group)
        let cast = setUp(simulation)
        // Fewer than f + 1 bearers answer: what they claim has to be proven.
        let early = Array(cast.bearers.prefix(group.quorums.dataFragmentCount - group.quorums.faults))
        #expect(early.count <= group.quorums.faults)
        let late = cast.bearers.filter { !early.contains($0) }
        let reader = simulation.startRead(.photo, preference: group.preferring(cast.stale))
        simulation.holds = { event in
            switch event {
            case .reply(reader, let server, _): late.contains(server)
            case .reader(reader, .certificateVerified(_, let certificate, _)): certificate.timestamp.counter == 2
            default: false
            }
        }
        simulation.settle()
        #expect(simulation.sessions[reader].isRunning, "q servers have answered, one of them unproven")
        simulation.release()
        #expect(simulation.finish(reader).text == "new")
    }

    @Test(
        "8: a writer takes its counter from no fewer than q servers, though f + 1 agree on a stale version",
        arguments: TestGroup.scenarioGroups)
    func writer(group: TestGroup) {
        let simulation = Simulation(group)
        let cast = setUp(simulation)
        let writer = simulation.startWrite(.photo, Array("newest".utf8), by: .alice)
        holdReplies(simulation, of: cast.bearers, to: writer)
        simulation.settle()
        simulation.release()
        #expect(simulation.finish(writer).wrote?.timestamp.counter == 3)
        for preference in group.turns { #expect(simulation.read(preference: preference).text == "newest") }
    }
}
