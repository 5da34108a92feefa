// Scenario 9. A server has decided a commit, which is not on its disk yet, and crashes; reads and the COMMIT's
// acknowledgement are in flight. If anybody had been told of the commit, a version could be answered in one round, or a
// write be complete, on the word of a server that will not remember.
//
// The rule: every answer reflects durable state only (docs/protocol.md, Promises, Durability). A liar takes part, so
// that each correct server that holds the version is needed.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 9, a crash before the disk has it")
struct Scenario09CrashBeforeDurableTests {
    /// Holds what A is to write to its disk.
    private func holdDisk(_ event: Simulation.Event) -> Bool {
        if case .work(0, _, .store) = event { true } else { false }
    }

    /// A has the COMMIT of "new" in memory only, B (a liar from now on) and C have it on disk, D has not heard of it.
    /// For m > f + 1 there are more like C.
    private func commitInMemory(_ simulation: Simulation) -> Int {
        let group = simulation.group
        #expect(simulation.write("old").wrote != nil)
        let behind = group.servers.suffix(group.quorums.faults)
        simulation.note("alice's COMMIT does not get to D, and A's disk is slow")
        simulation.loses = Simulation.losing { server, request in
            if case .commit = request { behind.contains(server) } else { false }
        }
        simulation.holds = { event in
            if case .request(_, _, .commit) = event { true } else { false }
        }
        let writer = simulation.startWrite(.photo, Array("new".utf8), by: .alice)
        simulation.settle()
        simulation.release()
        simulation.holds = holdDisk
        simulation.settle()
        simulation.loses = { _ in false }
        return writer
    }

    private func crashA(_ simulation: Simulation) {
        let group = simulation.group
        simulation.note("A crashes before its disk has the commit")
        simulation.crash(0)
        simulation.holds = { _ in false }
        simulation.restart(0)
        simulation.note("B lies from now on: it denies everything; C cannot be reached")
        simulation.lies[1] = { _, _, request in
            switch request {
            case .readTimestamp: [.timestamp(CommittedClaim(certificate: nil))]
            case .read: [.version(CommittedClaim(certificate: nil), nil)]
            case .certificate: [.certificate(CommittedClaim(certificate: nil), nil)]
            case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: []
            }
        }
        let silent = group.servers.dropFirst(2).prefix(1)
        simulation.loses = Simulation.losing { server, _ in silent.contains(server) }
    }

    private func readAroundCrash(_ simulation: Simulation) {
        let writer = commitInMemory(simulation)
        #expect(simulation.sessions[writer].isRunning, "two of q have acknowledged")
        simulation.crashClient(writer)
        simulation.note("bob reads meanwhile: A must not tell what only its memory has")
        let first = simulation.startRead(.photo, preference: simulation.group.servers)
        simulation.settle()
        let answered = simulation.sessions[first].outcome
        crashA(simulation)
        // What the first reader was told, the second must see.
        let second = simulation.startRead(.photo, preference: simulation.group.preferring([0, 3]))
        simulation.settle()
        #expect(answered.text == "new", "B and C have it, D by the first reader's write-back")
        #expect(answered.read?.rounds == 3, "A's memory does not make it a quorum")
        let held = simulation.host(3).record(.photo).committed?.timestamp
        #expect(held == answered.read?.found.timestamp, "D has it from the write-back")
        simulation.loses = { _ in false }
        #expect(simulation.finish(second).text == "new")
    }

    @Test("9: a commit that only a server's memory has is told to no reader, so that its crash takes nothing back")
    func transcript() {
        let transcript = Transcript("Scenario 9: a crash before the disk has it (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        readAroundCrash(simulation)
        simulation.note("verdict: A told nobody; the version was written back to D, where the second reader found it")
        transcript.expectKept(as: "09-crash-before-durable")
    }

    @Test(
        "9: a COMMIT that only a server's memory has is not acknowledged, so the write is not complete",
        arguments: [TestGroup(), TestGroup(dataFragmentCount: 8)])
    func acknowledgement(group: TestGroup) {
        let simulation = Simulation(group)
        let writer = commitInMemory(simulation)
        #expect(simulation.sessions[writer].outcome == nil, "one short of q have it on disk")
        simulation.crash(0)
        simulation.holds = { _ in false }
        simulation.restart(0)
        #expect(simulation.host(0).record(.photo).committed?.timestamp.counter == 1)
        #expect(simulation.finish(writer).wrote?.timestamp.counter == 2)
        #expect(simulation.host(0).record(.photo).committed?.timestamp.counter == 2)
    }

    @Test("9: what a server has not made durable is told to nobody, wherever it crashes", arguments: 0..<200)
    func crashBeforeDurable(seed: UInt64) {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        var generator = SplitMix64(seed: seed)
        let versions = (1...3).map { group.version(.photo, "v\($0)", counter: UInt64($0)) }
        var told: Timestamp?
        var events: [ReplicaEffect] = []
        var inputs: [ReplicaInput] = []
        let requests = versions.flatMap { version in
            [version.commit(group.certificate(of: version)), .readTimestamp(.photo), .readTimestamp(.photo)]
        }
        for step in 0..<Int.random(in: 0...40, using: &generator) {
            let choice = Int.random(in: 0..<3, using: &generator)
            if choice == 0 || (events.isEmpty && inputs.isEmpty) {
                let tag = RequestTag(session: 1, request: UInt64(step))
                let request = requests.randomElement(using: &generator)!
                events += host.handle(.request(tag, from: .client(.alice), request))
                continue
            }
            if !inputs.isEmpty, events.isEmpty || choice == 1 {
                events += host.handle(inputs.removeFirst())
                continue
            }
            switch host.run(events.remove(at: Int.random(in: events.indices, using: &generator))) {
            case .input(let input): inputs.append(input)
            case .reply(_, .committed(let timestamp, _)): told = max(told ?? timestamp, timestamp)
            case .reply(_, .timestamp(let claim)):
                if let timestamp = claim.timestamp { told = max(told ?? timestamp, timestamp) }
            case .reply(_, let reply): Issue.record("\(reply)")
            case .verify, .repairEnded, .restate: Issue.record("nothing waits to be verified or repaired")
            case .forgotten: break
            }
        }
        host.crash()
        guard case .timestamp(let claim) = host.answer(.readTimestamp(.photo)) else {
            Issue.record("no answer")
            return
        }
        #expect(!claim.timestamp.precedes(told), "seed \(seed)")
    }
}
