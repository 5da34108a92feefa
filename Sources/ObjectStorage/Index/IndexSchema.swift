// Keys and values of the index. The first byte of a key names its table; docs/storage.md lists them.

import ErasureCode

/// The index's tables and how their keys are built.
enum IndexKey {
    static let identity: [UInt8] = Array("midentity".utf8)
    static let position: [UInt8] = Array("mposition".utf8)
    static let horizon: [UInt8] = Array("mhorizon".utf8)

    static let round: [UInt8] = Array("mround".utf8)

    static let records: [UInt8] = Array("o".utf8)
    static let parts: [UInt8] = Array("p".utf8)
    static let expiriesByTime: [UInt8] = Array("x".utf8)
    static let segments: [UInt8] = Array("s".utf8)
    static let waitingGarbage: [UInt8] = Array("q".utf8)
    static let facts: [UInt8] = Array("f".utf8)
    static let deadRanges: [UInt8] = Array("d".utf8)

    static let heads: [UInt8] = Array("l".utf8)
    static let slots: [UInt8] = Array("h".utf8)
    static let expiries: [UInt8] = Array("e".utf8)
    static let rows: [UInt8] = Array("t".utf8)

    static func record(_ key: [UInt8]) -> [UInt8] { records + key }

    static func head(_ key: [UInt8]) -> [UInt8] { heads + key }

    /// The prefix of all keys of one slot.
    static func slot(_ slot: UInt16) -> [UInt8] {
        var bytes = slots
        bytes.appendBig(slot)
        return bytes
    }

    /// The prefix of all rows of one table.
    static func table(_ table: StoreTable) -> [UInt8] { rows + [table.rawValue] }

    static func expiry(_ key: [UInt8]) -> [UInt8] { expiries + key }

    static func expiryByTime(_ time: UInt64, _ key: [UInt8]) -> [UInt8] {
        var bytes = expiriesByTime
        bytes.reserveCapacity(9 + key.count)
        bytes.appendBig(time)
        bytes.append(contentsOf: key)
        return bytes
    }

    /// The time and the object that a key names behind its table's byte, or nil when it has another shape.
    static func expiry(inByTime key: [UInt8]) -> (time: UInt64, key: [UInt8])? {
        key.withUnsafeBytes { bytes in
            var cursor = ByteCursor(bytes)
            guard let time = cursor.big(UInt64.self), let object = cursor.take(cursor.remainingCount), !object.isEmpty
            else { return nil }
            return (time, Array(object))
        }
    }

    /// The prefix of all parts of all versions of an object.
    static func versions(of key: [UInt8], reservingBytes extra: Int = 0) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(3 + key.count + extra)
        bytes.append(UInt8(ascii: "p"))
        bytes.appendBig(UInt16(truncatingIfNeeded: key.count))
        bytes.append(contentsOf: key)
        return bytes
    }

    /// The prefix of all parts of one version.
    static func version(_ version: StoredVersion, of key: [UInt8]) -> [UInt8] {
        var bytes = versions(of: key, reservingBytes: 7 + version.bytes.count)
        bytes.append(UInt8(truncatingIfNeeded: version.bytes.count))
        bytes.append(contentsOf: version.bytes)
        return bytes
    }

    static func part(_ part: VersionPart, versionPrefix: [UInt8]) -> [UInt8] {
        var bytes = versionPrefix
        let code = part.code
        bytes.append(code.kind)
        bytes.append(code.position)
        bytes.appendBig(code.number)
        return bytes
    }

    /// The part that a key with this prefix names, or nil when the key has another shape.
    static func part(in key: [UInt8], versionPrefix: [UInt8]) -> VersionPart? {
        guard key.count == versionPrefix.count + 6 else { return nil }
        return key.withUnsafeBytes { bytes in
            var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[versionPrefix.count...]))
            guard let kind = cursor.little(UInt8.self), let position = cursor.little(UInt8.self),
                let number = cursor.big(UInt32.self)
            else { return nil }
            return VersionPart(kind: kind, position: position, number: number)
        }
    }

    /// The part of which this is the key, or nil when it has another shape.
    static func partName(in key: [UInt8]) -> (key: [UInt8], version: StoredVersion, part: VersionPart)? {
        key.withUnsafeBytes { bytes in
            var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[1...]))
            guard let keySize = cursor.big(UInt16.self), let name = cursor.take(Int(keySize)),
                let versionSize = cursor.little(UInt8.self), let version = cursor.take(Int(versionSize)),
                let kind = cursor.little(UInt8.self), let position = cursor.little(UInt8.self),
                let number = cursor.big(UInt32.self), cursor.remainingCount == 0,
                let part = VersionPart(kind: kind, position: position, number: number)
            else { return nil }
            return (Array(name), StoredVersion(Array(version)), part)
        }
    }

    static func segment(_ number: UInt64) -> [UInt8] {
        var bytes = segments
        bytes.appendBig(number)
        return bytes
    }

    static func waitingGarbage(sequence: UInt64, _ range: JournalRange) -> [UInt8] {
        place(range, sequence: sequence, in: waitingGarbage)
    }

    static func facts(sequence: UInt64, _ range: JournalRange) -> [UInt8] {
        place(range, sequence: sequence, in: facts)
    }

    private static func place(_ range: JournalRange, sequence: UInt64, in table: [UInt8]) -> [UInt8] {
        var bytes = table
        bytes.appendBig(sequence)
        bytes.appendBig(range.segment)
        bytes.appendBig(range.offset)
        return bytes
    }

    static func deadRange(segment: UInt64, offset: UInt64) -> [UInt8] {
        var bytes = deadRanges
        bytes.appendBig(segment)
        bytes.appendBig(offset)
        return bytes
    }

    /// The big-endian numbers behind the first byte of a key, or nil when there are not exactly `count`.
    static func numbers(in key: [UInt8], count: Int) -> [UInt64]? {
        guard key.count == 1 + 8 * count else { return nil }
        return key.withUnsafeBytes { bytes in
            var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[1...]))
            return (0..<count).compactMap { _ in cursor.big(UInt64.self) }
        }
    }
}

/// How far the index has followed the journal.
struct JournalPosition: Equatable {
    static let sizeBytes = 24

    var segment: UInt64
    var offset: UInt64
    /// The sequence number of the next batch.
    var sequence: UInt64

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittle(segment)
        bytes.appendLittle(offset)
        bytes.appendLittle(sequence)
        return bytes
    }

    init(segment: UInt64, offset: UInt64, sequence: UInt64) {
        self.segment = segment
        self.offset = offset
        self.sequence = sequence
    }

    init(behind plan: PlannedBatch) {
        self.init(segment: plan.header.segment, offset: plan.header.end, sequence: plan.header.sequence + 1)
    }

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = ByteCursor(bytes)
        guard bytes.count == Self.sizeBytes, let segment = cursor.little(UInt64.self),
            let offset = cursor.little(UInt64.self),
            let sequence = cursor.little(UInt64.self), offset % FormatLimit.pageSizeBytes == 0, offset < 1 << 48
        else { return nil }
        self.init(segment: segment, offset: offset, sequence: sequence)
    }
}

/// The index's entry for one part.
struct PartEntry {
    var placement: PartPlacement
    /// The bytes, when the index keeps them.
    var inlineBytes: SharedBytes?

    static func encode(_ part: PlannedPart) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(25 + part.inlineBytes.count)
        bytes.appendLittle(part.placement.segment)
        bytes.appendLittle(part.placement.offset)
        bytes.appendLittle(part.placement.sizeBytes)
        bytes.appendLittle(part.placement.checksum)
        bytes.append(part.isInline ? 1 : 0)
        part.inlineBytes.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return bytes
    }

    init?(_ bytes: UnsafeRawBufferPointer, withBytes: Bool) {
        var cursor = ByteCursor(bytes)
        guard let segment = cursor.little(UInt64.self), let offset = cursor.little(UInt64.self),
            let size = cursor.little(UInt32.self), let checksum = cursor.little(UInt32.self),
            let flag = cursor.little(UInt8.self), flag <= 1, offset < 1 << 48
        else { return nil }
        placement = PartPlacement(segment: segment, offset: offset, sizeBytes: size, checksum: checksum)
        guard flag == 1 else { return }
        guard let rest = cursor.take(cursor.remainingCount) else { return nil }
        inlineBytes = withBytes ? SharedBytes(rest) : SharedBytes()
    }

    /// The range of the journal that only this entry keeps alive; nil when the index keeps the bytes itself.
    var journalRange: JournalRange? {
        guard inlineBytes == nil, placement.sizeBytes > 0 else { return nil }
        return JournalRange(
            segment: placement.segment, offset: placement.offset, sizeBytes: UInt64(placement.sizeBytes))
    }
}

extension IndexWalk {
    /// The present value if it is a single number; only after `key` returned a key.
    var number: UInt64? { withValue { UInt64(littleValue: $0) } }
}

extension StorageIndex {
    /// A single number, as the tables of segments, expiries and ranges hold it; nil when there is none.
    func number(of key: [UInt8], onDisk: Bool = false) throws(StorageError) -> UInt64? {
        let found = try withValue(of: key, from: onDisk ? .onDisk : .anywhere) { UInt64(littleValue: $0) }
        guard let found else { return nil }
        guard let number = found else { throw malformed(key) }
        return number
    }

    func position(onDisk: Bool) throws(StorageError) -> JournalPosition {
        try place(IndexKey.position, onDisk: onDisk)
    }

    /// The batch from which on the journal says all that is true, as the index knows it.
    func horizon(onDisk: Bool) throws(StorageError) -> JournalPosition {
        try place(IndexKey.horizon, onDisk: onDisk)
    }

    private func place(_ key: [UInt8], onDisk: Bool) throws(StorageError) -> JournalPosition {
        let found = try withValue(of: key, from: onDisk ? .onDisk : .anywhere) { JournalPosition($0) }
        guard let place = found ?? nil else { throw malformed(key) }
        return place
    }

    /// The error for an entry that is there with another shape than this format's.
    func malformed(_ key: [UInt8]) -> StorageError {
        let table = key.first.map { String(UnicodeScalar($0)) } ?? ""
        return .index(path: path, reason: "an entry of table \"\(table)\" is missing or malformed")
    }
}

extension UInt64 {
    /// The number that exactly these bytes hold, nil if they are not eight.
    init?(littleValue bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 8 else { return nil }
        self = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    }

    var encodedBig: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendBig(self)
        return bytes
    }

    var encodedLittle: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittle(self)
        return bytes
    }
}
