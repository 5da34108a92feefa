// What one principal sends for an object never keeps another's turn away (docs/protocol.md, Fair shares).

import Fingerprint
import QuorumProtocol
import Testing

@testable import QuorumProtocol

@Suite("At an object's queue")
struct ObjectQueueTests {
    private let group = TestGroup()

    /// A replica whose disk takes its time: what it asks of it is answered when the test says so.
    private final class SlowHost {
        let host: ReplicaHost
        private(set) var replies: [(tag: RequestTag, reply: Reply)] = []
        private var stores: [ReplicaEffect] = []
        private var requestCount: UInt64 = 0

        init(_ group: TestGroup) { host = ReplicaHost(group, 0) }

        var storeCount: Int { stores.count }

        func send(_ request: Request, from client: ClientID) -> RequestTag {
            requestCount += 1
            let tag = RequestTag(session: 0, request: requestCount)
            run(.request(tag, from: .client(client), request))
            return tag
        }

        func run(_ input: ReplicaInput) {
            var effects = host.handle(input)
            while !effects.isEmpty {
                let effect = effects.removeFirst()
                if case .store = effect {
                    stores.append(effect)
                    continue
                }
                take(host.run(effect), &effects)
            }
        }

        /// Makes the oldest change durable.
        func sync() {
            guard !stores.isEmpty else { return }
            var effects: [ReplicaEffect] = []
            take(host.run(stores.removeFirst()), &effects)
            precondition(effects.isEmpty)
        }

        private func take(_ outcome: ReplicaHost.Outcome, _ effects: inout [ReplicaEffect]) {
            switch outcome {
            case .reply(let tag, let reply): replies.append((tag, reply))
            case .input(let input):
                for effect in host.handle(input) {
                    if case .store = effect { stores.append(effect) } else { effects.append(effect) }
                }
                while !effects.isEmpty { take(host.run(effects.removeFirst()), &effects) }
            case .verify, .repairEnded, .restate, .forgotten: break
            }
        }

        func reply(to tag: RequestTag) -> Reply? { replies.first { $0.tag == tag }?.reply }

        func busyCount(_ tags: [RequestTag]) -> Int { tags.count { reply(to: $0) == .refused(.busy) } }
    }

    private func prepares(_ count: Int, by client: ClientID) -> [Request] {
        (0..<count).map { number in
            .prepare(group.version(.photo, "\(client) \(number)", counter: 1, writer: client).prepare(for: 0))
        }
    }

    @Test("another's request is served in the second turn, however many one has sent")
    func turns() {
        let slow = SlowHost(group)
        let flood = prepares(1, by: .mallory)[0]
        var sent = (0..<40).map { _ in slow.send(flood, from: .mallory) }
        let one = slow.send(prepares(1, by: .alice)[0], from: .alice)
        sent.append(slow.send(flood, from: .mallory))
        slow.sync()
        slow.sync()
        guard case .prepared = slow.reply(to: one) else {
            Issue.record("Alice was not served in her turn: \(String(describing: slow.reply(to: one)))")
            return
        }
        // Mallory's share while another waits; who comes last goes first. One was with the disk.
        #expect(slow.busyCount(sent) == 41 - 16 - 1)
        #expect(slow.reply(to: sent[40]) == .refused(.busy))
        #expect(slow.reply(to: sent[10]) != .refused(.busy))
    }

    @Test("one who waits alone may have as many wait as there is room for")
    func alone() {
        var limits = ProtocolLimits()
        limits.requestsPerObjectMax = 50
        let slow = SlowHost(TestGroup(limits: limits))
        let request = prepares(1, by: .alice)[0]
        let sent = (0..<60).map { _ in slow.send(request, from: .alice) }
        // One is with the disk.
        #expect(slow.busyCount(sent) == 9)
        #expect(slow.reply(to: sent[50]) != .refused(.busy))
    }

    @Test("when all room is taken by shares, the largest gives way")
    func largest() {
        var limits = ProtocolLimits()
        limits.requestsPerObjectMax = 8
        let slow = SlowHost(TestGroup(limits: limits))
        let mallory = (0..<9).map { _ in slow.send(prepares(1, by: .mallory)[0], from: .mallory) }
        let alice = slow.send(prepares(1, by: .alice)[0], from: .alice)
        #expect(slow.busyCount(mallory) == 1 && slow.reply(to: mallory[8]) == .refused(.busy))
        #expect(slow.reply(to: alice) == nil)
        while slow.storeCount > 0 { slow.sync() }
        guard case .prepared = slow.reply(to: alice) else {
            Issue.record("Alice was not served: \(String(describing: slow.reply(to: alice)))")
            return
        }
    }

    @Test("a PREPARE sent again is answered at once, with the statement of the first time")
    func sentAgain() {
        let slow = SlowHost(group)
        let request = prepares(1, by: .alice)[0]
        let first = slow.send(request, from: .alice)
        slow.sync()
        guard case .prepared(let statement, nil)? = slow.reply(to: first) else {
            Issue.record("not stored")
            return
        }
        let again = slow.send(request, from: .alice)
        #expect(slow.reply(to: again) == .prepared(statement, committed: nil))
        #expect(slow.storeCount == 0)
    }

    @Test("what is due waits once, however long the disk takes")
    func dueOnce() {
        let slow = SlowHost(group)
        _ = slow.send(prepares(1, by: .alice)[0], from: .alice)
        for _ in 0..<1000 { slow.run(.due([.photo])) }
        var queue = 0
        while slow.storeCount > 0 {
            slow.sync()
            queue += 1
        }
        #expect(queue == 1)
    }
}

@Suite("A queue that is served in turns")
struct FairQueueTests {
    @Test("serves everybody's in their order, and all in turns")
    func order() {
        var queue = FairQueue<String>()
        let alice = Principal.client(.alice)
        let bob = Principal.client(.bob)
        for (element, owner) in [("a1", alice), ("a2", alice), ("a3", alice), ("b1", bob), ("b2", bob)] {
            queue.append(element, of: owner)
        }
        queue.append("own", of: nil)
        #expect(
            queue.count == 6 && queue.count(of: alice) == 3 && queue.count(of: bob) == 2 && queue.count(of: nil) == 1)
        #expect(queue.longest?.principal == alice && queue.longest?.count == 3)
        var served: [String] = []
        while let next = queue.popFirst() { served.append(next) }
        #expect(served == ["a1", "b1", "own", "a2", "b2", "a3"])
        #expect(queue.isEmpty && queue.longest == nil)
    }

    @Test("counts the one that is left of several as its owner's")
    func lastOfSeveral() {
        var queue = FairQueue<Int>()
        let alice = Principal.client(.alice)
        let bob = Principal.client(.bob)
        queue.append(1, of: alice)
        queue.append(2, of: bob)
        #expect(queue.popFirst() == 1)
        #expect(queue.count(of: bob) == 1 && queue.count(of: alice) == 0)
        #expect(queue.longest?.principal == bob && queue.longest?.count == 1)
    }

    @Test("what is put before everything comes next, and the order stays")
    func prepended() {
        var queue = FairQueue<Int>()
        for number in 1...3 { queue.append(number, of: .client(.alice)) }
        queue.append(9, of: .client(.bob))
        queue.prependOwn(0)
        #expect(queue.count == 5 && queue.count(of: .client(.alice)) == 3)
        var served: [Int] = []
        while let next = queue.popFirst() { served.append(next) }
        #expect(served == [0, 1, 9, 2, 3])
    }

    @Test("passes over those who may not be served now, and serves them when they may")
    func passed() {
        var queue = FairQueue<String>()
        let alice = Principal.client(.alice)
        let bob = Principal.client(.bob)
        queue.append("a1", of: alice)
        #expect(queue.popFirst { $0 != alice } == nil && queue.count == 1)
        queue.append("a2", of: alice)
        queue.append("b1", of: bob)
        queue.append("b2", of: bob)
        let first = queue.popFirst { $0 == bob }
        #expect(first?.owner == bob && first?.element == "b1")
        #expect(queue.popFirst { $0 == bob }?.element == "b2")
        #expect(queue.popFirst { $0 == bob } == nil && queue.count == 2)
        #expect(queue.popFirst { _ in true }?.element == "a1")
        #expect(queue.popFirst { _ in true }?.element == "a2")
        #expect(queue.isEmpty && queue.popFirst { _ in true } == nil)
    }

    @Test("gives up the newest of one owner, never the one whose turn is next")
    func newest() {
        var queue = FairQueue<Int>()
        for number in 1...3 { queue.append(number, of: .client(.alice)) }
        #expect(queue.popNewest(of: .client(.alice)) == 3)
        #expect(queue.popNewest(of: .client(.alice)) == 2)
        #expect(queue.popNewest(of: .client(.alice)) == nil)
        #expect(queue.popNewest(of: .client(.bob)) == nil)
        #expect(queue.popFirst() == 1 && queue.popFirst() == nil)
    }
}
