// A server's disk, as the shell around the replica sees the real one: whole changes become durable in order, a batch at
// a time; what was not synced is gone after a crash, except for a prefix that had already reached the platter; and what
// has rotted is found by its checksum, so that it is missing rather than wrong.

import ErasureCode
import Fingerprint
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

    struct Object {
        let key: ObjectKey
        var record: ObjectRecord
        var isRecordReadable = true
        var parts: [Parts] = []
        var nextDueMilliseconds: UInt64?
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

    /// In the order in which they came to be; they are few.
    private(set) var objects: [Object] = []
    var trouble = Trouble.none
    private var waiting: [Item] = []
    private var inFlight: [Item] = []
    private(set) var isBusy = false

    package init() {}

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
        case .full where !change.puts.isEmpty:
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
        let reachedCount = generator.below(inFlight.count + 1)
        for item in inFlight.prefix(isSudden ? 0 : reachedCount) {
            if let change = item.change { apply(change) }
        }
        inFlight = []
        waiting.removeAll()
        isBusy = false
    }

    mutating func wipe() { objects = [] }

    /// Nothing is left of any fragment, whatever the records say.
    mutating func loseFragments() {
        for place in objects.indices {
            for position in objects[place].parts.indices { objects[place].parts[position].fragments = nil }
        }
    }

    /// Nothing is left of any version above the highest committed one, as if it had never been there.
    mutating func losePending() {
        for place in objects.indices {
            let committed = objects[place].record.highestCommitted
            objects[place].parts.removeAll { committed.precedes($0.timestamp) }
            objects[place].record.held.removeAll { committed.precedes($0.timestamp) }
        }
    }

    private mutating func apply(_ change: ObjectChange) {
        let place = place(of: change.key) ?? objects.count
        if place == objects.count { objects.append(Object(key: change.key, record: change.record)) }
        objects[place].apply(change)
    }

    // MARK: Reading

    private func place(of key: ObjectKey) -> Int? { objects.indices.first { objects[$0].key == key } }

    func object(_ key: ObjectKey) -> Object? { place(of: key).map { objects[$0] } }

    package func record(_ key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> {
        guard let place = place(of: key) else { return .success(nil) }
        return objects[place].isRecordReadable ? .success(objects[place].record) : .failure(.failed)
    }

    package func descriptor(_ key: ObjectKey, _ timestamp: Timestamp) -> SealedDescriptor? {
        parts(key, timestamp)?.descriptor
    }

    package func parts(_ key: ObjectKey, _ timestamp: Timestamp) -> Parts? {
        guard let place = place(of: key) else { return nil }
        guard
            let position = objects[place].parts.indices.first(where: { objects[place].parts[$0].timestamp == timestamp }
            )
        else { return nil }
        return objects[place].parts[position]
    }

    func fragments(_ key: ObjectKey, _ timestamp: Timestamp) -> [SharedBytes]? { parts(key, timestamp)?.fragments }

    /// Objects that have something to drop or to verify before the given time, in order.
    func due(beforeMilliseconds time: UInt64) -> [ObjectKey] {
        let due = objects.indices.filter { objects[$0].nextDueMilliseconds.map { $0 < time } ?? false }
        return due.map { objects[$0].key }.sorted()
    }

    /// Objects above the given one at which the client has versions and none is committed, in order.
    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        let bare = objects.filter { object in
            object.record.highestCommitted == nil
                && object.record.held.contains { $0.timestamp.writer == client }
                && after.map { $0 < object.key } ?? true
        }
        return Array(bare.map(\.key).sorted().prefix(limit))
    }

    /// What clients are charged for all that is stored.
    var charges: [ClientCharge] { objects.flatMap(\.record.charges) }

    /// Reads all records back from their bytes, as a server does that starts; what differs from what was stored.
    func misreadRecord() -> ObjectKey? {
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

extension VirtualDisk.Object {
    fileprivate mutating func apply(_ change: ObjectChange) {
        record = change.record
        isRecordReadable = true
        nextDueMilliseconds = change.nextDueMilliseconds
        for put in change.puts {
            let fragments = put.fragments.map(\.bytes)
            let isDescriptorOnly = fragments.isEmpty && !put.descriptor.descriptor.stripes.isEmpty
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
