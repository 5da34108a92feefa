// Scenario 12. Mallory stacks versions on each other, each justified by the certificate of the one below, shows no
// COMMIT to anybody, and f servers help her by denying everything. Then she is barred, and correct clients go on. If a
// justification were believed without being a COMMIT, her chain could be revealed later, far above what is committed:
// writes lurking in any number, and counters used up.
//
// The rule: a counter may be one above what a server has committed, and a justification is first processed as a COMMIT
// of the version it certifies (docs/protocol.md, Write, step 2). All of the chain but its last version is thereby
// committed when the next one is prepared; one version of the last counter is all that can lurk.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 12, a hidden chain")
struct Scenario12HiddenChainTests {
    private typealias Link = (version: TestVersion, certificate: Certificate)

    private func hideChain(_ simulation: Simulation, to highest: UInt64) -> [Link] {
        let group = simulation.group
        #expect(simulation.write("honest").wrote != nil)
        let signers = Array(group.servers.prefix(group.quorums.quorum))
        let liars = signers.suffix(group.quorums.faults)
        simulation.note(
            "Mallory cannot begin higher up: without proof of the version below, and with that of a lower one")
        let ahead = group.version(.photo, "ahead", counter: 4, writer: .mallory)
        let needed = Refusal.justificationRequired(committedCounter: 1)
        #expect(simulation.ask(0, .prepare(ahead.prepare(for: 0)), as: .mallory) == .refused(needed))
        let first = group.version(.photo, "honest", counter: 1)
        let proof = group.certificate(of: first)
        let skipped = Request.prepare(ahead.prepare(for: 0, justification: proof))
        #expect(
            simulation.ask(0, skipped, as: .mallory) == .refused(.counterSkipped(got: 4, highestAllowed: 2)))
        simulation.note("her chain: each version is justified by the hidden certificate of the one below")
        var chain: [Link] = []
        for counter in 2...highest {
            let version = group.version(.photo, "hidden \(counter)", counter: counter, writer: .mallory)
            let statements = simulation.prepare(version, at: signers, justification: chain.last?.certificate)
            #expect(statements.count == signers.count)
            chain.append((version, group.certificate(version.timestamp, statements)))
        }
        simulation.note(
            "she is barred; a liar from now on, denying everything: \(TranscriptNames.names(Array(liars)))")
        for liar in liars {
            simulation.lies[liar] = { _, _, request in
                switch request {
                case .readTimestamp: [.timestamp(CommittedClaim(certificate: nil))]
                case .read: [.version(CommittedClaim(certificate: nil), nil)]
                case .certificate: [.certificate(CommittedClaim(certificate: nil), nil)]
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
        }
        return chain
    }

    /// Somebody else shows all that Mallory has hidden to everybody.
    private func reveal(_ simulation: Simulation, _ chain: [Link]) {
        for link in chain { simulation.commit(link.version, link.certificate, at: simulation.group.servers) }
    }

    private func run(_ simulation: Simulation, to highest: UInt64, next client: ClientID) {
        let chain = hideChain(simulation, to: highest)
        #expect(simulation.read().text == "hidden \(highest - 1)", "all but the last are known to be committed")
        simulation.note("a correct write goes on above it")
        #expect(simulation.write("correct", by: client).wrote?.timestamp.counter == highest)
        #expect(simulation.read().text == "correct")
        simulation.note("what was hidden is shown by somebody else")
        reveal(simulation, chain)
        // Of one counter, the order of the writers decides.
        let surfaces = client < ClientID.mallory
        #expect(simulation.read().text == (surfaces ? "hidden \(highest)" : "correct"), "one lurking write at most")
        simulation.note("the next write is above everything that was hidden")
        #expect(simulation.write("after", by: client).wrote?.timestamp.counter == highest + 1)
        reveal(simulation, chain)
        #expect(simulation.read().text == "after")
    }

    @Test("12: of a hidden chain of justifications one version lurks, and correct writes go on above it")
    func transcript() {
        let transcript = Transcript("Scenario 12: a hidden chain (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        run(simulation, to: 4, next: .bob)
        simulation.note("verdict: one version of the chain has surfaced after the fact, and none can any more")
        transcript.expectKept(as: "12-hidden-chain")
    }

    @Test(
        "12: a chain of eight goes no further than what it wrote, whoever writes next",
        arguments: TestGroup.scenarioGroups, [ClientID.alice, .bob])
    func longChain(group: TestGroup, next: ClientID) { run(Simulation(group), to: 9, next: next) }
}
