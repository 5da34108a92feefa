// Scenario 6, eight crashes. A client crashes eight times between PREPARE and COMMIT, each time at other servers: they
// hold as many of its uncommitted versions as they may, and none of those may be dropped, since a certificate of it may
// exist. All the same the client must be able to write again, and no write may take effect twice.
//
// The rules (docs/protocol.md, When servers are full): f + 1 *stored* statements let a version into full servers; a
// version that q servers hold is committed first; the new write keeps its timestamp unless a higher version was
// committed.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 6, eight crashes")
struct Scenario06RecoveryTests {
    @Test(
        "6: a client that crashed K times, however many servers each PREPARE reached, writes again", arguments: 0..<12)
    func crashedClient(seed: UInt64) {
        for group in [TestGroup.scenarioGroups[0], TestGroup.scenarioGroups[1]] {
            var generator = SplitMix64(seed: seed)
            let simulation = Simulation(group, seed: seed)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                let count = Int.random(in: 1...group.servers.count, using: &generator)
                let reached = Array(group.servers.shuffled(using: &generator).prefix(count))
                simulation.prepareAndCrash("crash \(crash)", at: reached)
            }
            let write = simulation.write("at last")
            #expect(write.wrote != nil, "seed \(seed): \(String(describing: write.failure))")
            #expect(simulation.read().text == "at last", "seed \(seed)")
        }
    }

    @Test(
        "6: when every server is full of versions that q hold, one of them is committed at once, and the write follows",
        arguments: TestGroup.scenarioGroups)
    func recoveryByCommit(group: TestGroup) {
        let simulation = Simulation(group)
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            simulation.writePartially("crash \(crash)", committingAt: [])
        }
        // Without waiting for a retransmission, which finishing a version would need.
        let session = simulation.startWrite(.photo, Array("at last".utf8), by: .alice)
        simulation.settle()
        #expect((simulation.sessions[session].outcome.wrote?.rounds ?? 0) > 3, "a recovery was needed")
        #expect(simulation.read().text == "at last")
    }

    @Test("6: a write takes another timestamp only after a higher version has made its first one void")
    func oneTimestampAtATime() {
        var keptCount = 0
        var changedCount = 0
        for seed in UInt64(0)..<40 {
            let group = TestGroup.scenarioGroups[0]
            let simulation = Simulation(group, seed: seed)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                simulation.prepareAndCrash("crash \(crash) of \(seed)", at: group.servers)
            }
            let last = "at last, \(seed)"
            let digest = group.value(.photo, Array(last.utf8)).0.digest
            var prepared: Set<Timestamp> = []
            var recovered: Set<Timestamp> = []
            simulation.loses = { event in
                switch event {
                case .request(_, _, .prepare(let prepare)) where prepare.timestamp.digest == digest:
                    prepared.insert(prepare.timestamp)
                case .request(_, _, .commit(let commit)) where commit.certificate.timestamp.digest != digest:
                    recovered.insert(commit.certificate.timestamp)
                default: break
                }
                return false
            }
            #expect(simulation.write(last).wrote != nil, "seed \(seed)")
            #expect(!recovered.isEmpty, "seed \(seed): every server was full")
            let timestamps = prepared.sorted()
            for (first, second) in zip(timestamps, timestamps.dropFirst()) {
                #expect(recovered.contains { first < $0 && $0 < second }, "seed \(seed): \(first), then \(second)")
            }
            if timestamps.count == 1 { keptCount += 1 } else { changedCount += 1 }
        }
        #expect(keptCount > 0 && changedCount > 0, "both ways were taken")
    }

    @Test("6: f + 1 servers with room let a version into all the others", arguments: TestGroup.scenarioGroups)
    func recoveryByAdmission(group: TestGroup) {
        let simulation = Simulation(group)
        let withRoom = group.servers.suffix(group.quorums.vouchers)
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            let reached = group.servers.filter { !withRoom.contains($0) }
            simulation.prepareAndCrash("crash \(crash)", at: Array(reached.prefix(group.quorums.quorum - 1)))
        }
        let write = simulation.write("at last")
        #expect(write.wrote?.timestamp.counter == 1)
        #expect(write.wrote?.rounds == 3)
        #expect(simulation.read().text == "at last")
    }
}
