// Scenario 1. Mallory writes a version in which the hash listed for one server's position is that of garbage. The
// server is her accomplice: it signs for the garbage and serves it. All other fragments are good, so the version gets
// its certificate. A reader that checked hashes only would decode one value with the accomplice among those it asked,
// and another without it.
//
// The rule: a fragment is good only if its fingerprint too is the combination of those listed (docs/protocol.md, Read,
// step 2). The garbage is discarded, and every reader decodes the one block that all good fragments encode. A value is
// always fetched as a whole today; the accomplice holding a data fragment, which a reader could copy without decoding,
// is one of the cases.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 1, colluding garbage")
struct Scenario01ColludingGarbageTests {
    /// The poisonous version committed, and the accomplice at work.
    private func poison(_ simulation: Simulation, with liar: Position) -> TestVersion {
        let group = simulation.group
        #expect(simulation.write("honest value").wrote != nil)
        let others = group.servers.filter { $0 != liar }
        let poison = group.poisonedVersion(.photo, "poisonous value", garbageAt: liar, counter: 2)
        let name = TranscriptNames.name(liar)
        simulation.note("Mallory writes: the hash for \(name) is that of garbage, everything else is sound")
        #expect(simulation.prepare(poison, at: others).count == others.count, "what correct servers got is good")
        simulation.note("\(name), the accomplice, signs for the garbage; with it there is a certificate")
        let signers = [liar] + others.prefix(group.quorums.quorum - 1)
        let certificate = group.certificate(of: poison, by: signers)
        #expect(simulation.commit(poison, certificate, at: others, as: .mallory))
        simulation.lies[liar] = { _, _, request in
            guard case .read(let read) = request else { return nil }
            if read.portion < .fragments { return [.version(CommittedClaim(certificate: certificate), nil)] }
            return [group.showing(poison, certificate, at: liar)]
        }
        return poison
    }

    @Test("1: garbage that a writer and a server agree on is returned to neither kind of reader")
    func transcript() {
        let transcript = Transcript("Scenario 1: colluding garbage (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        let (bad, good) = ([0, 1] as [Position], [0, 2] as [Position])
        _ = poison(simulation, with: 1)
        simulation.note("one reader asks A and B for their fragments: B serves garbage under its own hash")
        let first = simulation.read(preference: simulation.group.preferring(bad))
        simulation.note("another one asks A and C")
        let second = simulation.read(preference: simulation.group.preferring(good))
        #expect(first.text == "poisonous value" && second.text == "poisonous value")
        simulation.note("verdict: both have read the same bytes, those of the good fragments; B is found out")
        transcript.expectKept(as: "01-colluding-garbage")
    }

    @Test(
        "1: whichever server colludes and whoever is asked first, all read the same bytes, and only the liar is blamed",
        arguments: TestGroup.scenarioGroups)
    func everyPosition(group: TestGroup) {
        for liar in group.servers {
            let simulation = Simulation(group)
            let poison = poison(simulation, with: liar)
            for preference in group.turns {
                let read = simulation.read(preference: preference)
                #expect(read.text == "poisonous value", "liar \(liar), \(preference)")
                #expect(read.read.flatMap { $0.found.timestamp } == poison.timestamp)
                let isAsked = preference.prefix(group.quorums.dataFragmentCount).contains(liar)
                let expected: [Position: Misbehaviour] =
                    isAsked
                    ? [liar: .invalidFragment(.fingerprintMismatch(FragmentIndex(liar.rawValue)))] : [:]
                #expect(read.read?.observations.misbehaviours == expected, "liar \(liar), \(preference)")
            }
        }
    }
}
