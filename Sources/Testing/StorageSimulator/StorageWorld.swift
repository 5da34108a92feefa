// One seed: a store on files and an index in memory, a random history of batches, and everything that can go wrong with
// a disk, judged against a model.
//
// What is judged. After every opening the store shows exactly what it acknowledged. Of a batch that failed, all is
// there or nothing, and whichever it was then stays. A batch is never half acknowledged, a store that failed takes no
// more, and an undamaged store opens. When the journal was damaged behind its back, the store refuses to open, or all
// is right but parts that it refuses to show; nothing else is lost but, at most, the last batch if the damage is in it,
// which nobody can tell from a torn one (docs/storage.md, What survives a crash).

import ErasureCode
import ObjectStorage

/// What became of one seed.
package struct StorageWorldReport: Sendable {
    package let seed: UInt64
    package var openingCount = 0
    package var batchCount = 0
    package var removedSegmentCount = 0
    package var movedPartCount = 0
    package var restatedEntryCount = 0
    package var rebuiltIndexCount = 0
    /// What was broken, or nil.
    package var violation: String?
    /// What happened, if that was asked for.
    package var story: [String] = []
}

/// A violation of what a store promises.
struct StorageViolation: Error {
    let text: String
}

/// A store's world, for one run.
package struct StorageWorld {
    private static let stepCount = 120

    private var dice: Dice
    private let tells: Bool
    private var report: StorageWorldReport
    private let files: MemoryFiles
    private let indexes: MemoryIndexes
    private var workload: StorageWorkload
    private var options: StorageOptions
    private var directory = "/store"
    private var store: ObjectStore?
    /// What was acknowledged, and what it was before the last batch.
    private var model = StoreModel()
    private var before = StoreModel()
    /// The batch with which the store failed.
    private var doubtful: [StoreMutation]?
    private let hasTroubles: Bool
    private let hasSmallDisk: Bool
    private let hasRot: Bool
    /// Whether the disk is filled in the end, and must be emptied again by what frees space.
    private let endsFull: Bool

    package init(seed: UInt64, tells: Bool = false) {
        var dice = Dice(seed: seed)
        files = MemoryFiles(dice: dice.fork())
        indexes = MemoryIndexes(files: files, dice: dice.fork())
        workload = StorageWorkload(dice: dice.fork())
        options = StorageOptions()
        options.system = StorageSystem(files: files, indexes: indexes)
        options.segmentSizeBytes = dice.pick([16 << 10, 32 << 10, 64 << 10, 128 << 10])
        options.inlinePartSizeBytesMax = dice.pick([0, 100, 1024])
        options.reservedFreeBytes = dice.pick([0, 64 << 10])
        options.flushIntervalBytes = dice.pick([20 << 10, 200 << 10, 1 << 30])
        options.reclaimFlushBytes = dice.pick([10 << 10, 100 << 10])
        options.compactionWasteBytesMin = dice.pick([1, 4 << 10, 64 << 10])
        options.restatingIntervalBytes = dice.pick([4 << 10, 40 << 10, 1 << 30])
        options.indexWriteBufferBytes = 16 << 10
        hasTroubles = dice.chance(30)
        hasSmallDisk = dice.chance(30)
        hasRot = dice.chance(40)
        endsFull = dice.chance(30)
        if endsFull { options.reservedFreeBytes = 512 << 10 }
        self.tells = tells
        self.dice = dice
        report = StorageWorldReport(seed: seed)
    }

    package mutating func run() -> StorageWorldReport {
        do {
            try create()
            for _ in 0..<Self.stepCount { try step() }
            setTroubles(false)
            try reopen("at the end", .close)
            if endsFull { try fillAndEmpty() }
        } catch let violation as StorageViolation {
            report.violation = violation.text
        } catch {
            report.violation = "the store cannot show what it acknowledged: \(error)"
        }
        store?.abandon()
        return report
    }

    private mutating func tell(_ what: @autoclosure () -> String) {
        if tells { report.story.append(what()) }
    }

    private func violated(_ text: String) -> StorageViolation { StorageViolation(text: text) }

    // MARK: Steps

    private mutating func create() throws {
        if dice.chance(30) {
            files.losePower(in: 1 + dice.below(20))
            if (try? ObjectStore.create(directory: directory, incarnation: 1, options: options)) == nil {
                guard files.isOff else { throw violated("a store cannot be created") }
                files.crash()
                indexes.crash()
                tell("power lost while the store was created")
                do {
                    _ = try ObjectStore(directory: directory, options: options)
                    // Its creation had been over but for the last sync.
                    return try reopen("after its creation", .power)
                } catch StorageError.notAStore {
                    directory = "/second"
                }
            }
            files.losePower(in: nil)
        }
        if store == nil, directory == "/second" || (try? files.open("/store/store", forWriting: false)) == nil {
            try ObjectStore.create(directory: directory, incarnation: 1, options: options)
        }
        try reopen("for the first time", .close)
    }

    private mutating func step() throws {
        if hasTroubles, dice.chance(20) { setTroubles(dice.chance(50)) }
        if hasSmallDisk, dice.chance(15) {
            files.setCapacity(files.occupiedBytes + dice.pick([0, 16 << 10, 200 << 10, 1 << 20]))
            indexes.setFull(dice.chance(30))
        }
        switch dice.below(100) {
        case 0..<55: try applyBatch()
        case 55..<61: try reclaim()
        case 61..<68: try compact()
        case 68..<72: try restate()
        case 72..<78: indexes.progress()
        case 78..<82: try flush()
        case 82..<86: try reopen("after a close", .close)
        case 86..<91: try reopen("after a kill", .kill)
        case 91..<95: try reopen("after a power failure", .power)
        case 95..<97: try ruinIndex()
        default: if hasRot { try rot() }
        }
    }

    private func setTroubles(_ isOn: Bool) {
        var troubles = MemoryFiles.Troubles()
        if isOn {
            troubles.failedWrites = 5
            troubles.failedSyncs = 10
        }
        files.setTroubles(troubles)
        indexes.setFailedReads(isOn ? 2 : 0)
        if !isOn {
            files.setCapacity(.max)
            indexes.setFull(false)
        }
    }

    private mutating func applyBatch() throws {
        guard let store else { return }
        let batch = workload.batch()
        if dice.chance(12) { files.losePower(in: 1 + dice.below(8)) }
        let results = store.apply(batch)
        report.batchCount += 1
        var accepted: [StoreMutation] = []
        var failed: [StoreMutation] = []
        for (mutation, result) in zip(batch, results) {
            switch result {
            case .success: accepted.append(mutation)
            case .failure(.failed): failed.append(mutation)
            case .failure(.noSpace) where hasSmallDisk, .failure(.index) where hasTroubles,
                .failure(.io) where hasTroubles || files.isOff:
                break
            case .failure(let error): throw violated("a batch is refused: \(error)")
            }
        }
        tell("a batch of \(batch.count): \(accepted.count) acknowledged, \(failed.count) failed")
        if !accepted.isEmpty, !failed.isEmpty { throw violated("a batch is half acknowledged") }
        if !accepted.isEmpty {
            before = model
            model.apply(accepted)
        }
        if !failed.isEmpty {
            doubtful = failed
            if !files.isOff {
                if store.apply(workload.batch()).contains(where: { (try? $0.get()) != nil }) {
                    throw violated("a store that failed takes more")
                }
                indexes.setFailedReads(0)
                if let difference = try model.difference(from: store) {
                    throw violated("a store that failed shows something else: \(difference)")
                }
            }
        }
        if files.isOff {
            try reopen("after power went in a batch", .power)
        } else {
            files.losePower(in: nil)
            if !failed.isEmpty { try reopen("after a failed batch", dice.chance(50) ? .kill : .power) }
        }
    }

    private mutating func reclaim() throws {
        guard let store else { return }
        if dice.chance(10) { files.losePower(in: 1 + dice.below(6)) }
        do {
            let progress = try store.reclaim(limit: 1 + dice.below(40))
            report.removedSegmentCount += progress.removedSegmentCount
            tell("gave back \(progress.rangeCount) ranges, removed \(progress.removedSegmentCount) segments")
        } catch {
            tell("giving back fails: \(error)")
            guard files.isOff || hasTroubles || hasSmallDisk else { throw violated("giving back fails: \(error)") }
        }
        if files.isOff { return try reopen("after power went while space was given back", .power) }
        files.losePower(in: nil)
    }

    private mutating func compact() throws {
        guard let store else { return }
        if dice.chance(15) { files.losePower(in: 1 + dice.below(8)) }
        do {
            for _ in 0...dice.below(20) {
                let progress = try store.compact(sizeBytesMax: dice.pick([1, 8 << 10, 64 << 10]))
                report.movedPartCount += progress.movedCount
                tell("moved \(progress.movedCount) parts")
                if !progress.hasMore, dice.chance(50) { break }
            }
        } catch {
            tell("moving fails: \(error)")
            guard files.isOff || hasTroubles || hasSmallDisk else { throw violated("moving fails: \(error)") }
            if case .failed = error, !files.isOff { return try reopen("after moving failed", .kill) }
        }
        if files.isOff { return try reopen("after power went while parts were moved", .power) }
        files.losePower(in: nil)
    }

    private mutating func restate() throws {
        guard let store else { return }
        if dice.chance(15) { files.losePower(in: 1 + dice.below(8)) }
        do {
            for _ in 0...dice.below(12) {
                let progress = try store.restate(sizeBytesMax: dice.pick([1, 1 << 10, 64 << 10]))
                report.restatedEntryCount += progress.entryCount
                tell("said \(progress.entryCount) entries again")
                if !progress.hasMore, dice.chance(50) { break }
            }
        } catch {
            tell("saying again fails: \(error)")
            guard files.isOff || hasTroubles || hasSmallDisk else { throw violated("saying again fails: \(error)") }
            if case .failed = error, !files.isOff { return try reopen("after saying again failed", .kill) }
        }
        if files.isOff { return try reopen("after power went while facts were said again", .power) }
        files.losePower(in: nil)
    }

    /// The index is gone and must be made again from the journal.
    private mutating func ruinIndex() throws {
        shut(dice.chance(50) ? .kill : .power)
        indexes.ruin()
        report.rebuiltIndexCount += 1
        try reopen("without its index", .kill)
    }

    /// What a full disk must never be: a one-way door. Fills it by puts until it takes no more, has what frees space
    /// take its way, and puts again.
    private mutating func fillAndEmpty() throws {
        guard let store else { return }
        files.setCapacity(files.occupiedBytes + options.reservedFreeBytes + (256 << 10))
        var refusedCount = 0
        for _ in 0..<400 where refusedCount < 6 {
            let batch = [workload.storing()]
            switch store.apply(batch)[0] {
            case .success: model.apply(batch)
            case .failure(.noSpace): refusedCount += 1
            case .failure(let error): throw violated("on a full disk a put is refused: \(error)")
            }
            // What it replaces must not come back meanwhile.
            _ = try store.reclaimShare()
        }
        guard refusedCount >= 6 else { return tell("the disk does not fill") }
        for deletion in StorageWorkload.deletions {
            if case .failure(let error) = store.apply([deletion])[0] {
                throw violated("on a full disk a deletion is refused: \(error)")
            }
            model.apply([deletion])
        }
        for _ in 0..<20 {
            try store.flushIndex()
            while try store.maintain(limit: 40).hasMore {}
            while try store.compact(sizeBytesMax: 64 << 10).hasMore {}
            while try store.restate(sizeBytesMax: 64 << 10).hasMore {}
        }
        let batch = [workload.storing()]
        if case .failure(let error) = store.apply(batch)[0] {
            throw violated("all was deleted, and a put is refused: \(error)")
        }
        model.apply(batch)
        tell("the disk was full, everything deleted, and there is room again")
        files.setCapacity(.max)
        try reopen("after the disk was full", .kill)
    }

    private mutating func flush() throws {
        guard let store else { return }
        do {
            try store.flushIndex()
            tell("flushed the index")
        } catch {
            guard hasTroubles || hasSmallDisk else { throw violated("the index cannot be flushed: \(error)") }
        }
    }

    // MARK: Opening

    private enum End {
        case close, kill, power
    }

    /// Ends the store's life and begins another one, which must show what was acknowledged.
    private mutating func reopen(_ when: String, _ end: End) throws {
        shut(end)
        for attempt in 1... {
            if attempt <= 3, dice.chance(15) { files.losePower(in: 1 + dice.below(12)) }
            do {
                store = try ObjectStore(directory: directory, options: options)
                break
            } catch {
                tell("opening \(when), attempt \(attempt): \(error)")
                if files.isOff {
                    files.crash()
                    indexes.crash()
                } else if attempt < 8, hasTroubles || hasSmallDisk {
                    setTroubles(false)
                } else {
                    throw violated("the store does not open \(when): \(error)")
                }
            }
        }
        // The judge reads; power goes another time.
        files.losePower(in: nil)
        indexes.setFailedReads(0)
        report.openingCount += 1
        try judge(when)
    }

    private mutating func shut(_ end: End) {
        switch end {
        case .close:
            do {
                try store?.close()
            } catch {
                tell("closing: \(error)")
            }
        case .kill, .power: store?.abandon()
        }
        store = nil
        if end == .power { files.crash() }
        indexes.crash()
    }

    private mutating func judge(_ when: String) throws {
        guard let store else { return }
        defer { doubtful = nil }
        let difference = try model.difference(from: store)
        guard let difference else { return tell("opened \(when): all is there") }
        if let doubtful {
            var other = model
            other.apply(doubtful)
            if try other.difference(from: store) == nil {
                before = model
                model = other
                return tell("opened \(when): all is there, and the batch that failed")
            }
        }
        throw violated("\(when), \(difference) is not what was acknowledged")
    }

    // MARK: Rot

    private struct Damage {
        var path: String
        var range: Range<Int>
    }

    /// Damages the journal, looks at what the store makes of it, and puts everything back.
    private mutating func rot() throws {
        shut(.kill)
        let image = (files.image(), indexes.image())
        let batches = try JournalWalk(store: directory, files: files).batches()
        if let last = batches.max(by: { $0.sequence < $1.sequence }) {
            setTroubles(false)
            try judgeRot(batches, last)
        }
        files.restore(image.0)
        indexes.restore(image.1)
        try reopen("after an excursion", dice.chance(50) ? .kill : .power)
    }

    private mutating func judgeRot(_ batches: [JournalBatch], _ last: JournalBatch) throws {
        func touches(_ damage: Damage, _ batch: JournalBatch) -> Bool {
            damage.path == batch.path && damage.range.overlaps(Int(batch.facts.lowerBound)..<Int(batch.end))
        }
        func isOnlyOfParts(_ damage: Damage) -> Bool {
            batches.contains {
                $0.path == damage.path && Int($0.payload.lowerBound) <= damage.range.lowerBound
                    && damage.range.upperBound <= Int($0.payload.upperBound)
            }
        }
        var damages = (0...dice.below(3)).compactMap { _ in drawDamage(batches) }
        // Two at the journal's end would look like an earlier end.
        if let first = damages.first(where: { touches($0, last) }) { damages = [first] }
        for damage in damages { inflict(damage) }
        tell("rot: \(damages.map { "\($0.range) of \($0.path)" }.joined(separator: ", "))")
        do {
            let store = try ObjectStore(directory: directory, options: options)
            defer { store.abandon() }
            guard let difference = try model.difference(from: store, partsMayBeLost: true) else {
                return try judgeMoves(store)
            }
            if damages.contains(where: { touches($0, last) }),
                try before.difference(from: store, partsMayBeLost: true) == nil
            {
                return
            }
            throw violated("on a rotten disk, \(difference) is not what was acknowledged")
        } catch let error as StorageError {
            switch error {
            case .damagedJournal, .missingSegment, .foreign: break
            default: throw violated("on a rotten disk the store says \(error)")
            }
            if damages.allSatisfy({ isOnlyOfParts($0) && !touches($0, last) }) {
                throw violated("the store does not open, although only parts have rotted: \(error)")
            }
        }
    }

    /// Moving what lives on a rotten disk neither hides the rot nor spreads it.
    private func judgeMoves(_ store: ObjectStore) throws {
        for _ in 0..<30 {
            do throws(StorageError) {
                guard try store.compact(sizeBytesMax: 64 << 10).hasMore else { break }
            } catch {
                throw violated("on a rotten disk, moving fails: \(error)")
            }
        }
        if let difference = try model.difference(from: store, partsMayBeLost: true) {
            throw violated("on a rotten disk, \(difference) is not what was acknowledged once parts were moved")
        }
    }

    private mutating func drawDamage(_ batches: [JournalBatch]) -> Damage? {
        let page = MemoryFiles.pageSizeBytes
        if dice.chance(70) {
            let batch = dice.pick(batches)
            let range = dice.chance(50) || batch.payload.isEmpty ? batch.facts : batch.payload
            let offset = Int(range.lowerBound) + dice.below(range.count)
            return Damage(path: batch.path, range: offset..<offset + 1)
        }
        let path = dice.pick(files.paths(startingWith: directory + "/journal/"))
        let pageCount = files.contents(of: path).count / page
        guard pageCount > 0 else { return nil }
        let start = dice.below(pageCount) * page
        return Damage(path: path, range: start..<start + page)
    }

    /// Turns a bit of a byte; of a page, has it hold what belongs elsewhere, or nothing.
    private mutating func inflict(_ damage: Damage) {
        if damage.range.count == 1 {
            let bit = UInt8(1) << UInt8(dice.below(8))
            files.damage(damage.path) { $0[damage.range.lowerBound] ^= bit }
            return
        }
        let source = files.contents(of: dice.pick(files.paths(startingWith: directory + "/journal/")))
        var page = [UInt8](repeating: 0, count: damage.range.count)
        let pageCount = source.count / damage.range.count
        if pageCount > 0, dice.chance(70) {
            let start = dice.below(pageCount) * damage.range.count
            page = Array(source[start..<start + damage.range.count])
        }
        files.damage(damage.path) { $0.replaceSubrange(damage.range, with: page) }
    }
}
