// A server's disk, as the shell around the replica sees the real one: whole changes become durable in order, a batch at
// a time; what was not synced is gone after a crash, except for a prefix that had already reached the platter; and what
// has rotted is found by its checksum, so that it is missing rather than wrong.
//
// In some worlds a real store keeps what is kept (ServerStore). Its batches are there whole or not at all.

import ErasureCode
import Fingerprint
import ObjectStorage
import QuorumFaults
import QuorumProtocol

/// Records and parts of one server.
package struct VirtualDisk {
    /// What is stored of a version.
    package struct Parts {
        package let timestamp: Timestamp
        package fileprivate(set) var descriptor: SealedDescriptor?
        /// nil: none were stored, or they have rotted.
        package fileprivate(set) var fragments: [SharedBytes]?
    }

    fileprivate struct Object {
        let key: ObjectKey
        var record: ObjectRecord
        var isRecordReadable = true
        var parts: [Parts] = []
        /// By attempt and stripe; nil is what has rotted.
        var staged: [StagedPlace: StagedParts?] = [:]
        var nextDueMilliseconds: UInt64?
        var wantedSinceMilliseconds: UInt64?
    }

    /// Where a staged stripe lies.
    fileprivate struct StagedPlace: Hashable {
        let attempt: AttemptName
        let stripe: UInt32
    }

    /// What is staged of one stripe.
    fileprivate struct StagedParts {
        let entry: [UInt8]
        let fragment: SharedBytes
    }

    /// One `.store` effect.
    package struct Item {
        /// Which of the server's replicas asks, by its position.
        let replica: Int
        let token: WorkToken
        /// nil: nothing is to be stored, or a liar does not care to.
        let change: ObjectChange?
        let statements: [Statement]

        package init(replica: Int = 0, token: WorkToken, change: ObjectChange?, statements: [Statement]) {
            self.replica = replica
            self.token = token
            self.change = change
            self.statements = statements
        }
    }

    enum Trouble {
        case none
        case full
        case failing(percent: Int)
    }

    /// In the order in which they came to be; they are few. None when a store keeps them.
    private var objects: [Object] = []
    private let store: ServerStore?
    var trouble = Trouble.none { didSet { store?.suffer(trouble) } }
    private var waiting: [Item] = []
    private var inFlight: [Item] = []
    private(set) var isBusy = false

    /// - Parameter store: what keeps everything; nil when that is only simulated, too.
    init(store: ServerStore?) {
        self.store = store
    }

    package init() { self.init(store: nil) }

    // MARK: Writing

    package mutating func enqueue(_ item: Item) { waiting.append(item) }

    /// Takes up what waits as one batch; false when there is nothing, or a batch is under way.
    package mutating func begin() -> Bool {
        guard !isBusy, !waiting.isEmpty else { return false }
        swap(&inFlight, &waiting)
        isBusy = true
        return true
    }

    /// The batch under way has reached the disk, or has not: tells what became of each of its items, nil for durable.
    /// The next one begins only after `finish`.
    package mutating func sync(
        _ generator: inout SeededGenerator, tell: (consuming Item, StoreFailure?) -> Void
    ) {
        if let store {
            var outcomes = store.apply(inFlight.compactMap(\.change))[...]
            for item in inFlight { tell(item, item.change == nil ? nil : outcomes.removeFirst()) }
            inFlight = []
            return
        }
        // Taken out one by one, the first one last in the array: moved, not copied.
        if inFlight.count > 1 { inFlight.reverse() }
        while let item = inFlight.popLast() {
            let failure = sync(item.change, &generator)
            tell(item, failure)
        }
    }

    private mutating func sync(_ change: ObjectChange?, _ generator: inout SeededGenerator) -> StoreFailure? {
        guard let change else { return nil }
        switch trouble {
        case .full where !change.puts.isEmpty || !change.stagedPuts.isEmpty:
            return .full
        case .failing(let percent) where generator.chance(percent: percent):
            // A failed sync says nothing about what has reached the disk.
            if generator.chance(percent: 50) { apply(change) }
            return .failed
        case .none, .full, .failing:
            apply(change)
            return nil
        }
    }

    /// Whoever waited for the batch has been told.
    package mutating func finish() { isBusy = false }

    /// The process ends or power is lost: of the batch under way a prefix is found whole afterwards, the record after
    /// it is torn and with the rest gone, and so is what waited.
    ///
    /// - Parameter isSudden: whether nothing of the batch had reached the platter.
    package mutating func crash(_ generator: inout SeededGenerator, isSudden: Bool = false) {
        let drawnCount = generator.below(inFlight.count + 1)
        let reachedCount = isSudden ? 0 : drawnCount
        if let store {
            let hasBegun = !isSudden && (reachedCount > 0 || inFlight.isEmpty)
            store.crash(inFlight.compactMap(\.change), hasBegun: hasBegun, isSudden: isSudden)
        } else {
            for item in inFlight.prefix(reachedCount) {
                if let change = item.change { apply(change) }
            }
        }
        inFlight = []
        waiting.removeAll()
        isBusy = false
    }

    /// The process starts, after a crash, from what is there.
    ///
    /// - Returns: why it cannot.
    mutating func start() -> StorageError? { store?.start() }

    /// What a real store could not do or show so far, be it by its own fault or the disk's; nil while all went well.
    var complaint: String? { store?.complaint }
    /// Whether a real store takes no more changes until its process starts anew.
    var hasFailed: Bool { store?.hasFailed ?? false }
    /// Whether a real store may refuse to open.
    var hasRotted: Bool { store?.hasRotted ?? false }

    mutating func wipe() { objects = [] }

    /// Nothing is left of any fragment, whatever the records say.
    mutating func loseFragments() {
        store?.loseFragments()
        for place in objects.indices {
            for position in objects[place].parts.indices { objects[place].parts[position].fragments = nil }
            for stripe in objects[place].staged.keys { objects[place].staged[stripe] = .some(nil) }
        }
    }

    /// Nothing is left of any version above the highest committed one, as if it had never been there.
    mutating func losePending() {
        store?.losePending()
        for place in objects.indices {
            let committed = objects[place].record.highestCommitted
            objects[place].parts.removeAll { committed.precedes($0.timestamp) }
            objects[place].record.held.removeAll { committed.precedes($0.timestamp) }
            for attempt in objects[place].record.staged.indices {
                objects[place].record.staged[attempt].holders.removeAll { committed.precedes($0.timestamp) }
            }
        }
    }

    private mutating func apply(_ change: ObjectChange) {
        let place = place(of: change.key) ?? objects.count
        if place == objects.count { objects.append(Object(key: change.key, record: change.record)) }
        objects[place].apply(change)
    }

    // MARK: Reading

    private func place(of key: ObjectKey) -> Int? { objects.indices.first { objects[$0].key == key } }

    /// The record that was stored last, to be judged.
    func lastRecord(_ key: ObjectKey) -> ObjectRecord? {
        if let store { return store.record(key).value }
        return place(of: key).map { objects[$0].record }
    }

    /// Whether there is nothing of an object.
    func isWithout(_ key: ObjectKey) -> Bool { lastRecord(key) == nil && timestamps(key).isEmpty }

    /// Whether the list of the object's slot says of it what its record says; a disk that is only simulated has none.
    func isListed(_ key: ObjectKey, _ record: ObjectRecord) -> Bool { store?.isListed(key, record) ?? true }

    /// The versions of which there is anything, to be judged.
    func timestamps(_ key: ObjectKey) -> [Timestamp] {
        if let store { return store.timestamps(key) }
        return place(of: key).map { objects[$0].parts.map(\.timestamp).sorted() } ?? []
    }

    package func record(_ key: ObjectKey) -> StoredParts<ObjectRecord> {
        if let store { return store.record(key) }
        guard let place = place(of: key) else { return .absent }
        return objects[place].isRecordReadable ? .held(objects[place].record) : .lost
    }

    package func descriptor(_ key: ObjectKey, _ timestamp: Timestamp) -> StoredParts<SealedDescriptor> {
        if let store { return store.descriptor(key, timestamp) }
        guard let parts = parts(key, timestamp) else { return .absent }
        return parts.descriptor.map(StoredParts.held) ?? .lost
    }

    package func parts(_ key: ObjectKey, _ timestamp: Timestamp) -> Parts? {
        if let store {
            guard store.timestamps(key).contains(timestamp) else { return nil }
            let descriptor = store.descriptor(key, timestamp).value
            let stripeCount = descriptor?.descriptor.stripes.count
            return Parts(
                timestamp: timestamp, descriptor: descriptor,
                fragments: stripeCount.flatMap { store.fragments(key, timestamp, stripeCount: $0).value })
        }
        guard let place = place(of: key) else { return nil }
        guard
            let position = objects[place].parts.indices.first(where: { objects[place].parts[$0].timestamp == timestamp }
            )
        else { return nil }
        return objects[place].parts[position]
    }

    func fragments(_ key: ObjectKey, _ timestamp: Timestamp, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        if let store { return store.fragments(key, timestamp, stripeCount: stripeCount) }
        // Of a large value nothing lies with the version.
        if stripeCount == 0 { return .held([]) }
        guard let record = lastRecord(key), let parts = parts(key, timestamp) else { return .absent }
        if let fragments = parts.fragments { return .held(fragments) }
        return record.version(timestamp)?.holdsFragments == true ? .lost : .absent
    }

    /// What is staged of a stripe.
    private func staged(_ attempt: AttemptName, _ stripe: UInt32, _ key: ObjectKey) -> StoredParts<StagedParts> {
        guard let place = place(of: key),
            let found = objects[place].staged[StagedPlace(attempt: attempt, stripe: stripe)]
        else { return .absent }
        return found.map(StoredParts.held) ?? .lost
    }

    package func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        if let store { return store.stagedEntry(of: attempt, stripe: stripe, key: key) }
        return switch staged(attempt, stripe, key) {
        case .held(let parts): .held(parts.entry)
        case .lost: .lost
        default: .absent
        }
    }

    package func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        if let store { return store.stagedFragment(of: attempt, stripe: stripe, key: key) }
        return switch staged(attempt, stripe, key) {
        case .held(let parts): .held(parts.fragment)
        case .lost: .lost
        default: .absent
        }
    }

    /// Objects that have something to drop or to verify before the given time, in order of their keys.
    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        if let store { return store.due(beforeMilliseconds: time, limit: limit).sorted() }
        let due = objects.indices.filter { objects[$0].nextDueMilliseconds.map { $0 < time } ?? false }
        return due.map { objects[$0].key }.sorted()
    }

    /// Objects of which the server wants something, in order, and since when.
    func wants() -> [(key: ObjectKey, sinceMilliseconds: UInt64)] {
        if let store { return store.wants() }
        return objects.compactMap { object in object.wantedSinceMilliseconds.map { (object.key, $0) } }
            .sorted { $0.0 < $1.0 }
    }

    /// Objects above the given one at which the client has versions and none is committed, in order.
    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        if let store { return store.bareObjects(of: client, after: after, limit: limit) }
        let bare = objects.filter { object in
            object.record.highestCommitted == nil
                && (object.record.held.contains { $0.timestamp.writer == client }
                    || object.record.staged.contains { $0.name.stager == client })
                && after.map { $0 < object.key } ?? true
        }
        return Array(bare.map(\.key).sorted().prefix(limit))
    }

    /// What the server has of a bucket.
    func list(_ query: ListingQuery, node: NodeID, _ parameters: ClusterParameters) -> Result<ListingAnswer, Refusal> {
        if let store { return store.list(query) }
        var assembly = ListingAssembly(query, node: node, parameters)
        var lowest = query.lowest
        for object in objects.sorted(by: { $0.key < $1.key }) {
            let bytes = object.key.bytes
            guard bytes.starts(with: query.prefix), !bytes.lexicographicallyPrecedes(lowest),
                let live = object.record.live
            else { continue }
            let step = bytes.withUnsafeBytes { key in
                live.bytes.withUnsafeBytes { row in try? assembly.take(key: key, live: row) }
            }
            switch step {
            case .next?: break
            case .skip(let start)?: lowest = start
            case .end?, nil: return .success(assembly.answer)
            }
        }
        return .success(assembly.answer)
    }

    /// What clients are charged for all that is stored.
    var charges: [ClientCharge] { store?.charges ?? objects.flatMap(\.record.charges) }

    /// How a real store's accounts differ from the sum over its records; nil when they do not, or something has rotted.
    var wrongAccounts: String? {
        guard let store, !store.hasRotted else { return nil }
        let (kept, summed) = (Accounts(store.charges).all, Accounts(store.recordedCharges).all)
        return kept == summed ? nil : "\(kept) instead of \(summed)"
    }

    /// Reads all records back from their bytes, as a server does that starts; what differs from what was stored.
    func misreadRecord() -> ObjectKey? {
        if let store { return store.misreadRecord() }
        for object in objects {
            guard let read = try? ObjectRecord(decoding: object.record.bytes), read == object.record else {
                return object.key
            }
        }
        return nil
    }

    // MARK: Decay

    /// Makes one stored thing unreadable: a fragment, a whole version, or rarely a record; what, for the transcript.
    package mutating func rot(_ generator: inout SeededGenerator) -> String? {
        if let store { return store.rot() }
        if generator.chance(percent: 50), let what = rotStripe(&generator) { return what }
        let places = objects.indices.sorted { objects[$0].key < objects[$1].key }
        let stored = places.flatMap { place in objects[place].parts.indices.map { (place, $0) } }
        guard let (place, position) = generator.pick(stored) else { return nil }
        let key = objects[place].key
        let timestamp = objects[place].parts[position].timestamp
        switch generator.below(10) {
        case 0:
            objects[place].isRecordReadable = false
            return "the record of \(key)"
        case 1...3:
            objects[place].parts[position].descriptor = nil
            objects[place].parts[position].fragments = nil
            return "\(key) at \(timestamp)"
        default:
            objects[place].parts[position].fragments = nil
            return "the fragments of \(key) at \(timestamp)"
        }
    }
}

extension VirtualDisk {
    /// Makes a staged stripe unreadable, if there is any.
    private mutating func rotStripe(_ generator: inout SeededGenerator) -> String? {
        let places = objects.indices.sorted { objects[$0].key < objects[$1].key }
        let stored = places.flatMap { place in
            objects[place].staged.keys.sorted { ($0.attempt, $0.stripe) < ($1.attempt, $1.stripe) }.map { (place, $0) }
        }
        guard let (place, stripe) = generator.pick(stored) else { return nil }
        objects[place].staged[stripe] = .some(nil)
        return "stripe \(stripe.stripe) of \(stripe.attempt) of \(objects[place].key)"
    }
}

extension VirtualDisk.Object {
    fileprivate mutating func apply(_ change: ObjectChange) {
        for drop in change.stagedDrops {
            staged = staged.filter { place, _ in
                let chunk = place.stripe / StagedLimits.stripesPerChunk
                return place.attempt != drop.attempt || !drop.chunks.contains { $0.contains(chunk) }
            }
        }
        for put in change.stagedPuts {
            staged[VirtualDisk.StagedPlace(attempt: put.attempt, stripe: put.stripe)] = .some(
                VirtualDisk.StagedParts(entry: put.entry, fragment: put.fragment.bytes))
        }
        record = change.record
        isRecordReadable = true
        nextDueMilliseconds = change.nextDueMilliseconds
        switch change.want {
        case .keep: break
        case .begin(let milliseconds): wantedSinceMilliseconds = milliseconds
        case .end: wantedSinceMilliseconds = nil
        }
        for put in change.puts {
            let fragments = put.fragments.map(\.bytes)
            let isDescriptorOnly =
                fragments.isEmpty && change.record.version(put.timestamp)?.holdsFragments == false
            if let position = parts.indices.first(where: { parts[$0].timestamp == put.timestamp }) {
                parts[position].descriptor = put.descriptor
                if !isDescriptorOnly { parts[position].fragments = fragments }
            } else {
                parts.append(
                    VirtualDisk.Parts(
                        timestamp: put.timestamp, descriptor: put.descriptor,
                        fragments: isDescriptorOnly ? nil : fragments))
            }
        }
        if !change.drops.isEmpty { parts.removeAll { change.drops.contains($0.timestamp) } }
    }
}
