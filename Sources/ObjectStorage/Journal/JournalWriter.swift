// The writing side of the store: admits mutations, appends one batch, makes it durable, then applies it to the index.

import ErasureCode

/// The state of the one writer.
struct JournalWriter {
    private let directory: String
    private let storeID: StoreID
    let options: StorageOptions
    private let index: any StorageIndex

    private var tail: JournalTail
    /// Whether the tail segment was made from the reserve, which what stores may not use.
    private var tailIsReserve = false
    private(set) var nextSequence: UInt64
    /// The batch from which on the journal says all that is true; every batch tells it.
    var horizon: JournalPosition
    /// How far saying it again has come.
    var restating: RestatingState
    private let isRebuilding: Bool
    /// Per segment the bytes of its batches that were not given back yet.
    private(set) var unreclaimed: [UInt64: UInt64]
    /// Segments of which all was given back when they were last looked at; a batch may have come since.
    private var emptied: Set<UInt64>
    /// Those of them for which the index was asked to write to disk that nothing lives there.
    private var awaitingFlush: Set<UInt64> = []
    /// Journal bytes since the last request to flush the index.
    private var unflushedSizeBytes: UInt64 = 0
    /// Bytes that became garbage since then.
    private var unflushedGarbageSizeBytes: UInt64 = 0
    /// Ranges that became garbage since the last step of reclaiming.
    var droppedRangeCount = 0
    /// Whether a range before the cursor could not be given back.
    var hasPassedOver = false
    /// Where the walk over waiting garbage continues: what lies before was given back, or passed over.
    var reclaimCursor = IndexKey.waitingGarbage
    /// The same for facts that are said again later.
    var factsCursor = IndexKey.facts
    /// Why every further change is refused.
    private(set) var failure: StorageError?
    private var knownSums = KnownSums()
    /// How far moving living parts out of mostly dead segments has come.
    var compaction = CompactionState()

    /// The segment being written.
    var tailNumber: UInt64 { tail.segment.number }

    /// Where the next batch goes.
    var end: JournalPosition {
        JournalPosition(segment: tail.segment.number, offset: tail.offset, sequence: nextSequence)
    }

    /// Appends a batch that changes nothing but tells the horizon; false when there is no room for it.
    mutating func appendMark() throws(StorageError) -> Bool {
        let candidate = Candidate(position: 0, metadataSizeBytes: 0, payloadSizeBytes: 0, purpose: .frees)
        guard case .success(let admitted) = admit([candidate]), !admitted.isEmpty else { return false }
        let batch = encoded([], of: [])
        let update = try plannedUpdate(batch.plan)
        do throws(StorageError) {
            try append(batch, update)
        } catch {
            failure = .failed(reason: error.description)
            throw error
        }
        return true
    }

    init(
        directory: String, storeID: StoreID, options: StorageOptions, index: any StorageIndex, tail: JournalTail,
        nextSequence: UInt64, unreclaimed: [UInt64: UInt64], horizon: JournalPosition, restating: RestatingState,
        isRebuilding: Bool = false
    ) {
        self.directory = directory
        self.storeID = storeID
        self.options = options
        self.index = index
        self.tail = tail
        self.nextSequence = nextSequence
        self.unreclaimed = unreclaimed
        self.horizon = horizon
        self.restating = restating
        self.isRebuilding = isRebuilding
        emptied = Set(unreclaimed.filter { $0.value == 0 }.keys)
    }

    // MARK: Appending

    /// See `ObjectStore.apply`.
    mutating func apply(_ mutations: [StoreMutation]) -> [Result<Void, StorageError>] {
        var results = [Result<Void, StorageError>](repeating: .success(()), count: mutations.count)
        if let failure { return results.map { _ in .failure(failure) } }

        var candidates: [Candidate] = []
        candidates.reserveCapacity(mutations.count)
        var metadataSize = 0
        var payloadSize = 0
        for (position, mutation) in mutations.enumerated() {
            if let refusal = mutation.refusal(options) {
                results[position] = .failure(refusal)
                continue
            }
            let candidate = Candidate(
                position: position, metadataSizeBytes: mutation.metadataSizeBytes,
                payloadSizeBytes: mutation.payloadSizeBytes, purpose: mutation.purpose)
            let size = metadataSize + candidate.metadataSizeBytes + payloadSize + candidate.payloadSizeBytes
            guard size <= options.batchSizeBytesMax else {
                results[position] = .failure(
                    .overLimit(field: "batch size", value: size, limit: options.batchSizeBytesMax))
                continue
            }
            metadataSize += candidate.metadataSizeBytes
            payloadSize += candidate.payloadSizeBytes
            candidates.append(candidate)
        }
        guard !candidates.isEmpty else { return results }

        var admitted: [Candidate]
        switch admit(candidates) {
        case .success(let chosen): admitted = chosen
        case .failure(let error):
            for candidate in candidates { results[candidate.position] = .failure(error) }
            return results
        }
        if admitted.count < candidates.count {
            let kept = Set(admitted.map(\.position))
            let available = options.system.files.freeBytes(at: directory) ?? 0
            for candidate in candidates where !kept.contains(candidate.position) {
                let needed = candidate.metadataSizeBytes + candidate.payloadSizeBytes
                results[candidate.position] = .failure(.noSpace(neededBytes: needed, availableBytes: available))
            }
        }
        guard !admitted.isEmpty else { return results }
        var batch = encoded(admitted, of: mutations)
        let update: BatchChanges
        do throws(StorageError) {
            // The index is read before the journal is written, so that damage to it is found while nothing happened.
            update = try plannedUpdate(batch.plan)
        } catch {
            // Whoever meets the damage is refused alone.
            admitted = admitted.filter { candidate in
                do throws(StorageError) {
                    _ = try plannedUpdate(encoded([candidate], of: mutations).plan)
                    return true
                } catch {
                    results[candidate.position] = .failure(error)
                    return false
                }
            }
            guard !admitted.isEmpty else { return results }
            batch = encoded(admitted, of: mutations)
            do throws(StorageError) {
                update = try plannedUpdate(batch.plan)
            } catch {
                for candidate in admitted { results[candidate.position] = .failure(error) }
                return results
            }
        }
        do throws(StorageError) {
            try append(batch, update)
        } catch {
            let failure = StorageError.failed(reason: error.description)
            self.failure = failure
            for candidate in admitted { results[candidate.position] = .failure(failure) }
        }
        return results
    }

    /// The next batch, of some of the mutations.
    private func encoded(_ candidates: [Candidate], of mutations: [StoreMutation]) -> EncodedBatch {
        let chosen = candidates.count == mutations.count ? mutations : candidates.map { mutations[$0.position] }
        return EncodedBatch(
            chosen, sequence: nextSequence, segment: tail.segment.number, offset: tail.offset, storeID: storeID,
            horizon: horizon, inlinePartSizeBytesMax: options.inlinePartSizeBytesMax)
    }

    private mutating func append(
        _ batch: EncodedBatch, _ update: BatchChanges
    ) throws(StorageError) {
        try tail.segment.write([batch.head] + batch.payload, at: tail.offset)
        if !isPlanted(.syncOmitted) { try tail.segment.synchronizeData() }
        try commit(batch.plan, update)
        droppedRangeCount += update.garbage.rangeCount
        tail.offset = batch.plan.header.end
    }

    /// Applies a batch that the journal already holds. The tail is the caller's business.
    mutating func replay(_ plan: PlannedBatch) throws(StorageError) {
        try commit(plan, try plannedUpdate(plan))
    }

    private func plannedUpdate(
        _ plan: PlannedBatch
    ) throws(StorageError) -> BatchChanges {
        let before = unreclaimed[plan.header.segment] ?? 0
        return try IndexUpdate.make(
            plan, unreclaimed: before + plan.header.batchSizeBytes, index: index, known: knownSums,
            isRebuilding: isRebuilding)
    }

    private mutating func commit(
        _ plan: PlannedBatch, _ update: BatchChanges
    ) throws(StorageError) {
        if isPlanted(.positionApart) { try index.write(IndexUpdate.position(behind: plan)) }
        try index.write(update.changes)
        if update.deletesRanges { knownSums.forgetAll() }
        knownSums.take(update.sums)
        unreclaimed[plan.header.segment, default: 0] += plan.header.batchSizeBytes
        nextSequence = plan.header.sequence + 1
        unflushedSizeBytes += plan.header.batchSizeBytes
        unflushedGarbageSizeBytes += update.garbage.sizeBytes
        restating.factsSizeBytes += plan.facts.sizeBytes
        horizon = plan.header.horizon
        if unflushedSizeBytes >= UInt64(max(options.flushIntervalBytes, 1)) { try requestFlush() }
    }

    mutating func moveTail(to tail: JournalTail) {
        self.tail = tail
    }

    // MARK: Space

    /// What admission needs to know of a mutation.
    private struct Candidate {
        var position: Int
        var metadataSizeBytes: Int
        var payloadSizeBytes: Int
        var purpose: MutationPurpose

        var freesSpace: Bool { purpose == .frees }
    }

    private static func sizeBytes(_ candidates: [Candidate]) -> UInt64 {
        EncodedBatch.sizeBytes(
            metadata: candidates.reduce(0) { $0 + $1.metadataSizeBytes },
            payload: candidates.reduce(0) { $0 + $1.payloadSizeBytes })
    }

    private var tailRoomBytes: UInt64 {
        tail.capacityBytes > tail.offset ? tail.capacityBytes - tail.offset : 0
    }

    /// Of a segment that is made from the reserve, if nothing larger has to fit.
    private var smallSegmentSizeBytes: UInt64 {
        pageAlignedUp(min(1 << 20, UInt64(max(options.reservedFreeBytes, 0)) / 8))
    }

    /// What storing leaves free: the reserve, and room to say all that is true again. Among the facts is all that is
    /// true, but said again it may take half as much more: an object's key comes with each of its parts.
    var leftByStoringBytes: UInt64 {
        guard options.reservedFreeBytes > 0 else { return 0 }
        return UInt64(options.reservedFreeBytes) + restating.factsSizeBytes + restating.factsSizeBytes / 2
    }

    /// Bytes that may be used to move parts: beside the reserve, or a quarter of it.
    var roomForMovesBytes: UInt64 {
        let reserve = UInt64(max(options.reservedFreeBytes, 0))
        let free = options.system.files.freeBytes(at: directory) ?? .max
        return tailRoomBytes + (free > reserve - reserve / 4 ? free - (reserve - reserve / 4) : 0)
    }

    /// Chooses which candidates the next batch takes and makes room for them behind `tail`.
    ///
    /// All of them if a segment for them can be had. On a full disk those that free space come first, and may have a
    /// small segment made from the reserve; the others get what is left of the present segment.
    private mutating func admit(_ candidates: [Candidate]) -> Result<[Candidate], StorageError> {
        let total = Self.sizeBytes(candidates)
        let reserve = UInt64(max(options.reservedFreeBytes, 0))
        let left = leftByStoringBytes
        let stores = candidates.contains { $0.purpose == .stores }
        if tailIsReserve, (options.system.files.freeBytes(at: directory) ?? .max) >= left { tailIsReserve = false }
        if index.isShortOfSpace {
            // What is taken now gathers in memory. Only what frees space is worth that, and not without end.
            let room = index.unflushedSizeBytes < 4 * UInt64(max(options.indexWriteBufferBytes, 0))
            let freeing = room ? candidates.filter(\.freesSpace) : []
            return .success(Self.sizeBytes(freeing) <= tailRoomBytes ? freeing : [])
        }
        if total <= tailRoomBytes, !(tailIsReserve && stores) { return .success(candidates) }

        do throws(StorageError) {
            // A segment's header page and its last page are not for batches.
            let needed = total + 2 * FormatLimit.pageSizeBytes
            let usual = max(needed, pageAlignedUp(UInt64(max(options.segmentSizeBytes, 0))))
            if try makeSegment(ofBytes: usual, leaving: left) { return .success(candidates) }
            if usual > needed, try makeSegment(ofBytes: needed, leaving: left) { return .success(candidates) }

            if candidates.allSatisfy({ $0.purpose == .moves }) {
                let small = max(needed, smallSegmentSizeBytes)
                guard try makeSegment(ofBytes: small, leaving: reserve - reserve / 4) else { return .success([]) }
                tailIsReserve = true
                return .success(candidates)
            }
            let freeing = candidates.filter(\.freesSpace)
            if !freeing.isEmpty, Self.sizeBytes(freeing) > tailRoomBytes {
                let small = max(Self.sizeBytes(freeing) + 2 * FormatLimit.pageSizeBytes, smallSegmentSizeBytes)
                var isMade = try makeSegment(ofBytes: small, leaving: reserve / 2)
                if !isMade, index.releaseSetAside(small) >= small {
                    isMade = try makeSegment(ofBytes: small, leaving: 0)
                }
                guard isMade else { return .success([]) }
                tailIsReserve = true
            }
            guard !tailIsReserve else { return .success(freeing) }
            var admitted = freeing
            for candidate in candidates where !candidate.freesSpace {
                if Self.sizeBytes(admitted + [candidate]) <= tailRoomBytes { admitted.append(candidate) }
            }
            return .success(admitted.sorted { $0.position < $1.position })
        } catch {
            if case .io(_, "fsync", _) = error { failure = .failed(reason: error.description) }
            return .failure(error)
        }
    }

    /// Makes a new tail segment if the file system has room for it beside `leaving`; false when it has not.
    private mutating func makeSegment(ofBytes size: UInt64, leaving reserve: UInt64) throws(StorageError) -> Bool {
        let available = options.system.files.freeBytes(at: directory) ?? .max
        guard available >= size, available - size >= reserve else { return false }
        let segment: SegmentFile
        do throws(StorageError) {
            segment = try SegmentFile.create(
                in: directory, number: tail.segment.number + 1, storeID: storeID, allocatedBytes: size,
                files: options.system.files)
        } catch {
            if case .io(_, _, let code) = error, isFullDisk(code) { return false }
            throw error
        }
        // What was allocated but never used goes back; a failure to do so costs only the space.
        try? tail.segment.truncate(toBytes: tail.offset)
        tail = JournalTail(
            segment: segment, offset: FormatLimit.pageSizeBytes, capacityBytes: size - FormatLimit.pageSizeBytes)
        tailIsReserve = false
        return true
    }

    // MARK: Reclaiming

    /// Segments of which all was given back.
    var emptySegments: [UInt64] { emptied.filter { unreclaimed[$0] == 0 }.sorted() }

    mutating func setUnreclaimed(_ sizeBytes: UInt64, ofSegment number: UInt64) {
        compaction.diedSizeBytes += (unreclaimed[number] ?? 0) - min(sizeBytes, unreclaimed[number] ?? 0)
        unreclaimed[number] = sizeBytes
        if sizeBytes == 0 { emptied.insert(number) }
    }

    /// Whether nobody has asked for the flush yet after which the segment can be removed.
    mutating func beginsToAwaitFlush(_ number: UInt64) -> Bool { awaitingFlush.insert(number).inserted }

    mutating func forgetSegment(_ number: UInt64) {
        unreclaimed[number] = nil
        emptied.remove(number)
        awaitingFlush.remove(number)
    }

    // MARK: Flushing

    /// Whether enough became garbage for a flush, after which it can be given back.
    var flushWaits: Bool { unflushedGarbageSizeBytes >= UInt64(max(options.reclaimFlushBytes, 1)) }

    /// Whether what little became garbage is worth a flush, too: where what stores is refused, every page counts.
    var flushWaitsForRoom: Bool { unflushedGarbageSizeBytes > 0 && isShortOfRoom }

    /// Whether another segment of the usual size cannot be had beside the reserve.
    var isShortOfRoom: Bool {
        let needed = leftByStoringBytes + UInt64(max(options.segmentSizeBytes, 0))
        return (options.system.files.freeBytes(at: directory) ?? .max) < needed
    }

    /// Asks the index to write to disk what only memory holds, without waiting for it.
    mutating func requestFlush() throws(StorageError) {
        try index.flush(waiting: false)
        beginReclaimingAnew()
        unflushedSizeBytes = 0
        unflushedGarbageSizeBytes = 0
    }

    /// Writes to disk what only the index's memory holds.
    mutating func flush() throws(StorageError) {
        try index.flush(waiting: true)
        beginReclaimingAnew()
        unflushedSizeBytes = 0
        unflushedGarbageSizeBytes = 0
    }

    /// What could not be given back is worth another try now and then.
    private mutating func beginReclaimingAnew() {
        guard hasPassedOver else { return }
        hasPassedOver = false
        reclaimCursor = IndexKey.waitingGarbage
        factsCursor = IndexKey.facts
    }

    /// Refuses every further change.
    mutating func fail(_ error: StorageError) {
        failure = error
    }
}
