// The file that makes a directory a store: who it is, in which format. It is written last, so that a store without
// it was never finished. Beside it lies the lock that keeps a second process out.

import ErasureCode

/// The random name of a store: what another store wrote is never taken for its own.
struct StoreID: Equatable, Sendable {
    static let sizeBytes = 16
    let bytes: [UInt8]

    init(bytes: [UInt8]) {
        precondition(bytes.count == Self.sizeBytes)
        self.bytes = bytes
    }

    static func random() -> StoreID {
        var generator = SystemRandomNumberGenerator()
        return StoreID(bytes: (0..<sizeBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}

/// Whose store it is: one server of one cluster. Another server that opened it would break the promises in it, and have
/// forgotten its own.
package struct StoreOwner: Equatable, Sendable, CustomStringConvertible {
    static let clusterSizeBytes = 16

    /// The cluster's id, 16 bytes.
    let cluster: [UInt8]
    let node: UInt16

    package init(cluster: [UInt8], node: UInt16) {
        precondition(cluster.count == Self.clusterSizeBytes)
        self.cluster = cluster
        self.node = node
    }

    package var description: String {
        "server \(node) of cluster " + cluster.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// The contents of the identity file: counted sections with rising tags, so that a program that does not know one of
/// them says so instead of opening a store that it could not keep whole.
struct StoreIdentity: Equatable, Sendable {
    private static let magic: UInt64 = 0x4552_4F54_534C_4F53  // "SOLSTORE"
    private static let sizeBytesMax = 4096

    private enum Tag {
        static let storeID: UInt16 = 1
        static let incarnation: UInt16 = 2
        /// The numbers of the tables that the store may have rows in.
        static let tables: UInt16 = 3
        /// The cluster's id and the node's number; not there when the store is nobody's.
        static let owner: UInt16 = 4
    }

    var storeID: StoreID
    var incarnation: UInt64
    /// Nil when it is nobody's, as in tests of the store alone.
    var owner: StoreOwner?

    var encoded: [UInt8] {
        var incarnationBytes: [UInt8] = []
        incarnationBytes.appendLittle(incarnation)
        var sections = [
            (Tag.storeID, storeID.bytes), (Tag.incarnation, incarnationBytes),
            (Tag.tables, StoreTable.allCases.map(\.rawValue).sorted()),
        ]
        if let owner {
            var ownerBytes = owner.cluster
            ownerBytes.appendLittle(owner.node)
            sections.append((Tag.owner, ownerBytes))
        }
        var bytes: [UInt8] = []
        bytes.appendLittle(Self.magic)
        bytes.appendLittle(FormatLimit.version)
        bytes.appendLittle(UInt32(0))
        bytes.appendLittle(UInt32(sections.count))
        for (tag, contents) in sections {
            bytes.appendLittle(tag)
            bytes.appendLittle(UInt32(contents.count))
            bytes.append(contentsOf: contents)
        }
        bytes.replaceLittle(Checksum.crc32c(bytes[16...]), at: 12)
        return bytes
    }

    init(storeID: StoreID, incarnation: UInt64, owner: StoreOwner?) {
        self.storeID = storeID
        self.incarnation = incarnation
        self.owner = owner
    }

    init(_ bytes: UnsafeRawBufferPointer, path: String) throws(StorageError) {
        var cursor = ByteCursor(bytes)
        guard cursor.little(UInt64.self) == Self.magic, let format = cursor.little(UInt32.self),
            let checksum = cursor.little(UInt32.self)
        else { throw .damagedIdentity(path: path) }
        // Another format may have another shape, so its number is judged before its checksum.
        guard format == FormatLimit.version else { throw .unsupportedFormat(path: path, version: format) }
        guard checksum == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[16...])),
            let count = cursor.little(UInt32.self)
        else { throw .damagedIdentity(path: path) }
        var storeID: StoreID?
        var incarnation: UInt64?
        var owner: StoreOwner?
        var lastTag: UInt16 = 0
        for _ in 0..<count {
            guard let tag = cursor.little(UInt16.self), tag > lastTag, let size = cursor.little(UInt32.self),
                let contents = cursor.take(Int(size))
            else { throw .damagedIdentity(path: path) }
            lastTag = tag
            switch tag {
            case Tag.storeID where contents.count == StoreID.sizeBytes: storeID = StoreID(bytes: Array(contents))
            case Tag.incarnation where contents.count == 8: incarnation = UInt64(littleValue: contents)
            case Tag.tables:
                for number in contents where StoreTable(rawValue: number) == nil {
                    throw .unknownSection(path: path, name: "table \(number)")
                }
            case Tag.owner where contents.count == StoreOwner.clusterSizeBytes + 2:
                owner = StoreOwner(
                    cluster: Array(contents.prefix(StoreOwner.clusterSizeBytes)),
                    node: UInt16(contents[contents.count - 2]) | UInt16(contents[contents.count - 1]) << 8)
            case Tag.storeID, Tag.incarnation, Tag.owner: throw .damagedIdentity(path: path)
            default: throw .unknownSection(path: path, name: "section \(tag)")
            }
        }
        guard cursor.remainingCount == 0, let storeID, let incarnation else { throw .damagedIdentity(path: path) }
        self.init(storeID: storeID, incarnation: incarnation, owner: owner)
    }

    /// Writes the file at `path` durably, under its final name only once its contents are.
    func write(to path: String, files: any StorageFiles) throws(StorageError) {
        let temporary = path + ".new"
        try files.remove(temporary)
        let file = try files.create(temporary)
        try file.write([SharedBytes(encoded)], at: 0)
        try file.synchronize()
        try files.rename(temporary, to: path)
    }

    static func read(from path: String, files: any StorageFiles) throws(StorageError) -> StoreIdentity {
        guard let file = try files.open(path, forWriting: false) else {
            throw .notAStore(
                path: path, reason: "the file is missing; the store was never created or never finished")
        }
        let bytes = try file.readBytes(count: sizeBytesMax, at: 0)
        let decoded = bytes.withUnsafeBytes { bytes -> Result<StoreIdentity, StorageError> in
            do throws(StorageError) {
                return .success(try StoreIdentity(bytes, path: path))
            } catch {
                return .failure(error)
            }
        }
        return try decoded.get()
    }
}
