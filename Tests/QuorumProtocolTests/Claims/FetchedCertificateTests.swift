// Certificates of what is valid by f + 1 servers' word, for write-backs and justifications, and what a server shows of
// what it has committed (docs/protocol.md, Claims, FETCH-CERTIFICATE).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A certificate that is asked for")
struct FetchedCertificateTests {
    private static let groups = TestGroup.scenarioGroups

    private struct Setting {
        let group: TestGroup
        let lower: TestVersion
        let version: TestVersion
        let newer: TestVersion
        /// One fewer than q name the version, all hold it.
        var reading: ScriptedReading
        var writing: ScriptedWriting

        var namers: [Position] { Array(group.servers.prefix(group.quorums.quorum - 1)) }
        var others: [Position] { Array(group.servers.dropFirst(group.quorums.quorum - 1)) }
        /// f of those that are asked.
        var liars: [Position] { Array(group.servers.prefix(group.quorums.faults)) }
        var asked: [Position] { Array(group.servers.prefix(group.quorums.vouchers)) }

        init(_ group: TestGroup) {
            self.group = group
            lower = group.version(.photo, "one", counter: 1)
            version = group.version(.photo, "two", counter: 2)
            newer = group.version(.photo, "three", counter: 3)
            let held = [lower, version, newer]
            let behind = ShownServer(claim: CommittedClaim(certificate: group.certificate(of: lower)), held: held)
            let informed = ShownServer(claim: CommittedClaim(certificate: group.certificate(of: version)), held: held)
            reading = ScriptedReading(group, everywhere: behind)
            writing = ScriptedWriting(group, everywhere: behind)
            for server in namers {
                reading.servers[server] = informed
                writing.servers[server] = informed
            }
        }

        mutating func prove(_ proof: ShownServer.Proof, at servers: [Position]) {
            for server in servers {
                reading.servers[server]?.proof = proof
                writing.servers[server]?.proof = proof
            }
        }
    }

    enum Withholding: CaseIterable {
        case silence, nothing, forgery

        func proof(_ group: TestGroup, _ version: TestVersion) -> ShownServer.Proof {
            switch self {
            case .silence: .silence
            case .nothing: .nothing
            case .forgery: .other(group.forgedCertificate(.photo, version.timestamp, liar: 0))
            }
        }
    }

    @Test(
        "for a write-back is asked of f + 1 that name the version, and is had although f of them withhold it",
        arguments: groups, Withholding.allCases)
    func writeBack(group: TestGroup, withholding: Withholding) {
        var setting = Setting(group)
        setting.prove(withholding.proof(group, setting.version), at: setting.liars)
        let end = setting.reading.read()
        #expect(end.text == "two" && end.waits == 0, "\(end.result)")
        #expect(end.fetched.prefix(group.quorums.vouchers).map(\.server) == setting.asked, "at once")
        #expect(end.fetched.allSatisfy { $0.timestamp == setting.version.timestamp })
        #expect(Set(end.written.keys).isSuperset(of: setting.others))
        #expect(end.written.values.allSatisfy { $0 == setting.version.timestamp })
    }

    @Test(
        "for a justification is asked of f + 1 that name the version, and is had although f of them withhold it",
        arguments: groups, Withholding.allCases)
    func justification(group: TestGroup, withholding: Withholding) {
        var setting = Setting(group)
        setting.prove(withholding.proof(group, setting.version), at: setting.liars)
        // f others are silent: without a justification there is no quorum.
        setting.writing.silent = Set(group.servers.suffix(group.quorums.faults))
        let end = setting.writing.write("next")
        #expect(end.outcome?.timestamp.counter == 3 && end.waits == 0, "\(end.result)")
        #expect(end.fetched.prefix(group.quorums.vouchers).map(\.server) == setting.asked, "at once")
        let justified = setting.others.filter { !setting.writing.silent.contains($0) }
        #expect(justified.count == 1)
        for server in justified { #expect(end.justifications[server]?.timestamp == setting.version.timestamp) }
    }

    @Test("is asked for again with the retransmission, of all that name it, when nobody was reached", arguments: groups)
    func askedAgain(group: TestGroup) {
        var setting = Setting(group)
        setting.reading.unreached = Set(setting.asked)
        let read = setting.reading.read()
        #expect(read.text == "two" && read.waits > 0, "\(read.result)")
        let again = read.fetched.dropFirst(group.quorums.vouchers)
        #expect(Set(again.map(\.server)).isSuperset(of: setting.asked) && again.allSatisfy { $0.waits == read.waits })

        setting.writing.unreached = Set(setting.asked)
        setting.writing.silent = Set(group.servers.suffix(group.quorums.faults))
        let wrote = setting.writing.write("next")
        #expect(wrote.outcome?.timestamp.counter == 3 && wrote.waits > 0, "\(wrote.result)")
        #expect(wrote.fetched.count > group.quorums.vouchers)
    }

    @Test("for what a reader doubts is asked for again as well, when it was not reached", arguments: groups)
    func doubtAskedAgain(group: TestGroup) {
        var reading = Setting(group).reading
        let (lower, version) = (Setting(group).lower, Setting(group).version)
        for server in group.servers.dropFirst() {
            reading.servers[server]?.claim = CommittedClaim(certificate: group.certificate(of: lower))
        }
        reading.unreached = [0]
        reading.silent = Set(group.servers.suffix(group.quorums.faults))
        let end = reading.read(preference: group.preferring([1, 2]))
        #expect(end.text == "two" && end.fetched.map(\.server) == [0, 0], "\(end.result)")
        #expect(end.fetched.map(\.timestamp) == [version.timestamp, version.timestamp])
    }

    // MARK: Superseded meanwhile

    @Test("may be of a newer version, which a reader then takes", arguments: groups)
    func newerTaken(group: TestGroup) {
        var reading = Setting(group).reading
        let (lower, version, newer) = (Setting(group).lower, Setting(group).version, Setting(group).newer)
        for server in group.servers.dropFirst() {
            reading.servers[server]?.claim = CommittedClaim(certificate: group.certificate(of: lower))
        }
        let certificate = group.certificate(of: newer)
        reading.servers[0]?.proof = .recanted(CommittedClaim(certificate: certificate), certificate)
        reading.late = Set(group.servers.suffix(group.quorums.faults))
        let end = reading.read(preference: group.preferring([1, 2]))
        #expect(end.fetched.map(\.timestamp) == [version.timestamp])
        #expect(end.text == "three" && end.waits == 0, "\(end.result)")
        #expect(end.outcome?.observations.misbehaving.isEmpty == true, "it was overtaken, and is not to blame")
        #expect(end.written.values.allSatisfy { $0 == newer.timestamp } && !end.written.isEmpty)
    }

    @Test("may be of a newer version, which justifies as well", arguments: groups)
    func newerJustifies(group: TestGroup) {
        var setting = Setting(group)
        let certificate = group.certificate(of: setting.newer)
        setting.prove(.recanted(CommittedClaim(certificate: certificate), certificate), at: setting.namers)
        setting.writing.silent = Set(group.servers.suffix(group.quorums.faults))
        let end = setting.writing.write("next")
        #expect(end.outcome?.timestamp.counter == 3, "\(end.result)")
        #expect(end.outcome?.observations.misbehaving.isEmpty == true)
        let justified = setting.others.filter { !setting.writing.silent.contains($0) }
        for server in justified { #expect(end.justifications[server]?.timestamp == setting.newer.timestamp) }
    }

    // MARK: Servers

    private func commit(_ versions: [TestVersion], at host: ReplicaHost) {
        for version in versions {
            _ = host.answer(.prepare(version.prepare(for: host.server)), from: .client(version.timestamp.writer))
            _ = host.answer(version.commit(host.group.certificate(of: version)))
        }
    }

    @Test("is shown with the claim of now; of a superseded version, or an unknown one, that of the highest one")
    func shown() {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        let (lower, version, newer) = (Setting(group).lower, Setting(group).version, Setting(group).newer)
        let fetch = [lower, version, newer].map { Request.certificate(.photo, $0.timestamp) }
        for request in fetch {
            #expect(host.answer(request) == .certificate(CommittedClaim(certificate: nil), nil))
        }
        for committed in [lower, version] {
            commit([committed], at: host)
            let certificate = group.certificate(of: committed)
            for request in fetch {
                let before = host.store
                let expected = Reply.certificate(CommittedClaim(certificate: certificate), certificate)
                #expect(host.answer(request) == expected)
                #expect(host.answer(request, from: .server(group.node(1))) == expected, "servers verify")
                #expect(host.store == before)
                host.crash()
            }
        }
    }

    @Test(
        "is shown of each version that waits to be verified, and of one that has turned out to be poisonous",
        arguments: [.lazy, .readTime] as [VerificationMode])
    func shownUnverified(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let good = group.version(.photo, "good", counter: 1)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
        let unknown = group.version(.photo, "unknown", counter: 3)
        func shown(_ version: TestVersion) -> (claim: CommittedClaim, certificate: Certificate?)? {
            guard case .certificate(let claim, let certificate) = host.answer(.certificate(.photo, version.timestamp))
            else { return nil }
            return (claim, certificate)
        }
        commit([good, poison], at: host)
        for (asked, expected) in [(good, good), (poison, poison), (unknown, poison)] {
            let answer = shown(asked)
            #expect(answer?.certificate == group.certificate(of: expected))
            #expect(answer?.claim.versions.map(\.timestamp) == [good.timestamp, poison.timestamp])
        }
        host.runToEnd(.found(.photo, group.findings(group.shown([good, poison]), by: 0)))
        #expect(host.record(.photo).isPoisonous(poison.timestamp))
        for _ in 0..<2 {
            for (asked, expected) in [(good, good), (poison, poison), (unknown, poison)] {
                let answer = shown(asked)
                #expect(answer?.certificate == group.certificate(of: expected), "\(asked.timestamp)")
                #expect(answer?.claim.versions.map(\.timestamp) == [good.timestamp])
            }
            host.crash()
        }
    }
}
