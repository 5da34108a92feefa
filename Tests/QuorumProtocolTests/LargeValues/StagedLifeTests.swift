// How long a server keeps what is staged, and what it gives back with what (docs/protocol.md, Large values).

import QuorumProtocol
import Testing

@Suite("LargeValues: what is staged")
struct StagedLifeTests {
    private static let day: UInt64 = 86_400_000
    let group = TestGroup.staging()

    // MARK: Versions

    @Test("stays as long as any version holds it, and goes with the last one once its stager is done")
    func shared() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        // Its stager is done with it only when a version of its own is committed.
        let versions = (1...3).map { group.version([part], counter: UInt64($0), writer: $0 < 3 ? .bob : .alice) }
        for (number, version) in versions.enumerated() {
            host.expectStored(version)
            host.expectCommitted(version)
            host.pass(toMilliseconds: UInt64(number + 1) * 100_000)
            #expect(host.record(.photo).held.map(\.timestamp) == [version.timestamp])
            #expect(host.has(part))
        }
        let tombstone = group.version(.photo, nil, counter: 4, writer: .bob)
        host.prepare(tombstone)
        host.expectCommitted(tombstone)
        // It is kept for slow readers.
        #expect(host.has(part))
        host.crash()
        host.pass(toMilliseconds: 1_000_000)
        #expect(host.isWithout(part.attempt))
        #expect(host.accounts.charge(of: .alice) == Charge())
    }

    @Test("goes with the oldest of too many versions that others supersede")
    func retained() {
        let group = TestGroup.staging { $0.retainedVersionsMax = 2 }
        let host = ReplicaHost(group, 0)
        let parts = (1...4).map { number in
            group.part(of: UploadID(high: 9, low: UInt64(number)), lengthBytes: 600, seed: UInt64(number))
        }
        for (number, part) in parts.enumerated() {
            host.expectStaged(part)
            let version = group.version([part], counter: UInt64(number + 1))
            host.expectStored(version)
            host.expectCommitted(version)
        }
        #expect(host.isWithout(parts[0].attempt))
        #expect(parts.dropFirst().allSatisfy { host.has($0) })
    }

    @Test("is held by versions that name less of it only so far")
    func bounds() {
        let host = ReplicaHost(group, 0)
        let long = group.part(lengthBytes: 4 * 512)
        let short = group.part(lengthBytes: 2 * 512)
        #expect(short.crossChecksums == Array(long.crossChecksums.prefix(2)))
        host.expectStaged(long)
        host.expectStored(group.version([short], counter: 1))
        let other = group.part(lengthBytes: 4 * 512, seed: 1)
        host.expectRefused(.stage(other.stage(1, for: 0)), .stripeHeld)
        host.expectStaged(other, [2])
        let version = group.version([long], counter: 1)
        host.expectRefused(
            .prepare(version.prepare(for: 0)), .stripesMissing([MissingStripes(part: 0, stripes: 0..<4)]))
        host.expectStaged(long, [2])
        host.expectStored(version)
        host.expectRefused(.stage(other.stage(2, for: 0)), .stripeHeld)
        #expect(host.record(.photo).attempt(long.attempt)?.heldCount == 4)
    }

    // MARK: DISCARD

    @Test("is given back by its stager's DISCARD, and nobody else's, but for what versions hold")
    func discarded() {
        let host = ReplicaHost(group, 0)
        let held = group.part(1, lengthBytes: 1100)
        let free = group.part(2, lengthBytes: 600)
        let bobs = group.part(2, by: .bob, lengthBytes: 600)
        let another = group.part(of: .second, lengthBytes: 600)
        for part in [held, free, bobs, another] { host.expectStaged(part) }
        let version = group.version([held], counter: 1)
        host.expectStored(version)
        let before = host.store
        host.discard(.first, as: .mallory)
        host.discard(UploadID(high: 5, low: 5))
        host.discard(.first, of: .other)
        #expect(host.store == before)
        host.discard(.first)
        #expect(host.isWithout(free.attempt))
        #expect(host.has(held) && host.has(bobs) && host.has(another))
        // The version can still be committed, and what it holds goes with it.
        host.crash()
        host.expectCommitted(version)
        #expect(host.has(held))
        let next = group.version(.photo, "next", counter: 2)
        host.prepare(next)
        host.expectCommitted(next)
        host.pass(toMilliseconds: 100_000)
        #expect(host.isWithout(held.attempt))
    }

    @Test("is not taken after its upload was discarded; after a restart it is, and expires")
    func lateStage() {
        let host = ReplicaHost(group, 0)
        host.expectStaged(group.part(lengthBytes: 1100), [0])
        host.discard(.first)
        let late = group.part(attempt: 7, lengthBytes: 1100)
        #expect(host.stage(group.part(lengthBytes: 1100), [1]) == [.refused(.uploadEnded)])
        #expect(host.stage(late, [0]) == [.refused(.uploadEnded)])
        #expect(host.record(.photo).staged.isEmpty)
        // Others' uploads have nothing to do with it, nor the client's other ones.
        host.expectStaged(group.part(by: .bob, lengthBytes: 600))
        host.expectStaged(group.part(of: .second, lengthBytes: 600))
        host.expectStaged(group.part(lengthBytes: 600), of: .other)
        host.crash()
        host.expectStaged(late, [0])
        host.pass(toMilliseconds: 8 * Self.day)
        #expect(host.record(.photo).staged.isEmpty && host.accounts.all.isEmpty)
    }

    @Test("is taken of a discarded upload when it fills a version that was left behind, and is charged and expires")
    func fillsDiscarded() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part, [0])
        host.discard(.first)
        func fill(_ stripe: Int) -> Reply {
            host.answer(.stage(part.stage(stripe, for: 0, fills: true)), from: .client(.alice))
        }
        #expect((0..<3).map(fill) == [.staged, .staged, .staged])
        #expect(host.accounts.charge(of: .alice) != Charge())
        let before = host.store
        // Only of its own stager's, as any STAGE.
        host.expectRefused(.stage(part.stage(0, for: 0, fills: true)), from: .bob, .notEntitled(.client(.bob)))
        #expect(host.store == before)
        host.pass(toMilliseconds: 8 * Self.day)
        #expect(host.record(.photo).staged.isEmpty && host.accounts.all.isEmpty)
        #expect((0..<3).map(fill) == [.staged, .staged, .staged])
        let version = group.version([part], counter: 1)
        host.expectStored(version)
        // What is spent and held is not to be had under another timestamp, filled or not.
        host.discard(.first)
        #expect(fill(0) == .refused(.uploadEnded))
        host.expectCommitted(version)
        #expect(host.has(part))
    }

    @Test("is not taken any more once its version was committed and is gone, not even to fill another one")
    func fillsCommitted() {
        let group = TestGroup.staging { $0.retainedVersionsMax = 0 }
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        let version = group.version([part], counter: 1)
        host.expectStored(version)
        host.expectCommitted(version)
        let next = group.version(.photo, "next", counter: 2, writer: .bob)
        host.prepare(next)
        host.expectCommitted(next)
        host.pass(toMilliseconds: 100_000)
        #expect(host.isWithout(part.attempt))
        // Its client, which does not know, prepares the same under a higher timestamp: that would undo what followed.
        for discards in [false, true] {
            if discards { host.discard(.first) }
            for fills in [false, true] {
                let stage = Request.stage(part.stage(0, for: 0, fills: fills))
                #expect(host.answer(stage, from: .client(.alice)) == .refused(.uploadEnded))
            }
        }
        #expect(host.record(.photo).staged.isEmpty)
    }

    @Test("that waits while its upload is discarded comes too late")
    func waitingStage() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part, [0])
        func handle(_ request: Request, number: UInt64) -> [ReplicaEffect] {
            host.handle(.request(RequestTag(session: 1, request: number), from: .client(.alice), request))
        }
        var effects = handle(.discard(Discard(key: .photo, stager: .alice, upload: .first)), number: 1)
        effects += handle(.stage(part.stage(1, for: 0)), number: 2)
        var answers: [UInt64: Reply] = [:]
        while !effects.isEmpty {
            switch host.run(effects.removeFirst()) {
            case .reply(let tag, let reply): answers[tag.request] = reply
            case .input(let input): effects += host.handle(input)
            case .verify, .repairEnded, .restate, .forgotten: break
            }
        }
        #expect(answers == [1: .discarded, 2: .refused(.uploadEnded)])
        #expect(host.isWithout(part.attempt))
    }

    // MARK: Completion

    @Test("is spent when a version of its stager's is committed, all of the upload, and by nobody else's")
    func spent() {
        let host = ReplicaHost(group, 0)
        let used = group.part(attempt: 2, lengthBytes: 1100)
        let failed = group.part(attempt: 1, lengthBytes: 600)
        let another = group.part(of: .second, lengthBytes: 600)
        for part in [used, failed, another] { host.expectStaged(part) }
        let bobs = group.version([used], counter: 1, writer: .bob)
        host.expectStored(bobs)
        host.expectCommitted(bobs)
        #expect(host.has(failed) && host.record(.photo).attempt(used.attempt)?.isSpent == false)
        let own = group.version([used], counter: 2)
        host.expectStored(own)
        // Only once it is committed: until then its writer may have to begin anew.
        #expect(host.has(failed))
        host.expectCommitted(own)
        #expect(host.isWithout(failed.attempt) && host.has(another) && host.has(used))
        host.expectRefused(.stage(used.stage(0, for: 0)), .uploadEnded)
    }

    @Test("outlives a version that others overtook: its stager names it again under another timestamp")
    func overtaken() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        host.expectStored(group.version([part], counter: 1))
        let zoes = group.version(.photo, "zoe's", counter: 1, writer: .zoe)
        host.prepare(zoes)
        host.commit(zoes)
        host.pass(toMilliseconds: Self.day)
        #expect(host.record(.photo).held.map(\.timestamp) == [zoes.timestamp])
        #expect(host.has(part))
        let again = group.version([part], counter: 2)
        host.expectStored(again)
        host.expectCommitted(again)
        #expect(host.has(part))
    }

    @Test("does not take effect once more under another timestamp when it was committed, also after a crash")
    func once() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        let version = group.version([part], counter: 1)
        host.expectStored(version)
        host.expectCommitted(version)
        let again = group.version([part], counter: 2)
        host.expectRefused(.prepare(again.prepare(for: 0)), .uploadEnded)
        let next = group.version(.photo, "next", counter: 2, writer: .zoe)
        host.prepare(next)
        host.expectCommitted(next)
        host.crash()
        let late = group.version([part], counter: 3)
        host.expectRefused(.prepare(late.prepare(for: 0)), .uploadEnded)
    }

    @Test("does not take effect once more when its commit comes only after a later one's")
    func lateCommit() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        let version = group.version([part], counter: 1)
        host.expectStored(version)
        let next = group.version(.photo, "next", counter: 1, writer: .zoe)
        host.prepare(next)
        host.commit(next)
        #expect(host.record(.photo).committed?.timestamp == next.timestamp)
        #expect(host.record(.photo).attempt(part.attempt)?.isSpent == false)
        host.commit(version)
        // As long as it is remembered, other attempts come too late, too.
        #expect(host.stage(group.part(2, lengthBytes: 600), [0]) == [.refused(.uploadEnded)])
        let again = group.version([part], counter: 2)
        host.expectRefused(.prepare(again.prepare(for: 0)), .uploadEnded)
    }

    @Test("is given back by one attempt at a time, too, and the others stay")
    func discardedAttempt() {
        let host = ReplicaHost(group, 0)
        let (failed, good) = (group.part(attempt: 1, lengthBytes: 600), group.part(attempt: 2, lengthBytes: 1100))
        let other = group.part(2, attempt: 1, lengthBytes: 600)
        for part in [failed, good, other] { host.expectStaged(part) }
        let discard = Discard(
            key: .photo, stager: .alice, upload: .first, attempt: Discard.Attempt(part: 1, number: 1))
        #expect(host.answer(.discard(discard)) == .discarded)
        #expect(host.isWithout(failed.attempt) && host.has(good) && host.has(other))
        // The upload goes on.
        host.expectStaged(group.part(attempt: 3, lengthBytes: 600))
        host.expectStored(group.version([good, other], counter: 1))
    }

    // MARK: Expiry

    @Test("expires after the last sign of its stager's on its upload, unless a version holds it")
    func expiry() {
        let host = ReplicaHost(group, 0)
        let held = group.part(1, lengthBytes: 1100)
        let renewed = group.part(2, lengthBytes: 1100)
        let left = group.part(of: .second, lengthBytes: 600)
        let foreign = group.part(3, by: .bob, lengthBytes: 600)
        for part in [held, renewed, left, foreign] { host.expectStaged(part) }
        host.expectStored(group.version([held], counter: 1))
        host.pass(toMilliseconds: 6 * Self.day)
        // One stripe renews what its client has staged to the upload, and nothing else.
        host.expectStaged(group.part(4, lengthBytes: 600), [0])
        host.pass(toMilliseconds: 7 * Self.day - 1)
        #expect(host.has(left) && host.has(foreign))
        host.pass(toMilliseconds: 7 * Self.day)
        #expect(host.isWithout(left.attempt) && host.isWithout(foreign.attempt))
        #expect(host.has(renewed) && host.has(held))
        host.pass(toMilliseconds: 13 * Self.day)
        #expect(host.isWithout(renewed.attempt) && host.has(held))
        // Whoever overtakes the version has it go, and then what it held.
        let tombstone = group.version(.photo, nil, counter: 1, writer: .zoe)
        host.prepare(tombstone)
        host.commit(tombstone)
        host.pass(toMilliseconds: 14 * Self.day)
        host.pass(toMilliseconds: 14 * Self.day + 1)
        #expect(host.isWithout(held.attempt) && host.accounts.charge(of: .alice) == Charge())
    }

    /// Where a server goes down with PREPARE and expiry on their way.
    enum Crash: CaseIterable {
        case beforeStored
        case afterStored
        case never
    }

    @Test("expires before PREPARE or not at all, also across a crash", arguments: Crash.allCases, [false, true])
    func expiryRacing(crash: Crash, expiryIsFirst: Bool) {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        let version = group.version([part], counter: 1)
        host.expectStaged(part)
        let prepare = ReplicaInput.request(
            RequestTag(session: 1, request: 1), from: .client(.alice), .prepare(version.prepare(for: 0)))
        let expiry = ReplicaInput.tick(milliseconds: 8 * Self.day)
        var effects: [ReplicaEffect] = []
        for input in expiryIsFirst ? [expiry, prepare] : [prepare, expiry] { effects += host.handle(input) }
        var signed: Claim?
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .store(_, let change?, _) = effect, !change.puts.isEmpty, crash == .beforeStored { break }
            switch host.run(effect) {
            case .reply(_, .prepared(let statement, _)): signed = statement.claim
            case .input(let input):
                if case .stored = input, crash == .afterStored, !host.record(.photo).held.isEmpty {
                    effects = []
                } else {
                    effects += host.handle(input)
                }
            case .reply, .verify, .repairEnded, .restate, .forgotten: break
            }
        }
        if crash != .never { host.crash() }
        host.pass(toMilliseconds: 9 * Self.day)
        if host.record(.photo).version(version.timestamp) != nil {
            #expect(host.has(part))
            host.expectStored(version)
        } else {
            // Nobody was told that it is stored.
            #expect(signed == nil && host.isWithout(part.attempt))
            host.expectRefused(
                .prepare(version.prepare(for: 0)), .stripesMissing([MissingStripes(part: 0, stripes: 0..<3)]))
        }
        #expect(host.accounts.all == Accounts(host.store.charges).all)
    }

    @Test("is given back a bounded share at a time, and all of it in the end")
    func dropsBounded() {
        let group = TestGroup.staging { $0.stagedDropsPerChangeMax = 4 }
        let host = ReplicaHost(group, 0)
        var dropCounts: [Int] = []
        host.onChange = { _, change in
            let count = change.stagedDrops.reduce(0) { $0 + $1.chunks.joined().count }
            if count > 0 { dropCounts.append(count) }
        }
        let parts = (1...10).map { group.part(attempt: UInt32($0), lengthBytes: 100, seed: UInt64($0)) }
        for part in parts { host.expectStaged(part) }
        let version = group.version([parts[0]], counter: 1)
        host.expectStored(version)
        host.expectCommitted(version)
        #expect(dropCounts == [4])
        #expect(host.record(.photo).staged.count == 6)
        // Nobody goes on with the rest.
        #expect(host.stage(parts[9]) == [.refused(.uploadEnded)])
        host.pass(toMilliseconds: 1)
        host.crash()
        host.pass(toMilliseconds: 2)
        #expect(dropCounts == [4, 4, 1])
        #expect(host.record(.photo).staged.map(\.name) == [parts[0].attempt] && host.has(parts[0]))
        #expect(host.accounts.charge(of: .alice).uncommittedBytes == 0)
    }

    @Test("far above all else is one piece to give back, not all up to there")
    func farStripes() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 100)
        var dropped: [Range<UInt32>] = []
        host.onChange = { _, change in dropped += change.stagedDrops.flatMap(\.chunks) }
        for stripe in [0, 1, 4095, 4096, StagedLimits.stripesMax - 1] {
            let stage = part.stage(0, for: 0)
            let far = Stage(
                key: .photo, attempt: part.attempt, position: 0, stripeSizeBytes: 512, stripe: stripe,
                crossChecksum: stage.crossChecksum, fragment: stage.fragment)
            #expect(host.answer(.stage(far)) == .staged)
        }
        host.discard(.first)
        #expect(dropped == [0..<2, 4095..<4096])
        #expect(host.isWithout(part.attempt))
    }
}
