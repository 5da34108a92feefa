// Reads of a version of which too few fragments are left: they end by themselves when every server has said so twice,
// and go on as long as a server may have one.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A read of lost fragments")
struct LostFragmentReadTests {
    static let modes: [VerificationMode] = [.fingerprint, .lazy, .readTime]

    /// How often time has passed at the first retransmission, and when it is up.
    private static let (retransmission, deadline) = (2, 4)

    /// A read before servers of which all but m - 1 have lost their fragment.
    private func reading(_ group: TestGroup) -> (ScriptedReading, TestVersion) {
        let version = group.version(.photo, "value", counter: 1)
        var reading = ScriptedReading(group, everywhere: group.shown([version], isFirstVerified: true))
        for server in group.servers.dropFirst(group.quorums.dataFragmentCount - 1) {
            reading.servers[server]?.hasLostFragments = true
        }
        return (reading, version)
    }

    private func expectTooFew(_ end: ScriptedReading.End, _ version: TestVersion, in group: TestGroup, waits: Int) {
        guard case .failure(.tooFewFragments(version.timestamp, let have, let need, _)) = end.result else {
            Issue.record("\(end.result)")
            return
        }
        #expect(have == group.quorums.dataFragmentCount - 1)
        #expect(need == group.quorums.dataFragmentCount)
        #expect(end.waits == waits)
    }

    @Test("ends once all have answered again after a retransmission", arguments: modes)
    func ends(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        var (reading, version) = reading(group)
        for preference in group.turns {
            expectTooFew(reading.read(preference: preference), version, in: group, waits: Self.retransmission)
        }
        // Answers that come late are waited for, as long as they come.
        for server in group.servers {
            reading.late = [server]
            expectTooFew(reading.read(), version, in: group, waits: Self.retransmission)
        }
    }

    @Test("finds what has come to a server meanwhile", arguments: modes)
    func repaired(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        var (reading, _) = reading(group)
        for server in group.servers.dropFirst(group.quorums.dataFragmentCount - 1) {
            reading.repaired = [server]
            let end = reading.read()
            #expect(end.text == "value", "\(end.result)")
            #expect(end.waits == Self.retransmission)
        }
    }

    @Test("goes on as long as a server says nothing, or refuses", arguments: modes)
    func waits(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let (reading, version) = reading(group)
        for server in group.servers.dropFirst(group.quorums.dataFragmentCount - 1) {
            var other = reading
            other.silent = [server]
            expectTooFew(other.read(), version, in: group, waits: Self.deadline)
            other = reading
            other.refusing = [server]
            expectTooFew(other.read(), version, in: group, waits: Self.deadline)
        }
    }

    @Test("goes on as long as a server names something higher that it has neither proven nor taken back")
    func doubted() {
        let group = TestGroup()
        var (reading, version) = reading(group)
        let higher = group.version(.photo, "two", counter: 2)
        let last = group.servers.last!
        reading.servers[last] = group.shown([higher], isFirstVerified: true)
        reading.servers[last]?.proof = .silence
        expectTooFew(reading.read(), version, in: group, waits: Self.deadline)
    }
}
