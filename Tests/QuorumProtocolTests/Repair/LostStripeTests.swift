// Stripes that a server has lost: lost for every version that holds them, and as if never staged for all others
// (docs/protocol.md, Loss).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Loss: a stripe")
struct LostStripeTests {
    let group = TestGroup.staging()

    private func lose(_ host: ReplicaHost, _ part: TestPart, _ stripes: Int...) {
        host.runToEnd(.lost(.photo, stripes.map { .stripe(part.attempt, UInt32($0)) }, answering: nil))
        host.expectCharges()
    }

    private func missing(_ runs: Range<UInt32>...) -> Refusal {
        .stripesMissing(runs.map { MissingStripes(part: 0, stripes: $0) })
    }

    private func stored(_ part: TestPart, counter: UInt64 = 1, isCommitted: Bool = true) -> (ReplicaHost, TestVersion) {
        let host = ReplicaHost(group, 0)
        host.expectStaged(part)
        let version = group.version([part], counter: counter)
        host.expectStored(version)
        if isCommitted { host.expectCommitted(version) }
        return (host, version)
    }

    private func stripes(_ host: ReplicaHost, _ part: TestPart) -> [Range<UInt32>]? {
        host.record(.photo).attempt(part.attempt)?.stripes.ranges
    }

    // MARK: Committed

    @Test("of what is committed is found by FETCH, known durably, and its neighbours stay", arguments: [3, 20])
    func fetched(stripeCount: Int) {
        let part = group.part(lengthBytes: stripeCount * 512)
        let (host, version) = stored(part)
        host.pass(toMilliseconds: 7)
        host.rotten = [.stripe(part.attempt, 1)]
        let parts = host.fetched(part.attempt, 1)
        #expect(parts != nil && parts?.fragment == nil)
        host.crash()
        // What the disk gives back now and then is not relied on.
        host.rotten = []
        let attempt = host.record(.photo).attempt(part.attempt)
        #expect(attempt?.lost.ranges == [1..<2] && attempt?.stripes == StripeRanges(upTo: UInt32(stripeCount)))
        #expect(host.state(version) == .lost && host.store.wants == [.photo: 7])
        #expect(host.fetched(part.attempt, 0)?.fragment == part.fragments[0][0])
        host.expectRefused(.prepare(version.prepare(for: 0)), missing(1..<2))
        host.expectTaken(version.found(part, 1, for: 0))
        #expect(host.state(version) == .held && host.has(part) && host.store.wants.isEmpty)
        host.expectStored(version)
    }

    @Test("is found by a page that needs its entry, too")
    func page() {
        let part = group.part(lengthBytes: 20 * 512)
        let (host, version) = stored(part)
        host.rotten = [.stripe(part.attempt, 4), .stripe(part.attempt, 9)]
        let parts = host.fetched(part.attempt, nil, page: Fetch.PageRange(first: 0, count: 20))
        #expect(parts != nil && parts?.page == nil)
        #expect(host.record(.photo).attempt(part.attempt)?.lost.ranges == [4..<5, 9..<10])
        #expect(host.state(version) == .lost)
    }

    @Test("that was found to be lost before changes nothing more")
    func twice() {
        let part = group.part(lengthBytes: 1100)
        let (host, version) = stored(part)
        lose(host, part, 1)
        let before = host.store
        lose(host, part, 1)
        lose(host, part, 3, 7)
        lose(host, group.part(attempt: 9, lengthBytes: 600), 0)
        #expect(host.store == before && host.state(version) == .lost)
    }

    @Test("is lost for every version that holds it, and only for these, and there again for all")
    func shared() {
        let host = ReplicaHost(group, 0)
        let long = group.part(by: .bob, lengthBytes: 4 * 512)
        let short = group.part(by: .bob, lengthBytes: 2 * 512)
        host.expectStaged(long)
        let retained = group.version([long], counter: 1)
        let committed = group.version([short], counter: 2)
        for version in [retained, committed] {
            host.expectStored(version)
            host.expectCommitted(version)
        }
        lose(host, long, 3)
        #expect(host.state(retained) == .lost && host.state(committed) == .held && host.wanted() == nil)
        lose(host, long, 1)
        #expect(host.state(committed) == .lost && host.wanted() == committed.timestamp)
        // What is superseded is wanted by nobody, but what it shares is.
        host.expectNotTaken(committed.found(long, 3, for: 0), .notWanted)
        host.expectTaken(committed.found(long, 1, for: 0))
        #expect(host.state(retained) == .lost && host.state(committed) == .held)
        // With the longer one goes what only it held, and lost.
        host.pass(toMilliseconds: 100_000)
        #expect(host.state(retained) == nil && stripes(host, long) == [0..<3])
        #expect(host.accounts.charge(of: .bob).uncommittedBytes == group.stripeChargeBytes)
        #expect(host.has(short))
    }

    // MARK: Pending

    @Test("of what is pending is wanted, and nothing is signed on the version meanwhile", arguments: [false, true])
    func pending(restarts: Bool) {
        let part = group.part(lengthBytes: 4 * 512)
        let (host, version) = stored(part, isCommitted: false)
        host.rotten = [.stripe(part.attempt, 2)]
        #expect(host.fetched(part.attempt, 2)?.fragment == nil)
        if restarts { host.crash() }
        host.rotten = []
        #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
        #expect(host.record(.photo).attempt(part.attempt)?.lost.ranges == [2..<3] && stripes(host, part) == [0..<4])
        host.expectRefused(.prepare(version.prepare(for: 0)), missing(2..<3))
        host.expectRefused(.stage(part.stage(2, for: 0)), .stripeHeld)
        #expect(host.record(.photo).pending(of: .alice).isEmpty)
        host.expectTaken(version.found(part, 2, for: 0))
        host.expectStored(version)
        #expect(host.has(part) && host.wanted() == nil)
    }

    @Test("is lost for those pending versions that name it, and for no others")
    func pendingBounds() {
        let host = ReplicaHost(group, 0)
        let long = group.part(lengthBytes: 4 * 512)
        let short = group.part(lengthBytes: 2 * 512)
        host.expectStaged(long)
        let versions = [short, long].map { group.version([$0], counter: 1) }
        for version in versions { host.expectStored(version) }
        lose(host, long, 2)
        #expect(host.state(versions[0]) == .held && host.state(versions[1]) == .lost)
        lose(host, long, 0)
        #expect(host.state(versions[0]) == .lost && stripes(host, long) == [0..<4])
        host.expectTaken(versions[0].found(long, 0, for: 0))
        #expect(host.state(versions[0]) == .held && host.state(versions[1]) == .lost)
    }

    @Test("that a committed version holds, too, is brought back for both")
    func pendingAndCommitted() {
        let host = ReplicaHost(group, 0)
        let part = group.part(by: .bob, lengthBytes: 3 * 512)
        host.expectStaged(part)
        let committed = group.version([part], counter: 1)
        host.expectStored(committed)
        host.expectCommitted(committed)
        let pending = group.version([part], counter: 2)
        host.expectStored(pending)
        lose(host, part, 1)
        #expect(host.state(pending) == .lost && host.state(committed) == .lost)
        #expect(stripes(host, part) == [0..<3] && host.wanted() == committed.timestamp)
        host.expectRefused(.prepare(pending.prepare(for: 0)), missing(1..<2))
        host.expectTaken(committed.found(part, 1, for: 0))
        #expect(host.state(pending) == .held)
        host.expectStored(pending)
    }

    // MARK: Held by none

    @Test("that no version holds was never staged, and may be staged again")
    func unheld() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 4 * 512)
        host.expectStaged(part)
        host.rotten = [.stripe(part.attempt, 1)]
        #expect(host.fetched(part.attempt, 1)?.fragment == nil)
        host.crash()
        host.rotten = []
        #expect(stripes(host, part) == [0..<1, 2..<4])
        #expect(host.accounts.charge(of: .alice).uncommittedBytes == 3 * group.stripeChargeBytes)
        let version = group.version([part], counter: 1)
        host.expectRefused(.prepare(version.prepare(for: 0)), missing(1..<2))
        host.expectStaged(part, [1])
        host.expectStored(version)
        #expect(host.has(part))
    }

    @Test("that was the last one of its attempt leaves nothing behind")
    func last() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1024)
        host.expectStaged(part)
        lose(host, part, 1)
        #expect(stripes(host, part) == [0..<1])
        lose(host, part, 0)
        #expect(host.isWithout(part.attempt) && host.accounts.all.isEmpty)
        #expect(!host.store.hasUnfinished(.uploads, of: .alice))
    }

    @Test("that was the last one of its piece of the store has the piece given back, and no other")
    func chunks() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 100)
        let stage = part.stage(0, for: 0)
        let far: [UInt32] = [0, 4095, 4096, 9000, 9001]
        for stripe in far {
            let other = Stage(
                key: .photo, attempt: part.attempt, position: 0, stripeSizeBytes: 512, stripe: stripe,
                crossChecksum: stage.crossChecksum, fragment: stage.fragment)
            #expect(host.answer(.stage(other)) == .staged)
        }
        var dropped: [[Range<UInt32>]] = []
        host.onChange = { _, change in dropped.append(change.stagedDrops.flatMap(\.chunks)) }
        for stripe in [4096, 0, 9001, 9000, 4095] { lose(host, part, stripe) }
        #expect(dropped == [[1..<2], [], [], [2..<3], [0..<1]])
        #expect(host.isWithout(part.attempt))
    }

    @Test("that splits one of the most runs there may be has the highest one go")
    func scattered() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 140 * 512)
        host.expectStaged(part, [0, 1, 2] + Array(stride(from: 4, to: 130, by: 2)))
        #expect(stripes(host, part)?.count == StagedLimits.rangesMax)
        lose(host, part, 1)
        #expect(stripes(host, part)?.count == StagedLimits.rangesMax)
        #expect(stripes(host, part)?.first == 0..<1 && stripes(host, part)?.last == 126..<127)
        #expect(host.accounts.charge(of: .alice).uncommittedBytes == 64 * group.stripeChargeBytes)
        // It can be staged again once there is room for it.
        host.expectStaged(part, [1, 128])
        #expect(host.fetched(part.attempt, 128)?.fragment == part.fragments[128][0])
    }

    @Test("above what versions hold goes with nothing that they hold")
    func aboveBound() {
        let host = ReplicaHost(group, 0)
        let long = group.part(by: .bob, lengthBytes: 4 * 512)
        let short = group.part(by: .bob, lengthBytes: 2 * 512)
        host.expectStaged(long)
        let version = group.version([short], counter: 1)
        host.expectStored(version)
        host.expectCommitted(version)
        lose(host, long, 3)
        #expect(host.state(version) == .held && stripes(host, long) == [0..<3])
        lose(host, long, 2)
        #expect(host.state(version) == .held && stripes(host, long) == [0..<2])
        lose(host, long, 0)
        #expect(host.state(version) == .lost && stripes(host, long) == [0..<2])
    }

    // MARK: Many

    @Test("and many others leave a small record, and are brought from the lowest on", arguments: 0..<8 as Range<UInt64>)
    func many(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let part = group.part(lengthBytes: 120 * 512)
        let (host, version) = stored(part)
        let size = host.record(.photo).bytes.count
        for stripe in (0..<120).shuffled(using: &generator).prefix(seed < 4 ? 20 : 120) {
            lose(host, part, stripe)
            let attempt = host.record(.photo).attempt(part.attempt)
            #expect(attempt?.lost.contains(UInt32(stripe)) == true)
            #expect((attempt?.lost.ranges.count ?? 0) <= StagedLimits.lostRangesMax)
            #expect(host.record(.photo).bytes.count <= size + 2 + 8 * StagedLimits.lostRangesMax)
            #expect(host.state(version) == .lost)
            if generator.chance(percent: 10) { host.crash() }
        }
        guard let contents = version.descriptor.descriptor.staged else { return }
        var brought: [UInt32] = []
        while host.wanted() != nil, brought.count <= 120 {
            let next = host.record(.photo).lostStripes(of: contents, limit: 1)
            guard let stripe = next.first?.stripe else {
                Issue.record("something is wanted and nothing is lost")
                return
            }
            // Whether it was lost is not known where runs were merged.
            host.expectTaken(
                generator.chance(percent: 50)
                    ? version.good(part, Int(stripe)) : version.found(part, Int(stripe), for: 0))
            brought.append(stripe)
        }
        #expect(brought == brought.sorted() && Set(brought).count == brought.count)
        #expect(host.state(version) == .held && host.has(part))
    }

    @Test("is lost again while others are brought, and all of it comes to an end")
    func meanwhile() {
        let part = group.part(lengthBytes: 60 * 512)
        let (host, version) = stored(part)
        guard let contents = version.descriptor.descriptor.staged else { return }
        for stripe in stride(from: 0, to: 60, by: 7) { lose(host, part, stripe) }
        var count = 0
        while let next = host.record(.photo).lostStripes(of: contents, limit: 1).first, count < 200 {
            host.expectTaken(version.found(part, Int(next.stripe), for: 0))
            count += 1
            if count == 5 { lose(host, part, 0, 30, 59) }
        }
        #expect(count < 200 && host.state(version) == .held)
    }
}
