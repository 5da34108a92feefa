// What an operation costs and what it returns when nothing is wrong.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("An undisturbed operation")
struct OperationRoundTests {
    @Test(
        "a read of a version that q servers name takes one round, one that fewer name is written back",
        arguments: TestGroup.scenarioGroups)
    func rounds(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("one").wrote?.rounds == 3)
        #expect(simulation.read().read?.rounds == 1)
        simulation.writePartially("two", committingAt: Array(group.servers.prefix(1)))
        #expect(simulation.read().read?.rounds == 2)
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
}
