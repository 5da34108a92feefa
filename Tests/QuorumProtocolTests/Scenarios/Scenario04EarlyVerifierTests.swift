// Scenario 4. A poisonous version is held by as few correct servers as a certificate allows: the liars among its
// signers withhold their fragments. Some correct holders verify early. Had they dropped what they found to be poisonous
// at once, the others' fragments would be too few for anybody else to decode, so that nobody could ever prove what the
// early ones know and no reader could get past the version.
//
// The rule: a server that finds a version poisonous signs so, and keeps its fragments until it holds f + 1 such
// statements, which it then hands out in place of them (docs/protocol.md, Verification modes).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 4, an early verifier and a withholder")
struct Scenario04EarlyVerifierTests {
    private static let modes: [VerificationMode] = [.lazy, .readTime]

    /// mallory's poison is signed by `holders` and the liars, and known to be committed everywhere; "old" is below it.
    private func poison(_ simulation: Simulation, holders: [Position], liars: [Position]) -> TestVersion {
        let group = simulation.group
        simulation.verifies = { _ in false }
        simulation.quietly {
            #expect(simulation.write("old").wrote != nil)
            simulation.verifyMeanwhile(by: group.servers)
            simulation.settle()
        }
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: holders[0], counter: 2)
        let signers = (holders + liars).sorted()
        let statements = simulation.prepare(poison, at: signers)
        #expect(statements.count == group.quorums.quorum)
        let certificate = group.certificate(poison.timestamp, statements)
        simulation.note("COMMIT goes to all; who was sent no fragment knows of the version all the same")
        #expect(simulation.commit(poison, certificate, at: group.servers, as: .mallory))
        for liar in liars {
            simulation.rewrites[liar] = { _, _, reply in
                guard case .version(_, let parts?) = reply, parts.timestamp == poison.timestamp else { return [reply] }
                return [.version(CommittedClaim(certificate: nil, unverified: [certificate]), nil)]
            }
        }
        return poison
    }

    private func play(_ simulation: Simulation, _ servers: [Position]) {
        let group = simulation.group
        let (m, faults) = (group.quorums.dataFragmentCount, group.quorums.faults)
        let holders = Array(servers.prefix(m))
        let liars = Array(servers.suffix(faults))
        simulation.note("mallory sends her poison to all but \(TranscriptNames.names(Array(servers[m..<m + faults])))")
        let version = poison(simulation, holders: holders, liars: liars)
        let early = Array(holders.prefix(faults))
        simulation.note("\(TranscriptNames.names(early)) verifies early; \(TranscriptNames.names(liars)) withholds")
        for server in early {
            simulation.verifyMeanwhile(by: [server])
            simulation.settle()
        }
        for server in early {
            let record = simulation.host(server).record(.photo)
            #expect(record.isPoisonous(version.timestamp) && record.version(version.timestamp) != nil, "\(server)")
        }
        simulation.note("a reader needs the early one's fragment to find out for itself")
        #expect(simulation.read(preference: servers).text == "old")
        simulation.note("\(TranscriptNames.name(holders[faults])) verifies; that makes f + 1 who have signed")
        for server in holders[faults...] + servers[m..<m + faults] {
            simulation.verifyMeanwhile(by: [server])
            simulation.settle()
        }
        simulation.quietly {
            for preference in group.turns { #expect(simulation.read(preference: preference).text == "old") }
            #expect(simulation.write("new").wrote?.timestamp.counter != nil)
            for preference in group.turns { #expect(simulation.read(preference: preference).text == "new") }
        }
    }

    @Test("4: an early verifier keeps its fragment, with which others find out about the poison too")
    func transcript() {
        let transcript = Transcript("Scenario 4: an early verifier (lazy, f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(mode: .lazy), transcript: transcript)
        play(simulation, simulation.group.servers)
        simulation.note("alice writes; a reader is shown the statements beside what she wrote")
        #expect(simulation.read().text == "new")
        simulation.note("verdict: nobody was stuck at the poison, and nobody read it")
        transcript.expectKept(as: "04-early-verifier")
    }

    @Test(
        "4: whoever is early, whoever withholds, every read gets past the poison",
        arguments: [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)], modes)
    func everyRole(shape: TestGroup.Shape, mode: VerificationMode) {
        for servers in shape.group(mode).turns { play(Simulation(shape.group(mode)), servers) }
    }

    @Test(
        "4: a poisonous version's fragments go once f + 1 servers have found out, one after the other", arguments: modes
    )
    func dropped(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let simulation = Simulation(group)
        simulation.verifies = { _ in false }
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 2, counter: 1)
        let statements = simulation.prepare(poison, at: group.servers)
        let certificate = group.certificate(poison.timestamp, Array(statements.prefix(3)))
        #expect(simulation.commit(poison, certificate, at: group.servers, as: .mallory))
        for server in group.servers {
            simulation.verifyMeanwhile(by: [server])
            simulation.settle()
        }
        #expect(simulation.read().text == nil && simulation.read().read != nil)
        // The last ones saw two others' statements.
        for server in group.servers.suffix(2) {
            let record = simulation.host(server).record(.photo)
            #expect(record.poisonous.first?.statements.count ?? 0 >= group.quorums.vouchers, "\(server)")
            #expect(record.version(poison.timestamp) == nil, "\(server)")
            #expect(record.verificationDueMilliseconds == nil, "\(server)")
        }
    }

    @Test("4: servers that find the poison at the same time learn of each other and drop it, and are done with it")
    func simultaneous() {
        let group = TestGroup(mode: .lazy)
        let simulation = Simulation(group)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 2, counter: 1)
        let statements = simulation.prepare(poison, at: group.servers)
        let certificate = group.certificate(poison.timestamp, Array(statements.prefix(3)))
        #expect(simulation.commit(poison, certificate, at: group.servers, as: .mallory))
        // They look for each other's statements every ten minutes.
        for _ in 0..<4 {
            simulation.tick(advancingBy: 600_000)
            simulation.settle()
        }
        for server in group.servers {
            let record = simulation.host(server).record(.photo)
            #expect(record.isPoisonous(poison.timestamp))
            #expect(record.version(poison.timestamp) == nil, "\(server) still holds its fragment")
            #expect(record.verificationDueMilliseconds == nil, "\(server) verifies for ever")
        }
    }
}
