// Scenario 6, eight crashes among liars. The versions that a client left behind are each at fewer than q servers, and f
// servers hide, distort or do not give up what they hold: neither an admission nor a certificate can be had.
//
// The rule (docs/protocol.md, When servers are full): a version that m servers have signed as *stored* is finished by
// the client itself, from m good fragments, whoever has them; one that a liar spoils is passed over for the next.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 6, eight crashes among liars")
struct Scenario06CompletionTests {
    @Test("6: a client whose eight crashes filled m servers finishes what it left there, although a liar is silent")
    func transcript() {
        let transcript = Transcript("Scenario 6: eight crashes (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        simulation.note("alice's PREPAREs reach A and B only; she crashes before her COMMIT")
        simulation.prepareAndCrash("crash 0", at: [0, 1])
        simulation.note("the same seven times more")
        simulation.quietly { for crash in 1..<8 { simulation.prepareAndCrash("crash \(crash)", at: [0, 1]) } }
        simulation.note("A and B are full of her versions; D lies from now on, and is silent")
        simulation.lies[3] = { _, _, _ in [] }
        let write = simulation.write("at last")
        #expect(write.wrote?.timestamp.counter == 2)
        #expect(simulation.read().text == "at last")
        simulation.note("verdict: the version left behind at m servers is finished, which frees them for the new one")
        transcript.expectKept(as: "06-eight-crashes")
    }

    @Test("6: a client that crashed K times writes again although f servers hide what they hold", arguments: 0..<4)
    func crashedClientAmongLiars(seed: UInt64) {
        for group in TestGroup.scenarioGroups {
            var generator = SplitMix64(seed: seed)
            let simulation = Simulation(group, seed: seed)
            let (m, quorum) = (group.quorums.dataFragmentCount, group.quorums.quorum)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                let count = Int.random(in: m...quorum, using: &generator)
                simulation.prepareAndCrash("crash \(crash)", at: Array(group.servers.prefix(count)))
            }
            // m servers are full and name the same versions, up to f have room: too few for an admission.
            for liar in group.servers[quorum...] { simulation.lies[liar] = { _, _, _ in [] } }
            let write = simulation.write("at last")
            #expect(write.wrote != nil, "\(group.servers.count) servers: \(String(describing: write.failure))")
            #expect(simulation.read().text == "at last", "\(group.servers.count) servers")
            for text in ["bob's", "bob's next"] { #expect(simulation.write(text, by: .bob).wrote != nil) }
            #expect(simulation.write("after bob's").wrote != nil)
        }
    }

    /// What a server does when it is asked for its fragments of a version that was left behind.
    enum Spoiling: CaseIterable {
        case silence, garbage, nothing, anotherVersion, refusal
    }

    @Test(
        "6: a left-behind version that a liar names and does not give up is passed over for another",
        arguments: Spoiling.allCases, [nil, 1, 2] as [UInt64?])
    func spoiledCompletion(spoiling: Spoiling, seed: UInt64?) {
        let group = TestGroup.scenarioGroups[0]
        let simulation = Simulation(group, seed: seed)
        // Of what the liar and one correct server name, only one fragment is to be had; the rest is at two correct
        // ones.
        for (name, servers) in [("both", [0, 1]), ("first", [0, 3]), ("second", [1, 3])] as [(String, [Position])] {
            for crash in 0..<4 { simulation.prepareAndCrash("\(name) \(crash)", at: servers) }
        }
        let foreign = group.version(.photo, "foreign", counter: 1)
        simulation.lies[3] = { _, _, request in
            guard case .read(let read) = request, let version = read.version else { return nil }
            let claim = CommittedClaim(certificate: nil)
            switch spoiling {
            case .silence: return []
            case .garbage: return nil
            case .nothing: return [.version(claim, nil)]
            case .anotherVersion:
                let parts = HeldParts(
                    timestamp: version, position: 3, descriptor: foreign.descriptor, fragments: foreign.fragments[3])
                return [.version(claim, parts)]
            case .refusal: return [.refused(.storageFailed)]
            }
        }
        if spoiling == .garbage {
            simulation.rewrites[3] = { _, _, reply in
                guard case .version(let claim, let parts?) = reply else { return [reply] }
                let garbage = parts.fragments?.map { SharedBytes($0.array.map { ~$0 }) }
                return [
                    .version(
                        claim,
                        HeldParts(
                            timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                            fragments: garbage))
                ]
            }
        }
        let write = simulation.finish(simulation.startWrite(.photo, [1], by: .alice), retransmissions: 60)
        #expect(write.wrote != nil, "\(String(describing: write.failure))")
        simulation.lies[3] = nil
        simulation.rewrites[3] = nil
        #expect(simulation.read().read != nil)
    }

    @Test(
        "6: deletions that were left behind at too few servers are finished as values are",
        arguments: TestGroup.scenarioGroups)
    func completionOfTombstones(group: TestGroup) {
        let simulation = Simulation(group)
        simulation.loses = Simulation.losing { server, request in
            switch request {
            case .prepare: server.offset >= group.quorums.dataFragmentCount
            case .commit: true
            case .read, .readTimestamp, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
            }
        }
        for _ in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            let session = simulation.startWrite(.photo, nil, by: .alice)
            simulation.settle()
            simulation.crashClient(session)
        }
        simulation.loses = { _ in false }
        for liar in group.servers[group.quorums.quorum...] { simulation.lies[liar] = { _, _, _ in [] } }
        // Under its first timestamp if that is above what it finishes, as their digests will have it.
        #expect(simulation.write("at last").wrote != nil)
        #expect(simulation.read().text == "at last")
    }

    /// Found by simulation: what made the server full was committed long ago, elsewhere.
    @Test("6: a server full of a version that others have committed is told so, and takes the next")
    func fullOfCommitted() throws {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 1
        let group = TestGroup(limits: limits)
        let (a, b, c, d) = (group.servers[0], group.servers[1], group.servers[2], group.servers[3])
        let simulation = Simulation(group)
        let first = [group.version(.photo, "x", counter: 1), group.version(.photo, "y", counter: 1)]
            .sorted { $0.timestamp < $1.timestamp }
        #expect(simulation.commit(first[0], group.certificate(of: first[0]), at: [c]))
        #expect(simulation.prepare(first[1], at: [c]).count == 1)
        #expect(simulation.commit(first[1], group.certificate(of: first[1]), at: [a, b, d]))
        // Full of a version that no other server holds.
        #expect(simulation.prepare(group.version(.photo, "lost", counter: 2), at: [a]).count == 1)
        simulation.crash(d)
        #expect(simulation.write("at last").wrote != nil)
        #expect(simulation.read().text == "at last")
    }

    @Test("6: a version that m servers hold is seen at m, also beside one that was admitted where there was no room")
    func admittedBesideFull() throws {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 1
        let group = TestGroup(limits: limits)
        let (a, b, c, d) = (group.servers[0], group.servers[1], group.servers[2], group.servers[3])
        let simulation = Simulation(group)
        let versions = [group.version(.photo, "x", counter: 1), group.version(.photo, "y", counter: 1)]
            .sorted { $0.timestamp < $1.timestamp }
        #expect(simulation.prepare(versions[0], at: [a]).count == 1)
        let stored = simulation.prepare(versions[1], at: [c, d])
        let admitted = versions[1].prepare(for: a, admission: stored)
        guard case .prepared = simulation.ask(a, .prepare(admitted), as: .alice) else {
            Issue.record("not admitted")
            return
        }
        simulation.crash(d)
        #expect(simulation.write("at last").wrote != nil)
        #expect(simulation.read().text == "at last")
        #expect(simulation.host(b).record(.photo).committed != nil)
    }

    @Test(
        "6: a client that left versions above a poisonous one finishes one, though nobody can justify it any more",
        arguments: [VerificationMode.lazy, .readTime])
    func abovePoison(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let simulation = Simulation(group)
        _ = simulation.finish(simulation.startPoisonedWrite(.photo, "evil", garbageAt: 3, by: .mallory))
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            simulation.prepareAndCrash("crash \(crash)", at: [0, 1])
        }
        #expect(simulation.host(0).record(.photo).held.contains { $0.timestamp.counter == 2 })
        for server in group.servers { _ = simulation.finish(simulation.startVerification(.photo, by: server)) }
        simulation.settle()
        for server in group.servers { #expect(simulation.host(server).record(.photo).highestCommitted == nil) }
        // C takes nothing of counter 2 by itself, and with D silent nothing new is at more than one server.
        simulation.lies[3] = { _, _, _ in [] }
        let write = simulation.write("at last")
        #expect(write.wrote != nil, "\(String(describing: write.failure))")
        #expect(simulation.read().text == "at last")
    }
}
