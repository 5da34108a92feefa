// What servers say they hold, and what of it is believed (docs/protocol.md, Versions).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Lists of what is held")
struct HeldListTests {
    private static let group = TestGroup(faults: 1)
    private static let head = ListedHead(lengthBytes: 3, etag: "a", modifiedMilliseconds: 5)

    private static func version(_ counter: UInt64, _ head: ListedHead? = head) -> KeptVersion {
        KeptVersion(
            timestamp: Timestamp(counter: counter, writer: .alice, digest: .sha256([UInt8(counter)])), head: head)
    }

    private static func vouched(_ lists: [[KeptVersion]], below counter: UInt64) -> [KeptVersion] {
        let named = zip(group.servers, lists).map { ($0, HeldList.versions($1)) }
        return HeldAnswers.versions(
            in: Dictionary(uniqueKeysWithValues: named), vouchedForBy: group.quorums.vouchers,
            below: version(counter).timestamp)
    }

    @Test("f servers alone have nobody believe in a version, nor in other particulars of one")
    func vouched() {
        let (one, two, four) = (Self.version(1), Self.version(2), Self.version(4))
        let other = Self.version(1, ListedHead(lengthBytes: 4, etag: "a", modifiedMilliseconds: 5))
        #expect(Self.vouched([[one, two], [one], [], []], below: 4) == [one])
        #expect(Self.vouched([[one], [other], [], []], below: 4).isEmpty)
        #expect(Self.vouched([[one, one, one], [], [], []], below: 4).isEmpty)
        #expect(Self.vouched([[one, two], [two, one], [four], [four]], below: 4) == [two, one])
        let deletion = Self.version(2, nil)
        #expect(Self.vouched([[deletion], [deletion], [two], []], below: 4) == [deletion])
    }

    @Test("a server tells of versions that it had committed, and of no others")
    func told() throws {
        let host = ReplicaHost(Self.group, Self.group.servers[0])
        let first = Self.group.version(.photo, "value 1", counter: 1)
        // Two at a time: the one that is overtaken is superseded without ever having been committed here.
        let (overtaken, last) = (
            Self.group.version(.photo, "value 2", counter: 2),
            Self.group.version(.photo, "value 3", counter: 2, writer: .zoe)
        )
        host.prepare(first)
        _ = host.answer(.commit(Commit(key: .photo, certificate: Self.group.certificate(of: first))))
        host.prepare(overtaken)
        host.prepare(last)
        _ = host.answer(.commit(Commit(key: .photo, certificate: Self.group.certificate(of: last))))
        #expect(host.record(.photo).version(overtaken.timestamp) != nil)
        guard case .held(.versions(let kept)) = host.answer(.listHeld(ListHeld(key: .photo, kind: .versions))) else {
            Issue.record("no list")
            return
        }
        #expect(kept.map(\.timestamp) == [first.timestamp, last.timestamp])
        #expect(kept.allSatisfy { $0.head?.lengthBytes == 7 })
    }

    @Test("a server tells of a client's uploads that are not over, and of nobody else's")
    func uploads() {
        let group = TestGroup.staging()
        let host = ReplicaHost(group, 0)
        func told(of client: ClientID) -> [UploadStatus] {
            guard
                case .held(.uploads(let uploads)) = host.answer(
                    .listHeld(ListHeld(key: .photo, kind: .uploads(of: client))))
            else { return [] }
            return uploads
        }
        let parts = [
            group.part(1, lengthBytes: 1100), group.part(2, lengthBytes: 600),
            group.part(of: .second, lengthBytes: 600),
        ]
        for part in parts { host.expectStaged(part) }
        host.expectStaged(group.part(by: .bob, lengthBytes: 600))
        #expect(told(of: .alice).map(\.upload) == [.first, .second] && told(of: .alice).map(\.attempts) == [2, 1])
        #expect(told(of: .alice)[0].chargedBytes > told(of: .alice)[1].chargedBytes)
        #expect(told(of: .bob).map(\.upload) == [.first] && told(of: .zoe).isEmpty)
        #expect(
            host.store.hasUnfinished(.uploads, of: .alice) && host.store.hasUnfinished(.uploads, of: .bob)
                && !host.store.hasUnfinished(.uploads, of: .zoe))
        // What a version holds is its writer's, and what is over nobody's.
        host.expectStored(group.version([parts[2]], counter: 1))
        #expect(told(of: .alice).map(\.upload) == [.first])
        host.discard(.first)
        #expect(
            told(of: .alice).isEmpty && !host.store.hasUnfinished(.uploads, of: .alice)
                && host.store.hasUnfinished(.uploads, of: .bob))
        #expect(host.store.hasUnfinished(.versions, of: .alice))
    }

    @Test("answers to another question are none, and q of the right ones suffice once the others have had their time")
    func collected() {
        let group = Self.group
        let request = ListHeld(key: .photo, kind: .upload(.first))
        var collector = HeldCollector(parameters: group.parameters, request: request)
        var effects: [HeldCollector.Effect] = []
        collector.handle(.start, into: &effects)
        #expect(effects.count == group.servers.count + 1)
        effects = []
        let mine = AttemptName(stager: .alice, upload: .first, part: 1, number: 0)
        let foreign = AttemptName(stager: .alice, upload: .second, part: 1, number: 0)
        let statuses = [mine, foreign].map {
            StagedStatus(attempt: $0, stripeSizeBytes: 512, stripes: StripeRanges(upTo: 3), isSpent: false)
        }
        collector.handle(.reply(group.servers[0], .held(.versions([]))), into: &effects)
        for server in group.servers.dropFirst() {
            collector.handle(.reply(server, .held(.staged(statuses))), into: &effects)
        }
        #expect(effects.isEmpty)
        collector.handle(.hedge, into: &effects)
        guard case .finish(.success(let answers))? = effects.first else {
            Issue.record("\(effects)")
            return
        }
        #expect(answers.lists.count == 3 && answers.observations.misbehaving.count == 1)
        for list in answers.lists.values { #expect(list == .staged([statuses[0]])) }
    }
}
