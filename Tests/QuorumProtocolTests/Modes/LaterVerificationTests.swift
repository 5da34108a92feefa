// One replica in the modes that verify later: what it keeps, what it reports, and what makes it let go.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("In the modes that verify later, a server")
struct LaterVerificationTests {
    static let modes: [VerificationMode] = [.lazy, .readTime]

    /// Keeps nothing that it may let go.
    static let hasty: ProtocolLimits = {
        var limits = ProtocolLimits()
        limits.retainedVersionsMax = 0
        limits.retentionMilliseconds = 0
        return limits
    }()

    /// Versions of ascending counters, each stored and committed at the host; the certified one below justifies the
    /// next.
    @discardableResult
    private func fill(
        _ host: ReplicaHost, _ versions: [TestVersion], sourceLocation: SourceLocation = #_sourceLocation
    ) -> [Certificate] {
        let certificates = versions.map { host.group.certificate(of: $0) }
        for (version, certificate) in zip(versions, certificates) {
            let reply = host.answer(
                .prepare(version.prepare(for: host.server)), from: .client(version.timestamp.writer))
            guard case .prepared(let signed, _) = reply else {
                Issue.record("not stored: \(reply)", sourceLocation: sourceLocation)
                continue
            }
            #expect(signed.claim == .stored, sourceLocation: sourceLocation)
            #expect(
                host.answer(version.commit(certificate)) == .committed(version.timestamp, needsDescriptor: false),
                sourceLocation: sourceLocation)
        }
        return certificates
    }

    private func claim(_ host: ReplicaHost) -> CommittedClaim {
        guard case .version(let claim, _) = host.answer(.read(Read(key: .photo, portion: .fragments))) else {
            preconditionFailure("a READ is answered")
        }
        return claim
    }

    private func versions(_ group: TestGroup, _ count: Int) -> [TestVersion] {
        (1...count).map { group.version(.photo, "version \($0)", counter: UInt64($0)) }
    }

    @Test("that has a higher version committed, unverified, stores a lower one and commits it too", arguments: modes)
    func doesNotSupersede(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let higher = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 1)
        fill(host, [higher])
        let lower = group.version(.photo, "good", counter: 1, writer: .bob)
        #expect(lower.timestamp < higher.timestamp)
        fill(host, [lower])
        let claim = claim(host)
        #expect(claim.sound == nil)
        #expect(claim.unverified.map(\.timestamp) == [lower.timestamp, higher.timestamp])
        // Sound, the lower one supersedes what is below it, and only that.
        host.runToEnd(.found(.photo, group.findings(group.shown([lower]), by: 0)))
        let lowest = group.version(.photo, "lowest", counter: 1, writer: ClientID(high: 0, low: 1))
        let between = group.version(.photo, "between", counter: 1, writer: ClientID(high: 0, low: 0xb0c))
        #expect(lowest.timestamp < lower.timestamp && lower.timestamp < between.timestamp)
        for (version, expected) in [(lowest, Claim.superseded), (between, .stored)] {
            let reply = host.answer(.prepare(version.prepare(for: 0)), from: .client(version.timestamp.writer))
            guard case .prepared(let signed, let committed) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(signed.claim == expected && committed == higher.timestamp)
        }
    }

    @Test("records and reports each committed version, whatever order they come in, and serves each", arguments: modes)
    func recordsAll(mode: VerificationMode) {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let group = TestGroup(mode: mode, limits: Self.hasty)
            let host = ReplicaHost(group, 2)
            let versions = versions(group, 6)
            for version in versions {
                let below = versions.last { $0.timestamp < version.timestamp }.map { group.certificate(of: $0) }
                _ = host.answer(.prepare(version.prepare(for: 2, justification: below)))
            }
            for version in versions.shuffled(using: &generator) {
                #expect(
                    host.answer(version.commit(group.certificate(of: version)))
                        == .committed(version.timestamp, needsDescriptor: false))
                if generator.chance(percent: 30) { host.crash() }
                if generator.chance(percent: 30) { host.runToEnd(.tick(milliseconds: 1_000_000)) }
            }
            #expect(
                claim(host) == CommittedClaim(certificate: nil, unverified: versions.map { group.certificate(of: $0) }),
                "seed \(seed)")
            for version in versions {
                let fragments = host.fragments(of: version.timestamp, key: .photo, stripeCount: 1)
                #expect(fragments.value == version.fragments[2], "seed \(seed): \(version.timestamp)")
            }
        }
    }

    @Test("lets versions go only below one that it knows to be sound", arguments: modes)
    func onlySettlingDrops(mode: VerificationMode) {
        let group = TestGroup(mode: mode, limits: Self.hasty)
        let host = ReplicaHost(group, 0)
        let versions = versions(group, 4)
        let certificates = fill(host, versions)
        host.runToEnd(.tick(milliseconds: 1 << 40))
        #expect(host.record(.photo).held.map(\.timestamp) == versions.map(\.timestamp))
        host.runToEnd(.found(.photo, group.findings(group.shown(Array(versions[..<2])), by: 0)))
        host.runToEnd(.tick(milliseconds: 1 << 41))
        #expect(
            claim(host) == CommittedClaim(certificate: certificates[1], unverified: Array(certificates[2...])))
        #expect(host.record(.photo).held.map(\.timestamp) == versions[1...].map(\.timestamp))
        host.runToEnd(.found(.photo, group.findings(group.shown(versions), by: 0)))
        host.runToEnd(.tick(milliseconds: 1 << 42))
        #expect(claim(host) == CommittedClaim(certificate: certificates[3]))
        #expect(host.record(.photo).held.map(\.timestamp) == [versions[3].timestamp])
        #expect(host.record(.photo).verificationDueMilliseconds == nil)
    }

    @Test("takes a deletion, which nothing can be wrong with, for settled at once", arguments: modes)
    func tombstoneSettles(mode: VerificationMode) {
        let group = TestGroup(mode: mode, limits: Self.hasty)
        let host = ReplicaHost(group, 0)
        let first = versions(group, 2)
        fill(host, first)
        let tombstone = group.version(.photo, nil, counter: 3)
        let certificates = fill(host, [tombstone])
        #expect(claim(host) == CommittedClaim(certificate: certificates[0]))
        #expect(host.record(.photo).held.map(\.timestamp) == [tombstone.timestamp])
    }

    @Test("is not moved by findings on versions at or below its settled one", arguments: modes)
    func staleFindings(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let old = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 1)
        let sound = group.version(.photo, "sound", counter: 2)
        fill(host, [old, sound])
        host.runToEnd(.found(.photo, group.findings(group.shown([sound]), by: 0)))
        let before = host.store
        #expect(host.record(.photo).committed?.timestamp == sound.timestamp)
        var proven = group.shown([old])
        proven = ShownServer(
            claim: CommittedClaim(
                sound: nil, unverified: proven.claim.unverified, poisonous: [group.poisonous(old)]))
        for shown in [group.shown([old]), proven, group.shown([sound]), ShownServer()] {
            host.runToEnd(.found(.photo, group.findings(shown, by: 0)))
            #expect(host.store == before)
            host.crash()
            host.runToEnd(.found(.photo, group.findings(shown, by: 0)))
            #expect(host.store == before)
        }
    }

    @Test("settles a sound version that it had not heard of, without a fragment of it", arguments: modes)
    func unknownSound(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let sound = group.version(.photo, "sound", counter: 7)
        host.runToEnd(.found(.photo, group.findings(group.shown([sound]), by: 0)))
        let record = host.record(.photo)
        #expect(record.committed?.timestamp == sound.timestamp)
        #expect(record.version(sound.timestamp)?.holdsFragments == false)
        guard case .prepared(let signed, _) = host.answer(.prepare(sound.prepare(for: 0))) else {
            Issue.record("the fragment is not taken")
            return
        }
        #expect(signed.claim == .stored)
        #expect(host.record(.photo).version(sound.timestamp)?.holdsFragments == true)
    }

    // MARK: Times and bounds

    @Test("asks for verification after its delay in the mode lazy, and never by time in read-time", arguments: modes)
    func due(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        host.runToEnd(.tick(milliseconds: 5000))
        fill(host, versions(group, 1))
        let delay = group.parameters.limits.verificationDelayMilliseconds
        #expect(Self.verifications(host, .tick(milliseconds: 5000 + delay - 1)).isEmpty)
        #expect(Self.verifications(host, .tick(milliseconds: 5000 + delay)) == (mode == .lazy ? [false] : []))
        host.crash()
        // Nothing has come of it: it is tried again, but not at once.
        #expect(Self.verifications(host, .tick(milliseconds: 9000 + delay)).isEmpty)
        #expect(Self.verifications(host, .tick(milliseconds: 15_000 + delay)) == (mode == .lazy ? [false] : []))
        host.runToEnd(.found(.photo, group.findings(group.shown(versions(group, 1)), by: 0)))
        #expect(Self.verifications(host, .tick(milliseconds: 1 << 40)).isEmpty)
    }

    /// Runs an input and all that follows from it: for each verification asked for, whether it is urgent.
    static func verifications(_ host: ReplicaHost, _ input: ReplicaInput) -> [Bool] {
        var effects = host.handle(input)
        var asked: [Bool] = []
        while !effects.isEmpty {
            switch host.run(effects.removeFirst()) {
            case .reply, .repairEnded, .restate, .forgotten: break
            case .input(let input): effects += host.handle(input)
            case .verify(_, let isUrgent): asked.append(isUrgent)
            }
        }
        return asked
    }

    private static let tight: ProtocolLimits = {
        var limits = ProtocolLimits()
        limits.unverifiedVersionsPerClientMax = 4
        limits.unverifiedVersionsMax = 6
        return limits
    }()

    @Test("refuses a client's version over the limit for now, has them verified at once, and goes on", arguments: modes)
    func perClientLimit(mode: VerificationMode) {
        let group = TestGroup(mode: mode, limits: Self.tight)
        let host = ReplicaHost(group, 0)
        let versions = versions(group, 6)
        fill(host, Array(versions[..<4]))
        let before = host.store
        let tag = RequestTag(session: 9, request: 1)
        let prepare = ReplicaInput.request(tag, from: .client(.alice), .prepare(versions[4].prepare(for: 0)))
        #expect(Self.verifications(host, prepare).contains(true))
        #expect(host.answer(.prepare(versions[4].prepare(for: 0))) == .refused(.tooManyUnverified(limit: 4)))
        #expect(Refusal.tooManyUnverified(limit: 4).isTransient)
        #expect(host.store == before)
        // What it has already is repeated, and another client is not concerned.
        guard case .prepared = host.answer(.prepare(versions[3].prepare(for: 0))) else {
            Issue.record("a retransmission is refused")
            return
        }
        fill(host, [group.version(.photo, "bob's", counter: 5, writer: .bob)])
        host.runToEnd(.found(.photo, group.findings(group.shown(Array(versions[..<2])), by: 0)))
        fill(host, [versions[4]])
    }

    @Test(
        "refuses everybody's versions over the object's limit for now, and goes on when they are verified",
        arguments: modes)
    func perObjectLimit(mode: VerificationMode) {
        let group = TestGroup(mode: mode, limits: Self.tight)
        let host = ReplicaHost(group, 0)
        let versions = (1...8).map { number in
            group.version(
                .photo, "version \(number)", counter: UInt64(number), writer: ClientID(high: 0, low: UInt64(number)))
        }
        fill(host, Array(versions[..<6]))
        let seventh = Request.prepare(versions[6].prepare(for: 0))
        let writer = Principal.client(versions[6].timestamp.writer)
        #expect(host.answer(seventh, from: writer) == .refused(.tooManyUnverified(limit: 6)))
        #expect(
            Self.verifications(host, .request(RequestTag(session: 9, request: 1), from: writer, seventh)) == [true])
        host.runToEnd(.found(.photo, group.findings(group.shown(Array(versions[..<6])), by: 0)))
        fill(host, Array(versions[6...]))
    }

    @Test(
        "commits beyond the object's limit up to twice as many, and takes the sound one whatever waits",
        arguments: modes)
    func commitLimit(mode: VerificationMode) {
        let group = TestGroup(mode: mode, limits: Self.tight)
        let host = ReplicaHost(group, 0)
        let versions = versions(group, 13)
        for version in versions[..<12] {
            #expect(
                host.answer(version.commit(group.certificate(of: version)))
                    == .committed(version.timestamp, needsDescriptor: true))
        }
        let last = versions[12].commit(group.certificate(of: versions[12]))
        #expect(host.answer(last) == .refused(.tooManyUnverified(limit: 12)))
        #expect(
            Self.verifications(host, .request(RequestTag(session: 9, request: 1), from: .client(.bob), last))
                == [true])
        host.runToEnd(.found(.photo, group.findings(group.shown(versions), by: 0)))
        #expect(host.record(.photo).committed?.timestamp == versions[12].timestamp)
        #expect(host.answer(last) == .committed(versions[12].timestamp, needsDescriptor: false))
    }

    @Test(
        "reads what it was told itself is committed, though its own answer is the last and others know less",
        arguments: modes)
    func ownClaim(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        // What others know can be had without a fragment.
        let deletion = group.version(.photo, nil, counter: 1)
        let next = group.version(.photo, "next", counter: 2)
        var known = group.shown([deletion], isFirstVerified: true)
        known.held = [deletion, next]
        var reading = ScriptedReading(group, everywhere: known)
        reading.late = [3]
        reading.servers[3] = group.shown([deletion, next], isFirstVerified: true)
        #expect(reading.read(forVerification: true, preference: [3, 0, 1, 2]).found == next.timestamp)
        #expect(reading.read(forVerification: true, preference: [0, 1, 2, 3]).found == deletion.timestamp)
        // A server that cannot reach itself finds out what others know all the same.
        reading.silent = [3]
        #expect(reading.read(forVerification: true, preference: [3, 0, 1, 2]).found == deletion.timestamp)
    }

    @Test(
        "waits for the slowest, but not for ever, when too few have signed that a version is poisonous",
        arguments: modes)
    func slowestSigner(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let good = group.version(.photo, "good", counter: 1)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
        var reading = ScriptedReading(group, everywhere: group.shown([good], isFirstVerified: true))
        reading.late = [3]
        for server: Position in [0, 3] {
            reading.servers[server]?.claim = CommittedClaim(
                certificate: group.certificate(of: good), poisonous: [group.poisonous(poison, by: [server])])
        }
        let outcome = reading.read(forVerification: true).outcome
        #expect(outcome?.found.timestamp == good.timestamp)
        #expect((outcome?.proofs[poison.timestamp]?.map(\.signed)).map { group.signers($0) } == [0, 3])
        reading.silent = [3]
        let hurried = reading.read(forVerification: true).outcome
        #expect(hurried?.found.timestamp == good.timestamp && hurried?.proofs.isEmpty == true)
    }
}
