// The format of one batch in the journal, and the plan of index changes that it means.
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
    /// The bytes of an inline part; empty for any other.
    var inlineBytes: SharedBytes
}

/// What one mutation changes in the index.
struct PlannedMutation {
    var key: [UInt8]
    var record: FieldChange<[UInt8]>
    var expiry: FieldChange<UInt64>
    var drops: [StoredVersion]
    var puts: [PlannedPart]
}

/// What one batch changes in the index.
struct PlannedBatch {
    var header: BatchHeader
    var mutations: [PlannedMutation]

    /// Bytes of the inline parts.
    var inlineSizeBytes: Int

    /// The ranges of the batch that no read ever needs: all but the parts that are not inline.
    var deadAtBirth: [JournalRange] {
        let start = header.offset
        let firstPart = header.payloadOffset + UInt64(inlineSizeBytes)
        let lastPartEnd = header.payloadOffset + UInt64(header.payloadSizeBytes)
        if firstPart == lastPartEnd {
            return [JournalRange(segment: header.segment, offset: start, sizeBytes: header.batchSizeBytes)]
        }
        var ranges = [JournalRange(segment: header.segment, offset: start, sizeBytes: firstPart - start)]
        if lastPartEnd < header.end {
            ranges.append(
                JournalRange(segment: header.segment, offset: lastPartEnd, sizeBytes: header.end - lastPartEnd))
        }
        return ranges
    }
}

/// The fixed start of a batch.
struct BatchHeader: Equatable {
    static let magic: UInt64 = 0x4843_5441_424C_4F53  // "SOLBATCH"
    static let sizeBytes = 80
    /// No offset or size in a journal comes near this; sums of a few stay far from overflow.
    private static let offsetMax: UInt64 = 1 << 48

    var sequence: UInt64
    var segment: UInt64
    var offset: UInt64
    var metadataSizeBytes: Int
    var metadataChecksum: UInt32
    var payloadSizeBytes: Int
    var mutationCount: Int

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
        bytes.appendLittle(UInt32(mutationCount))
        bytes.appendLittle(UInt32(0))
        bytes.replaceLittle(Checksum.crc32c(bytes[16..<Self.sizeBytes]), at: 12)
    }

    init(
        sequence: UInt64, segment: UInt64, offset: UInt64, metadataSizeBytes: Int, metadataChecksum: UInt32,
        payloadSizeBytes: Int, mutationCount: Int
    ) {
        self.sequence = sequence
        self.segment = segment
        self.offset = offset
        self.metadataSizeBytes = metadataSizeBytes
        self.metadataChecksum = metadataChecksum
        self.payloadSizeBytes = payloadSizeBytes
        self.mutationCount = mutationCount
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
            let mutationCount = cursor.little(UInt32.self), offset < Self.offsetMax, payloadSize < Self.offsetMax
        else { return nil }
        self.init(
            sequence: sequence, segment: segment, offset: offset, metadataSizeBytes: Int(metadataSize),
            metadataChecksum: metadataChecksum, payloadSizeBytes: Int(payloadSize), mutationCount: Int(mutationCount))
    }
}

/// A batch ready to be appended: `head` (header and metadata) followed by `payload`.
struct EncodedBatch {
    var head: SharedBytes
    var payload: [SharedBytes]
    var plan: PlannedBatch
}

extension ObjectMutation {
    /// Bytes the mutation takes in a batch's metadata.
    var metadataSizeBytes: Int {
        var size = 2 + key.count + 1 + 4 + 4
        if case .set(let bytes) = record { size += 4 + bytes.count }
        if case .set = expiry { size += 8 }
        for version in drops { size += 1 + version.bytes.count }
        for put in puts { size += 1 + put.version.bytes.count + 1 + 4 + 4 + 4 }
        return size
    }

    /// Bytes the mutation takes in a batch's payload.
    var payloadSizeBytes: Int {
        puts.reduce(0) { $0 + $1.bytes.count }
    }
}

extension EncodedBatch {
    /// Bytes that a batch of these sizes takes in its segment.
    static func sizeBytes(metadata: Int, payload: Int) -> UInt64 {
        pageAlignedUp(UInt64(BatchHeader.sizeBytes + metadata + payload))
    }

    /// Lays out mutations that were checked against the limits.
    init(
        _ mutations: [ObjectMutation], sequence: UInt64, segment: UInt64, offset: UInt64, storeID: StoreID,
        inlinePartSizeBytesMax: Int
    ) {
        let metadataSize = mutations.reduce(0) { $0 + $1.metadataSizeBytes }
        let payloadOffset = offset + UInt64(BatchHeader.sizeBytes + metadataSize)
        var inlineSize = 0
        var payloadSize = 0
        for mutation in mutations {
            for put in mutation.puts {
                payloadSize += put.bytes.count
                if put.bytes.count <= inlinePartSizeBytesMax { inlineSize += put.bytes.count }
            }
        }

        var metadata: [UInt8] = []
        metadata.reserveCapacity(metadataSize)
        var inlineParts: [SharedBytes] = []
        var otherParts: [SharedBytes] = []
        var inlineOffset = payloadOffset
        var otherOffset = payloadOffset + UInt64(inlineSize)
        var planned: [PlannedMutation] = []
        planned.reserveCapacity(mutations.count)
        for mutation in mutations {
            mutation.encodeStart(into: &metadata)
            var parts: [PlannedPart] = []
            parts.reserveCapacity(mutation.puts.count)
            for put in mutation.puts {
                let isInline = put.bytes.count <= inlinePartSizeBytesMax
                let placement = PartPlacement(
                    segment: segment, offset: isInline ? inlineOffset : otherOffset,
                    sizeBytes: UInt32(put.bytes.count), checksum: Checksum.crc32c(put.bytes))
                if isInline {
                    inlineParts.append(put.bytes)
                    inlineOffset += UInt64(put.bytes.count)
                } else {
                    otherParts.append(put.bytes)
                    otherOffset += UInt64(put.bytes.count)
                }
                let part = PlannedPart(
                    version: put.version, part: put.part, placement: placement, isInline: isInline,
                    inlineBytes: isInline ? put.bytes : SharedBytes())
                part.encode(into: &metadata)
                parts.append(part)
            }
            planned.append(
                PlannedMutation(
                    key: mutation.key, record: mutation.record, expiry: mutation.expiry, drops: mutation.drops,
                    puts: parts))
        }
        precondition(metadata.count == metadataSize)

        let header = BatchHeader(
            sequence: sequence, segment: segment, offset: offset, metadataSizeBytes: metadataSize,
            metadataChecksum: Checksum.crc32c(metadata[...]), payloadSizeBytes: payloadSize,
            mutationCount: mutations.count)
        var headerBytes: [UInt8] = []
        headerBytes.reserveCapacity(BatchHeader.sizeBytes)
        header.encode(into: &headerBytes, storeID: storeID)
        head = SharedBytes(count: BatchHeader.sizeBytes + metadataSize) { target in
            target.copyBytes(from: headerBytes)
            UnsafeMutableRawBufferPointer(rebasing: target[BatchHeader.sizeBytes...]).copyBytes(from: metadata)
        }
        payload = inlineParts + otherParts
        plan = PlannedBatch(header: header, mutations: planned, inlineSizeBytes: inlineSize)
    }
}

extension ObjectMutation {
    /// Everything of the mutation up to and including the number of its puts.
    fileprivate func encodeStart(into bytes: inout [UInt8]) {
        bytes.appendLittle(UInt16(key.count))
        bytes.append(contentsOf: key)
        bytes.append(record.tag | expiry.tag << 2)
        if case .set(let value) = record {
            bytes.appendLittle(UInt32(value.count))
            bytes.append(contentsOf: value)
        }
        if case .set(let value) = expiry { bytes.appendLittle(value) }
        bytes.appendLittle(UInt32(drops.count))
        for version in drops {
            bytes.append(UInt8(version.bytes.count))
            bytes.append(contentsOf: version.bytes)
        }
        bytes.appendLittle(UInt32(puts.count))
    }
}

extension FieldChange {
    fileprivate var tag: UInt8 {
        switch self {
        case .keep: 0
        case .set: 1
        case .clear: 2
        }
    }
}

extension VersionPart {
    /// The part as a tag and a stripe, which is 0 for a descriptor.
    var code: (tag: UInt8, stripe: UInt32) {
        switch self {
        case .descriptor: (0, 0)
        case .fragment(let stripe): (1, stripe.rawValue)
        }
    }

    init?(tag: UInt8, stripe: UInt32) {
        switch tag {
        case 0 where stripe == 0: self = .descriptor
        case 1: self = .fragment(StripeIndex(stripe))
        default: return nil
        }
    }
}

extension PlannedPart {
    private static let inlineFlag: UInt8 = 0x80

    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(UInt8(version.bytes.count))
        bytes.append(contentsOf: version.bytes)
        bytes.append(part.code.tag | (isInline ? Self.inlineFlag : 0))
        bytes.appendLittle(part.code.stripe)
        bytes.appendLittle(placement.sizeBytes)
        bytes.appendLittle(placement.checksum)
    }

    /// Reads what `encode` wrote; the offset is not known yet.
    fileprivate init?(_ cursor: inout ByteCursor, segment: UInt64) {
        guard let version = StoredVersion(&cursor), let tag = cursor.little(UInt8.self),
            let stripe = cursor.little(UInt32.self), let size = cursor.little(UInt32.self),
            let checksum = cursor.little(UInt32.self),
            let part = VersionPart(tag: tag & ~Self.inlineFlag, stripe: stripe)
        else { return nil }
        self.init(
            version: version, part: part,
            placement: PartPlacement(segment: segment, offset: 0, sizeBytes: size, checksum: checksum),
            isInline: tag & Self.inlineFlag != 0, inlineBytes: SharedBytes())
    }
}

extension StoredVersion {
    fileprivate init?(_ cursor: inout ByteCursor) {
        guard let count = cursor.little(UInt8.self), count > 0, Int(count) <= FormatLimit.versionSizeBytesMax,
            let bytes = cursor.take(Int(count))
        else { return nil }
        self.init(Array(bytes))
    }
}

extension PlannedMutation {
    fileprivate init?(_ cursor: inout ByteCursor, segment: UInt64) {
        guard let keySize = cursor.little(UInt16.self), keySize > 0, Int(keySize) <= FormatLimit.keySizeBytesMax,
            let key = cursor.take(Int(keySize)), let flags = cursor.little(UInt8.self), flags < 16
        else { return nil }
        self.key = Array(key)
        switch flags & 3 {
        case 0: record = .keep
        case 1:
            guard let size = cursor.little(UInt32.self), let bytes = cursor.take(Int(size)) else { return nil }
            record = .set(Array(bytes))
        case 2: record = .clear
        default: return nil
        }
        switch flags >> 2 {
        case 0: expiry = .keep
        case 1:
            guard let time = cursor.little(UInt64.self) else { return nil }
            expiry = .set(time)
        case 2: expiry = .clear
        default: return nil
        }
        drops = []
        puts = []
        guard let dropCount = cursor.little(UInt32.self) else { return nil }
        for _ in 0..<dropCount {
            guard let version = StoredVersion(&cursor) else { return nil }
            drops.append(version)
        }
        guard let putCount = cursor.little(UInt32.self) else { return nil }
        for _ in 0..<putCount {
            guard let part = PlannedPart(&cursor, segment: segment) else { return nil }
            puts.append(part)
        }
    }
}

extension PlannedBatch {
    /// The plan in a batch's metadata, without the bytes of inline parts; nil when the metadata contradicts itself.
    init?(header: BatchHeader, metadata: UnsafeRawBufferPointer) {
        var cursor = ByteCursor(metadata)
        var mutations: [PlannedMutation] = []
        for _ in 0..<header.mutationCount {
            guard let mutation = PlannedMutation(&cursor, segment: header.segment) else { return nil }
            mutations.append(mutation)
        }
        guard cursor.remainingCount == 0 else { return nil }

        let parts = mutations.lazy.flatMap(\.puts)
        let inlineSize = parts.filter(\.isInline).reduce(0) { $0 + Int($1.placement.sizeBytes) }
        let totalSize = parts.reduce(0) { $0 + Int($1.placement.sizeBytes) }
        guard totalSize == header.payloadSizeBytes else { return nil }
        var inlineOffset = header.payloadOffset
        var otherOffset = header.payloadOffset + UInt64(inlineSize)
        for index in mutations.indices {
            for part in mutations[index].puts.indices {
                let size = UInt64(mutations[index].puts[part].placement.sizeBytes)
                if mutations[index].puts[part].isInline {
                    mutations[index].puts[part].placement.offset = inlineOffset
                    inlineOffset += size
                } else {
                    mutations[index].puts[part].placement.offset = otherOffset
                    otherOffset += size
                }
            }
        }
        self.init(header: header, mutations: mutations, inlineSizeBytes: inlineSize)
    }
}
