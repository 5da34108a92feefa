// What a replica wants done, done in one place, as `OperationMachine.step` does it for operations: by servers, by the
// simulator, by the benchmark and by tests. What differs between them is left to them: where an answer goes, how a
// change becomes durable, and on which thread work runs.

import ErasureCode
import Fingerprint

/// What a store gives back.
package enum StoredParts<Value: Sendable>: Sendable {
    case held(Value)
    /// There is none, or none any more.
    case absent
    /// It should be there and is not: it fails its checksum, or its place cannot be read, however often one tries.
    case lost
    /// It cannot be read just now.
    case unreadable
    /// It takes the disk to tell; only a store that was asked not to wait for it says so.
    case notInMemory

    /// The value, when it could be read.
    package var value: Value? {
        if case .held(let value) = self { value } else { nil }
    }

    /// What `change` makes of it, if it is there.
    package func map<Changed: Sendable>(_ change: (Value) -> Changed) -> StoredParts<Changed> {
        switch self {
        case .held(let value): .held(change(value))
        case .absent: .absent
        case .lost: .lost
        case .unreadable: .unreadable
        case .notInMemory: .notInMemory
        }
    }

    /// Whether it is there, or there is none.
    package var isReadable: Bool {
        switch self {
        case .held, .absent: true
        case .lost, .unreadable, .notInMemory: false
        }
    }

    fileprivate var isLost: Bool {
        if case .lost = self { true } else { false }
    }
}

/// What a replica's effects read of its server's store. All of it is durable.
package protocol ReplicaStore {
    /// The object's record.
    func record(of key: ObjectKey) -> StoredParts<ObjectRecord>
    /// The version's descriptor.
    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor>
    /// The server's fragments of the version, one for each stripe.
    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]>
    /// The entry of a stripe that is staged, in the bytes that a page has.
    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]>
    /// The server's fragment of a stripe that is staged.
    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes>
    /// At most `limit` objects that have something to drop or to verify before the given time, in order.
    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey]
    /// At most `limit` objects above `after` at which the client has versions and none is committed, in order.
    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey]
}

/// What is left to the shell of an effect.
package enum ReplicaOutcome {
    /// Send the answer to where its request came from.
    case reply(RequestTag, Reply)
    /// Bring this to the replica.
    case input(ReplicaInput)
    /// Make the change durable, then sign the statements, in the order of the effects; then tell by `.stored`.
    case store(WorkToken, ObjectChange?, [Statement])
    /// Tell the replica of these by `.due`, all at once or in pieces.
    case due([ObjectKey])
    /// Have the object read, as a client does, and tell by `.found` what was found: when there is time, or at once.
    case verifyVersions(ObjectKey, isUrgent: Bool)
    /// Tell whoever restates.
    case restate(ObjectKey, Certificate)
    /// Stop: the store has gone back to an earlier state.
    case forgotten(ObjectKey, Timestamp)
    /// Tell whoever repairs.
    case repairEnded(number: UInt64, Result<Void, RepairRefusal>)
}

/// What of an effect may take long: the shell runs it where it likes.
package enum ReplicaWork {
    case verify(WorkToken, VerificationJob, of: Principal)
    case readFragments(RequestTag, CommittedClaim, ObjectKey, Timestamp, SealedDescriptor)
    case listPending(RequestTag, ObjectKey, [(timestamp: Timestamp, statement: SignedStatement)])
    case fetch(RequestTag, Fetch)
    case inspect(WorkToken, ObjectKey, StagedContents, of: Principal)
    case findDue(beforeMilliseconds: UInt64)
    case findBare(ClientID, after: ObjectKey?)
    /// What could not be done at once, since it takes the disk.
    indirect case wait(ReplicaEffect)

    /// How many objects a server catches up with at a time.
    package static let bareObjectsMax = 64
    /// How many due objects are taken up at a time: more than are written between two looks, or they would pile up.
    package static let dueObjectsMax = 16_384

    /// Bytes to be hashed or read.
    package var costBytes: Int {
        switch self {
        case .verify(_, let job, _): job.costBytes
        case .readFragments(_, _, _, _, let descriptor):
            descriptor.descriptor.stripes.reduce(0) { $0 + $1.fragmentSizeBytes }
        case .fetch(_, let fetch): fetch.stripe == nil ? 64 << 10 : 1 << 20
        // So much is read that no thread is to wait for it which has anything else to do.
        case .inspect, .listPending, .findDue, .findBare, .wait: .max
        }
    }

    /// Whether it reads what may not be in memory.
    package var takesDisk: Bool {
        if case .verify = self { false } else { true }
    }

    /// For whose request it is, if it is told with it.
    package var principal: Principal? {
        switch self {
        case .verify(_, _, let principal), .inspect(_, _, _, let principal): principal
        case .wait(.load(_, let principal)): principal
        case .readFragments, .listPending, .fetch, .findDue, .findBare, .wait: nil
        }
    }

    /// Which request it is to answer, if it is one's.
    package var tag: RequestTag? {
        switch self {
        case .readFragments(let tag, _, _, _, _), .listPending(let tag, _, _), .fetch(let tag, _),
            .wait(.replyWithVersion(let tag, _, _, _, _)):
            tag
        case .verify, .inspect, .findDue, .findBare, .wait: nil
        }
    }

    /// Does the work.
    ///
    /// - Parameters:
    ///   - store: one that waits for its disk.
    ///   - node: whose store it is.
    package consuming func run(
        in store: some ReplicaStore, verifier: StatementVerifier, parameters: ClusterParameters, node: NodeID
    ) -> ReplicaOutcome {
        guard
            let outcome = attempt(in: store, verifier: verifier, parameters: parameters, node: node)
        else { preconditionFailure("a store that waits for its disk does not say what is in memory") }
        return outcome
    }

    /// Does the work as far as the store can do it without waiting for its disk; nil when it cannot.
    package func attempt(
        in store: some ReplicaStore, verifier: StatementVerifier, parameters: ClusterParameters, node: NodeID
    ) -> ReplicaOutcome? {
        switch self {
        case .verify(let token, let job, _):
            return .input(.verified(token, job.run(verifier: verifier, parameters: parameters)))
        case .readFragments(let tag, let claim, let key, let timestamp, let descriptor):
            guard let position = parameters.placement(of: key).position(of: node) else {
                return .reply(tag, .version(claim, nil))
            }
            let fragments = store.fragments(
                of: timestamp, key: key, stripeCount: descriptor.descriptor.stripes.count)
            if case .notInMemory = fragments { return nil }
            let parts = HeldParts(
                timestamp: timestamp, position: position, descriptor: descriptor, fragments: fragments.value)
            let reply = Reply.version(claim, parts)
            guard fragments.isLost else { return .reply(tag, reply) }
            return .input(.lost(key, [.fragments(timestamp)], answering: (tag, reply)))
        case .fetch(let tag, let fetch):
            return Self.fetch(fetch, tag, in: store, parameters: parameters, node: node)
        case .inspect(let token, let key, let staged, _):
            switch staged.inspect(key, in: store, parameters: parameters) {
            case .held(let wrong):
                let result: Result<Void, Refusal> = wrong.isEmpty ? .success(()) : .failure(.stripesMissing(wrong))
                return .input(.inspected(token, result))
            case .absent, .lost, .unreadable: return .input(.inspected(token, .failure(.storageFailed)))
            case .notInMemory: return nil
            }
        case .listPending(let tag, let key, let versions):
            var pending: [PendingVersion] = []
            var lost: [LostParts] = []
            for version in versions {
                switch store.descriptor(of: version.timestamp, key: key) {
                case .held(let descriptor):
                    pending.append(
                        PendingVersion(
                            timestamp: version.timestamp, descriptor: descriptor, statement: version.statement))
                case .lost: lost.append(.descriptor(version.timestamp))
                case .absent, .unreadable: break
                case .notInMemory: return nil
                }
            }
            let reply = Reply.refused(.tooManyPending(pending))
            return lost.isEmpty ? .reply(tag, reply) : .input(.lost(key, lost, answering: (tag, reply)))
        case .findDue(let time):
            return .due(store.due(beforeMilliseconds: time, limit: Self.dueObjectsMax))
        case .findBare(let client, let last):
            return .input(.bare(client, store.bareObjects(of: client, after: last, limit: Self.bareObjectsMax)))
        case .wait(let effect):
            switch effect.step(in: store, parameters: parameters, node: node) {
            case .done(let outcome): return outcome
            case .work(.wait): return nil
            case .work(let work):
                return work.attempt(in: store, verifier: verifier, parameters: parameters, node: node)
            }
        }
    }
}

extension ReplicaWork {
    /// What the store has of what is fetched; nil when it takes the disk to tell.
    private static func fetch(
        _ fetch: Fetch, _ tag: RequestTag, in store: some ReplicaStore, parameters: ClusterParameters, node: NodeID
    ) -> ReplicaOutcome? {
        guard let position = parameters.placement(of: fetch.key).position(of: node) else {
            return .reply(tag, .refused(.notEntitled(.server(node))))
        }
        var lost: [LostParts] = []
        var page: [UInt8]?
        if let range = fetch.page {
            let stripes = range.first..<(range.first + UInt32(range.count))
            let found = store.page(of: fetch.attempt, stripes, key: fetch.key, parameters: parameters)
            switch found {
            case .notInMemory: return nil
            // Trouble of the moment is no lack.
            case .unreadable: return .reply(tag, .refused(.storageFailed))
            case .held, .absent: page = found.value
            case .lost: lost += store.lostEntries(of: fetch.attempt, stripes, key: fetch.key)
            }
        }
        var fragment: SharedBytes?
        if let stripe = fetch.stripe {
            let found = store.stagedFragment(of: fetch.attempt, stripe: stripe, key: fetch.key)
            switch found {
            case .notInMemory: return nil
            case .unreadable: return .reply(tag, .refused(.storageFailed))
            case .held, .absent: fragment = found.value
            case .lost: if lost.isEmpty { lost.append(.stripe(fetch.attempt, stripe)) }
            }
        }
        let reply = Reply.fetched(
            FetchedParts(position: position, fragment: fragment, page: page, tag: fetch.tag))
        return lost.isEmpty ? .reply(tag, reply) : .input(.lost(fetch.key, lost, answering: (tag, reply)))
    }
}

/// An effect as far as it is done at once.
package enum ReplicaStep {
    case done(ReplicaOutcome)
    case work(ReplicaWork)
}

extension ReplicaEffect {
    /// Does what is quickly done.
    package consuming func step(
        in store: some ReplicaStore, parameters: ClusterParameters, node: NodeID
    ) -> ReplicaStep {
        switch consume self {
        case .reply(let tag, let reply):
            return .done(.reply(tag, reply))
        case .replyWithVersion(let tag, let claim, let key, let timestamp, let portion):
            let found = store.descriptor(of: timestamp, key: key)
            if case .notInMemory = found {
                return .work(.wait(.replyWithVersion(tag, claim, key, timestamp, portion)))
            }
            guard case .held(let descriptor) = found,
                let position = parameters.placement(of: key).position(of: node)
            else {
                let reply = Reply.version(claim, nil)
                guard found.isLost else { return .done(.reply(tag, reply)) }
                return .done(.input(.lost(key, [.descriptor(timestamp)], answering: (tag, reply))))
            }
            if portion == .fragments { return .work(.readFragments(tag, claim, key, timestamp, descriptor)) }
            let parts = HeldParts(timestamp: timestamp, position: position, descriptor: descriptor, fragments: nil)
            return .done(.reply(tag, .version(claim, parts)))
        case .replyTooManyPending(let tag, let key, let versions):
            return .work(.listPending(tag, key, versions))
        case .replyWithFetched(let tag, let fetch):
            return .work(.fetch(tag, fetch))
        case .inspect(let token, let key, let staged, let principal):
            return .work(.inspect(token, key, staged, of: principal))
        case .load(let key, let principal):
            switch store.record(of: key) {
            case .held(let record): return .done(.input(.loaded(key, .success(record))))
            case .absent: return .done(.input(.loaded(key, .success(nil))))
            case .lost: return .done(.input(.loaded(key, .failure(.recordLost))))
            case .unreadable: return .done(.input(.loaded(key, .failure(.failed))))
            case .notInMemory: return .work(.wait(.load(key, of: principal)))
            }
        case .verify(let token, let job, let principal):
            return .work(.verify(token, job, of: principal))
        case .store(let token, let change, let statements):
            return .done(.store(token, change, statements))
        case .findDue(let time):
            return .work(.findDue(beforeMilliseconds: time))
        case .verifyVersions(let key, let isUrgent):
            return .done(.verifyVersions(key, isUrgent: isUrgent))
        case .findBare(let client, let last):
            return .work(.findBare(client, after: last))
        case .restate(let key, let certificate):
            return .done(.restate(key, certificate))
        case .forgotten(let key, let timestamp):
            return .done(.forgotten(key, timestamp))
        case .repairEnded(let number, let result):
            return .done(.repairEnded(number: number, result))
        }
    }

    /// Does all of it at once, for a shell with one thread.
    package consuming func perform(
        in store: some ReplicaStore, verifier: StatementVerifier, parameters: ClusterParameters, node: NodeID
    ) -> ReplicaOutcome {
        switch step(in: store, parameters: parameters, node: node) {
        case .done(let outcome): outcome
        case .work(let work):
            work.run(in: store, verifier: verifier, parameters: parameters, node: node)
        }
    }
}
