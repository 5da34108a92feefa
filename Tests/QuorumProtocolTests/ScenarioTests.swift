// The scenarios that broke earlier drafts (docs/protocol.md, Scenarios), as far as they touch writing, reading,
// retention and write-time verification.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario")
struct ScenarioTests {
    static let groups = [TestGroup(), TestGroup(faults: 2), TestGroup(dataFragmentCount: 8)]

    /// Loses every request for which this is true.
    private func losing(_ isLost: @escaping (ServerIndex, Request) -> Bool) -> (Simulation.Event) -> Bool {
        { event in
            if case .request(let server, _, let request) = event { isLost(server, request) } else { false }
        }
    }

    /// The client sends its COMMITs to `servers` only, and goes away.
    @discardableResult
    private func writePartially(
        _ simulation: Simulation, _ text: String?, by client: ClientID = .alice, committingAt servers: [ServerIndex]
    ) -> Int {
        simulation.loses = losing { server, request in
            if case .commit = request { !servers.contains(server) } else { false }
        }
        let session = simulation.startWrite(.photo, text.map { Array($0.utf8) }, by: client)
        simulation.settle()
        simulation.loses = { _ in false }
        simulation.crashClient(session)
        return session
    }

    /// The client's PREPAREs reach `servers` only, its COMMIT nobody, and it goes away.
    private func prepare(
        _ simulation: Simulation, _ text: String, by client: ClientID = .alice, at servers: [ServerIndex]
    ) {
        simulation.loses = losing { server, request in
            switch request {
            case .prepare: !servers.contains(server)
            case .commit: true
            case .read, .readTimestamp: false
            }
        }
        let session = simulation.startWrite(.photo, Array(text.utf8), by: client)
        simulation.settle()
        simulation.loses = { _ in false }
        simulation.crashClient(session)
    }

    // MARK: Poison

    @Test(
        "1: garbage that its writer and a colluding server agree on is returned by nobody, whoever is asked first",
        arguments: groups)
    func colludingGarbage(group: TestGroup) {
        let first = group.version(.photo, "honest value", counter: 1)
        for liar in group.servers {
            let simulation = Simulation(group)
            #expect(simulation.write("honest value").wrote != nil)
            let poison = group.poisonedVersion(.photo, "poisonous value", garbageAt: liar, counter: 2)
            // All but the liar verify and store what they got; the liar signs for its garbage, and serves it.
            for server in group.servers where server != liar {
                _ = simulation.host(server).answer(.prepare(poison.prepare(for: server)), from: .client(.mallory))
            }
            let signers = [liar] + group.servers.filter { $0 != liar }.prefix(group.quorums.quorum - 1)
            let certificate = group.certificate(of: poison, by: signers)
            for server in group.servers where server != liar {
                let reply = simulation.host(server).answer(poison.commit(certificate), from: .client(.mallory))
                #expect(reply == .committed(poison.timestamp))
            }
            simulation.lies[liar] = { _, _, request in
                guard case .read = request else { return nil }
                return [
                    .version(
                        CommittedClaim(certificate: certificate),
                        HeldParts(
                            timestamp: poison.timestamp, descriptor: poison.descriptor,
                            fragments: poison.fragments[liar.offset]))
                ]
            }
            for turn in group.servers.indices {
                let preference = Array(group.servers[turn...] + group.servers[..<turn])
                let read = simulation.read(preference: preference)
                #expect(read.text == "poisonous value", "liar \(liar), \(preference)")
                if preference.prefix(group.quorums.dataFragmentCount).contains(liar) {
                    #expect(
                        read.read?.observations.misbehaviours[liar]
                            == .invalidFragment(.fingerprintMismatch(FragmentIndex(liar.rawValue))))
                }
            }
            #expect(first.timestamp < poison.timestamp)
        }
    }

    // MARK: Crashed clients

    @Test(
        "6: a client that crashed K times, however many servers each PREPARE reached, writes again", arguments: 0..<12)
    func crashedClient(seed: UInt64) {
        for group in [Self.groups[0], Self.groups[1]] {
            var generator = SplitMix64(seed: seed)
            let simulation = Simulation(group, seed: seed)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                let count = Int.random(in: 1...group.servers.count, using: &generator)
                let reached = Array(group.servers.shuffled(using: &generator).prefix(count))
                prepare(simulation, "crash \(crash)", at: reached)
            }
            let write = simulation.write("at last")
            #expect(write.wrote != nil, "seed \(seed): \(String(describing: write.failure))")
            #expect(simulation.read().text == "at last", "seed \(seed)")
        }
    }

    @Test(
        "6: when every server is full of versions that q hold, one of them is committed, and the write follows",
        arguments: groups)
    func recoveryByCommit(group: TestGroup) {
        let simulation = Simulation(group)
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            writePartially(simulation, "crash \(crash)", committingAt: [])
        }
        let write = simulation.write("at last")
        #expect((write.wrote?.rounds ?? 0) > 3, "a recovery was needed")
        #expect(simulation.read().text == "at last")
    }

    @Test("6: a write takes another timestamp only after a higher version has made its first one void")
    func oneTimestampAtATime() {
        var keptCount = 0
        var changedCount = 0
        for seed in UInt64(0)..<40 {
            let group = Self.groups[0]
            let simulation = Simulation(group, seed: seed)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                prepare(simulation, "crash \(crash) of \(seed)", at: group.servers)
            }
            let digest = group.value(.photo, Array("at last".utf8)).0.digest
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
            #expect(simulation.write("at last").wrote != nil, "seed \(seed)")
            #expect(!recovered.isEmpty, "seed \(seed): every server was full")
            let timestamps = prepared.sorted()
            for (first, second) in zip(timestamps, timestamps.dropFirst()) {
                #expect(recovered.contains { first < $0 && $0 < second }, "seed \(seed): \(first), then \(second)")
            }
            if timestamps.count == 1 { keptCount += 1 } else { changedCount += 1 }
        }
        #expect(keptCount > 0 && changedCount > 0, "both ways were taken")
    }

    @Test("6: f + 1 servers with room let a version into all the others", arguments: groups)
    func recoveryByAdmission(group: TestGroup) {
        let simulation = Simulation(group)
        let withRoom = group.servers.suffix(group.quorums.vouchers)
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            let reached = group.servers.filter { !withRoom.contains($0) }
            prepare(simulation, "crash \(crash)", at: Array(reached.prefix(group.quorums.quorum - 1)))
        }
        let write = simulation.write("at last")
        #expect(write.wrote?.timestamp.counter == 1)
        #expect(write.wrote?.rounds == 3)
        #expect(simulation.read().text == "at last")
    }

    @Test("6: a client that crashed K times writes again although f servers hide what they hold", arguments: 0..<4)
    func crashedClientAmongLiars(seed: UInt64) {
        for group in Self.groups {
            var generator = SplitMix64(seed: seed)
            let simulation = Simulation(group, seed: seed)
            let (m, quorum) = (group.quorums.dataFragmentCount, group.quorums.quorum)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                let count = Int.random(in: m...quorum, using: &generator)
                prepare(simulation, "crash \(crash)", at: Array(group.servers.prefix(count)))
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
        let group = Self.groups[0]
        let simulation = Simulation(group, seed: seed)
        // Of what the liar and one correct server name, only one fragment is to be had; the rest is at two correct ones.
        for (name, servers) in [("both", [0, 1]), ("first", [0, 3]), ("second", [1, 3])] as [(String, [ServerIndex])] {
            for crash in 0..<4 { prepare(simulation, "\(name) \(crash)", at: servers) }
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
                    timestamp: version, descriptor: foreign.descriptor, fragments: foreign.fragments[3])
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
                        HeldParts(timestamp: parts.timestamp, descriptor: parts.descriptor, fragments: garbage))
                ]
            }
        }
        let write = simulation.finish(simulation.startWrite(.photo, [1], by: .alice), retransmissions: 60)
        #expect(write.wrote != nil, "\(String(describing: write.failure))")
        simulation.lies[3] = nil
        simulation.rewrites[3] = nil
        #expect(simulation.read().read != nil)
    }

    @Test("6: deletions that were left behind at too few servers are finished as values are", arguments: groups)
    func completionOfTombstones(group: TestGroup) {
        let simulation = Simulation(group)
        simulation.loses = losing { server, request in
            switch request {
            case .prepare: server.offset >= group.quorums.dataFragmentCount
            case .commit: true
            case .read, .readTimestamp: false
            }
        }
        for _ in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            let session = simulation.startWrite(.photo, nil, by: .alice)
            simulation.settle()
            simulation.crashClient(session)
        }
        simulation.loses = { _ in false }
        for liar in group.servers[group.quorums.quorum...] { simulation.lies[liar] = { _, _, _ in [] } }
        #expect(simulation.write("at last").wrote?.timestamp.counter == 2)
        #expect(simulation.read().text == "at last")
    }

    @Test("6: sixteen writes at once under one identity all finish, in any order", arguments: 0..<10)
    func sameIdentity(seed: UInt64) {
        let simulation = Simulation(Self.groups[0], seed: seed)
        let sessions = (0..<16).map { simulation.startWrite(.photo, Array("put \($0)".utf8), by: .alice) }
        for _ in 0..<12 {
            simulation.settle()
            for session in sessions { simulation.remind(session) }
        }
        simulation.settle()
        let unfinished = sessions.filter { simulation.sessions[$0].outcome.wrote == nil }
        #expect(unfinished.isEmpty, "seed \(seed)")
        #expect(simulation.read().text?.hasPrefix("put") == true)
    }

    @Test("6: a late or repeated refusal of a PREPARE ends neither the recovery nor the write it belongs to")
    func lateRefusals() {
        for group in Self.groups {
            // All servers but one have not seen the version below, and every reply comes three times.
            let simulation = Simulation(group)
            writePartially(simulation, "below", committingAt: [0])
            for server in group.servers { simulation.rewrites[server] = { _, _, reply in [reply, reply, reply] } }
            #expect(simulation.write("above").wrote?.timestamp.counter == 2)

            // They come again when the write is in its last phase already.
            let late = Simulation(group)
            late.loses = losing { _, request in
                if case .commit = request { true } else { false }
            }
            let session = late.startWrite(.photo, [1], by: .alice)
            late.settle()
            late.loses = { _ in false }
            for server in group.servers {
                late.inject(.refused(.justificationRequired(committedCounter: 0)), of: server, to: session)
                late.inject(.refused(.tooManyPending([])), of: server, to: session)
            }
            #expect(late.finish(session).wrote != nil)

            // They come again while the write reads the timestamp anew, after a recovery.
            let full = Simulation(group)
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                writePartially(full, "crash \(crash)", committingAt: [])
            }
            for server in group.servers { full.rewrites[server] = { _, _, reply in [reply, reply, reply] } }
            let recovered = full.write("at last")
            #expect(recovered.wrote != nil)
            #expect(recovered.wrote?.observations.misbehaving.isEmpty == true, "nobody is blamed for what came late")
        }
    }

    @Test(
        "6: a write that failed after its PREPARE left says that it may take effect, since a later recovery commits it")
    func failedPrepareMayTakeEffect() {
        let simulation = Simulation(Self.groups[0])
        var failure: OperationFailure?
        for crash in 0..<8 {
            simulation.loses = { event in
                if case .reply(_, _, .prepared) = event { true } else { false }
            }
            failure =
                simulation.finish(
                    simulation.startWrite(.photo, Array("lost \(crash)".utf8), by: .alice), retransmissions: 1
                ).failure
        }
        simulation.loses = { _ in false }
        #expect(failure?.mayHaveTakenEffect == true)
        #expect(simulation.read().text == nil)
        // The next write commits one of the eight first, and goes away before it comes to its own.
        let next = simulation.startWrite(.photo, Array("next".utf8), by: .alice)
        var hasRecovered = false
        simulation.loses = losing { _, request in
            if case .commit = request { hasRecovered = true }
            if case .prepare = request { return hasRecovered }
            return false
        }
        simulation.settle()
        simulation.crashClient(next)
        simulation.loses = { _ in false }
        #expect(simulation.read().text?.hasPrefix("lost") == true)
    }

    @Test("6: a write that failed while it read the timestamp anew, after a recovery, says that it may take effect")
    func failedAfterRecovery() {
        let simulation = Simulation(Self.groups[0])
        for crash in 0..<8 { writePartially(simulation, "crash \(crash)", committingAt: []) }
        var hasRecovered = false
        simulation.loses = { event in
            switch event {
            case .request(_, _, .commit):
                hasRecovered = true
                return false
            case .reply(_, _, .timestamp):
                return hasRecovered
            default:
                return false
            }
        }
        // Of so many values the one that is lowest in order is below what is recovered, and gets a new timestamp.
        let value = (0..<20).map { Array("next \($0)".utf8) }.min { low, high in
            simulation.group.value(.photo, low).0.digest < simulation.group.value(.photo, high).0.digest
        }
        let write = simulation.startWrite(.photo, value, by: .alice)
        let failure = simulation.finish(write, retransmissions: 1).failure
        #expect(hasRecovered)
        #expect(failure?.mayHaveTakenEffect == true, "its PREPARE has left")
    }

    // MARK: Claims and crashes

    @Test(
        "8: a certificate whose bearer is slow outweighs f + 1 servers that agree on a stale version", arguments: groups
    )
    func delayedCertificate(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("old").wrote != nil)
        // The new version is complete at q servers; the f others are behind, and quick.
        let behind = Array(group.servers.suffix(group.quorums.faults))
        let session = writePartially(
            simulation, "new", committingAt: group.servers.filter { !behind.contains($0) })
        #expect(simulation.sessions[session].outcome.wrote != nil)
        for bearer in group.servers where !behind.contains(bearer) {
            let reader = simulation.startRead(
                .photo, preference: behind + group.servers.filter { !behind.contains($0) })
            simulation.loses = { event in
                if case .reply(_, bearer, _) = event { true } else { false }
            }
            simulation.settle()
            simulation.loses = { _ in false }
            #expect(simulation.finish(reader).text == "new", "\(bearer) answers last")
        }
    }

    @Test("9: what a server has not made durable is told to nobody, wherever it crashes", arguments: 0..<200)
    func crashBeforeDurable(seed: UInt64) {
        let group = Self.groups[0]
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
            case .reply(_, .committed(let timestamp)): told = max(told ?? timestamp, timestamp)
            case .reply(_, .timestamp(let claim)):
                if let timestamp = claim.timestamp { told = max(told ?? timestamp, timestamp) }
            case .reply(_, let reply): Issue.record("\(reply)")
            }
        }
        host.crash()
        guard case .timestamp(let claim) = host.answer(.readTimestamp(.photo)) else {
            Issue.record("no answer")
            return
        }
        #expect(!claim.timestamp.precedes(told), "seed \(seed)")
    }

    @Test(
        "10: a version committed at one server only is found again by every reader that follows one who saw it",
        arguments: groups)
    func committedAtOneServer(group: TestGroup) {
        for holder in group.servers {
            let simulation = Simulation(group)
            #expect(simulation.write("old").wrote != nil)
            writePartially(simulation, "new", committingAt: [holder])
            // A lower version of another writer is superseded there, stored elsewhere, and gets its certificate.
            let between = group.version(.photo, "between", counter: 2, writer: ClientID(high: 0, low: 1))
            let statements = group.servers.compactMap { server -> SignedStatement? in
                let reply = simulation.host(server).answer(
                    .prepare(between.prepare(for: server)), from: .client(between.timestamp.writer))
                guard case .prepared(let signed, _) = reply else { return nil }
                #expect(signed.claim == (server == holder ? .superseded : .stored))
                return signed
            }
            let signers = statements.filter { $0.server == holder } + statements.filter { $0.server != holder }
            let certificate = Certificate(
                timestamp: between.timestamp, statements: Array(signers.prefix(group.quorums.quorum)))
            let completesEarly = holder.rawValue % 2 == 0
            func completeBetween() {
                for server in group.servers {
                    #expect(
                        simulation.host(server).answer(between.commit(certificate)) == .committed(between.timestamp))
                }
            }
            if completesEarly { completeBetween() }
            let first = simulation.read(preference: [holder] + group.servers.filter { $0 != holder })
            #expect(first.text == "new" && first.read?.rounds == 2)
            if !completesEarly { completeBetween() }
            // The second reader never hears of that server.
            simulation.loses = losing { server, _ in server == holder }
            #expect(simulation.read().text == "new", "\(holder)")
        }
    }

    @Test("11: a reader whose version is dropped at server after server goes on to the next one", arguments: 0..<60)
    func droppedWhileRead(seed: UInt64) {
        var limits = ProtocolLimits()
        limits.retainedVersionsMax = 0
        limits.retentionMilliseconds = 0
        let group = TestGroup(limits: limits)
        let simulation = Simulation(group, seed: seed)
        #expect(simulation.write("value 0").wrote != nil)
        let reader = simulation.startRead(.photo)
        for number in 1...3 {
            for _ in 0..<Int.random(in: 0...12, using: &simulation.generator) { simulation.step() }
            let writer = simulation.startWrite(.photo, Array("value \(number)".utf8), by: .alice)
            while simulation.sessions[writer].isRunning, simulation.step() {}
        }
        let read = simulation.finish(reader)
        #expect(read.text?.hasPrefix("value") == true, "seed \(seed): \(String(describing: read))")
    }

    @Test("11: acknowledgements of one version's write-back do not count for the higher one that comes meanwhile")
    func writeBackOvertaken() {
        let group = Self.groups[0]
        let (lower, higher) = (group.version(.photo, "lower", counter: 1), group.version(.photo, "higher", counter: 2))
        func version(_ version: TestVersion?, at server: ServerIndex) -> Reply {
            .version(
                CommittedClaim(certificate: version.map { group.certificate(of: $0) }),
                version.map {
                    HeldParts(
                        timestamp: $0.timestamp, descriptor: $0.descriptor, fragments: $0.fragments[server.offset])
                })
        }
        let simulation = Simulation(group)
        simulation.loses = { _ in true }
        let reader = simulation.startRead(.photo)
        func reply(_ reply: Reply, of server: ServerIndex) {
            simulation.feed(reader, Reader.Input.reply(server, reply))
            simulation.settle()
        }
        // The lower version is named by server 0, held by server 1, and unknown at server 2.
        reply(version(lower, at: 0), of: 0)
        reply(.version(CommittedClaim(certificate: nil), nil), of: 1)
        reply(.version(CommittedClaim(certificate: nil), nil), of: 2)
        reply(
            .version(
                CommittedClaim(certificate: nil),
                HeldParts(timestamp: lower.timestamp, descriptor: lower.descriptor, fragments: lower.fragments[1])),
            of: 1)
        reply(.committed(lower.timestamp), of: 1)
        #expect(simulation.sessions[reader].isRunning, "two of three have it")
        // Server 3 names the higher one; server 0 has it as well.
        reply(version(higher, at: 3), of: 3)
        reply(version(higher, at: 0), of: 0)
        #expect(simulation.sessions[reader].isRunning, "the acknowledgement of server 1 was for the lower version")
        reply(.committed(lower.timestamp), of: 2)
        #expect(simulation.sessions[reader].isRunning, "and so is this one")
        reply(.committed(higher.timestamp), of: 2)
        #expect(simulation.sessions[reader].outcome.text == "higher")
    }

    // MARK: Lurking writes and deletion

    @Test(
        "12: a hidden chain of justifications goes no further than what it wrote, and correct writes go on",
        arguments: groups)
    func hiddenChain(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("honest").wrote != nil)
        // Mallory prepares versions 2...9, each justified by the certificate below, and shows no COMMIT to anybody.
        var below: Certificate?
        var chain: [(TestVersion, Certificate)] = []
        for counter in 2...9 as ClosedRange<UInt64> {
            let version = group.version(.photo, "hidden \(counter)", counter: counter, writer: .mallory)
            var statements: [SignedStatement] = []
            for server in group.servers.prefix(group.quorums.quorum) {
                let reply = simulation.host(server).answer(
                    .prepare(version.prepare(for: server, justification: below)), from: .client(.mallory))
                guard case .prepared(let signed, _) = reply else {
                    Issue.record("\(reply)")
                    return
                }
                statements.append(signed)
            }
            let certificate = Certificate(timestamp: version.timestamp, statements: statements)
            below = certificate
            chain.append((version, certificate))
        }
        // Each PREPARE showed the certificate below it: all but the last are known to be committed.
        #expect(simulation.read().text == "hidden 8")
        guard let write = simulation.write("correct").wrote else {
            Issue.record("the correct write fails")
            return
        }
        #expect(write.timestamp.counter == 9)
        // What Mallory kept back is a version of counter 9, ordered by the writer: one lurking write, and no more.
        for (version, certificate) in chain {
            for server in group.servers { _ = simulation.host(server).answer(version.commit(certificate)) }
        }
        #expect(["correct", "hidden 9"].contains(simulation.read().text))
        #expect(simulation.write("after").wrote?.timestamp.counter == 10)
        for (version, certificate) in chain {
            for server in group.servers { _ = simulation.host(server).answer(version.commit(certificate)) }
        }
        #expect(simulation.read().text == "after")
    }

    @Test(
        "13: a server absent during a delete revives nothing by the old certificates it gets to see", arguments: groups)
    func absentDuringDelete(group: TestGroup) {
        let simulation = Simulation(group)
        let absent = group.servers.suffix(group.quorums.faults)
        var certificates: [Request] = []
        for text in ["one", "two"] {
            guard let outcome = simulation.write(text).wrote else {
                Issue.record("the write fails")
                return
            }
            let (descriptor, _) = group.value(.photo, Array(text.utf8))
            certificates.append(
                .commit(Commit(key: .photo, certificate: outcome.certificate, descriptor: descriptor)))
        }
        for server in absent { simulation.crash(server) }
        #expect(simulation.write(nil).wrote != nil)
        simulation.tick(advancingBy: 60_000)
        for server in absent { simulation.restart(server) }
        for request in certificates + certificates.reversed() {
            for server in group.servers { _ = simulation.host(server).answer(request, from: .client(.mallory)) }
        }
        for turn in group.servers.indices {
            let read = simulation.read(preference: Array(group.servers[turn...] + group.servers[..<turn]))
            #expect(read.text == nil)
        }
        #expect(simulation.write("three").wrote?.timestamp.counter == 4)
    }

    @Test(
        "15: a version written by m = 8, n = 10 survives the loss of any f servers and every replay", arguments: 0..<10)
    func wide(lost: UInt8) {
        let group = Self.groups[2]
        let simulation = Simulation(group)
        #expect(simulation.write("wide").wrote != nil)
        simulation.crash(ServerIndex(lost))
        #expect(simulation.read().text == "wide")
        #expect(simulation.write("wider").wrote != nil)
        simulation.restart(ServerIndex(lost))
        simulation.crash(ServerIndex((lost + 1) % 10))
        #expect(simulation.read().text == "wider")
    }

    // MARK: Rounds

    @Test(
        "a read of a version that q servers name takes one round, one that fewer name is written back",
        arguments: groups)
    func rounds(group: TestGroup) {
        let simulation = Simulation(group)
        #expect(simulation.write("one").wrote?.rounds == 3)
        #expect(simulation.read().read?.rounds == 1)
        writePartially(simulation, "two", committingAt: Array(group.servers.prefix(1)))
        #expect(simulation.read().read?.rounds == 2)
        #expect(simulation.read().read?.rounds == 1)
        #expect(simulation.read().text == "two")
    }

    @Test("an empty value is a value, a deleted one is none, and no version at all is none either")
    func emptyAndAbsent() {
        let simulation = Simulation(Self.groups[0])
        #expect(simulation.read().text == nil)
        #expect(simulation.write("").wrote != nil)
        #expect(simulation.read().text == "")
        #expect(simulation.write(nil).wrote != nil)
        #expect(simulation.read().text == nil)
    }
}
