// What an operation costs and what it returns when nothing is wrong.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("An undisturbed operation")
struct OperationRoundTests {
    @Test(
        "a read of a version that q servers name takes one round, one that fewer name is proven and written back",
        arguments: TestGroup.scenarioGroups)
    func rounds(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("one").wrote?.rounds == 3)
        #expect(simulation.read().read?.rounds == 1)
        simulation.writePartially("two", committingAt: Array(group.servers.prefix(1)))
        #expect(simulation.read().read?.rounds == 3)
        #expect(simulation.read().read?.rounds == 1)
        #expect(simulation.read().text == "two")
    }

    @Test("an empty value is a value, a deleted one is none, and no version at all is none either")
    func emptyAndAbsent() {
        let simulation = Simulation(TestGroup.scenarioGroups[0])
        #expect(simulation.read().text == nil)
        #expect(simulation.write("").wrote != nil)
        #expect(simulation.read().text == "")
        #expect(simulation.write(nil).wrote != nil)
        #expect(simulation.read().text == nil)
    }

    @Test("no certificate is asked for before q servers have answered, none when f + 1 agree, the highest otherwise")
    func certificateRequests() {
        let group = TestGroup()
        let (low, high) = (group.version(.photo, "one", counter: 1), group.version(.photo, "two", counter: 2))
        for (claims, expected) in [([high, high, high], 0), ([high, low, low], 1), ([low, low, high], 1)] {
            var reader = Reader(
                parameters: group.parameters, key: .photo, wantsValue: true, preference: group.servers)
            var effects: [Reader.Effect] = []
            reader.handle(.start, into: &effects)
            for (server, version) in zip(group.servers, claims) {
                #expect(effects.allSatisfy { !$0.asksForCertificate })
                let claim = CommittedClaim(certificate: group.certificate(of: version))
                reader.handle(.reply(server, .version(claim, nil)), into: &effects)
            }
            #expect(effects.count { $0.asksForCertificate } == expected)
            for effect in effects where effect.asksForCertificate {
                guard case .send(_, .certificate(.photo, high.timestamp)) = effect else {
                    Issue.record("not the highest: \(effect)")
                    continue
                }
            }
        }
    }

    @Test("a read that always writes back takes two more rounds for what q servers name, and is told the same")
    func alwaysWritesBack() {
        let group = TestGroup()
        let version = group.version(.photo, "one", counter: 1)
        let reading = ScriptedReading(group, everywhere: group.shown([version], isFirstVerified: true))
        let end = reading.read(alwaysWritesBack: true)
        #expect(end.text == "one" && end.outcome?.rounds == 3 && end.written.count == group.servers.count)
        #expect(reading.read().outcome?.rounds == 1)
    }
}

extension Reader.Effect {
    var asksForCertificate: Bool {
        if case .send(_, .certificate) = self { true } else { false }
    }
}
