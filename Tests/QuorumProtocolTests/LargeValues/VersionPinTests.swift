// A version that is being read outlives what supersedes it, as long as its readers say so and no longer
// (docs/protocol.md, Large values).

import QuorumProtocol
import Testing

@Suite("LargeValues: a version that is being read")
struct VersionPinTests {
    let group = TestGroup.staging()

    /// A server with a large value that another version supersedes at 0 ms.
    private func host(_ group: TestGroup) -> (ReplicaHost, TestPart, TestVersion) {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        let version = group.version([part], counter: 1)
        host.expectStaged(part)
        host.expectStored(version)
        host.expectCommitted(version)
        return (host, part, version)
    }

    private func supersede(_ host: ReplicaHost, counter: UInt64 = 2) {
        let next = host.group.version(.photo, "next \(counter)", counter: counter, writer: .bob)
        host.prepare(next)
        host.expectCommitted(next)
    }

    @Test("is kept while it is read, and goes when its reader falls silent")
    func kept() {
        let (host, part, version) = host(group)
        var time: UInt64 = 0
        #expect(host.fetched(part.attempt, 0, pin: version.timestamp) != nil)
        supersede(host)
        for _ in 0..<10 {
            time += 40_000
            host.pass(toMilliseconds: time)
            #expect(host.fetched(part.attempt, 1, pin: version.timestamp)?.fragment == part.fragments[1][0])
        }
        host.pass(toMilliseconds: time + 59_999)
        #expect(host.has(part))
        host.pass(toMilliseconds: time + 60_000)
        #expect(host.record(.photo).version(version.timestamp) == nil && host.isWithout(part.attempt))
    }

    @Test("is dropped after the time of retention when nobody reads it, or after a restart")
    func forgotten() {
        let (host, part, version) = host(group)
        supersede(host)
        #expect(host.fetched(part.attempt, 0, pin: version.timestamp) != nil)
        host.crash()
        host.pass(toMilliseconds: 30_000)
        #expect(host.isWithout(part.attempt))
    }

    @Test("is kept beyond the number of versions that are retained")
    func retained() {
        let group = TestGroup.staging { $0.retainedVersionsMax = 1 }
        let (host, part, version) = host(group)
        #expect(host.fetched(part.attempt, 0, pin: version.timestamp) != nil)
        for counter in 2...6 { supersede(host, counter: UInt64(counter)) }
        #expect(host.has(part))
        // Others are not kept for its sake.
        #expect(host.record(.photo).retained.count <= 2)
    }

    @Test("is kept a day and no longer, however often it is said")
    func day() {
        let (host, part, version) = host(group)
        supersede(host)
        var time: UInt64 = 0
        while time < 86_400_000 + 60_000 {
            _ = host.fetched(part.attempt, 0, pin: version.timestamp)
            time += 50_000
            host.pass(toMilliseconds: time)
            if time < 86_400_000 { #expect(host.record(.photo).version(version.timestamp) != nil) }
        }
        #expect(host.isWithout(part.attempt))
    }

    @Test("costs a client one of a bounded number, of which others have their own")
    func bounded() {
        let (host, part, version) = host(group)
        for number in 1...256 as ClosedRange<UInt64> {
            let invented = group.version(.photo, "\(number)", counter: number, writer: .mallory)
            _ = host.fetched(part.attempt, nil, pin: invented.timestamp, as: .mallory)
        }
        // There is no place left for this one.
        #expect(host.fetched(part.attempt, 0, pin: version.timestamp, as: .mallory)?.fragment != nil)
        supersede(host)
        host.pass(toMilliseconds: 30_000)
        #expect(host.isWithout(part.attempt))
    }

    @Test("of one client is not in the way of another's")
    func apart() {
        let (host, part, version) = host(group)
        for number in 1...256 as ClosedRange<UInt64> {
            let invented = group.version(.photo, "\(number)", counter: number, writer: .mallory)
            _ = host.fetched(part.attempt, nil, pin: invented.timestamp, as: .mallory)
        }
        _ = host.fetched(part.attempt, 0, pin: version.timestamp, as: .bob)
        supersede(host)
        host.pass(toMilliseconds: 30_000)
        #expect(host.has(part))
    }
}
