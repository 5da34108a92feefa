// Turning bytes of a server's journal, and turning them back (docs/storage.md, Segments and Batches).

import Glibc
import ObjectStorage

/// Places in a store's journal whose bytes are turned, each by one bit. Undone, the store is exactly what it was.
struct JournalDamage {
    /// What the bytes belong to.
    enum Target {
        /// Fragments, in many batches but the last, which may be being written: for a server that runs. Small ones lie
        /// in the index as well and are not missed.
        case fragments
        /// A batch's header or its list of changes, with acknowledged batches behind it: for a server that was killed.
        /// The last batch may be torn and the one before is then the journal's end, so neither is touched: without them
        /// the store would have to forget what it acknowledged.
        case facts
    }

    private struct Place {
        let path: String
        let offset: off_t
        let mask: UInt8
        /// What is there afterwards.
        let damaged: UInt8
    }

    private static let segmentsMax = 2
    private static let fragmentBatchesMax = 200
    private static let factBatchesMax = 16
    private static let placesMax = 10_000
    /// How many pages without a batch are taken for the journal's end while rot spreads.
    private static let emptyPagesMax = 1024

    private let target: Target
    private let store: String
    private var places: [Place] = []
    /// The last batch that was looked at.
    private var lastSeen: JournalBatch?

    /// Chooses places and turns them; nil when the journal holds too little.
    init?(_ target: Target, store: String, using generator: inout TortureGenerator) {
        self.target = target
        self.store = store
        let batches = Self.lastBatches(store: store, after: nil)
        switch target {
        case .fragments:
            turnFragments(of: batches.dropLast().suffix(Self.fragmentBatchesMax), using: &generator)
        case .facts:
            guard let batch = batches.dropLast(2).suffix(Self.factBatchesMax).randomElement(using: &generator) else {
                return nil
            }
            turn(batch.facts, of: batch, using: &generator)
        }
        if places.isEmpty { return nil }
    }

    /// Turns bytes of the fragments that were written since, if fragments are what rots.
    mutating func spread(using generator: inout TortureGenerator) {
        guard target == .fragments, places.count < Self.placesMax else { return }
        turnFragments(of: Self.lastBatches(store: store, after: lastSeen).dropLast(), using: &generator)
    }

    /// Turns all back, except where something else is by now: space that was given back, or a removed segment.
    func undo() {
        for place in places { Self.change(place, from: place.damaged, to: place.damaged ^ place.mask) }
    }

    private mutating func turnFragments(of batches: ArraySlice<JournalBatch>, using generator: inout TortureGenerator) {
        for batch in batches where !batch.payload.isEmpty { turn(batch.payload, of: batch, using: &generator) }
        lastSeen = batches.last ?? lastSeen
    }

    private mutating func turn(_ range: Range<UInt64>, of batch: JournalBatch, using generator: inout TortureGenerator)
    {
        guard let place = Self.place(in: range, of: batch.path, using: &generator) else { return }
        Self.change(place, from: place.damaged ^ place.mask, to: place.damaged)
        places.append(place)
    }

    private static func change(_ place: Place, from old: UInt8, to new: UInt8) {
        let descriptor = open(place.path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        guard pread(descriptor, &byte, 1, place.offset) == 1, byte == old else { return }
        byte = new
        _ = pwrite(descriptor, &byte, 1, place.offset)
    }

    /// A byte of the range that is not zero, as is what was given back to the disk.
    private static func place(
        in range: Range<UInt64>, of path: String, using generator: inout TortureGenerator
    ) -> Place? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        for _ in 0..<8 {
            let offset = off_t(UInt64.random(in: range, using: &generator))
            var byte: UInt8 = 0
            guard pread(descriptor, &byte, 1, offset) == 1, byte != 0 else { continue }
            // The byte must not become zero: that is what undoing leaves alone.
            let masks = (0..<8).map { UInt8(1) << UInt8($0) }.filter { byte ^ $0 != 0 }
            guard let mask = masks.randomElement(using: &generator) else { continue }
            return Place(path: path, offset: offset, mask: mask, damaged: byte ^ mask)
        }
        return nil
    }

    /// The batches in the newest segments that come after one of them, in order; none when the store cannot be read.
    private static func lastBatches(store: String, after last: JournalBatch?) -> [JournalBatch] {
        guard let walk = try? JournalWalk(store: store), let segments = try? walk.segments() else { return [] }
        let first = last?.segment ?? 0
        return segments.suffix(segmentsMax).filter { $0 >= first }.flatMap { number in
            let batches = try? walk.batches(
                inSegment: number, from: number == last?.segment ? last?.end ?? 0 : 0,
                emptyPagesMax: last == nil ? .max : emptyPagesMax)
            return batches ?? []
        }
    }
}
