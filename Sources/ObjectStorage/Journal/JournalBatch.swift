// What a batch of the journal is: its header, and the plan of index changes that it means (coding: BatchCoding.swift).
//
// A batch is header, metadata, payload. The header has its own checksum and says where it lies, so that neither a copy
// of journal bytes inside a caller's part nor a misdirected write can pass for a batch. The metadata has a checksum in
// the header, each part one in the metadata. The payload holds the inline parts first and the others behind them, each
// group in the order of the metadata, so places need not be stored.

import ErasureCode

/// Where the bytes of a part lie in the journal.
struct PartPlacement: Equatable {
    var segment: UInt64
    var offset: UInt64
    var sizeBytes: UInt32
    var checksum: UInt32
}

/// A run of bytes in one segment.
struct JournalRange: Equatable {
    var segment: UInt64
    var offset: UInt64
    var sizeBytes: UInt64

    var end: UInt64 { offset + sizeBytes }
}

/// A part on its way into the index.
struct PlannedPart {
    var version: StoredVersion
    var part: VersionPart
    var placement: PartPlacement
    /// Whether the index keeps the bytes too.
    var isInline: Bool
    /// Whether the batch only says where the bytes lie, in an earlier batch.
    var isReference: Bool
    /// The bytes of an inline part; empty for any other.
    var inlineBytes: SharedBytes
}

/// What a batch changes of one object.
struct PlannedObject {
    /// The change, with everything but its puts.
    var mutation: ObjectMutation
    var puts: [PlannedPart]
}

/// What one batch changes in the index: the objects in their order, then the rows in theirs.
struct PlannedBatch {
    var header: BatchHeader
    var objects: [PlannedObject]
    var rows: [RowChange]

    /// Bytes of the inline parts.
    var inlineSizeBytes: Int

    /// What an index is made from: header, metadata and inline parts. Needed until a later round of restating is over.
    var facts: JournalRange {
        let firstPart = header.payloadOffset + UInt64(inlineSizeBytes)
        let lastPartEnd = header.payloadOffset + UInt64(header.payloadSizeBytes)
        let end = firstPart == lastPartEnd ? header.end : firstPart
        return JournalRange(segment: header.segment, offset: header.offset, sizeBytes: end - header.offset)
    }

    /// What fills the last page behind parts, which nobody ever needs; nil when there is none.
    var padding: JournalRange? {
        let lastPartEnd = header.payloadOffset + UInt64(header.payloadSizeBytes)
        guard facts.end < header.end, lastPartEnd < header.end else { return nil }
        return JournalRange(segment: header.segment, offset: lastPartEnd, sizeBytes: header.end - lastPartEnd)
    }
}

/// The fixed start of a batch.
struct BatchHeader: Equatable {
    static let magic: UInt64 = 0x4843_5441_424C_4F53  // "SOLBATCH"
    static let sizeBytes = 104
    /// No offset or size in a journal comes near this; sums of a few stay far from overflow.
    private static let offsetMax: UInt64 = 1 << 48

    var sequence: UInt64
    var segment: UInt64
    var offset: UInt64
    var metadataSizeBytes: Int
    var metadataChecksum: UInt32
    var payloadSizeBytes: Int
    var objectCount: Int
    var rowCount: Int
    /// The batch from which on the journal says all that is true, so that the index can be made from there.
    var horizon: JournalPosition

    var payloadOffset: UInt64 { offset + UInt64(Self.sizeBytes + metadataSizeBytes) }
    /// Size up to the next batch: whole pages.
    var batchSizeBytes: UInt64 { pageAlignedUp(UInt64(Self.sizeBytes + metadataSizeBytes + payloadSizeBytes)) }
    var end: UInt64 { offset + batchSizeBytes }

    func encode(into bytes: inout [UInt8], storeID: StoreID) {
        precondition(bytes.isEmpty)
        bytes.appendLittle(Self.magic)
        bytes.appendLittle(FormatLimit.version)
        bytes.appendLittle(UInt32(0))
        bytes.append(contentsOf: storeID.bytes)
        bytes.appendLittle(sequence)
        bytes.appendLittle(segment)
        bytes.appendLittle(offset)
        bytes.appendLittle(UInt32(metadataSizeBytes))
        bytes.appendLittle(metadataChecksum)
        bytes.appendLittle(UInt64(payloadSizeBytes))
        bytes.appendLittle(UInt32(objectCount))
        bytes.appendLittle(UInt32(rowCount))
        bytes.append(contentsOf: horizon.encoded)
        bytes.replaceLittle(Checksum.crc32c(bytes[16..<Self.sizeBytes]), at: 12)
    }

    init(
        sequence: UInt64, segment: UInt64, offset: UInt64, metadataSizeBytes: Int, metadataChecksum: UInt32,
        payloadSizeBytes: Int, objectCount: Int, rowCount: Int, horizon: JournalPosition
    ) {
        self.sequence = sequence
        self.segment = segment
        self.offset = offset
        self.metadataSizeBytes = metadataSizeBytes
        self.metadataChecksum = metadataChecksum
        self.payloadSizeBytes = payloadSizeBytes
        self.objectCount = objectCount
        self.rowCount = rowCount
        self.horizon = horizon
    }

    /// Nil unless the bytes start with an undamaged header of this store for exactly this place.
    init?(_ bytes: UnsafeRawBufferPointer, storeID: StoreID, segment: UInt64, offset: UInt64) {
        guard bytes.count >= Self.sizeBytes else { return nil }
        var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[..<Self.sizeBytes]))
        guard cursor.little(UInt64.self) == Self.magic, cursor.little(UInt32.self) == FormatLimit.version,
            let checksum = cursor.little(UInt32.self),
            checksum == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[16..<Self.sizeBytes])),
            let id = cursor.take(StoreID.sizeBytes), id.elementsEqual(storeID.bytes),
            let sequence = cursor.little(UInt64.self), cursor.little(UInt64.self) == segment,
            cursor.little(UInt64.self) == offset, let metadataSize = cursor.little(UInt32.self),
            let metadataChecksum = cursor.little(UInt32.self), let payloadSize = cursor.little(UInt64.self),
            let objectCount = cursor.little(UInt32.self), let rowCount = cursor.little(UInt32.self),
            let horizonBytes = cursor.take(JournalPosition.sizeBytes), let horizon = JournalPosition(horizonBytes),
            offset < Self.offsetMax, payloadSize < Self.offsetMax
        else { return nil }
        self.init(
            sequence: sequence, segment: segment, offset: offset, metadataSizeBytes: Int(metadataSize),
            metadataChecksum: metadataChecksum, payloadSizeBytes: Int(payloadSize), objectCount: Int(objectCount),
            rowCount: Int(rowCount), horizon: horizon)
    }
}
