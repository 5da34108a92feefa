// One server in memory: the replica under test and a durable store that survives its crashes.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// What is durable; the record is kept as its canonical bytes.
struct MemoryStore: Equatable {
    struct Parts: Equatable {
        let descriptor: [UInt8]
        let fragments: [SharedBytes]
    }

    struct Object: Equatable {
        var record: [UInt8]
        var parts: [Timestamp: Parts] = [:]
        var nextDueMilliseconds: UInt64?
    }

    private(set) var objects: [ObjectKey: Object] = [:]

    func record(_ key: ObjectKey) -> ObjectRecord? {
        guard let object = objects[key] else { return nil }
        guard let record = try? ObjectRecord(decoding: object.record) else {
            preconditionFailure("a record does not survive its encoding")
        }
        return record
    }

    mutating func apply(_ change: ObjectChange) {
        var object = objects[change.key] ?? Object(record: [])
        object.record = change.record.bytes
        object.nextDueMilliseconds = change.nextDueMilliseconds
        for put in change.puts {
            object.parts[put.timestamp] = Parts(descriptor: put.descriptor.bytes, fragments: put.fragments.map(\.bytes))
        }
        for drop in change.drops { object.parts[drop] = nil }
        precondition(
            Set(object.parts.keys) == Set(change.record.held.map(\.timestamp)), "the store holds what the record says")
        objects[change.key] = object
    }

    /// What is held of a version, as the shell would answer a READ.
    func parts(
        _ key: ObjectKey, _ timestamp: Timestamp, _ portion: Read.Portion, at position: Position,
        parameters: ClusterParameters
    ) -> HeldParts? {
        guard let record = record(key), let version = record.version(timestamp),
            let parts = objects[key]?.parts[timestamp],
            let descriptor = try? SealedDescriptor(decoding: parts.descriptor, parameters: parameters)
        else { return nil }
        let wanted = portion == .fragments && version.holdsFragments
        return HeldParts(
            timestamp: timestamp, position: position, descriptor: descriptor,
            fragments: wanted ? parts.fragments : nil)
    }

    func expired(before milliseconds: UInt64) -> [ObjectKey] {
        objects.filter { $0.value.nextDueMilliseconds.map { $0 <= milliseconds } ?? false }.map(\.key).sorted()
    }
}

/// A replica with its store. Effects are handed to whoever schedules them, or run at once by `answer`.
final class ReplicaHost {
    let group: TestGroup
    /// Its node's place among the servers of the tests' objects.
    let server: Position
    private(set) var store = MemoryStore()
    private var replica: Replica
    private var requestCount: UInt64 = 0
    /// Told of every change when it becomes durable, with the record as it was.
    var onChange: ((ObjectRecord, ObjectChange) -> Void)?

    init(_ group: TestGroup, _ server: Position) {
        self.group = group
        self.server = server
        replica = Self.replica(group, server)
    }

    private static func replica(_ group: TestGroup, _ server: Position) -> Replica {
        Replica(
            parameters: group.parameters, group: group.members, node: group.node(server), incarnation: Incarnation(1))
    }

    var node: NodeID { group.node(server) }

    /// What is held of a version, with the position of the node's fragments of that object.
    func parts(_ key: ObjectKey, _ timestamp: Timestamp, _ portion: Read.Portion) -> HeldParts? {
        guard let position = group.parameters.placement(of: key).position(of: node) else { return nil }
        return store.parts(key, timestamp, portion, at: position, parameters: group.parameters)
    }

    /// The machine and everything not stored is gone.
    func crash() {
        replica = Self.replica(group, server)
    }

    /// The disk fails in a way that the server cannot notice.
    func alterStore(_ change: (inout MemoryStore) -> Void) { change(&store) }

    func handle(_ input: ReplicaInput) -> [ReplicaEffect] {
        var effects: [ReplicaEffect] = []
        replica.handle(input, into: &effects)
        replica.checkInvariants()
        return effects
    }

    enum Outcome {
        case reply(RequestTag, Reply)
        case input(ReplicaInput)
        /// The server is to read the object.
        case verify(ObjectKey, isUrgent: Bool)
    }

    /// Does what the replica wants done.
    func run(_ effect: ReplicaEffect) -> Outcome {
        switch effect {
        case .reply(let tag, let reply):
            return .reply(tag, reply)
        case .replyWithVersion(let tag, let claim, let key, let timestamp, let portion):
            return .reply(
                tag, .version(claim, parts(key, timestamp, portion)))
        case .replyTooManyPending(let tag, let key, let pending):
            let versions = pending.compactMap { pending in
                parts(key, pending.timestamp, .descriptor).map {
                    PendingVersion(
                        timestamp: pending.timestamp, descriptor: $0.descriptor, statement: pending.statement)
                }
            }
            return .reply(tag, .refused(.tooManyPending(versions)))
        case .load(let key):
            return .input(.loaded(key, .success(store.record(key))))
        case .verify(let token, let job):
            let result = job.run(verifier: group.verifier, parameters: group.parameters)
            return .input(.verified(token, result))
        case .store(let token, let change, let statements):
            if let change {
                onChange?(record(change.key), change)
                store.apply(change)
            }
            return .input(.stored(token, .success(statements.map { group.sign($0) })))
        case .findDue(let milliseconds):
            return .input(.due(store.expired(before: milliseconds)))
        case .verifyVersions(let key, let isUrgent):
            return .verify(key, isUrgent: isUrgent)
        }
    }

    /// Runs an input and all that follows from it; the replies in the order in which they were made.
    @discardableResult
    func runToEnd(_ input: ReplicaInput) -> [Reply] {
        var effects = handle(input)
        var replies: [Reply] = []
        while !effects.isEmpty {
            switch run(effects.removeFirst()) {
            case .reply(_, let reply): replies.append(reply)
            case .input(let input): effects += handle(input)
            // It takes other servers to verify.
            case .verify: break
            }
        }
        return replies
    }

    /// The one answer to a request.
    func answer(_ request: Request, from principal: Principal = .client(.alice)) -> Reply {
        requestCount += 1
        let tag = RequestTag(session: 0, request: requestCount)
        let replies = runToEnd(.request(tag, from: principal, request))
        precondition(replies.count == 1, "one request, one reply")
        return replies[0]
    }

    /// The record of an object as it is durable.
    func record(_ key: ObjectKey) -> ObjectRecord { store.record(key) ?? ObjectRecord() }
}
