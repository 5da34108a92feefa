// What clients are charged at a server, and what happens at each limit (docs/protocol.md, Accounts).

import QuorumProtocol
import Testing

@Suite("A server's accounts")
struct AccountTests {
    private static let limits = {
        var limits = ProtocolLimits()
        limits.bareVersionsPerClientMax = 6
        return limits
    }()
    private let group = TestGroup(limits: Self.limits)

    /// Objects at which the host has the same position.
    private func keys(_ count: Int) -> [ObjectKey] {
        let rotation = group.parameters.placement(of: .photo).rotation
        let same = (0...).lazy.map { ObjectKey.of("bucket/\($0)") }
            .filter { self.group.parameters.placement(of: $0).rotation == rotation }
        return Array(same.prefix(count)).sorted()
    }

    private func prepare(_ host: ReplicaHost, _ version: TestVersion) -> Reply {
        host.answer(
            .prepare(version.prepare(for: host.server)), from: .client(version.timestamp.writer))
    }

    private func isStored(_ reply: Reply) -> Bool {
        if case .prepared(let statement, _) = reply { statement.claim == .stored } else { false }
    }

    private func commit(_ host: ReplicaHost, _ version: TestVersion) {
        let reply = host.answer(
            .commit(Commit(key: version.key, certificate: group.certificate(of: version))),
            from: .client(version.timestamp.writer))
        #expect(reply == .committed(version.timestamp, needsDescriptor: false))
    }

    /// Bytes of descriptor and fragments.
    private func size(_ version: TestVersion, _ host: ReplicaHost) -> Int64 {
        Int64(version.descriptor.bytes.count)
            + version.fragments[host.server.offset].reduce(0) { $0 + Int64($1.count) }
    }

    @Test("hold what is stored: by the writer, committed or not, and after a restart the same")
    func charges() {
        let host = ReplicaHost(group, 0)
        let first = group.version(.photo, "a value", counter: 1)
        let second = group.version(.photo, "bob's", counter: 2, writer: .bob)
        #expect(isStored(prepare(host, first)))
        var expected = Charge()
        expected.uncommittedBytes = size(first, host)
        expected.bareVersions = 1
        #expect(host.accounts.charge(of: .alice) == expected)
        commit(host, first)
        expected = Charge()
        expected.storedBytes = size(first, host) + 2048
        expected.objects = 1
        #expect(host.accounts.charge(of: .alice) == expected)
        #expect(isStored(prepare(host, second)))
        #expect(host.accounts.charge(of: .bob).uncommittedBytes == size(second, host))
        #expect(host.accounts.charge(of: .bob).bareVersions == 0)
        commit(host, second)
        // The object is Bob's now; Alice's version is kept for slow readers, at her cost.
        #expect(host.accounts.charge(of: .alice).objects == 0)
        #expect(host.accounts.charge(of: .alice).storedBytes == size(first, host))
        let before = host.accounts.all
        host.crash()
        #expect(host.accounts.all == before)
        host.runToEnd(.tick(milliseconds: 100_000_000))
        host.runToEnd(.due([.photo]))
        #expect(host.accounts.charge(of: .alice) == Charge())
    }

    @Test("of many random changes are what the records sum up to")
    func sums() {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let host = ReplicaHost(group, 0)
            let keys = [ObjectKey.photo, .other, self.keys(1)[0]]
            for number in 0..<40 {
                let key = keys.randomElement(using: &generator) ?? .photo
                let counter = UInt64.random(in: 1...4, using: &generator)
                let version = group.version(
                    key, Int.random(in: 0..<4, using: &generator) == 0 ? nil : "value \(number)", counter: counter,
                    writer: Bool.random(using: &generator) ? .alice : .bob)
                _ = prepare(host, version)
                if Bool.random(using: &generator) {
                    _ = host.answer(
                        .commit(Commit(key: key, certificate: group.certificate(of: version))), from: .client(.bob))
                }
                if number % 10 == 9 {
                    host.runToEnd(.tick(milliseconds: UInt64(number) * 10_000))
                    host.runToEnd(.due(keys))
                }
                #expect(host.accounts.all == Accounts(host.store.charges).all, "seed \(seed)")
            }
        }
    }

    @Test("refuse what is beyond a quota, say so, and let go of space by deleting")
    func quota() {
        let host = ReplicaHost(group, 0)
        let first = group.version(.photo, "a value", counter: 1)
        #expect(isStored(prepare(host, first)))
        commit(host, first)
        let used = UInt64(host.accounts.charge(of: .alice).storedBytes)
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: used + 10)])
        let before = host.store
        let more = group.version(.other, "more", counter: 1)
        #expect(
            prepare(host, more) == .refused(.quotaExceeded(.storedBytes, limit: used + 10, used: used)))
        #expect(host.store == before)
        // Others are not concerned.
        #expect(isStored(prepare(host, group.version(.other, "bob's", counter: 1, writer: .bob))))
        let tombstone = group.version(.photo, nil, counter: 2)
        #expect(isStored(prepare(host, tombstone)))
        commit(host, tombstone)
        host.runToEnd(.tick(milliseconds: 100_000_000))
        host.runToEnd(.due([.photo]))
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: used + 2048)])
        #expect(isStored(prepare(host, more)))
        // A tombstone that lets go of nothing costs its place in the index, and finds no way around the quota.
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: 1)])
        let nothing = group.version(keys(1)[0], nil, counter: 1)
        guard case .refused(.quotaExceeded(.storedBytes, _, _)) = prepare(host, nothing) else {
            Issue.record("a tombstone of nothing was taken")
            return
        }
    }

    @Test("never refuse what is committed, or admitted by f + 1 others")
    func neverRefused() {
        let host = ReplicaHost(group, 0)
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: 0)])
        let version = group.version(.photo, "a value", counter: 1)
        guard case .refused(.quotaExceeded) = prepare(host, version) else {
            Issue.record("over quota and taken")
            return
        }
        let admission = (1...2).map { server in
            group.statement(of: Position(UInt8(server)), .photo, version.timestamp)
        }
        let admitted = host.answer(.prepare(version.prepare(for: 0, admission: admission)))
        #expect(isStored(admitted))
        let next = group.version(.photo, "another", counter: 2)
        let commit = host.answer(.commit(Commit(key: .photo, certificate: group.certificate(of: next))))
        #expect(commit == .committed(next.timestamp, needsDescriptor: true))
        #expect(isStored(prepare(host, next)))
    }

    @Test("bind what is uncommitted while the disk is scarce, of one client and of all")
    func uncommitted() {
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "a value", counter: 1)
        let size = UInt64(self.size(version, host))
        // A disk whose tenth has room for one such version and not for two.
        let capacity = 15 * size
        host.accounts.go(by: [.alice: ClientQuotas(storedBytes: .max)])
        host.accounts.look(at: Accounts.Space(capacityBytes: capacity, freeBytes: capacity))
        #expect(isStored(prepare(host, version)))
        let second = group.version(.other, "a value", counter: 1)
        #expect(isStored(prepare(host, second)))
        host.accounts.look(at: Accounts.Space(capacityBytes: capacity, freeBytes: capacity / 3))
        let third = group.version(keys(1)[0], "a value", counter: 1)
        guard case .refused(.quotaExceeded(.uncommittedBytes, capacity / 10, _)) = prepare(host, third) else {
            Issue.record("more than a tenth of a scarce disk")
            return
        }
        // What is committed does not count, so a client that finishes what it began goes on.
        commit(host, version)
        commit(host, second)
        #expect(isStored(prepare(host, third)))
        for (number, key) in keys(9).dropFirst().enumerated() {
            let writer = ClientID(high: 7, low: UInt64(number))
            let reply = prepare(host, group.version(key, "a value", counter: 1, writer: writer))
            guard isStored(reply) else {
                guard case .refused(.quotaExceeded(.uncommittedBytesOfAll, capacity / 2, _)) = reply else {
                    Issue.record("\(reply)")
                    return
                }
                #expect(number >= 4)
                return
            }
        }
        Issue.record("all clients together have more than half of a scarce disk")
    }

    @Test(
        "bind versions at new objects; the server first finds out what was committed, and a client goes on by committing"
    )
    func bare() {
        let host = ReplicaHost(group, 0)
        let versions = keys(7).map { group.version($0, "value", counter: 1) }
        var caughtUp: [ObjectKey] = []
        func run(_ version: TestVersion, tag: UInt64) -> Reply? {
            let request = Request.prepare(version.prepare(for: host.server))
            var effects = host.handle(.request(RequestTag(session: 1, request: tag), from: .client(.alice), request))
            var answer: Reply?
            while !effects.isEmpty {
                switch host.run(effects.removeFirst()) {
                case .reply(_, let reply): answer = reply
                case .input(let input): effects += host.handle(input)
                case .verify(let key, _): caughtUp.append(key)
                case .repairEnded, .restate, .forgotten: break
                }
            }
            return answer
        }
        for (number, version) in versions.prefix(6).enumerated() {
            guard let reply = run(version, tag: UInt64(number)), isStored(reply) else {
                Issue.record("there is room")
                return
            }
        }
        // At half of the limit, once in a second.
        #expect(caughtUp == versions.prefix(3).map(\.key))
        #expect(
            run(versions[6], tag: 6) == .refused(.quotaExceeded(.bareVersions, limit: 6, used: 6)))
        #expect(caughtUp.count == 3)
        host.runToEnd(.tick(milliseconds: 2000))
        _ = run(versions[6], tag: 7)
        #expect(caughtUp.count == 9)
        // An object with a commit is no new object.
        let bobs = group.version(.photo, "bob's", counter: 1, writer: .bob)
        #expect(isStored(prepare(host, bobs)))
        commit(host, bobs)
        #expect(isStored(prepare(host, group.version(.photo, "alice's", counter: 2))))
        // What turns out to be committed makes room.
        commit(host, versions[0])
        #expect(host.bareObjects(of: .alice, after: nil, limit: 9) == versions[1..<6].map(\.key))
        #expect(isStored(prepare(host, versions[6])))
    }

    @Test("bind as the access list has them, client by client")
    func listed() {
        let host = ReplicaHost(group, 0)
        host.accounts.go(by: [.alice: ClientQuotas(bareVersions: 2)])
        let versions = keys(4).map { group.version($0, "value", counter: 1) }
        for version in versions.prefix(2) { #expect(isStored(prepare(host, version))) }
        #expect(prepare(host, versions[2]) == .refused(.quotaExceeded(.bareVersions, limit: 2, used: 2)))
        #expect(isStored(prepare(host, group.version(versions[3].key, "bob's", counter: 1, writer: .bob))))
        host.accounts.go(by: [.alice: ClientQuotas(uncommittedPercent: 0)])
        let scarce = Accounts.Space(capacityBytes: 1 << 40, freeBytes: 1 << 38)
        host.accounts.look(at: scarce)
        guard case .refused(.quotaExceeded(.uncommittedBytes, limit: 0, _)) = prepare(host, versions[2]) else {
            Issue.record("more is uncommitted than may be")
            return
        }
        host.accounts.look(at: Accounts.Space(capacityBytes: 1 << 40, freeBytes: 1 << 39))
        #expect(isStored(prepare(host, versions[2])))
        host.accounts.look(at: scarce)
        host.accounts.go(by: [:])
        #expect(isStored(prepare(host, versions[3])))
    }

    @Test("the server catches up with all objects that have no commit, some at a time")
    func catchingUp() {
        var limits = ProtocolLimits()
        limits.bareVersionsPerClientMax = 180
        let group = TestGroup(limits: limits)
        let host = ReplicaHost(group, 0)
        let keys = keys(92)
        var caughtUp: [ObjectKey] = []
        func run(_ key: ObjectKey, atMilliseconds time: UInt64) {
            let version = group.version(key, "value", counter: 1)
            let request = Request.prepare(version.prepare(for: host.server))
            var effects = host.handle(.tick(milliseconds: time))
            effects += host.handle(.request(RequestTag(session: 1, request: time), from: .client(.alice), request))
            while !effects.isEmpty {
                switch host.run(effects.removeFirst()) {
                case .reply, .repairEnded, .restate, .forgotten: break
                case .input(let input): effects += host.handle(input)
                case .verify(let key, let isUrgent):
                    #expect(isUrgent)
                    caughtUp.append(key)
                }
            }
        }
        for key in keys.prefix(90) { run(key, atMilliseconds: 1) }
        #expect(caughtUp == Array(keys.prefix(64)))
        // Beyond these, then the first ones again.
        run(keys[90], atMilliseconds: 1500)
        #expect(caughtUp == Array(keys.prefix(91)))
        run(keys[91], atMilliseconds: 3000)
        #expect(caughtUp == Array(keys.prefix(91)) + keys.prefix(64))
    }
}
