// Servers that name a version and do not prove it, before readers and writers (docs/protocol.md, Claims, Whose answer
// counts and FETCH-CERTIFICATE).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("An unproven claim")
struct UnprovenClaimTests {
    private static let groups = TestGroup.scenarioGroups

    /// What all have committed, and what is above it.
    private struct Setting {
        let group: TestGroup
        let committed: TestVersion
        let higher: TestVersion
        let shown: ShownServer

        init(_ group: TestGroup) {
            self.group = group
            committed = group.version(.photo, "one", counter: 1)
            higher = group.version(.photo, "two", counter: 2, writer: .mallory)
            shown = group.shown([committed], isFirstVerified: true)
        }

        /// A server that names the higher version by the digest of no certificate.
        func inventor(_ proof: ShownServer.Proof) -> ShownServer {
            let invented = ClaimedVersion(higher.timestamp, certificateDigest: Digest256.sha256([1, 2, 3]))
            return ShownServer(claim: CommittedClaim(sound: invented), held: [committed], proof: proof)
        }
    }

    /// A way of not proving the higher version, and what the client calls it.
    struct Failing: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let shown: @Sendable (TestGroup, _ committed: TestVersion, _ higher: TestVersion, Position) -> ShownServer
        let isCalled: @Sendable (Misbehaviour?) -> Bool

        private static func naming(_ certificate: Certificate, _ proof: ShownServer.Proof) -> ShownServer {
            ShownServer(claim: CommittedClaim(certificate: certificate), proof: proof)
        }

        private static func isForged(_ misbehaviour: Misbehaviour?) -> Bool {
            if case .invalidCertificate = misbehaviour { true } else { false }
        }

        static let all = [
            Failing(
                testDescription: "says nothing",
                shown: { group, _, higher, _ in naming(group.certificate(of: higher), .silence) },
                isCalled: { $0 == nil }),
            Failing(
                testDescription: "has none",
                shown: { group, _, higher, _ in naming(group.certificate(of: higher), .nothing) },
                isCalled: { $0 == .unprovenClaim }),
            Failing(
                testDescription: "shows another version's, which is genuine",
                shown: { group, committed, higher, _ in
                    naming(group.certificate(of: higher), .other(group.certificate(of: committed)))
                },
                isCalled: { $0 == .unprovenClaim }),
            Failing(
                testDescription: "shows one of another digest",
                shown: { group, _, higher, liar in
                    let named = group.forgedCertificate(.photo, higher.timestamp, liar: liar)
                    return naming(named, .other(group.certificate(higher.timestamp, [])))
                },
                isCalled: { $0 == .unprovenClaim }),
            Failing(
                testDescription: "shows the one that it names, which is forged",
                shown: { group, _, higher, liar in
                    naming(group.forgedCertificate(.photo, higher.timestamp, liar: liar), .own)
                },
                isCalled: isForged),
            Failing(
                testDescription: "shows a forged one of something higher still",
                shown: { group, _, higher, liar in
                    let highest = group.version(.photo, "three", counter: 3, writer: .mallory)
                    let forged = group.forgedCertificate(.photo, highest.timestamp, liar: liar)
                    return naming(
                        group.certificate(of: higher), .recanted(CommittedClaim(certificate: forged), forged))
                },
                isCalled: isForged),
        ]
    }

    // MARK: q others count

    @Test("is not asked about when q others count", arguments: groups)
    func notAsked(group: TestGroup) {
        let setting = Setting(group)
        let liars = group.servers.suffix(group.quorums.faults)
        var reading = ScriptedReading(group, everywhere: setting.shown)
        var writing = ScriptedWriting(group, everywhere: setting.shown)
        for liar in liars {
            reading.servers[liar] = setting.inventor(.nothing)
            writing.servers[liar] = setting.inventor(.nothing)
        }
        let read = reading.read()
        #expect(read.text == "one" && read.waits == 0 && read.outcome?.rounds == 1)
        #expect(read.fetched.isEmpty && read.outcome?.observations.misbehaving.isEmpty == true)
        let wrote = writing.write("next")
        #expect(wrote.outcome?.timestamp.counter == 2 && wrote.waits == 0)
        #expect(wrote.fetched.isEmpty && wrote.outcome?.observations.misbehaving.isEmpty == true)
    }

    @Test("is not waited for when q others count, although it was asked about before they answered", arguments: groups)
    func notWaitedFor(group: TestGroup) {
        let setting = Setting(group)
        var reading = ScriptedReading(group, everywhere: setting.shown)
        var writing = ScriptedWriting(group, everywhere: setting.shown)
        for liar in group.servers.prefix(group.quorums.faults) {
            reading.servers[liar] = setting.inventor(.silence)
            writing.servers[liar] = setting.inventor(.silence)
        }
        for preference in group.turns {
            let read = reading.read(preference: preference)
            #expect(read.text == "one" && read.waits == 0, "\(preference)")
            #expect(read.written.isEmpty, "q servers name what it found: \(preference)")
        }
        let wrote = writing.write("next")
        #expect(wrote.outcome?.timestamp.counter == 2 && wrote.waits == 0)
    }

    // MARK: Fewer than q count

    @Test(
        "is asked about when fewer than q others count, and whoever does not prove it is as good as silent",
        arguments: groups, Failing.all)
    func exposedToReader(group: TestGroup, failing: Failing) {
        let setting = Setting(group)
        let faults = group.quorums.faults
        let liars = Array(group.servers.prefix(faults))
        var reading = ScriptedReading(group, everywhere: setting.shown)
        for liar in liars {
            reading.servers[liar] = failing.shown(group, setting.committed, setting.higher, liar)
        }
        // As many of the others answer later, so that q have answered, and not q others.
        reading.late = Set(group.servers.suffix(faults))
        let end = reading.read(preference: group.preferring(group.servers.suffix(group.quorums.quorum)))
        #expect(end.text == "one" && end.waits == 0, "\(end.result)")
        #expect(end.fetched.map(\.server) == liars)
        #expect(end.fetched.allSatisfy { $0.timestamp == setting.higher.timestamp })
        let misbehaviours = end.outcome?.observations.misbehaviours
        for server in group.servers {
            let called = misbehaviours?[server]
            #expect(liars.contains(server) ? failing.isCalled(called) : called == nil, "\(server)")
        }
    }

    @Test(
        "moves no writer's counter, and keeps none from going on", arguments: groups, Failing.all)
    func exposedToWriter(group: TestGroup, failing: Failing) {
        let setting = Setting(group)
        let faults = group.quorums.faults
        let liars = Array(group.servers.prefix(faults))
        var writing = ScriptedWriting(group, everywhere: setting.shown)
        for liar in liars {
            writing.servers[liar] = failing.shown(group, setting.committed, setting.higher, liar)
        }
        let end = writing.write("next")
        #expect(end.outcome?.timestamp.counter == 2 && end.waits == 0, "\(end.result)")
        #expect(end.fetched.map(\.server) == liars)
        let misbehaviours = end.outcome?.observations.misbehaviours
        for server in group.servers where !liars.contains(server) { #expect(misbehaviours?[server] == nil) }
    }

    @Test("that is proven is believed, of one server, and written back before it is returned", arguments: groups)
    func proven(group: TestGroup) {
        let setting = Setting(group)
        var reading = ScriptedReading(group, everywhere: setting.shown)
        for server in group.servers { reading.servers[server]?.held = [setting.committed, setting.higher] }
        reading.servers[0]?.claim = CommittedClaim(certificate: group.certificate(of: setting.higher))
        reading.late = Set(group.servers.suffix(group.quorums.faults))
        let end = reading.read(preference: group.preferring(group.servers.suffix(group.quorums.quorum)))
        #expect(end.text == "two" && end.waits == 0 && end.outcome?.rounds == 3)
        #expect(end.fetched.map(\.server) == [0])
        #expect(Set(end.written.keys) == Set(group.servers.dropFirst()))
    }
}
