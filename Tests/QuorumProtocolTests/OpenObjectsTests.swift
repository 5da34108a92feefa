// What a replica has in memory of an object: nobody's record, answer or turn becomes another's when objects come and
// go.

import QuorumProtocol
import Testing

@Suite("A replica's open objects")
struct OpenObjectsTests {
    private static let group = TestGroup(faults: 1)

    private var replica = Replica(
        parameters: Self.group.parameters, group: Self.group.members, node: Self.group.node(0),
        incarnation: Incarnation(1))
    private var accounts = Accounts()
    private var requestCount: UInt64 = 0

    /// A record that tells its object from others by its committed counter.
    private static func record(counter: UInt64) -> ObjectRecord {
        let timestamp = group.version(.photo, "value", counter: counter).timestamp
        var record = ObjectRecord()
        record.committed = CommittedVersion(Self.group.certificate(timestamp, []))
        return record
    }

    private static let records: [ObjectKey: ObjectRecord] = [
        .of("bucket/a"): record(counter: 1), .of("bucket/b"): record(counter: 2), .of("bucket/c"): record(counter: 3),
    ]

    /// Asks for an object's timestamp; which records the replica wants, and what it answers at once.
    private mutating func ask(_ name: String) -> (loads: [ObjectKey], replies: [UInt64: UInt64]) {
        requestCount += 1
        return run(
            .request(
                RequestTag(session: 1, request: requestCount), from: .server(Self.group.node(1)),
                .readTimestamp(.of("bucket/" + name))))
    }

    private mutating func load(_ name: String) -> (loads: [ObjectKey], replies: [UInt64: UInt64]) {
        let key = ObjectKey.of("bucket/" + name)
        return run(.loaded(key, .success(Self.records[key])))
    }

    private mutating func run(_ input: ReplicaInput) -> (loads: [ObjectKey], replies: [UInt64: UInt64]) {
        var effects: [ReplicaEffect] = []
        replica.handle(input, accounts: &accounts, into: &effects)
        replica.checkInvariants()
        var loads: [ObjectKey] = []
        var replies: [UInt64: UInt64] = [:]
        for effect in effects {
            switch effect {
            case .load(let key, _): loads.append(key)
            case .reply(let tag, .timestamp(let claim)): replies[tag.request] = claim.timestamp.counter
            default: Issue.record("\(effect)")
            }
        }
        return (loads, replies)
    }

    @Test("an object that comes back is loaded anew and answered for itself")
    mutating func comesBack() {
        for number in 1...5 as ClosedRange<UInt64> {
            #expect(ask("a").loads == [.of("bucket/a")])
            #expect(load("a").replies == [number: 1])
        }
    }

    @Test("objects that take each other's places are answered for themselves")
    mutating func othersTakePlaces() {
        #expect(ask("a").loads == [.of("bucket/a")])  // 1
        #expect(ask("b").loads == [.of("bucket/b")])  // 2
        #expect(load("a").replies == [1: 1])
        // `a` waits in its old place, while `c` needs one: it must not be given that of `a`.
        #expect(ask("a").loads == [.of("bucket/a")])  // 3
        #expect(ask("c").loads == [.of("bucket/c")])  // 4
        #expect(ask("a").loads.isEmpty)  // 5
        #expect(load("c").replies == [4: 3])
        #expect(load("b").replies == [2: 2])
        #expect(load("a").replies == [3: 1, 5: 1])
        // All places are free; the objects come back in another order, and one takes the place of another.
        #expect(ask("c").loads == [.of("bucket/c")])  // 6
        #expect(ask("b").loads == [.of("bucket/b")])  // 7
        #expect(ask("a").loads == [.of("bucket/a")])  // 8
        #expect(load("a").replies == [8: 1])
        #expect(load("c").replies == [6: 3])
        #expect(load("b").replies == [7: 2])
    }

    @Test("to change a record leaves its copies and the empty one as they are")
    func recordsAreValues() {
        let original = Self.record(counter: 4)
        var changed = original
        changed.held.append(
            HeldVersion(timestamp: Self.group.version(.photo, "v", counter: 5).timestamp, fragments: .held))
        changed.verificationDueMilliseconds = 7
        changed.committed = nil
        #expect(original == Self.record(counter: 4))
        #expect(changed != original)
        #expect(original.held.isEmpty && original.verificationDueMilliseconds == nil)
        var first = ObjectRecord()
        first.poisonous.append(
            PoisonousVersion(timestamp: Self.group.version(.photo, "v", counter: 6).timestamp, statements: []))
        first.unverified.append(
            CommittedVersion(Self.group.certificate(Self.group.version(.photo, "v", counter: 6).timestamp, [])))
        #expect(ObjectRecord().poisonous.isEmpty && ObjectRecord().unverified.isEmpty)
    }
}
