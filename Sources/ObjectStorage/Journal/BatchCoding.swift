// The bytes of a batch's metadata and payload (docs/storage.md, Batches).

import ErasureCode

/// A batch ready to be appended: `head` (header and metadata) followed by `payload`.
struct EncodedBatch {
    var head: SharedBytes
    var payload: [SharedBytes]
    var plan: PlannedBatch
}

// MARK: - Sizes

extension StoreMutation {
    /// Bytes the mutation takes in a batch's metadata.
    var metadataSizeBytes: Int {
        var size = 0
        for object in objects { size += object.metadataSizeBytes }
        for row in rows { size += row.metadataSizeBytes }
        return size
    }

    /// Bytes the mutation takes in a batch's payload.
    var payloadSizeBytes: Int {
        var size = 0
        for object in objects {
            for put in object.puts where put.reference == nil { size += put.bytes.count }
        }
        return size
    }
}

extension ObjectMutation {
    fileprivate var metadataSizeBytes: Int {
        var size = 2 + key.count + 2 + 1 + 4 + 4
        if case .set(let bytes) = record { size += 4 + bytes.count + 2 + summary.count }
        if case .set = expiry { size += 8 }
        if case .set(let bytes) = head { size += 2 + bytes.count }
        for version in drops { size += 1 + version.bytes.count }
        for put in puts {
            size += 1 + put.version.bytes.count + 1 + 1 + 4 + 4 + 4 + (put.reference == nil ? 0 : 16)
        }
        return size
    }
}

extension RowChange {
    fileprivate var metadataSizeBytes: Int {
        switch self {
        case .put(_, let key, let value): 2 + 2 + key.count + 4 + value.count
        case .delete(_, let key): 2 + 2 + key.count
        case .deleteRange(_, let first, let end): 2 + 2 + first.count + 2 + end.count
        case .add(_, let key, let amounts): 2 + 2 + key.count + 1 + 8 * amounts.count
        }
    }
}

// MARK: - Encoding

extension EncodedBatch {
    /// Bytes that a batch of these sizes takes in its segment.
    static func sizeBytes(metadata: Int, payload: Int) -> UInt64 {
        pageAlignedUp(UInt64(BatchHeader.sizeBytes + metadata + payload))
    }

    /// Lays out mutations that were checked against the limits.
    init(
        _ mutations: [StoreMutation], sequence: UInt64, segment: UInt64, offset: UInt64, storeID: StoreID,
        horizon: JournalPosition, inlinePartSizeBytesMax: Int
    ) {
        func isInline(_ put: PartPut, of object: ObjectMutation) -> Bool {
            put.reference == nil && (object.isRestatement || put.bytes.count <= inlinePartSizeBytesMax)
        }
        let metadataSize = mutations.reduce(0) { $0 + $1.metadataSizeBytes }
        let payloadOffset = offset + UInt64(BatchHeader.sizeBytes + metadataSize)
        var inlineSize = 0
        var payloadSize = 0
        for mutation in mutations {
            for object in mutation.objects {
                for put in object.puts where put.reference == nil {
                    payloadSize += put.bytes.count
                    if isInline(put, of: object) { inlineSize += put.bytes.count }
                }
            }
        }

        var metadata: [UInt8] = []
        metadata.reserveCapacity(metadataSize)
        var inlineParts: [SharedBytes] = []
        var otherParts: [SharedBytes] = []
        var inlineOffset = payloadOffset
        var otherOffset = payloadOffset + UInt64(inlineSize)
        var objects: [PlannedObject] = []
        objects.reserveCapacity(mutations.count)
        var rows: [RowChange] = []
        for mutation in mutations {
            for object in mutation.objects {
                object.encodeStart(into: &metadata)
                var parts: [PlannedPart] = []
                parts.reserveCapacity(object.puts.count)
                for put in object.puts {
                    if let reference = put.reference {
                        let part = PlannedPart(
                            version: put.version, part: put.part, placement: reference, isInline: false,
                            isReference: true, inlineBytes: SharedBytes())
                        part.encode(into: &metadata)
                        parts.append(part)
                        continue
                    }
                    let isInline = isInline(put, of: object)
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
                        isReference: false, inlineBytes: isInline ? put.bytes : SharedBytes())
                    part.encode(into: &metadata)
                    parts.append(part)
                }
                objects.append(PlannedObject(mutation: object, puts: parts))
            }
            rows += mutation.rows
        }
        for row in rows { row.encode(into: &metadata) }
        precondition(metadata.count == metadataSize)

        let header = BatchHeader(
            sequence: sequence, segment: segment, offset: offset, metadataSizeBytes: metadataSize,
            metadataChecksum: Checksum.crc32c(metadata[...]), payloadSizeBytes: payloadSize,
            objectCount: objects.count, rowCount: rows.count, horizon: horizon)
        var headerBytes: [UInt8] = []
        headerBytes.reserveCapacity(BatchHeader.sizeBytes)
        header.encode(into: &headerBytes, storeID: storeID)
        head = SharedBytes(count: BatchHeader.sizeBytes + metadataSize) { target in
            target.copyBytes(from: headerBytes)
            UnsafeMutableRawBufferPointer(rebasing: target[BatchHeader.sizeBytes...]).copyBytes(from: metadata)
        }
        payload = inlineParts + otherParts
        plan = PlannedBatch(header: header, objects: objects, rows: rows, inlineSizeBytes: inlineSize)
    }
}

extension ObjectMutation {
    /// Everything of the mutation up to and including the number of its puts.
    fileprivate func encodeStart(into bytes: inout [UInt8]) {
        bytes.appendLittle(UInt16(key.count))
        bytes.append(contentsOf: key)
        bytes.appendLittle(slot)
        bytes.append(record.tag | expiry.tag << 2 | head.tag << 4 | (isRestatement ? 0x40 : 0))
        if case .set(let value) = record {
            bytes.appendLittle(UInt32(value.count))
            bytes.append(contentsOf: value)
            bytes.appendLittle(UInt16(summary.count))
            bytes.append(contentsOf: summary)
        }
        if case .set(let value) = expiry { bytes.appendLittle(value) }
        if case .set(let value) = head {
            bytes.appendLittle(UInt16(value.count))
            bytes.append(contentsOf: value)
        }
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
    /// The part as a kind, the position of a fragment, and the number of its stripe or of a page.
    var code: (kind: UInt8, position: UInt8, number: UInt32) {
        switch self {
        case .descriptor: (0, 0, 0)
        case .fragment(let position, let stripe): (1, position.rawValue, stripe.rawValue)
        case .page(let number): (2, 0, number)
        }
    }

    init?(kind: UInt8, position: UInt8, number: UInt32) {
        switch kind {
        case 0 where position == 0 && number == 0: self = .descriptor
        case 1: self = .fragment(FragmentIndex(position), StripeIndex(number))
        case 2 where position == 0: self = .page(number)
        default: return nil
        }
    }
}

extension PlannedPart {
    private static let inlineFlag: UInt8 = 0x80
    private static let referenceFlag: UInt8 = 0x40

    fileprivate func encode(into bytes: inout [UInt8]) {
        let code = part.code
        bytes.append(UInt8(version.bytes.count))
        bytes.append(contentsOf: version.bytes)
        bytes.append(code.kind | (isInline ? Self.inlineFlag : 0) | (isReference ? Self.referenceFlag : 0))
        bytes.append(code.position)
        bytes.appendLittle(code.number)
        bytes.appendLittle(placement.sizeBytes)
        bytes.appendLittle(placement.checksum)
        guard isReference else { return }
        bytes.appendLittle(placement.segment)
        bytes.appendLittle(placement.offset)
    }

    /// Reads what `encode` wrote; the offset is not known yet.
    fileprivate init?(_ cursor: inout ByteCursor, segment: UInt64) {
        guard let version = StoredVersion(&cursor), let kind = cursor.little(UInt8.self),
            let position = cursor.little(UInt8.self), let number = cursor.little(UInt32.self),
            let size = cursor.little(UInt32.self), let checksum = cursor.little(UInt32.self),
            let part = VersionPart(
                kind: kind & ~(Self.inlineFlag | Self.referenceFlag), position: position, number: number),
            kind & (Self.inlineFlag | Self.referenceFlag) != Self.inlineFlag | Self.referenceFlag
        else { return nil }
        var placement = PartPlacement(segment: segment, offset: 0, sizeBytes: size, checksum: checksum)
        let isReference = kind & Self.referenceFlag != 0
        if isReference {
            guard let segment = cursor.little(UInt64.self), let offset = cursor.little(UInt64.self), offset < 1 << 48
            else { return nil }
            placement.segment = segment
            placement.offset = offset
        }
        self.init(
            version: version, part: part, placement: placement, isInline: kind & Self.inlineFlag != 0,
            isReference: isReference, inlineBytes: SharedBytes())
    }
}

extension RowChange {
    private enum Kind {
        static let put: UInt8 = 0
        static let delete: UInt8 = 1
        static let deleteRange: UInt8 = 2
        static let add: UInt8 = 3
    }

    fileprivate func encode(into bytes: inout [UInt8]) {
        func start(_ table: StoreTable, _ kind: UInt8, _ key: [UInt8]) {
            bytes.append(table.rawValue)
            bytes.append(kind)
            bytes.appendLittle(UInt16(key.count))
            bytes.append(contentsOf: key)
        }
        switch self {
        case .put(let table, let key, let value):
            start(table, Kind.put, key)
            bytes.appendLittle(UInt32(value.count))
            bytes.append(contentsOf: value)
        case .delete(let table, let key):
            start(table, Kind.delete, key)
        case .deleteRange(let table, let first, let end):
            start(table, Kind.deleteRange, first)
            bytes.appendLittle(UInt16(end.count))
            bytes.append(contentsOf: end)
        case .add(let table, let key, let amounts):
            start(table, Kind.add, key)
            bytes.append(UInt8(amounts.count))
            for amount in amounts { bytes.appendLittle(UInt64(bitPattern: amount)) }
        }
    }

    fileprivate init?(_ cursor: inout ByteCursor) {
        guard let number = cursor.little(UInt8.self), let table = StoreTable(rawValue: number),
            let kind = cursor.little(UInt8.self), let key = cursor.takeKey()
        else { return nil }
        switch kind {
        case Kind.put:
            guard let size = cursor.little(UInt32.self), let value = cursor.take(Int(size)) else { return nil }
            self = .put(table, key: key, value: Array(value))
        case Kind.delete:
            self = .delete(table, key: key)
        case Kind.deleteRange:
            guard let end = cursor.takeKey() else { return nil }
            self = .deleteRange(table, from: key, to: end)
        case Kind.add:
            guard let count = cursor.little(UInt8.self), count > 0, count <= CounterRow.countMax else { return nil }
            var amounts: [Int64] = []
            for _ in 0..<count {
                guard let amount = cursor.little(UInt64.self) else { return nil }
                amounts.append(Int64(bitPattern: amount))
            }
            self = .add(table, key: key, amounts)
        default:
            return nil
        }
    }
}

// MARK: - Decoding

extension ByteCursor {
    /// A key behind its size.
    fileprivate mutating func takeKey() -> [UInt8]? {
        guard let size = little(UInt16.self), size > 0, Int(size) <= FormatLimit.keySizeBytesMax,
            let key = take(Int(size))
        else { return nil }
        return Array(key)
    }

    /// Bytes behind their size in 16 bits.
    fileprivate mutating func takeShort(_ sizeBytesMax: Int) -> [UInt8]? {
        guard let size = little(UInt16.self), Int(size) <= sizeBytesMax, let bytes = take(Int(size)) else {
            return nil
        }
        return Array(bytes)
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

extension PlannedObject {
    fileprivate init?(_ cursor: inout ByteCursor, segment: UInt64) {
        guard let key = cursor.takeKey(), let slot = cursor.little(UInt16.self), let flags = cursor.little(UInt8.self),
            flags < 128
        else { return nil }
        mutation = ObjectMutation(key: key, slot: slot)
        mutation.isRestatement = flags & 0x40 != 0
        puts = []
        switch flags & 3 {
        case 0: break
        case 1:
            guard let size = cursor.little(UInt32.self), let bytes = cursor.take(Int(size)),
                let summary = cursor.takeShort(FormatLimit.summarySizeBytesMax)
            else { return nil }
            mutation.record = .set(Array(bytes))
            mutation.summary = summary
        case 2: mutation.record = .clear
        default: return nil
        }
        switch flags >> 2 & 3 {
        case 0: break
        case 1:
            guard let time = cursor.little(UInt64.self) else { return nil }
            mutation.expiry = .set(time)
        case 2: mutation.expiry = .clear
        default: return nil
        }
        switch flags >> 4 & 3 {
        case 0: break
        case 1:
            guard let head = cursor.takeShort(FormatLimit.headSizeBytesMax) else { return nil }
            mutation.head = .set(head)
        case 2: mutation.head = .clear
        default: return nil
        }
        guard let dropCount = cursor.little(UInt32.self) else { return nil }
        for _ in 0..<dropCount {
            guard let version = StoredVersion(&cursor) else { return nil }
            mutation.drops.append(version)
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
        var objects: [PlannedObject] = []
        for _ in 0..<header.objectCount {
            guard let object = PlannedObject(&cursor, segment: header.segment) else { return nil }
            objects.append(object)
        }
        var rows: [RowChange] = []
        for _ in 0..<header.rowCount {
            guard let row = RowChange(&cursor) else { return nil }
            rows.append(row)
        }
        guard cursor.remainingCount == 0 else { return nil }

        let parts = objects.lazy.flatMap(\.puts).filter { !$0.isReference }
        let inlineSize = parts.filter(\.isInline).reduce(0) { $0 + Int($1.placement.sizeBytes) }
        let totalSize = parts.reduce(0) { $0 + Int($1.placement.sizeBytes) }
        guard totalSize == header.payloadSizeBytes else { return nil }
        var inlineOffset = header.payloadOffset
        var otherOffset = header.payloadOffset + UInt64(inlineSize)
        for index in objects.indices {
            for part in objects[index].puts.indices where !objects[index].puts[part].isReference {
                let size = UInt64(objects[index].puts[part].placement.sizeBytes)
                if objects[index].puts[part].isInline {
                    objects[index].puts[part].placement.offset = inlineOffset
                    inlineOffset += size
                } else {
                    objects[index].puts[part].placement.offset = otherOffset
                    otherOffset += size
                }
            }
        }
        self.init(header: header, objects: objects, rows: rows, inlineSizeBytes: inlineSize)
    }
}
