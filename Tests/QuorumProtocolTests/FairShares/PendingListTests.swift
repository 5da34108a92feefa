// A list of pending versions costs statements and reads: a client gets so many, and no more (docs/protocol.md, Fair
// shares).

import QuorumProtocol
import Testing

@Suite("A list of pending versions")
struct PendingListTests {
    private static let limits = {
        var limits = ProtocolLimits()
        limits.pendingVersionsPerClientMax = 2
        limits.listsPerIntervalMax = 3
        return limits
    }()
    private let group = TestGroup(limits: Self.limits)

    private func position(_ host: ReplicaHost, _ key: ObjectKey) -> Position {
        guard let position = group.parameters.placement(of: key).position(of: host.node) else {
            preconditionFailure("one group has all objects")
        }
        return position
    }

    /// How many versions a full server names; nil when it does something else.
    private func listed(_ host: ReplicaHost, _ key: ObjectKey, by client: ClientID = .alice) -> Int? {
        let more = group.version(key, "one more", counter: 1, writer: client)
        guard
            case .refused(.tooManyPending(let pending)) = host.answer(
                .prepare(more.prepare(for: position(host, key))), from: .client(client))
        else { return nil }
        return pending.count
    }

    private func fill(_ host: ReplicaHost, _ key: ObjectKey, by client: ClientID = .alice) {
        for number in 0..<2 {
            let version = group.version(key, "value \(number)", counter: 1, writer: client)
            let reply = host.answer(
                .prepare(version.prepare(for: position(host, key))), from: .client(client))
            guard case .prepared = reply else {
                Issue.record("there is room: \(reply)")
                return
            }
        }
    }

    @Test("is given once an interval for an object, and to others meanwhile")
    func onceAnInterval() {
        let host = ReplicaHost(group, 0)
        fill(host, .photo)
        fill(host, .photo, by: .bob)
        host.runToEnd(.tick(milliseconds: 10_000))
        #expect(listed(host, .photo) == 2)
        for _ in 0..<3 { #expect(listed(host, .photo) == 0) }
        #expect(listed(host, .photo, by: .bob) == 2)
        host.runToEnd(.tick(milliseconds: 10_499))
        #expect(listed(host, .photo) == 0)
        host.runToEnd(.tick(milliseconds: 10_500))
        #expect(listed(host, .photo) == 2)
    }

    @Test("is given of so many objects in an interval")
    func ofManyObjects() {
        let host = ReplicaHost(group, 0)
        let keys = (0..<5).map { ObjectKey.of("bucket/\($0)") }
        for key in keys { fill(host, key) }
        #expect(keys.compactMap { listed(host, $0) } == [2, 2, 2, 0, 0])
        host.runToEnd(.tick(milliseconds: 500))
        #expect(keys.reversed().compactMap { listed(host, $0) } == [2, 2, 2, 0, 0])
    }

    @Test("comes with statements that were made before, if they are remembered")
    func remembered() {
        let host = ReplicaHost(group, 0)
        fill(host, .photo)
        let more = group.version(.photo, "one more", counter: 1)
        let tag = RequestTag(session: 0, request: 1000)
        // A store effect would be a statement to sign.
        var effects = host.handle(.request(tag, from: .client(.alice), .prepare(more.prepare(for: 0))))
        var listed = false
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .store = effect { Issue.record("signed again") }
            switch host.run(effect) {
            case .reply(_, .refused(.tooManyPending(let pending))): listed = pending.count == 2
            case .reply(_, let reply): Issue.record("\(reply)")
            case .input(let input): effects += host.handle(input)
            case .verify, .repairEnded, .restate, .forgotten: break
            }
        }
        #expect(listed)
    }
}
