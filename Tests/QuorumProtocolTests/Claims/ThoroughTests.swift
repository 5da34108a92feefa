// What one correct server knows, and may have to prove before anybody gets on (docs/protocol.md, Claims, Thorough).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("What one correct server knows")
struct ThoroughTests {
    /// A version is committed at all but one server, by a certificate with the liars' statements and with one server's
    /// that it is superseded: so one correct server fewer than a value takes has its fragments. The one that signed so
    /// alone names what is above.
    private struct Setting {
        let group: TestGroup
        let version: TestVersion
        let higher: TestVersion
        var reading: ScriptedReading

        var faults: Int { group.quorums.faults }
        var liars: [Position] { Array(group.servers.prefix(faults)) }
        var holders: [Position] { Array(group.servers.dropFirst(faults).prefix(group.quorums.dataFragmentCount - 1)) }
        var ahead: Position { group.servers[group.quorums.quorum - 1] }

        init(_ group: TestGroup) {
            self.group = group
            let version = group.version(.photo, "lower", counter: 1)
            self.version = version
            higher = group.version(.photo, "higher", counter: 2, writer: .bob)
            let signers = group.servers.prefix(group.quorums.quorum)
            let statements = signers.map { server in
                group.statement(
                    of: server, .photo, version.timestamp, server == signers.last ? .superseded : .stored)
            }
            let claim = CommittedClaim(certificate: group.certificate(version.timestamp, statements))
            reading = ScriptedReading(group, everywhere: ShownServer(claim: claim, held: [higher]))
            for holder in holders { reading.servers[holder]?.held = [version, higher] }
            for liar in liars { reading.servers[liar]?.held = [] }
            reading.servers[ahead]?.claim = CommittedClaim(certificate: group.certificate(of: higher))
        }
    }

    @Test(
        "takes a reader past what too few have fragments of, once the hedge time is over",
        arguments: TestGroup.scenarioGroups)
    func supersededSigner(group: TestGroup) {
        let setting = Setting(group)
        for preference in group.turns {
            let end = setting.reading.read(preference: preference)
            #expect(end.text == "higher" && end.waits <= 1, "\(preference): \(end.result)")
            #expect(end.fetched.map(\.server) == [setting.ahead])
            #expect(end.outcome?.observations.misbehaving.isEmpty == true)
            #expect(Set(end.written.keys) == Set(group.servers).subtracting([setting.ahead]))
            #expect(end.written.values.allSatisfy { $0 == setting.higher.timestamp })
        }
    }

    @Test(
        "is not asked for by a reader that has all it needs, whatever the hedge time",
        arguments: TestGroup.scenarioGroups)
    func notNeeded(group: TestGroup) {
        var setting = Setting(group)
        for server in group.servers { setting.reading.servers[server]?.held = [setting.version, setting.higher] }
        // It answers after q others.
        setting.reading.late = [setting.ahead]
        let end = setting.reading.read()
        #expect(end.text == "lower" && end.waits == 0 && end.fetched.isEmpty, "\(end.result)")
    }

    @Test(
        "is asked for and waited for by a thorough reader, although q others count", arguments: TestGroup.scenarioGroups
    )
    func thoroughReader(group: TestGroup) {
        var setting = Setting(group)
        for server in group.servers { setting.reading.servers[server]?.held = [setting.version, setting.higher] }
        let known = setting.version.timestamp
        for late in [Set<Position>(), [setting.ahead]] {
            setting.reading.late = late
            let end = setting.reading.read(thoroughReminders: 1, thoroughUpTo: known)
            #expect(end.text == "higher" && end.waits == 0, "\(end.result)")
            let content = setting.reading.read(thoroughReminders: 1)
            #expect(content.text == "lower" && content.waits == 0, "it is content with more than it knew")
        }
        // It is not waited for longer than that.
        setting.reading.late = []
        setting.reading.servers[setting.ahead]?.proof = .silence
        let end = setting.reading.read(thoroughReminders: 1, thoroughUpTo: known)
        #expect(end.text == "lower" && end.waits == 2, "\(end.result)")
    }

    @Test(
        "frees a writer that full servers keep back, although as many as may lie promise more and show nothing",
        arguments: [
            TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(faults: 2, dataFragmentCount: 4),
        ], [true, false])
    func fullServers(shape: TestGroup.Shape, isAbove: Bool) throws {
        for liarCount in 0...shape.faults {
            try fullServers(shape, isAbove: isAbove, liarCount: liarCount)
        }
    }

    private func fullServers(_ shape: TestGroup.Shape, isAbove: Bool, liarCount: Int) throws {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 1
        let group = shape.group(.fingerprint, limits: limits)
        let simulation = Simulation(group)
        // alice's versions of one counter; what her write says is below or above all others.
        var versions = (0..<group.servers.count + 1).map { number -> (text: String, version: TestVersion) in
            ("text \(number)", group.version(.photo, "text \(number)", counter: 1))
        }.sorted { $0.version.timestamp < $1.version.timestamp }
        let own = versions.remove(at: isAbove ? 0 : versions.count - 1)
        let committed = versions.removeLast().version
        #expect(simulation.prepare(committed, at: group.servers).count == group.servers.count)
        for host in simulation.hosts.dropFirst() { host.alterStore { $0 = MemoryStore() } }
        for (server, left) in zip(group.servers.dropFirst(), versions) {
            #expect(simulation.prepare(left.version, at: [server]).count == 1)
        }
        simulation.commit(committed, group.certificate(of: committed), at: [0])
        let invented = ClaimedVersion(
            group.version(.photo, "invented", counter: 9, writer: .mallory).timestamp,
            certificateDigest: Digest256.sha256([9]))
        for liar in group.servers.suffix(liarCount) {
            simulation.rewrites[liar] = { _, _, reply in
                switch reply {
                case .version: [.version(CommittedClaim(sound: invented), nil)]
                case .certificate: []
                case .timestamp, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: [reply]
                }
            }
        }
        // The writer does not hear of it before it prepares.
        simulation.loses = Simulation.losing { server, request in
            if case .readTimestamp = request { server == 0 } else { false }
        }
        let session = simulation.startWrite(.photo, Array(own.text.utf8), by: .alice)
        simulation.settle()
        simulation.loses = { _ in false }
        #expect(simulation.sessions[session].isRunning)
        let wrote = try #require(simulation.finish(session).wrote)
        #expect(isAbove ? wrote.timestamp.counter == 2 : wrote.timestamp == own.version.timestamp)
        #expect(simulation.read().text == own.text)
    }
}
