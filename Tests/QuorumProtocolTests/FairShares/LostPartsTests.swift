// What a disk has lost is not vouched for any more, and taken again from who brings it (docs/protocol.md, Loss).

import QuorumProtocol
import Testing

@Suite("What a server has lost")
struct LostPartsTests {
    private let group = TestGroup()

    private func read(_ host: ReplicaHost, _ version: TestVersion) -> HeldParts? {
        let reply = host.answer(.read(Read(key: .photo, version: version.timestamp, portion: .fragments)))
        guard case .version(_, let parts) = reply else {
            Issue.record("not a version: \(reply)")
            return nil
        }
        return parts
    }

    /// A server with one version, committed if so desired.
    private func host(isCommitted: Bool) -> (ReplicaHost, TestVersion) {
        let host = ReplicaHost(group, 0)
        let version = group.version(.photo, "value", counter: 1)
        guard case .prepared = host.answer(.prepare(version.prepare(for: 0))) else {
            preconditionFailure("a first PREPARE is taken")
        }
        if isCommitted {
            let reply = host.answer(version.commit(group.certificate(of: version)))
            precondition(reply == .committed(version.timestamp, needsDescriptor: false))
        }
        return (host, version)
    }

    @Test("fragments that are committed: known durably, and taken again", arguments: [false, true])
    func fragments(restarts: Bool) {
        let (host, version) = host(isCommitted: true)
        #expect(read(host, version)?.fragments != nil)
        host.rotten = [.fragments(version.timestamp)]
        let found = read(host, version)
        #expect(found != nil && found?.fragments == nil)
        #expect(host.record(.photo).version(version.timestamp)?.holdsFragments == false)
        if restarts { host.crash() }
        // What the disk gives back now and then is not relied on.
        host.rotten = []
        #expect(read(host, version)?.fragments == nil)
        // Who brings them again is told of them when they are stored, not from memory.
        let before = host.store
        guard case .prepared(let statement, _) = host.answer(.prepare(version.prepare(for: 0))) else {
            Issue.record("the fragments were not taken again")
            return
        }
        #expect(statement.claim == .stored && host.store != before)
        #expect(read(host, version)?.fragments == version.fragments[0])
    }

    @Test("fragments that are pending: they are wanted, nothing is signed on them, and they are taken again")
    func pending() {
        let (host, version) = host(isCommitted: false)
        host.rotten = [.fragments(version.timestamp)]
        _ = read(host, version)
        #expect(host.record(.photo).version(version.timestamp)?.fragments == .lost)
        #expect(host.record(.photo).pending(of: .alice).isEmpty)
        host.rotten = []
        guard case .prepared(let statement, _) = host.answer(.prepare(version.prepare(for: 0))) else {
            Issue.record("the version was not taken again")
            return
        }
        #expect(statement.claim == .stored)
        #expect(read(host, version)?.fragments == version.fragments[0])
    }

    @Test("a descriptor: asked for again when the version is committed again")
    func descriptor() {
        let (host, version) = host(isCommitted: true)
        host.rotten = [.descriptor(version.timestamp)]
        #expect(read(host, version) == nil)
        #expect(host.record(.photo).version(version.timestamp) == nil)
        #expect(host.record(.photo).committed?.timestamp == version.timestamp)
        host.rotten = []
        let reply = host.answer(version.commit(group.certificate(of: version)))
        #expect(reply == .committed(version.timestamp, needsDescriptor: true))
        #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        #expect(read(host, version) != nil)
    }

    @Test("a descriptor that a list of pending versions needs: the version is in nobody's way any more")
    func listed() {
        let host = ReplicaHost(group, 0)
        let versions = (1...8).map { group.version(.photo, "value \($0)", counter: 1) }
        for version in versions { _ = host.answer(.prepare(version.prepare(for: 0))) }
        host.rotten = [.descriptor(versions[3].timestamp)]
        let more = group.version(.photo, "one more", counter: 1)
        guard case .refused(.tooManyPending(let pending)) = host.answer(.prepare(more.prepare(for: 0))) else {
            Issue.record("not too many")
            return
        }
        #expect(pending.count == 7 && !pending.contains { $0.timestamp == versions[3].timestamp })
        guard case .prepared = host.answer(.prepare(more.prepare(for: 0))) else {
            Issue.record("there is room for one more")
            return
        }
    }

    @Test("nothing else is changed by it: a loss of what is not held, or of a tombstone's fragments")
    func nothing() {
        let (host, version) = host(isCommitted: true)
        let before = host.store
        let other = group.version(.photo, "other", counter: 1)
        for parts in [LostParts.descriptor(other.timestamp), .fragments(other.timestamp)] {
            let reply = Reply.version(CommittedClaim(sound: nil), nil)
            let answer = (tag: RequestTag(session: 9, request: 1), reply: reply)
            #expect(host.runToEnd(.lost(.photo, [parts], answering: answer)) == [reply])
            #expect(host.runToEnd(.lost(.photo, [parts], answering: nil)).isEmpty)
        }
        #expect(host.store == before)
        let tombstone = group.version(.photo, nil, counter: 2)
        _ = host.answer(.prepare(tombstone.prepare(for: 0)))
        _ = host.answer(tombstone.commit(group.certificate(of: tombstone)))
        let deleted = host.store
        host.runToEnd(.lost(.photo, [.fragments(tombstone.timestamp)], answering: nil))
        #expect(host.store == deleted)
        _ = version
    }
}
