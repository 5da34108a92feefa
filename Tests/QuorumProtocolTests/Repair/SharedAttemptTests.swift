// Attempts that a repaired version shares with others: its stagers', and other versions' (docs/protocol.md, Repair, Large
// values).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Repair: another client's attempt")
struct SharedAttemptTests {
    let group = TestGroup.staging()

    /// A server that knows of a version which names what others staged.
    private func known(_ host: ReplicaHost, _ parts: [TestPart], writer: ClientID = .alice) -> TestVersion {
        let version = group.version(parts, counter: 1, writer: writer)
        host.expectKnown(version)
        return version
    }

    private func overwrite(_ host: ReplicaHost) {
        let tombstone = group.version(.photo, nil, counter: 2, writer: .zoe)
        host.prepare(tombstone)
        host.expectCommitted(tombstone)
        host.pass(toMilliseconds: 1_000_000)
        #expect(host.record(.photo).held.map(\.timestamp) == [tombstone.timestamp])
        host.expectCharges()
    }

    private func uncommitted(_ host: ReplicaHost, _ client: ClientID) -> Int64 {
        host.accounts.charge(of: client).uncommittedBytes / group.stripeChargeBytes
    }

    /// Whether the client is told that it has something to finish here.
    private func isOpen(_ host: ReplicaHost, _ client: ClientID) -> Bool {
        host.store.hasUnfinished(.uploads, of: client)
    }

    @Test("is not spent, and none of its stripes can be staged as something else")
    func notSpent() {
        let host = ReplicaHost(group, 0)
        let bobs = group.part(by: .bob, lengthBytes: 3 * 512)
        let long = group.part(by: .bob, lengthBytes: 6 * 512, seed: 1)
        let version = known(host, [bobs])
        host.expectTaken(version.adoption)
        #expect(host.record(.photo).attempt(bobs.attempt)?.isSpent == false)
        #expect(uncommitted(host, .bob) == 0)
        for stripe in 0..<3 {
            for part in [bobs, long] {
                for fills in [false, true] {
                    host.expectRefused(
                        .stage(part.stage(stripe, for: 0, fills: fills)), from: .bob, .stripeHeld)
                }
            }
        }
        // Behind the bound it is the client's as before.
        host.expectStaged(long, [3])
        #expect(uncommitted(host, .bob) == 1 && isOpen(host, .bob))
    }

    @Test("that was not here before goes with the version, whatever was brought", arguments: 0...3)
    func createdGoes(broughtCount: Int) {
        let host = ReplicaHost(group, 0)
        let bobs = group.part(by: .bob, lengthBytes: 3 * 512)
        let version = known(host, [bobs])
        host.expectTaken(version.adoption)
        #expect(uncommitted(host, .bob) == 0 && !isOpen(host, .bob))
        for stripe in 0..<broughtCount { host.expectTaken(version.found(bobs, stripe, for: 0)) }
        host.crash()
        overwrite(host)
        #expect(host.isWithout(bobs.attempt))
        #expect(host.accounts.charge(of: .bob) == Charge() && !isOpen(host, .bob))
        // He may stage it now.
        host.expectStaged(bobs)
        #expect(uncommitted(host, .bob) == 3 && isOpen(host, .bob))
    }

    @Test("of which its stager has staged some keeps the version from being adopted until that has gone")
    func stagedStays() {
        let host = ReplicaHost(group, 0)
        let bobs = group.part(by: .bob, lengthBytes: 4 * 512)
        let long = group.part(by: .bob, lengthBytes: 6 * 512)
        host.expectStaged(long, [0, 2, 5])
        let version = known(host, [bobs])
        host.expectNotTaken(version.adoption, .noPlace)
        // STAGED was a promise of seven days.
        #expect(host.record(.photo).attempt(bobs.attempt)?.stripes.ranges == [0..<1, 2..<3, 5..<6])
        #expect(uncommitted(host, .bob) == 3 && isOpen(host, .bob))
        host.discard(.first, as: .bob)
        host.expectTaken(version.adoption)
        for stripe in 0..<4 { host.expectTaken(version.found(bobs, stripe, for: 0)) }
        #expect(host.state(version) == .held && uncommitted(host, .bob) == 0)
    }

    @Test("is its stager's from his first STAGE on, also of what repair began")
    func becomesHis() {
        let host = ReplicaHost(group, 0)
        let bobs = group.part(by: .bob, lengthBytes: 2 * 512)
        let long = group.part(by: .bob, lengthBytes: 4 * 512)
        let version = known(host, [bobs])
        host.expectTaken(version.adoption)
        host.expectStaged(long, [2])
        #expect(uncommitted(host, .bob) == 1)
        for stripe in 0..<2 { host.expectTaken(version.found(bobs, stripe, for: 0)) }
        overwrite(host)
        #expect(host.record(.photo).attempt(bobs.attempt)?.stripes.contains(2) == true)
        host.expectCharges()
        host.pass(toMilliseconds: 8 * 86_400_000)
        #expect(host.isWithout(bobs.attempt) && host.accounts.charge(of: .bob) == Charge())
    }

    // MARK: Other versions

    @Test("that another version holds keeps the version from being adopted until that one has gone")
    func noPlace() {
        let host = ReplicaHost(group, 0)
        let alices = group.part(1, lengthBytes: 3 * 512)
        let other = group.part(1, lengthBytes: 3 * 512, seed: 1)
        let own = group.part(2, lengthBytes: 600)
        host.expectStaged(other)
        let holder = group.version([other], counter: 1, writer: ClientID(high: 0, low: 1))
        host.expectStored(holder)
        let version = known(host, [alices, own])
        #expect(holder.timestamp < version.timestamp)
        host.expectNotTaken(version.adoption, .noPlace)
        #expect(host.record(.photo).attempt(own.attempt) == nil && host.has(other))
        // What it holds is not the version's.
        host.expectNotTaken(version.foundStaged, .otherStripes)
        host.pass(toMilliseconds: 100_000)
        #expect(host.state(holder) == nil && host.has(other))
        host.expectTaken(version.adoption)
        for stripe in 0..<3 { host.expectTaken(version.found(alices, stripe, for: 0)) }
        for stripe in 0..<2 { host.expectTaken(version.found(own, stripe, for: 0)) }
        #expect(host.state(version) == .held && host.has(alices) && host.has(own))
    }

    @Test("that a pending version holds is never given to another", arguments: [false, true])
    func pendingHolder(isLonger: Bool) {
        let host = ReplicaHost(group, 0)
        let short = group.part(by: .bob, lengthBytes: 2 * 512)
        let long = group.part(by: .bob, lengthBytes: 4 * 512)
        host.expectStaged(short)
        let pending = group.version([short], counter: 2, writer: .bob)
        let version = known(host, [isLonger ? long : group.part(by: .bob, lengthBytes: 512)])
        host.prepare(pending)
        #expect(host.state(pending) == .held)
        if isLonger {
            host.expectNotTaken(version.adoption, .noPlace)
        } else {
            // It is the same, so that both hold it.
            host.expectTaken(version.foundStaged)
            #expect(host.state(version) == .held)
        }
        host.expectStored(pending)
        #expect(host.has(short))
    }

    @Test("of which there are more than a record may have is not adopted, and nothing is left of the try")
    func noRoom() {
        let group = TestGroup.staging { $0.attemptsMax = 4 }
        let host = ReplicaHost(group, 0)
        let others = (1...3).map { group.part(by: .mallory, attempt: UInt32($0), lengthBytes: 10) }
        for part in others { host.expectStaged(part) }
        let parts = (1...2).map { group.part(UInt16($0), lengthBytes: 600) }
        let version = group.version(parts, counter: 1)
        host.expectKnown(version)
        host.expectNotTaken(version.adoption, .noPlace)
        host.discard(.first, as: .mallory)
        host.expectTaken(version.adoption)
    }

    @Test("goes a bounded share at a time when a version of many parts goes")
    func boundedDrops() {
        let group = TestGroup.staging { $0.stagedDropsPerChangeMax = 4 }
        let host = ReplicaHost(group, 0)
        let parts = (1...12).map { group.part(UInt16($0), lengthBytes: 100) }
        let version = group.version(parts, counter: 1)
        host.expectKnown(version)
        host.expectTaken(version.adoption)
        for part in parts.prefix(3) { host.expectTaken(version.found(part, 0, for: 0)) }
        var counts: [Int] = []
        host.onChange = { _, change in counts.append(change.stagedDrops.reduce(0) { $0 + $1.chunks.joined().count }) }
        let tombstone = group.version(.photo, nil, counter: 2, writer: .zoe)
        host.prepare(tombstone)
        host.commit(tombstone)
        for time in 0..<10 as Range<UInt64> { host.pass(toMilliseconds: 1_000_000 + time) }
        #expect(host.record(.photo).staged.isEmpty)
        #expect(counts.allSatisfy { $0 <= 4 }, "\(counts)")
    }
}
