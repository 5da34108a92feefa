// Turning bytes of a server's journal, and turning them back (docs/storage.md, Segments and Batches).

import Foundation
import Glibc

/// Places in a store's journal whose bytes are turned, each by one bit. Undone, the store is exactly what it was.
struct JournalDamage {
    /// What the bytes belong to.
    enum Target {
        /// Fragments, in many batches but the last, which may be being written: for a server that runs.
        case fragments
        /// A batch's header or its list of changes, with acknowledged batches behind it: for a server that was killed. The
        /// last batch may be torn and the one before is then the journal's end, so neither is touched: without them the
        /// store would have to forget what it acknowledged.
        case facts
    }

    private struct Place {
        let path: String
        let offset: off_t
        let mask: UInt8
        /// What is there afterwards.
        let damaged: UInt8
    }

    private struct Batch {
        let path: String
        let offset: Int
        let metadataSizeBytes: Int
        let payloadSizeBytes: Int
    }

    private static let pageSizeBytes = 4096
    private static let headerSizeBytes = 80
    private static let segmentsMax = 2
    private static let fragmentBatchesMax = 200
    private static let factBatchesMax = 16

    private let places: [Place]

    /// Chooses places; nil when the journal holds too little.
    init?(_ target: Target, store: String, using generator: inout TortureGenerator) {
        let batches = Self.lastBatches(store: store)
        var chosen: [(Batch, Range<Int>)] = []
        switch target {
        case .fragments:
            for batch in batches.dropLast().suffix(Self.fragmentBatchesMax) where batch.payloadSizeBytes > 0 {
                let start = batch.offset + Self.headerSizeBytes + batch.metadataSizeBytes
                chosen.append((batch, start..<(start + batch.payloadSizeBytes)))
            }
        case .facts:
            if let batch = batches.dropLast(2).suffix(Self.factBatchesMax).randomElement(using: &generator) {
                let end = batch.offset + Self.headerSizeBytes + batch.metadataSizeBytes
                chosen.append((batch, batch.offset..<end))
            }
        }
        places = chosen.compactMap { batch, range in Self.place(in: range, of: batch.path, using: &generator) }
        if places.isEmpty { return nil }
    }

    /// How many bytes are turned.
    var count: Int { places.count }

    /// Turns the bytes.
    func inflict() {
        for place in places { Self.change(place, from: place.damaged ^ place.mask, to: place.damaged) }
    }

    /// Turns them back, except where something else is by now: space that was given back, or a removed segment.
    func undo() {
        for place in places { Self.change(place, from: place.damaged, to: place.damaged ^ place.mask) }
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
        in range: Range<Int>, of path: String, using generator: inout TortureGenerator
    ) -> Place? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        for _ in 0..<8 {
            let offset = off_t(Int.random(in: range, using: &generator))
            var byte: UInt8 = 0
            guard pread(descriptor, &byte, 1, offset) == 1, byte != 0 else { continue }
            // The byte must not become zero: that is what undoing leaves alone.
            let masks = (0..<8).map { UInt8(1) << UInt8($0) }.filter { byte ^ $0 != 0 }
            guard let mask = masks.randomElement(using: &generator) else { continue }
            return Place(path: path, offset: offset, mask: mask, damaged: byte ^ mask)
        }
        return nil
    }

    /// The batches in the newest segments, in order.
    private static func lastBatches(store: String) -> [Batch] {
        let directory = store + "/journal"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let segments = names.filter { $0.hasSuffix(".segment") }.sorted().suffix(segmentsMax)
        return segments.flatMap { batches(ofSegment: "\(directory)/\($0)") }
    }

    private static func batches(ofSegment path: String) -> [Batch] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let sizeBytes = Int(lseek(descriptor, 0, SEEK_END))
        let magic = Array("SOLBATCH".utf8)
        var header = [UInt8](repeating: 0, count: headerSizeBytes)
        var batches: [Batch] = []
        var offset = pageSizeBytes
        while offset + headerSizeBytes <= sizeBytes {
            guard pread(descriptor, &header, headerSizeBytes, off_t(offset)) == headerSizeBytes else { break }
            guard header.starts(with: magic) else {
                offset += pageSizeBytes
                continue
            }
            let metadata = integer(header[56..<60])
            let payload = integer(header[64..<72])
            let (end, overflow) = (offset + headerSizeBytes + metadata).addingReportingOverflow(payload)
            // Bytes of a client's that look like a header describe anything.
            guard !overflow, end <= sizeBytes else {
                offset += pageSizeBytes
                continue
            }
            batches.append(
                Batch(path: path, offset: offset, metadataSizeBytes: metadata, payloadSizeBytes: payload))
            offset = (end + pageSizeBytes - 1) / pageSizeBytes * pageSizeBytes
        }
        return batches
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int {
        Int(clamping: bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
