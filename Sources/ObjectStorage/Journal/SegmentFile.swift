// One append-only file of the journal: created preallocated and durable, written at its end, read anywhere.

import ErasureCode

/// The first page of a segment file: whose it is, and how large it was made.
struct SegmentHeader: Equatable {
    static let magic: UInt64 = 0x544D_4745_534C_4F53  // "SOLSEGMT"
    static let sizeBytes = 64

    var storeID: StoreID
    var number: UInt64
    var allocatedBytes: UInt64

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittle(Self.magic)
        bytes.appendLittle(FormatLimit.version)
        bytes.appendLittle(UInt32(0))
        bytes.append(contentsOf: storeID.bytes)
        bytes.appendLittle(number)
        bytes.appendLittle(allocatedBytes)
        bytes.append(contentsOf: [UInt8](repeating: 0, count: Self.sizeBytes - bytes.count))
        bytes.replaceLittle(Checksum.crc32c(bytes[16...]), at: 12)
        return bytes
    }

    init(storeID: StoreID, number: UInt64, allocatedBytes: UInt64) {
        self.storeID = storeID
        self.number = number
        self.allocatedBytes = allocatedBytes
    }

    /// Nil when the bytes are no undamaged segment header of this format.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.sizeBytes else { return nil }
        var cursor = ByteCursor(UnsafeRawBufferPointer(rebasing: bytes[..<Self.sizeBytes]))
        guard cursor.little(UInt64.self) == Self.magic, cursor.little(UInt32.self) == FormatLimit.version,
            let checksum = cursor.little(UInt32.self),
            checksum == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[16..<Self.sizeBytes])),
            let id = cursor.take(StoreID.sizeBytes), let number = cursor.little(UInt64.self),
            let allocated = cursor.little(UInt64.self)
        else { return nil }
        self.init(storeID: StoreID(bytes: Array(id)), number: number, allocatedBytes: allocated)
    }
}

/// An open segment file; closed with its last reference, so that a reader outlives the file's removal.
final class SegmentFile: Sendable {
    let number: UInt64
    private let file: any StorageFile

    var path: String { file.path }

    private init(number: UInt64, file: any StorageFile) {
        self.number = number
        self.file = file
    }

    static func path(in directory: String, number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return directory + "/" + String(repeating: "0", count: 16 - digits.count) + digits + ".segment"
    }

    /// The number in a segment file's name, or nil for any other name.
    static func number(ofName name: String) -> UInt64? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1] == "segment", parts[0].count == 16 else { return nil }
        return UInt64(parts[0], radix: 16)
    }

    /// Makes a segment of `allocatedBytes` zeros behind its header, durable together with its name.
    /// What was made of it is removed again when that fails.
    static func create(
        in directory: String, number: UInt64, storeID: StoreID, allocatedBytes: UInt64, files: any StorageFiles
    ) throws(StorageError) -> SegmentFile {
        let path = path(in: directory, number: number)
        let file = try files.create(path)
        do throws(StorageError) {
            try file.allocate(allocatedBytes)
            let header = SegmentHeader(storeID: storeID, number: number, allocatedBytes: allocatedBytes)
            try file.write([SharedBytes(header.encoded())], at: 0)
            try file.synchronize()
            if !isPlanted(.segmentNameUnsynced) { try files.synchronizeDirectory(directory) }
            return SegmentFile(number: number, file: file)
        } catch {
            try? files.remove(path)
            throw error
        }
    }

    static func open(
        in directory: String, number: UInt64, forWriting: Bool, files: any StorageFiles
    ) throws(StorageError) -> SegmentFile {
        let path = path(in: directory, number: number)
        guard let file = try files.open(path, forWriting: forWriting) else { throw .missingSegment(path: path) }
        return SegmentFile(number: number, file: file)
    }

    func sizeBytes() throws(StorageError) -> UInt64 { try file.sizeBytes() }

    /// The header, or nil when it is damaged or was never written.
    func header() throws(StorageError) -> SegmentHeader? {
        let bytes = try readBytes(count: SegmentHeader.sizeBytes, at: 0)
        return bytes.withUnsafeBytes { SegmentHeader($0) }
    }

    /// Up to `count` bytes at `offset`, fewer at the file's end.
    func readBytes(count: Int, at offset: UInt64, inMemory: Bool = false) throws(StorageError) -> SharedBytes {
        try file.readBytes(count: count, at: offset, inMemory: inMemory)
    }

    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError) {
        try file.write(pieces, at: offset)
    }

    func synchronizeData() throws(StorageError) { try file.synchronizeData() }

    /// Makes durable what memory holds of the file, and has what is read next come from the disk.
    func settle() throws(StorageError) {
        try file.synchronize()
        file.dropCache()
    }

    func truncate(toBytes size: UInt64) throws(StorageError) { try file.truncate(toBytes: size) }

    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        try file.punchHole(at: offset, count: count)
    }
}
