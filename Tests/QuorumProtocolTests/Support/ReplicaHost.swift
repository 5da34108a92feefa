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

    struct StagedPlace: Hashable {
        let attempt: AttemptName
        let stripe: UInt32
    }

    struct StagedParts: Equatable {
        let entry: [UInt8]
        let fragment: SharedBytes
    }

    struct Object: Equatable {
        var record: [UInt8]
        var parts: [Timestamp: Parts] = [:]
        var staged: [StagedPlace: StagedParts] = [:]
        var nextDueMilliseconds: UInt64?
    }

    /// An object in the list of what a client has left unfinished.
    struct UnfinishedRow: Hashable {
        let kind: UnfinishedKind
        let client: ClientID
        let key: ObjectKey
    }

    private(set) var objects: [ObjectKey: Object] = [:]
    private(set) var unfinished: Set<UnfinishedRow> = []
    /// Of which objects the server wants something, and since when, in milliseconds.
    private(set) var wants: [ObjectKey: UInt64] = [:]

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
        for listing in change.listings {
            let row = UnfinishedRow(kind: listing.kind, client: listing.client, key: change.key)
            let isNew = listing.isListed ? unfinished.insert(row).inserted : unfinished.remove(row) != nil
            precondition(isNew, "a change says what it changes, and nothing else")
        }
        for put in change.puts {
            object.parts[put.timestamp] = Parts(descriptor: put.descriptor.bytes, fragments: put.fragments.map(\.bytes))
        }
        for drop in change.drops { object.parts[drop] = nil }
        for drop in change.stagedDrops {
            object.staged = object.staged.filter { place, _ in
                let chunk = place.stripe / StagedLimits.stripesPerChunk
                return place.attempt != drop.attempt || !drop.chunks.contains { $0.contains(chunk) }
            }
        }
        for put in change.stagedPuts {
            object.staged[StagedPlace(attempt: put.attempt, stripe: put.stripe)] = StagedParts(
                entry: put.entry, fragment: put.fragment.bytes)
        }
        precondition(
            Set(object.parts.keys) == Set(change.record.held.map(\.timestamp)), "the store holds what the record says")
        Self.check(object.staged.keys, change.record)
        switch change.want {
        case .keep: break
        case .begin(let milliseconds): wants[change.key] = milliseconds
        case .end: wants[change.key] = nil
        }
        objects[change.key] = object
    }

    /// The stripes that the record names are there, but for lost ones; beside them only what shares a piece with them.
    private static func check(_ places: Dictionary<StagedPlace, StagedParts>.Keys, _ record: ObjectRecord) {
        for attempt in record.staged {
            for stripe in attempt.stripes.subtracting(attempt.lost).ranges.joined() {
                precondition(
                    places.contains(StagedPlace(attempt: attempt.name, stripe: stripe)),
                    "the store holds the stripes that the record names")
            }
        }
        for place in places {
            let chunks = record.attempt(place.attempt)?.chunks ?? []
            precondition(
                chunks.contains { $0.contains(place.stripe / StagedLimits.stripesPerChunk) },
                "what the record does not name is given back")
        }
    }

    /// The row is there although nothing is wanted, as settings leave it that have changed.
    mutating func addWant(_ key: ObjectKey, sinceMilliseconds: UInt64) { wants[key] = sinceMilliseconds }

    /// Whether the client has something unfinished anywhere.
    func hasUnfinished(_ kind: UnfinishedKind, of client: ClientID) -> Bool {
        unfinished.contains { $0.kind == kind && $0.client == client }
    }

    /// What is held of a version that the record names.
    func parts(_ key: ObjectKey, _ timestamp: Timestamp) -> Parts? {
        record(key)?.version(timestamp) == nil ? nil : objects[key]?.parts[timestamp]
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        let bare = objects.keys.filter { key in
            guard let record = record(key), record.highestCommitted == nil else { return false }
            let isHis =
                record.held.contains { $0.timestamp.writer == client }
                || record.staged.contains { $0.name.stager == client }
            return isHis && after.map { $0 < key } ?? true
        }
        return Array(bare.sorted().prefix(limit))
    }

    /// What clients are charged for all that is stored.
    var charges: [ClientCharge] { objects.keys.flatMap { record($0)?.charges ?? [] } }

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
    /// What the disk no longer gives back as it was.
    var rotten: [LostParts] = []
    private var replica: Replica
    var accounts = Accounts()
    private var requestCount: UInt64 = 0
    /// How what was brought to the replica ended.
    private(set) var repairEnds: [Result<Void, RepairRefusal>] = []
    /// Certificates that others are to have count again.
    var restated: [Certificate] = []
    private let incarnation: UInt64
    /// Versions for which the server has signed, and of which it knew nothing when it was shown that.
    var forgotten: [Timestamp] = []
    /// Told of every change when it becomes durable, with the record as it was.
    var onChange: ((ObjectRecord, ObjectChange) -> Void)?

    init(_ group: TestGroup, _ server: Position, incarnation: UInt64 = 1) {
        self.group = group
        self.server = server
        self.incarnation = incarnation
        replica = Self.replica(group, server, incarnation)
    }

    private static func replica(_ group: TestGroup, _ server: Position, _ incarnation: UInt64) -> Replica {
        Replica(
            parameters: group.parameters, group: group.members, node: group.node(server),
            incarnation: Incarnation(incarnation))
    }

    var node: NodeID { group.node(server) }
    /// Changes that were decided and are not durable.
    var changesUnderWay: Set<WorkToken> { replica.changesUnderWay }

    /// The machine and everything not stored is gone.
    func crash() {
        replica = Self.replica(group, server, incarnation)
        accounts = Accounts(store.charges)
    }

    /// The disk fails in a way that the server cannot notice.
    func alterStore(_ change: (inout MemoryStore) -> Void) { change(&store) }

    func handle(_ input: ReplicaInput) -> [ReplicaEffect] {
        var effects: [ReplicaEffect] = []
        replica.handle(input, accounts: &accounts, into: &effects)
        replica.checkInvariants()
        return effects
    }

    enum Outcome {
        case reply(RequestTag, Reply)
        case input(ReplicaInput)
        /// The server is to read the object.
        case verify(ObjectKey, isUrgent: Bool)
        /// What was found is durable, or was not taken.
        case repairEnded(number: UInt64, Result<Void, RepairRefusal>)
        case restate(ObjectKey, Certificate)
        /// The server has signed for this version, and forgotten it.
        case forgotten(Timestamp)
    }

    /// Does what the replica wants done.
    func run(_ effect: ReplicaEffect) -> Outcome {
        let outcome = effect.perform(
            in: self, verifier: group.verifier, parameters: group.parameters, node: node)
        switch outcome {
        case .reply(let tag, let reply):
            return .reply(tag, reply)
        case .input(let input):
            return .input(input)
        case .store(let token, let change, let statements):
            if let change {
                onChange?(record(change.key), change)
                store.apply(change)
                mend(change)
                let wanted = change.record.wanted(change.key, node: node, group.parameters)
                precondition((store.wants[change.key] != nil) == (wanted != nil), "the table says what is wanted")
            }
            return .input(.stored(token, .success(statements.map { group.sign($0) })))
        case .due(let keys):
            return .input(.due(keys))
        case .verifyVersions(let key, let isUrgent):
            return .verify(key, isUrgent: isUrgent)
        case .repairEnded(let number, let result):
            return .repairEnded(number: number, result)
        case .restate(let key, let certificate):
            return .restate(key, certificate)
        case .forgotten(_, let timestamp):
            return .forgotten(timestamp)
        }
    }

    /// What is written anew is as it was written.
    private func mend(_ change: ObjectChange) {
        for put in change.puts {
            rotten.removeAll { $0 == .descriptor(put.timestamp) || $0 == .fragments(put.timestamp) }
        }
        for put in change.stagedPuts { rotten.removeAll { $0 == .stripe(put.attempt, put.stripe) } }
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
            case .restate(_, let certificate): restated.append(certificate)
            case .forgotten(let timestamp): forgotten.append(timestamp)
            case .repairEnded(_, let result): repairEnds.append(result)
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

    /// The one answer to what was found for a version that is wanted.
    func repair(_ found: [RepairedParts], of key: ObjectKey = .photo) -> Result<Void, RepairRefusal> {
        repairEnds = []
        let replies = runToEnd(.repaired(key, found, number: 77))
        precondition(replies.isEmpty && repairEnds.count == 1, "one find, one end")
        return repairEnds[0]
    }

    /// The record of an object as it is durable.
    func record(_ key: ObjectKey) -> ObjectRecord { store.record(key) ?? ObjectRecord() }
}

extension ReplicaHost: ReplicaStore {
    func record(of key: ObjectKey) -> StoredParts<ObjectRecord> { store.record(key).map(StoredParts.held) ?? .absent }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        if rotten.contains(.descriptor(timestamp)) { return .lost }
        return store.parts(key, timestamp).flatMap {
            (try? SealedDescriptor(decoding: $0.descriptor, parameters: group.parameters)).map(StoredParts.held)
        } ?? .absent
    }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        guard record(key).version(timestamp)?.holdsFragments ?? false else { return .absent }
        if rotten.contains(.fragments(timestamp)) { return .lost }
        return (store.parts(key, timestamp)?.fragments).map(StoredParts.held) ?? .absent
    }

    private func staged(_ attempt: AttemptName, _ stripe: UInt32, _ key: ObjectKey) -> MemoryStore.StagedParts? {
        store.objects[key]?.staged[MemoryStore.StagedPlace(attempt: attempt, stripe: stripe)]
    }

    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        guard let parts = staged(attempt, stripe, key) else { return .absent }
        return rotten.contains(.stripe(attempt, stripe)) ? .lost : .held(parts.entry)
    }

    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        guard let parts = staged(attempt, stripe, key) else { return .absent }
        return rotten.contains(.stripe(attempt, stripe)) ? .lost : .held(parts.fragment)
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        store.bareObjects(of: client, after: after, limit: limit)
    }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { store.expired(before: time) }
}
