// The shell around a node's replicas, one for each group that it is in: the one funnel of event → machine → effects →
// I/O. They share the store, the pipeline and its signatures.
//
// The machines live behind a mutex; whatever thread brings an event runs it through. Changes to store are queued while
// the mutex is held, so that they reach the disk in the machine's order. Everything else is done after it is released:
// small proofs, and small reads of what is in memory, at once on the calling thread, since waking another costs more
// than they do. What takes the disk is done on a pool of readers, and what takes a processor on workers, so that neither
// event loops nor proofs wait for a disk.

import ErasureCode
import Fingerprint
import Logging
import NIOCore
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import Synchronization

/// Runs one node's replicas.
final class ReplicaHost: Sendable {
    /// Fragments up to this size are verified and read on the calling thread.
    private static let inlineWorkSizeBytesMax = 64 << 10
    /// How many due objects a machine is given at once, while requests wait for it.
    private static let dueObjectsPerInput = 64

    private let parameters: ClusterParameters
    private let node: NodeID
    private struct Machines {
        /// In the order of their groups' numbers.
        var replicas: [Replica]
        /// What they all charge.
        var accounts: Accounts
    }

    private let machines: Mutex<Machines>
    private let groups: [GroupID]
    private let access: Mutex<AccessList>
    private let store: ProtocolStore
    /// The same without waiting for its disk.
    private let memory: ProtocolStore
    private let verifier: StatementVerifier
    private let threads: ServerThreads
    private let coldLoads = ColdLoads()
    private let interposer: (any ServerInterposer)?
    private let pipeline: Mutex<StoragePipeline?>
    private let reply: @Sendable (RequestTag, Reply) -> Void
    private let sender: @Sendable (RequestTag) -> Principal?
    private let dueScan = Mutex(DueScan())
    private let versionVerifier = Mutex<VersionVerifier?>(nil)
    private let repairs = Mutex(Repairs())
    private let ownQuestions = Mutex(OwnQuestions())
    private let restater = Mutex<Restater?>(nil)
    private let logger: Logger
    private let rolledBack: @Sendable () -> Void
    private let digests = SlotDigests()
    private let doubts = Mutex(Doubts())
    private let repairer = Mutex<Repairer?>(nil)
    private let life: Mutex<Life>
    /// The version of the list of keys by which everything goes that is committed here from now on.
    private let promisedKeysVersion: Mutex<UInt64>

    /// Who waits for what was found to be durable, by its number.
    private struct Repairs {
        var lastNumber: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Result<Void, RepairRefusal>, Never>] = [:]
    }

    /// Who waits for the answers to the server's own requests to itself, by their number.
    private struct OwnQuestions {
        static let session: UInt64 = 0

        var lastNumber: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Reply, Never>] = [:]
    }

    private static var nowMilliseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1_000_000 }

    /// Whether the server may speak for what it holds (docs/protocol.md, Rebuilding).
    enum Life: Sendable {
        case serving
        /// It has lost its memory, and the others have not told it enough yet.
        case rebuilding
        /// Another store has taken this one's place.
        case outlived
        /// It has gone back to an earlier state, and does not know what it has said since.
        case rolledBack
    }

    /// - Parameters:
    ///   - access: who may ask what.
    ///   - keysVersion: of the list of keys by which `verifier` goes.
    ///   - life: whether requests are answered.
    ///   - charges: what clients were charged when the store was last changed.
    ///   - without: optimisations that are left out.
    ///   - interposer: decides which changes are really stored; nil: all.
    ///   - rolledBack: told, on a thread that may wait, when the store turns out to have gone back to an earlier state.
    ///   - sender: whose a request is that is not answered yet.
    ///   - reply: sends an answer to where its request came from; may be called from any thread.
    init(
        parameters: ClusterParameters, node: NodeID, access: AccessList, store: ProtocolStore,
        charges: [ClientCharge], verifier: StatementVerifier,
        signer: StatementSigner, keysVersion: UInt64, life: Life, statistics: ServerStatistics,
        threads: ServerThreads, logger: Logger,
        without: Set<Optimisation> = [], interposer: (any ServerInterposer)? = nil,
        rolledBack: @escaping @Sendable () -> Void,
        sender: @escaping @Sendable (RequestTag) -> Principal?,
        reply: @escaping @Sendable (RequestTag, Reply) -> Void
    ) {
        self.logger = logger
        self.rolledBack = rolledBack
        self.parameters = parameters
        self.node = node
        let groups = parameters.configuration.groups(of: node)
        self.groups = groups.map(\.id)
        self.access = Mutex(access)
        let replicas = groups.map { group in
            Replica(
                parameters: parameters, group: group, node: node, incarnation: signer.incarnation,
                fences: verifier.fences)
        }
        self.life = Mutex(life)
        promisedKeysVersion = Mutex(keysVersion)
        var accounts = Accounts(charges)
        accounts.go(by: access.quotas)
        machines = Mutex(Machines(replicas: replicas, accounts: accounts))
        self.store = store
        memory = store.inMemory
        self.verifier = verifier
        self.threads = threads
        self.interposer = interposer
        self.sender = sender
        self.reply = reply
        pipeline = Mutex(nil)
        let made = StoragePipeline(
            store: store, signer: signer, verifier: verifier, statistics: statistics, logger: logger, without: without,
            changed: { [digests] slot in digests.change(slot) }
        ) { [weak self] completed in
            for (group, input) in completed { self?.submit(input, to: group) }
        }
        pipeline.withLock { $0 = made }
    }

    /// Names who reads what the replicas want read; before that nobody does.
    func attach(_ verifier: VersionVerifier) {
        versionVerifier.withLock { $0 = verifier }
    }

    /// Names who knows why what is wanted is not there yet.
    func attach(_ repairer: Repairer) {
        self.repairer.withLock { $0 = repairer }
    }

    /// Names who has certificates count again.
    func attach(_ restater: Restater) {
        self.restater.withLock { $0 = restater }
    }

    /// Whether requests are answered from now on.
    func live(_ life: Life) {
        self.life.withLock { if $0 != .outlived, $0 != .rolledBack { $0 = life } }
    }

    var isRolledBack: Bool { life.withLock { $0 } == .rolledBack }

    /// Nothing is answered any more: what else this server has said and forgotten nobody can tell.
    private func forgotten(_ key: ObjectKey, _ timestamp: Timestamp) {
        let isNew = life.withLock { life in
            defer { if life == .serving { life = .rolledBack } }
            return life == .serving
        }
        guard isNew else { return }
        logger.critical(
            """
            this server has signed that it holds \(key) at \(timestamp), and knows nothing of it: its store is an earlier \
            state of what it was. It answers nothing any more. Stop it, move its store away, and rebuild it: solidus server \
            rebuild
            """)
        threads.backgroundTurns.submit(for: nil) { self.rolledBack() }
    }

    /// From now on nothing is committed here by what these lives fence.
    func fence(by fences: Fences) {
        for group in groups { submit(.fenced(fences), to: group) }
    }

    /// What was decided, by this list of keys or by earlier ones, and is not durable yet.
    var changesUnderWay: [Set<WorkToken>] { machines.withLock { $0.replicas.map(\.changesUnderWay) } }

    /// Says so to other servers, once those changes are durable, or are none: whoever is told then what is committed here
    /// is told all that was committed by other fences.
    func promise(keysVersion: UInt64, after changes: [Set<WorkToken>]) async {
        while true {
            let areDone = machines.withLock { machines in
                zip(changes, machines.replicas).allSatisfy { $0.isDisjoint(with: $1.changesUnderWay) }
            }
            if areDone { break }
            try? await Task.sleep(for: .milliseconds(2))
        }
        // One list after the other may be under way.
        promisedKeysVersion.withLock { $0 = max($0, keysVersion) }
    }

    /// What the server answers itself, as it would another one of the object's group.
    func ask(_ request: Request) async -> Reply {
        if case .restate = request, life.withLock({ $0 }) != .serving { return .refused(.rebuilding) }
        return await withCheckedContinuation { continuation in
            let number = ownQuestions.withLock { questions in
                questions.lastNumber += 1
                questions.waiting[questions.lastNumber] = continuation
                return questions.lastNumber
            }
            let tag = RequestTag(session: OwnQuestions.session, request: number)
            submit(
                .request(tag, from: .server(node), request), to: parameters.configuration.group(of: request.key.slot).id
            )
        }
    }

    /// From now on requests are judged by this list.
    func go(by access: AccessList) {
        self.access.withLock { $0 = access }
        machines.withLock { $0.accounts.go(by: access.quotas) }
    }

    /// Gives a request to the replica of the group that it is for, if the sender may ask it: by the newest access list,
    /// whatever epoch the request names. Whether that group has the object's slot is the replica's to judge.
    func submit(_ request: Request, along route: Route, from principal: Principal, tag: RequestTag) {
        let configuration = parameters.configuration
        let access = access.withLock { $0 }
        if life.withLock({ $0 }) != .serving {
            reply(tag, .refused(.rebuilding))
        } else if let refusal = access.refusal(of: request, from: principal, in: configuration) {
            reply(tag, .refused(refusal))
        } else if route.epoch != configuration.epoch {
            reply(tag, .refused(.unknownEpoch(route.epoch, newest: configuration.epoch)))
        } else if !groups.contains(route.group) {
            let owner = configuration.group(of: request.key.slot).id
            reply(tag, .refused(.foreignGroup(route.group, expected: owner)))
        } else {
            submit(.request(tag, from: principal, request), to: route.group)
            guard let load = coldLoads.join(request.key, principal) else { return }
            threads.readTurns.submit(for: principal, load)
        }
    }

    /// Finds, on a reader's thread, at most `limit` objects above one at which a client has something unfinished.
    func pendingObjects(
        _ kind: UnfinishedKind, of client: ClientID, after last: ObjectKey?, limit: Int, for principal: Principal,
        _ answer: @escaping @Sendable (Result<[ObjectKey], Refusal>) -> Void
    ) {
        if life.withLock({ $0 }) != .serving {
            answer(.failure(.rebuilding))
        } else if let refusal = access.withLock({ $0 }).refusalOfPending(of: client, to: principal) {
            answer(.failure(refusal))
        } else {
            threads.readTurns.submit(for: principal) {
                answer(.success(self.store.unfinishedObjects(kind, of: client, after: last, limit: limit)))
            }
        }
    }

    /// Finds, on a reader's thread, at most `limit` objects above one of which the server lacks something.
    func wants(
        after last: ObjectKey?, limit: Int, for principal: Principal,
        _ answer: @escaping @Sendable (Result<[ListedWant], Refusal>) -> Void
    ) {
        if let refusal = access.withLock({ $0 }).refusalOfWants(to: principal) {
            return answer(.failure(refusal))
        }
        let repairer = repairer.withLock { $0 }
        threads.listTurns.submit(for: principal) {
            do throws(StorageError) {
                let wants = try self.store.wants(after: last, limit: limit)
                answer(.success(wants.map { ListedWant($0.key, $0.sinceMilliseconds, repairer?.failure(of: $0.key)) }))
            } catch {
                answer(.failure(.storageFailed))
            }
        }
    }

    /// Lists a bucket for somebody, if he may see that.
    func list(
        _ query: ListingQuery, for principal: Principal,
        _ answer: @escaping @Sendable (Result<ListingAnswer, Refusal>) -> Void
    ) {
        if life.withLock({ $0 }) != .serving {
            answer(.failure(.rebuilding))
        } else if let refusal = access.withLock({ $0 }).refusalOfListing(query, to: principal) {
            answer(.failure(refusal))
        } else {
            threads.listTurns.submit(for: principal) { answer(self.store.list(query)) }
        }
    }

    /// What was found out about an object goes to the replica that has it.
    func found(_ key: ObjectKey, _ findings: VersionFindings) {
        // Nothing is signed before the server knows again what it has to know.
        guard life.withLock({ $0 }) == .serving else { return }
        submit(.found(key, findings), to: parameters.configuration.group(of: key.slot).id)
    }

    /// The store has lost something of an object.
    func lost(_ key: ObjectKey, _ parts: [LostParts]) {
        submit(.lost(key, parts, answering: nil), to: parameters.configuration.group(of: key.slot).id)
    }

    /// Brings what was found for a version that wants it to the replica that has the object; returns once it is durable,
    /// or why it is not taken.
    func repair(_ key: ObjectKey, _ found: [RepairedParts]) async -> Result<Void, RepairRefusal> {
        await bring(to: key) { .repaired(key, found, number: $0) }
    }

    /// Commits what another server has committed, as its certificate proves.
    func learn(_ key: ObjectKey, _ certificate: VerifiedCertificate) async -> Result<Void, RepairRefusal> {
        await bring(to: key) { .learned(key, certificate, number: $0) }
    }

    private func bring(
        to key: ObjectKey, _ input: (_ number: UInt64) -> ReplicaInput
    ) async -> Result<Void, RepairRefusal> {
        await withCheckedContinuation { continuation in
            let number = repairs.withLock { repairs in
                repairs.lastNumber += 1
                repairs.waiting[repairs.lastNumber] = continuation
                return repairs.lastNumber
            }
            submit(input(number), to: parameters.configuration.group(of: key.slot).id)
        }
    }

    /// Tells another server what is committed here, if it may ask that.
    func slots(
        _ query: SlotQuery, epoch: UInt64, for principal: Principal,
        _ answer: @escaping @Sendable (Result<SlotAnswer, Refusal>) -> Void
    ) {
        let configuration = parameters.configuration
        if life.withLock({ $0 }) != .serving {
            answer(.failure(.rebuilding))
        } else if let refusal = access.withLock({ $0 }).refusalOfSlots(query, to: principal, in: configuration) {
            answer(.failure(refusal))
        } else if epoch != configuration.epoch {
            answer(.failure(.unknownEpoch(epoch, newest: configuration.epoch)))
        } else if case .server(let asking) = principal {
            threads.listTurns.submit(for: principal) { answer(self.slots(query, with: asking)) }
        }
    }

    /// Tells an auditor what the server has of a group's stripes, if it may ask that: one question of each at a time.
    func audit(
        _ query: AuditQuery, epoch: UInt64, for principal: Principal,
        _ answer: @escaping @Sendable (Result<AuditAnswer, Refusal>) -> Void
    ) {
        let configuration = parameters.configuration
        if life.withLock({ $0 }) != .serving {
            answer(.failure(.rebuilding))
        } else if let refusal = access.withLock({ $0 }).refusalOfAudit(query, to: principal, in: configuration) {
            answer(.failure(refusal))
        } else if epoch != configuration.epoch {
            answer(.failure(.unknownEpoch(epoch, newest: configuration.epoch)))
        } else if !groups.contains(query.group) {
            let owner = configuration.group(of: query.from.slot).id
            answer(.failure(.foreignGroup(query.group, expected: owner)))
        } else {
            let slots = Slot.all.filter { configuration.group(of: $0).id == query.group }
            let isTaken = threads.auditTurns.submit(for: principal) {
                answer(self.store.audit(query, slots: slots) { self.lost($0, $1) })
            }
            if !isTaken { answer(.failure(.busy)) }
        }
    }

    /// Has a stripe looked at that somebody who may read it says is not whole here; not again within an hour.
    func doubt(
        _ doubt: AuditDoubt, epoch: UInt64, for principal: Principal,
        _ answer: @escaping @Sendable (Result<Void, Refusal>) -> Void
    ) {
        let configuration = parameters.configuration
        let reading = Request.read(Read(key: doubt.key, portion: .fragments))
        let owner = configuration.group(of: doubt.key.slot).id
        if life.withLock({ $0 }) != .serving {
            answer(.failure(.rebuilding))
        } else if let refusal = access.withLock({ $0 }).refusal(of: reading, from: principal, in: configuration) {
            answer(.failure(refusal))
        } else if epoch != configuration.epoch {
            answer(.failure(.unknownEpoch(epoch, newest: configuration.epoch)))
        } else if !groups.contains(owner) {
            answer(.failure(.foreignGroup(owner, expected: owner)))
        } else {
            answer(.success(()))
            guard doubts.withLock({ $0.take(doubt, from: principal, nowMilliseconds: Self.nowMilliseconds) }) else {
                return
            }
            // `Doubts` bounds how many there are.
            threads.backgroundTurns.submit(for: principal) {
                guard let lost = self.store.lostParts(doubt) else { return }
                self.lost(doubt.key, [lost])
                self.repairer.withLock { $0 }?.prefer(doubt.key)
            }
        }
    }

    /// Does what takes the disk, and what nobody waits for, on a thread that may wait for it.
    func inBackground<Result: Sendable>(_ work: @escaping @Sendable (ReplicaHost) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            threads.backgroundTurns.submit(for: nil) { continuation.resume(returning: work(self)) }
        }
    }

    /// Whether another server has committed something that this one has not.
    func isBehind(_ object: CommittedObject) -> Bool {
        switch store.record(of: object.key) {
        case .held(let record): !record.hasReached(object.timestamp)
        case .absent: true
        case .lost, .unreadable, .notInMemory: false
        }
    }

    /// Whether this version is committed here, or a higher one that is sound; nil when that cannot be said just now.
    func hasTaken(_ object: CommittedObject) -> Bool? {
        switch store.record(of: object.key) {
        case .held(let record): record.hasTaken(object.timestamp)
        case .absent: false
        case .lost, .unreadable, .notInMemory: nil
        }
    }

    /// What is committed here of slots that this node and another one have.
    func slots(_ query: SlotQuery, with other: NodeID) -> Result<SlotAnswer, Refusal> {
        let configuration = parameters.configuration
        // Before anything is looked at: what is committed afterwards goes by this list, or a later one.
        let keysVersion = promisedKeysVersion.withLock { $0 }
        return store.answer(query, keysVersion: keysVersion) { slot in
            let group = configuration.group(of: slot)
            return group.contains(node) && group.contains(other)
        } digest: { slot in
            try digests.digest(of: slot, store.digest(ofSlot:))
        }
    }

    /// How many changes were queued for the disk since the start, and how many of them it is done with.
    var changes: (queued: UInt64, done: UInt64) { pipeline.withLock { $0 }?.progress ?? (0, 0) }

    /// The server's clock; the store is asked once for what is due, whatever group it is of.
    func tick(milliseconds: UInt64) {
        for group in groups { submit(.tick(milliseconds: milliseconds), to: group) }
        pipeline.withLock { $0 }?.maintain()
        let doneCount = changes.done
        guard dueScan.withLock({ $0.begins(doneCount: doneCount) }) else { return }
        // Their records are read, too, which the event loop that ticks is not to wait for.
        threads.readTurns.submit(for: nil) {
            if let space = self.store.store.space {
                let looked = Accounts.Space(capacityBytes: space.capacityBytes, freeBytes: space.freeBytes)
                self.machines.withLock { $0.accounts.look(at: looked) }
            }
            let last = self.dueScan.withLock { $0.last }
            let (keys, next) = self.store.due(
                beforeMilliseconds: milliseconds, after: last, limit: ReplicaWork.dueObjectsMax)
            defer {
                let queuedCount = self.changes.queued
                self.dueScan.withLock { $0.end(last: next, queuedCount: queuedCount) }
            }
            let byGroup = Dictionary(grouping: keys) { self.parameters.configuration.group(of: $0.slot).id }
            for group in self.groups {
                let due = byGroup[group] ?? []
                for start in stride(from: 0, to: due.count, by: Self.dueObjectsPerInput) {
                    let end = min(start + Self.dueObjectsPerInput, due.count)
                    self.submit(.due(Array(due[start..<end])), to: group)
                }
            }
        }
    }

    /// Runs an input through the machine of a group that the node is in and does what follows from it.
    private func submit(_ input: ReplicaInput, to group: GroupID) {
        guard let index = groups.firstIndex(of: group) else {
            preconditionFailure("\(node) has no replica for \(group)")
        }
        var effects: [ReplicaEffect] = []
        machines.withLock { machines in
            machines.replicas[index].handle(input, accounts: &machines.accounts, into: &effects)
            for case .store(let token, let change, let statements) in effects {
                if let change { digests.change(change.key.slot) }
                pipeline.withLock { $0 }?.enqueue(
                    StoragePipeline.Item(
                        group: group, token: token, change: kept(change), statements: statements))
            }
        }
        for effect in effects { perform(effect, of: group) }
    }

    /// The change, unless somebody has the server lose it.
    private func kept(_ change: ObjectChange?) -> ObjectChange? {
        guard let interposer, let change else { return change }
        return interposer.keeps(change) ? change : nil
    }

    /// Finishes what is queued for the disk.
    func shutdown() async {
        await pipeline.withLock { $0 }?.shutdown()
    }

    private func perform(_ effect: ReplicaEffect, of group: GroupID) {
        // The host looks once for all groups, when it ticks.
        if case .findDue = effect { return }
        // What comes on an event loop must not wait for a disk there: others' requests would.
        switch effect.step(in: memory, parameters: parameters, node: node) {
        case .done(let outcome):
            finish(outcome, of: group)
        case .work(let work):
            // Whoever is served last is never served at once.
            let isLast = work.principal.map { threads.debts.isIndebted($0) } ?? false
            if !isLast, work.costBytes <= Self.inlineWorkSizeBytesMax, let outcome = attempt(work, in: memory) {
                finish(outcome, of: group)
            } else {
                let turns = work.takesDisk ? threads.readTurns : threads.workTurns
                let owner = work.principal ?? work.tag.flatMap(sender)
                let piece: WorkTurns.Work = {
                    guard let outcome = self.attempt(work, in: self.store) else {
                        preconditionFailure("a store that waits for its disk does not say what is in memory")
                    }
                    self.finish(outcome, of: group)
                }
                if case .wait(.load(let key, _)) = work {
                    turns.submit(for: owner, coldLoads.begin(key, for: owner, piece))
                } else {
                    turns.submit(for: owner, piece)
                }
            }
        }
    }

    /// Does work, if it can be done with this store, and charges its principal for what turns out to be refused.
    private func attempt(_ work: ReplicaWork, in store: ProtocolStore) -> ReplicaOutcome? {
        let start = work.principal == nil ? nil : NIODeadline.now()
        let outcome = work.attempt(in: store, verifier: verifier, parameters: parameters, node: node)
        guard let start, let principal = work.principal else { return outcome }
        switch outcome {
        case .input(.verified(_, .failure))?, .input(.inspected(_, .failure))?:
            threads.debts.charge(principal, .now() - start)
        default: break
        }
        return outcome
    }

    private func finish(_ outcome: ReplicaOutcome, of group: GroupID) {
        switch outcome {
        case .reply(let tag, let answer) where tag.session == OwnQuestions.session:
            ownQuestions.withLock { $0.waiting.removeValue(forKey: tag.request) }?.resume(returning: answer)
        case .reply(let tag, let answer):
            reply(tag, answer)
        case .input(let input):
            submit(input, to: group)
        case .store:
            // Queued while the machine was locked.
            break
        case .due(let keys):
            submit(.due(keys), to: group)
        case .repairEnded(let number, let result):
            repairs.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: result)
        case .verifyVersions(let key, let isUrgent):
            versionVerifier.withLock { $0 }?.verify(key, isUrgent: isUrgent)
        case .restate(let key, let certificate):
            restater.withLock { $0 }?.add(key, certificate)
        case .forgotten(let key, let timestamp):
            forgotten(key, timestamp)
        }
    }
}

extension ListedWant {
    fileprivate init(_ key: ObjectKey, _ sinceMilliseconds: UInt64, _ failure: RepairFailure?) {
        self.init(
            key: key, sinceMilliseconds: sinceMilliseconds, attempts: UInt32(clamping: failure?.count ?? 0),
            isIrreparable: failure?.isIrreparable ?? false, reason: failure?.reason ?? "")
    }
}
