// Which records want what, and that the table of wants says so exactly (docs/protocol.md, Repair).

import QuorumProtocol
import Testing

@Suite("Repair: a server wants")
struct WantsTests {
    private static let later: [VerificationMode] = [.lazy, .readTime]
    private static let shapes = [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)]

    private func committed(
        _ host: ReplicaHost, counter: UInt64 = 1, by signers: [Position]? = nil, isDescribed: Bool = true,
        leavesSpares: Bool = false
    ) -> TestVersion {
        let text = "value \(counter)"
        let version =
            leavesSpares
            ? host.group.partial(text, counter: counter) : host.group.version(.photo, text, counter: counter)
        _ = host.answer(version.commit(host.group.certificate(of: version, by: signers)))
        if isDescribed { _ = host.answer(version.describe) }
        return version
    }

    private func isVerified(_ host: ReplicaHost) -> Bool {
        if case .verify = host.record(.photo).repairStep(
            .photo, node: host.node, in: host, stripesMax: 1, host.group.parameters)
        {
            true
        } else {
            false
        }
    }

    // MARK: What

    @Test("a descriptor that never came, wherever it is", arguments: shapes)
    func descriptor(shape: TestGroup.Shape) {
        let group = shape.group(.fingerprint)
        for server in group.servers {
            let host = ReplicaHost(group, server)
            #expect(host.wanted() == nil)
            let version = committed(host, isDescribed: false)
            #expect(host.wanted() == version.timestamp)
        }
    }

    @Test("fragments that never came, but for spares that their writer leaves out", arguments: shapes)
    func absent(shape: TestGroup.Shape) {
        let group = shape.group(.fingerprint)
        for server in group.servers {
            for leavesSpares in [false, true] {
                let host = ReplicaHost(group, server)
                let version = committed(host, leavesSpares: leavesSpares)
                #expect(host.state(version) == .absent)
                let isLeftOut = leavesSpares && group.isSpare(server)
                #expect(host.wanted() == (isLeftOut ? nil : version.timestamp), "\(server)")
            }
        }
    }

    @Test("all of them where spares are to be filled")
    func fillsSpares() {
        var limits = ProtocolLimits()
        limits.fillsSpares = true
        let group = TestGroup(limits: limits)
        for server in group.servers {
            let host = ReplicaHost(group, server)
            #expect(committed(host, leavesSpares: true).timestamp == host.wanted())
        }
    }

    @Test("what it has said that it holds, at the last f positions, too")
    func ownStatement() {
        let group = TestGroup()
        let host = ReplicaHost(group, 3)
        // Others' statements are no reason.
        let first = committed(host, by: [0, 1, 2], leavesSpares: true)
        #expect(host.state(first) == .absent && host.wanted() == nil)
        let second = committed(host, counter: 2, by: [0, 1, 3], leavesSpares: true)
        #expect(host.wanted() == second.timestamp)
    }

    @Test("what it has lost, wherever it is")
    func lost() {
        let group = TestGroup()
        for server in group.servers {
            let host = ReplicaHost(group, server)
            let version = group.version(.photo, "value", counter: 1)
            host.expectStored(version)
            host.expectCommitted(version)
            #expect(host.wanted() == nil)
            host.runToEnd(.lost(.photo, [.fragments(version.timestamp)], answering: nil))
            #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
            host.runToEnd(.lost(.photo, [.descriptor(version.timestamp)], answering: nil))
            #expect(host.state(version) == nil && host.wanted() == version.timestamp)
            host.expectStored(version)
            #expect(host.wanted() == nil)
        }
    }

    @Test("nothing of what is empty once its descriptor is there", arguments: [nil, ""])
    func empty(text: String?) {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, text, counter: 1)
        host.commit(version)
        #expect(host.wanted() == version.timestamp)
        #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.state(version) == .held && host.wanted() == nil)
    }

    @Test("a large version's stripes, at the last f positions, too")
    func large() {
        let group = TestGroup.staging()
        for server in group.servers {
            let host = ReplicaHost(group, server)
            let version = group.version([group.part(lengthBytes: 1100)], counter: 1)
            host.expectKnown(version)
            #expect(host.wanted() == version.timestamp)
        }
    }

    @Test("nothing where no good fragment exists")
    func void() {
        let group = TestGroup()
        let host = ReplicaHost(group, 2)
        let version = group.poisonedVersion(.photo, "value", garbageAt: 2, counter: 1)
        host.expectKnown(version)
        #expect(host.wanted() == version.timestamp)
        host.expectTaken(version.foundVoid)
        host.crash()
        #expect(host.state(version) == .void && host.wanted() == nil && host.store.wants.isEmpty)
        // Loss is told of what is held.
        host.runToEnd(.lost(.photo, [.fragments(version.timestamp)], answering: nil))
        #expect(host.state(version) == .void)
    }

    @Test("of what is pending only what was held, and nothing that is superseded")
    func pendingAndSuperseded() {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        let first = group.version(.photo, "first", counter: 1)
        host.expectStored(first)
        host.runToEnd(.lost(.photo, [.fragments(first.timestamp)], answering: nil))
        #expect(host.state(first) == .lost && host.wanted() == first.timestamp)
        let second = committed(host)
        #expect(host.wanted() == second.timestamp)
        let third = group.version(.photo, "third", counter: 2)
        host.expectStored(third)
        #expect(host.wanted() == second.timestamp)
        host.expectCommitted(third)
        #expect(host.state(second) == .absent && host.wanted() == nil)
    }

    // MARK: Later modes

    @Test("what is unverified, the lowest first, only to have it verified", arguments: later)
    func unverified(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let versions = (1...3).map { group.version(.photo, "\($0)", counter: UInt64($0)) }
        host.commit(versions[0])
        #expect(host.wanted() == versions[0].timestamp && isVerified(host))
        _ = host.answer(versions[0].describe)
        #expect(host.wanted() == versions[0].timestamp && isVerified(host))
        // It has the second. The first may be the highest that is sound.
        host.prepare(versions[1], justification: group.certificate(of: versions[0]))
        host.commit(versions[1])
        #expect(host.record(.photo).unverified.count == 2 && host.wanted() == versions[0].timestamp)
        host.commit(versions[2])
        #expect(host.wanted() == versions[0].timestamp && isVerified(host))
        // What is sound comes first.
        host.runToEnd(.found(.photo, group.findings(group.shown([versions[0]]), by: 0)))
        #expect(host.record(.photo).committed?.timestamp == versions[0].timestamp)
        #expect(host.wanted() == versions[0].timestamp && !isVerified(host))
        host.runToEnd(.found(.photo, group.findings(group.shown(versions), by: 0)))
        #expect(host.wanted() == versions[2].timestamp && !isVerified(host))
    }

    @Test("nothing of a poisonous version", arguments: later)
    func poisonous(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let host = ReplicaHost(group, 0)
        let good = group.version(.photo, "good", counter: 1)
        let poison = group.poisonedVersion(.photo, "evil", garbageAt: 1, counter: 2)
        host.expectStored(good)
        host.commit(good)
        host.commit(poison)
        #expect(host.wanted() == poison.timestamp)
        host.runToEnd(.found(.photo, group.findings(group.shown([good, poison]), by: 0)))
        #expect(host.record(.photo).isPoisonous(poison.timestamp) && host.wanted() == nil)
        #expect(host.store.wants.isEmpty)
    }

    // MARK: The table

    @Test("since it lacks that version, not since it lacked another or was started")
    func since() {
        let group = TestGroup()
        let host = ReplicaHost(group, 0)
        host.pass(toMilliseconds: 5)
        let first = committed(host, isDescribed: false)
        #expect(host.store.wants == [.photo: 5])
        host.crash()
        host.pass(toMilliseconds: 9)
        // The descriptor alone is not all of it.
        _ = host.answer(first.describe)
        host.crash()
        #expect(host.store.wants == [.photo: 5])
        host.pass(toMilliseconds: 11)
        _ = committed(host, counter: 2)
        #expect(host.store.wants == [.photo: 11])
        let third = group.version(.photo, "third", counter: 3)
        host.prepare(third)
        #expect(host.store.wants == [.photo: 11])
        host.commit(third)
        #expect(host.store.wants.isEmpty)
    }

    @Test("exactly what its rows say, and since when, whatever happens", arguments: 0..<40 as Range<UInt64>)
    func histories(seed: UInt64) {
        let group = TestGroup(mode: [.fingerprint, .lazy, .full][Int(seed % 3)])
        let host = ReplicaHost(group, Position(UInt8(seed % 4)))
        var generator = SplitMix64(seed: seed)
        var versions: [TestVersion] = []
        var (now, since, last) = (0 as UInt64, 0 as UInt64, nil as Timestamp?)
        var wantCount = 0
        for number in 0..<100 {
            let any = versions.randomElement(using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0, 1:
                let counter = (host.record(.photo).highestCommitted?.counter ?? 0) + 1
                let text = generator.chance(percent: 20) ? nil : "\(number)"
                versions.append(group.version(.photo, text, counter: counter))
            case 2: if let any { host.prepare(any) }
            case 3, 4: if let any { host.commit(any) }
            case 5: if let any { _ = host.answer(any.describe) }
            case 6: if let any { host.runToEnd(.lost(.photo, [.fragments(any.timestamp)], answering: nil)) }
            case 7: if let any { host.runToEnd(.lost(.photo, [.descriptor(any.timestamp)], answering: nil)) }
            case 8:
                now += 1000 * UInt64.random(in: 1...40, using: &generator)
                host.crash()
                host.pass(toMilliseconds: now)
            default:
                guard let any, !group.parameters.mode.sendsBlocks,
                    any.timestamp == host.record(.photo).committed?.timestamp
                else { continue }
                _ = host.repair([any.fragments[0].isEmpty ? any.foundDescriptor : any.found(for: host.server)])
            }
            if host.wanted() != last { (last, since) = (host.wanted(), now) }
            if last != nil { wantCount += 1 }
            #expect(host.store.wants[.photo] == last.map { _ in since }, "seed \(seed), step \(number)")
            host.expectCharges()
        }
        #expect(wantCount > 0)
    }

    @Test("nothing more once it has looked, where a row was written under other settings")
    func otherSettings() {
        let group = TestGroup()
        let host = ReplicaHost(group, 3)
        _ = committed(host, leavesSpares: true)
        #expect(host.wanted() == nil)
        host.alterStore { $0.addWant(.photo, sinceMilliseconds: 3) }
        #expect(host.repair([]).failure == nil)
        #expect(host.store.wants.isEmpty)
        // And never the row of what is wanted.
        let other = ReplicaHost(group, 0)
        _ = committed(other)
        let before = other.store
        #expect(other.repair([]).failure == .notWanted && other.store == before)
    }
}
