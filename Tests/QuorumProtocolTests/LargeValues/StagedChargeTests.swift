// Who is charged for what is staged, and when (docs/protocol.md, Accounts and Large values).

import QuorumProtocol
import Testing

@Suite("LargeValues: charges")
struct StagedChargeTests {
    let group = TestGroup.staging { $0.bareVersionsPerClientMax = 3 }

    private func expected(uncommitted: Int64 = 0, stored: Int64 = 0, objects: Int64 = 0, bare: Int64 = 0) -> Charge {
        var charge = Charge()
        charge.uncommittedBytes = uncommitted
        charge.storedBytes = stored
        charge.objects = objects
        charge.bareVersions = bare
        return charge
    }

    /// What a version is charged: its descriptor and all stripes that it names.
    private func size(_ version: TestVersion) -> Int64 {
        Int64(version.descriptor.bytes.count)
            + Int64(version.descriptor.descriptor.staged?.chargeBytes(group.quorums) ?? 0)
    }

    /// Objects at which the host has the same position.
    private func keys(_ count: Int) -> [ObjectKey] {
        let rotation = group.parameters.placement(of: .photo).rotation
        let same = (0...).lazy.map { ObjectKey.of("bucket/\($0)") }
            .filter { self.group.parameters.placement(of: $0).rotation == rotation }
        return Array(same.prefix(count))
    }

    @Test("go from the stager to the writer, and back when no version is left")
    func transfer() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        let staged = 3 * group.stripeChargeBytes
        #expect(host.accounts.charge(of: .alice) == expected(uncommitted: staged, bare: 1))
        let bobs = group.version([part], counter: 1, writer: .bob)
        host.expectStored(bobs)
        #expect(host.accounts.charge(of: .bob) == expected(uncommitted: size(bobs), bare: 1))
        #expect(host.accounts.charge(of: .alice) == expected(bare: 1))
        host.expectCommitted(bobs)
        #expect(host.accounts.charge(of: .bob) == expected(stored: size(bobs) + 2048, objects: 1))
        #expect(host.accounts.charge(of: .alice) == Charge())
        // What is staged beyond what the version has is the stager's.
        host.expectStaged(group.part(lengthBytes: 5 * 512), [3])
        #expect(host.accounts.charge(of: .alice) == expected(uncommitted: group.stripeChargeBytes))
        let next = group.version(.photo, nil, counter: 2, writer: .bob)
        host.prepare(next)
        host.expectCommitted(next)
        // What returns is taken, also by one who may have nothing.
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: 0)])
        host.pass(toMilliseconds: 100_000)
        #expect(host.accounts.charge(of: .alice) == expected(uncommitted: 4 * group.stripeChargeBytes))
        host.discard(.first)
        #expect(host.accounts.charge(of: .alice) == Charge())
        let before = host.accounts.all
        host.crash()
        #expect(host.accounts.all == before)
    }

    @Test("are each version's for all that it names, in however many versions it is")
    func shared() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        let versions = (0..<2).map { group.version([part], counter: 1, etag: "\($0)") }
        for version in versions { host.expectStored(version) }
        #expect(
            host.accounts.charge(of: .alice).uncommittedBytes == versions.reduce(0) { $0 + size($1) })
    }

    @Test("bound what one stages: bytes that the quota has room for, and no more")
    func quota() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 4 * 512)
        let charge = UInt64(group.stripeChargeBytes)
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: 2 * charge)])
        host.expectStaged(part, [0, 1])
        #expect(
            host.stage(part, [2])
                == [.refused(.quotaExceeded(.storedBytes, limit: 2 * charge, used: 2 * charge))])
        // The same again is no more than it was.
        host.expectStaged(part, [1])
        // Others have their own.
        host.expectStaged(group.part(by: .bob, lengthBytes: 4 * 512))
        host.discard(.first)
        host.expectStaged(group.part(of: .second, lengthBytes: 1024))
    }

    @Test("bound what is staged at once just so")
    func batch() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 8 * 512)
        let limit = 3 * UInt64(group.stripeChargeBytes)
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: limit)])
        var effects = part.stripes.indices.flatMap { stripe in
            host.handle(
                .request(
                    RequestTag(session: 1, request: UInt64(stripe)), from: .client(.alice),
                    .stage(part.stage(stripe, for: 0))))
        }
        var stagedCount = 0
        while !effects.isEmpty {
            switch host.run(effects.removeFirst()) {
            case .reply(_, .staged): stagedCount += 1
            case .reply(_, let reply):
                guard case .refused(.quotaExceeded(.storedBytes, limit, _)) = reply else {
                    Issue.record("\(reply)")
                    return
                }
            case .input(let input): effects += host.handle(input)
            case .verify, .repairEnded, .restate, .forgotten: break
            }
        }
        #expect(stagedCount == 3)
        #expect(host.accounts.charge(of: .alice).uncommittedBytes == Int64(limit))
    }

    @Test("let one who staged what fits finish and begin anew, and nobody have what others staged beyond a quota")
    func prepare() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 8 * 512)
        host.expectStaged(part)
        let staged = 8 * UInt64(group.stripeChargeBytes)
        host.accounts.go(by: [
            .alice: ClientQuotas(storedBytes: staged + 8192), .mallory: ClientQuotas(storedBytes: staged / 2),
        ])
        let theft = group.version([part], counter: 1, writer: .mallory)
        guard case .refused(.quotaExceeded(.storedBytes, _, used: 0)) = host.prepare(theft) else {
            Issue.record("more was taken over than there is room for")
            return
        }
        host.expectStored(group.version([part], counter: 1))
    }

    @Test("of new objects count one who stages once, and let him finish at his limit")
    func bare() {
        let host = ReplicaHost(group, 0)
        let keys = keys(4)
        for key in keys.prefix(3) { host.expectStaged(group.part(lengthBytes: 1100), of: key) }
        #expect(host.accounts.charge(of: .alice).bareVersions == 3)
        #expect(host.bareObjects(of: .alice, after: nil, limit: 9) == keys.prefix(3).sorted())
        let full = Refusal.quotaExceeded(.bareVersions, limit: 3, used: 3)
        #expect(host.stage(group.part(lengthBytes: 600), [0], of: keys[3]) == [.refused(full)])
        // More at an object that counts already is no more.
        host.expectStaged(group.part(attempt: 2, lengthBytes: 600), of: keys[0])
        let version = group.version([group.part(lengthBytes: 1100)], counter: 1, key: keys[0])
        host.expectStored(version)
        // A second version there counts.
        let second = group.version([group.part(lengthBytes: 1100)], counter: 1, key: keys[0], etag: "second")
        guard case .refused(.quotaExceeded(.bareVersions, limit: 3, _)) = host.prepare(second) else {
            Issue.record("versions at new objects are unlimited")
            return
        }
        host.expectCommitted(version)
        #expect(host.accounts.charge(of: .alice).bareVersions == 2)
        host.expectStaged(group.part(lengthBytes: 600), of: keys[3])
    }

    @Test("of a PREPARE whose stripes turn out to be others are taken back")
    func takenBack() {
        let host = ReplicaHost(group, 0)
        host.expectStaged(group.part(lengthBytes: 1100, seed: 1))
        let before = host.accounts.all
        let version = group.version([group.part(lengthBytes: 1100)], counter: 1)
        guard case .refused(.stripesMissing) = host.prepare(version) else {
            Issue.record("other stripes were taken for the version's")
            return
        }
        #expect(host.accounts.all == before)
    }
}
