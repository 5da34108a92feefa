// One replica and a version that turns out to be poisonous: what it signs and when, what it keeps and until when.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A poisonous version")
struct PoisonRecordTests {
    static let modes: [VerificationMode] = [.lazy, .readTime]

    private struct Setting {
        let group: TestGroup
        let host: ReplicaHost
        let good: TestVersion
        let poison: TestVersion

        init(_ mode: VerificationMode, group: TestGroup? = nil) {
            self.group = group ?? TestGroup(mode: mode)
            let group = self.group
            host = ReplicaHost(group, 0)
            good = group.version(.photo, "good", counter: 1)
            poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
            commitAll()
        }

        func commitAll() {
            for version in [good, poison] {
                _ = host.answer(.prepare(version.prepare(for: 0)), from: .client(version.timestamp.writer))
                _ = host.answer(version.commit(group.certificate(of: version)))
            }
        }

        /// What is found by decoding.
        var found: ReplicaInput { .found(.photo, group.findings(group.shown([good, poison]), by: 0)) }

        /// What is found when these servers' statements are handed out, and nobody has fragments.
        func proven(by servers: [Position]) -> ReplicaInput {
            let shown = ShownServer(
                claim: CommittedClaim(
                    certificate: nil,
                    unverified: [good, poison].map { group.certificate(of: $0) },
                    poisonous: [group.poisonous(poison, by: servers)]),
                held: [good])
            return .found(.photo, group.findings(shown, by: 0))
        }

        var record: ObjectRecord { host.record(.photo) }
    }

    @Test("is signed for only when the disk knows of it, and again if a crash came between", arguments: modes)
    func signedWhenDurable(mode: VerificationMode) {
        let setting = Setting(mode)
        let (host, timestamp) = (setting.host, setting.poison.timestamp)
        let own = setting.group.statement(of: 0, .photo, timestamp, .poisonous)
        var crashed = 0
        // A crash after each number of steps; what is on disk at that time decides.
        for stepCount in 0..<8 {
            var effects = host.handle(setting.found)
            for _ in 0..<stepCount where !effects.isEmpty {
                let effect = effects.removeFirst()
                if case .store(_, let change, let statements) = effect {
                    for statement in statements {
                        #expect(statement.claim == .poisonous && statement.timestamp == timestamp)
                        let record = change?.record ?? setting.record
                        #expect(record.isPoisonous(timestamp), "it goes to the disk with what it says")
                    }
                    let held = (change?.record ?? setting.record).version(timestamp)
                    #expect(held?.holdsFragments == true, "its fragment is dropped on its own word")
                }
                if case .input(let input) = host.run(effect) { effects += host.handle(input) }
            }
            let claim = setting.record.claim
            for version in claim.poisonous { #expect(version.statements == [own] || version.statements.isEmpty) }
            host.crash()
            crashed += 1
        }
        host.runToEnd(setting.found)
        #expect(crashed == 8 && setting.record.claim.poisonous.map(\.statements) == [[own]])
        #expect(throws: Never.self) {
            try setting.group.freshVerifier().verify(own, key: .photo, timestamp: timestamp)
        }
        #expect(setting.record.committed?.timestamp == setting.good.timestamp)
    }

    @Test("is signed for after a crash came between though nobody names it as committed any more", arguments: modes)
    func signedLate(mode: VerificationMode) {
        let setting = Setting(mode)
        let (host, timestamp) = (setting.host, setting.poison.timestamp)
        let own = setting.group.statement(of: 0, .photo, timestamp, .poisonous)
        // Up to the moment when the disk knows of it.
        var effects = host.handle(setting.found)
        while !setting.record.isPoisonous(timestamp), !effects.isEmpty {
            if case .input(let input) = host.run(effects.removeFirst()) { effects += host.handle(input) }
        }
        #expect(setting.record.claim.poisonous.map(\.statements) == [[]])
        host.crash()
        host.runToEnd(.found(.photo, setting.group.findings(setting.group.shown([setting.good]), by: 0)))
        #expect(setting.record.claim.poisonous.map(\.statements) == [[own]])
        #expect(setting.record.version(timestamp)?.holdsFragments == true)
    }

    @Test("is served until f + 1 servers have signed, and then dropped", arguments: modes)
    func keptUntilProven(mode: VerificationMode) {
        let setting = Setting(mode)
        let (host, timestamp) = (setting.host, setting.poison.timestamp)
        for _ in 0..<3 {
            host.runToEnd(setting.found)
            host.crash()
            let reply = host.answer(.read(Read(key: .photo, version: timestamp, portion: .fragments)))
            guard case .version(_, let parts) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(parts?.fragments == setting.poison.fragments[0])
        }
        host.runToEnd(setting.proven(by: [1, 2]))
        #expect(setting.record.version(timestamp) == nil)
        #expect(setting.record.claim.poisonous.first.map { setting.group.signers($0.statements) } == [0, 1])
        #expect(setting.record.verificationDueMilliseconds == nil)
    }

    @Test("is refused by PREPARE and COMMIT from then on, before and after its fragments are dropped", arguments: modes)
    func refusedForEver(mode: VerificationMode) {
        let setting = Setting(mode)
        let host = setting.host
        for input in [setting.found, setting.proven(by: [1, 2]), .tick(milliseconds: 1 << 40)] {
            host.runToEnd(input)
            host.crash()
            let before = host.store
            #expect(
                host.answer(.prepare(setting.poison.prepare(for: 0)), from: .client(.mallory)) == .refused(.poisonous))
            #expect(
                host.answer(setting.poison.commit(setting.group.certificate(of: setting.poison)))
                    == .refused(.poisonous))
            #expect(host.store == before)
        }
        // Below a higher sound version it is superseded like anything else, and not stored either.
        let next = setting.group.version(.photo, "next", counter: 3)
        host.runToEnd(.found(.photo, setting.group.findings(setting.group.shown([next]), by: 0)))
        guard
            case .prepared(let signed, _) = host.answer(
                .prepare(setting.poison.prepare(for: 0)), from: .client(.mallory))
        else {
            Issue.record("no answer")
            return
        }
        #expect(signed.claim == .superseded && setting.record.version(setting.poison.timestamp) == nil)
        #expect(setting.record.poisonous.isEmpty)
    }

    @Test("still shows that its counter was reached", arguments: modes)
    func justifies(mode: VerificationMode) {
        let setting = Setting(mode)
        setting.host.runToEnd(setting.found)
        setting.host.runToEnd(setting.proven(by: [1, 2]))
        let next = setting.group.version(.photo, "next", counter: 3)
        #expect(
            setting.host.answer(.prepare(next.prepare(for: 0)))
                == .refused(.justificationRequired(committedCounter: 1)))
        let justification = setting.group.certificate(of: setting.poison)
        guard
            case .prepared(let signed, _) = setting.host.answer(
                .prepare(next.prepare(for: 0, justification: justification)))
        else {
            Issue.record("not taken")
            return
        }
        #expect(signed.claim == .stored)
        #expect(setting.record.claim.unverified.isEmpty && setting.record.claim.timestamp == setting.good.timestamp)
        #expect(setting.record.isPoisonous(setting.poison.timestamp))
    }

    @Test("counts for no certificate by the statements that say so, at servers and writers", arguments: modes)
    func noCertificate(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let version = group.version(.photo, "x", counter: 1)
        for server in group.servers.prefix(3) {
            let statements = group.servers.prefix(3).map {
                group.statement(of: $0, .photo, version.timestamp, $0 == server ? .poisonous : .stored)
            }
            let certificate = group.certificate(version.timestamp, statements)
            #expect(throws: CertificateError.wrongClaim(group.node(server))) {
                try group.verifier.verify(certificate, key: .photo)
            }
            let host = ReplicaHost(group, 0)
            #expect(
                host.answer(version.commit(certificate))
                    == .refused(.invalidCertificate(.wrongClaim(group.node(server)))))
            let next = group.version(.photo, "next", counter: 2)
            #expect(
                host.answer(.prepare(next.prepare(for: 0, justification: certificate)))
                    == .refused(.invalidCertificate(.wrongClaim(group.node(server)))))
        }
        let simulation = Simulation(group)
        simulation.rewrites[1] = { simulation, _, reply in
            guard case .prepared(let signed, let committed) = reply else { return [reply] }
            let timestamp = simulation.host(1).record(.photo).held[0].timestamp
            let poisonous = simulation.group.statement(of: 1, .photo, timestamp, .poisonous)
            return signed.claim == .stored ? [.prepared(poisonous, committed: committed)] : [reply]
        }
        let wrote = simulation.write("value").wrote
        #expect((wrote?.certificate.statements).map { group.signers($0) } == [0, 2, 3])
        #expect(wrote?.observations.misbehaviours[1] == .invalidStatement(.wrongClaim(group.node(1))))
    }

    @Test("is no admission by the statements that say so", arguments: modes)
    func noAdmission(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let limit = group.parameters.limits.pendingVersionsPerClientMax
        for number in 0..<limit {
            _ = host.answer(.prepare(group.version(.photo, "pending \(number)", counter: 1).prepare(for: 0)))
        }
        let version = group.version(.photo, "one more", counter: 1)
        let admission = [1, 2].map { group.statement(of: $0, .photo, version.timestamp, .poisonous) }
        #expect(
            host.answer(.prepare(version.prepare(for: 0, admission: admission)))
                == .refused(.invalidAdmission(have: 0, need: 2)))
    }

    @Test("ends the same wherever a crash interrupts the server, once all is said again", arguments: modes)
    func crashesAnywhere(mode: VerificationMode) {
        let reference = Setting(mode)
        let inputs = [reference.found, reference.proven(by: [1, 2])]
        for input in inputs { reference.host.runToEnd(input) }
        for stepCount in 0..<30 {
            // The same group: its signatures are random, and compared here.
            let setting = Setting(mode, group: reference.group)
            var remaining = stepCount
            for input in inputs {
                var effects = setting.host.handle(input)
                while !effects.isEmpty, remaining > 0 {
                    remaining -= 1
                    if case .input(let input) = setting.host.run(effects.removeFirst()) {
                        effects += setting.host.handle(input)
                    }
                }
            }
            setting.host.crash()
            setting.commitAll()
            for input in inputs { setting.host.runToEnd(input) }
            #expect(setting.host.store == reference.host.store, "after \(stepCount) steps")
        }
    }

    @Test("of the version that a server has only pending is signed for and refused all the same", arguments: modes)
    func pendingPoison(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 1)
        _ = host.answer(.prepare(poison.prepare(for: 0)), from: .client(.mallory))
        host.runToEnd(.found(.photo, group.findings(group.shown([poison]), by: 0)))
        let record = host.record(.photo)
        #expect(record.claim.poisonous.map(\.statements.count) == [1])
        #expect(record.pending(of: .mallory).isEmpty)
        #expect(host.answer(poison.commit(group.certificate(of: poison))) == .refused(.poisonous))
    }
}
