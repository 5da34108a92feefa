// Everything the store can refuse or report, with the evidence a person needs to act on it.

import Glibc

/// A refusal or failure of the object store.
package enum StorageError: Error, Sendable, Equatable {
    /// There is no store at `path`, or its creation never finished.
    case notAStore(path: String, reason: String)
    /// `create` found something at `path`.
    case alreadyExists(path: String)
    /// Another process, or another store in this one, has the store open.
    case locked(path: String)
    /// The store was written in a format this program does not know.
    case unsupportedFormat(path: String, version: UInt32)
    /// The store has something in it that this program does not know, so that it could not keep it whole.
    case unknownSection(path: String, name: String)
    /// The file that names the store is damaged.
    case damagedIdentity(path: String)
    /// The file belongs to another store, or to another place in this one.
    case foreign(path: String)
    /// The store is another server's, or nobody's.
    case otherOwner(path: String, owner: StoreOwner?, opener: StoreOwner)
    /// A segment that the index or the replay needs is gone: acknowledged facts are lost.
    case missingSegment(path: String)
    /// The journal is damaged at a place that acknowledged batches follow: acknowledged facts are lost.
    case damagedJournal(path: String, offset: UInt64, reason: String)
    /// The index is missing or what it says of this key is damaged. The next opening makes it anew from the journal.
    case recordLost(path: String, reason: String)
    /// The index refused an operation.
    case index(path: String, reason: String)
    /// The index cannot be written to the disk before there is room.
    case indexFull(path: String, reason: String)
    /// A part is in the index, but its bytes do not match their checksum.
    case corruptPart(path: String, offset: UInt64, expected: UInt32, found: UInt32)
    /// The mutation does not fit on the disk; nothing of it was written.
    case noSpace(neededBytes: Int, availableBytes: UInt64)
    /// A field of the mutation is over its limit; nothing of it was written.
    case overLimit(field: String, value: Int, limit: Int)
    /// The operating system refused an operation.
    case io(path: String, operation: String, errno: Int32)
    /// A write failed earlier, so what is durable is known again only after the store is opened anew.
    case failed(reason: String)
    /// It takes a read from the disk to tell, which the caller did not want.
    case notInMemory
    /// The store was closed.
    case closed

    /// The error of a system call that just failed.
    package static func system(_ operation: String, _ path: String, _ code: Int32 = Glibc.errno) -> StorageError {
        .io(path: path, operation: operation, errno: code)
    }
    /// Whether a part that was to be read is gone for good if it happens again; otherwise it is trouble of the moment:
    /// too many open files, no memory, a file system that is not mounted.
    package var isLoss: Bool {
        switch self {
        case .corruptPart: true
        case .io(_, _, let errno): errno == EIO || errno == ENODATA || errno == EUCLEAN
        default: false
        }
    }
}

extension StorageError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notAStore(let path, let reason):
            "\(path) is not a store: \(reason)"
        case .alreadyExists(let path):
            "\(path) is not empty: a new store needs an empty or absent directory"
        case .locked(let path):
            "\(path) is in use by another process"
        case .unsupportedFormat(let path, let version):
            "\(path) has storage format \(version), which this program cannot read"
        case .unknownSection(let path, let name):
            "\(path) names \(name), which this program does not know: a newer one wrote the store"
        case .damagedIdentity(let path):
            "\(path) is damaged: the server must be rebuilt"
        case .foreign(let path):
            "\(path) belongs to another store or another place in this one"
        case .otherOwner(let path, let owner, let opener):
            "\(path) is the store of \(owner?.description ?? "nobody"), not of \(opener): nothing in it was changed; "
                + "put this server's own store back, and if that is lost leave the server down"
        case .missingSegment(let path):
            "\(path) is missing and holds acknowledged facts: the server must be rebuilt"
        case .damagedJournal(let path, let offset, let reason):
            "\(path) is damaged at offset \(offset) (\(reason)), before later acknowledged batches: "
                + "the server must be rebuilt"
        case .recordLost(let path, let reason):
            "the index at \(path) is damaged (\(reason)): the next start of the server makes it anew from the journal"
        case .index(let path, let reason):
            "the index at \(path) cannot be used (\(reason)): look at that disk and the room on it first; if it is sound, "
                + "and this persists, the server must be rebuilt"
        case .indexFull(let path, let reason):
            "the index at \(path) needs room on the disk (\(reason)): nothing is lost; make room there, and start the "
                + "server again if it has ended"
        case .corruptPart(let path, let offset, let expected, let found):
            "\(path), offset \(offset): bytes have checksum \(found) where \(expected) was recorded"
        case .noSpace(let needed, let available):
            "storage is full: \(needed) bytes needed, \(available) bytes available"
        case .overLimit(let field, let value, let limit):
            "\(field) is \(value), over the limit of \(limit)"
        case .io(let path, let operation, let code):
            isFullDisk(code)
                ? "\(operation) \(path): the disk is full (\(String(cString: strerror(code)))); make room there: "
                    + "nothing that was acknowledged is lost"
                : "\(operation) \(path): \(String(cString: strerror(code)))"
        case .failed(let reason):
            "the store stopped accepting changes after a failed write: \(reason)"
        case .notInMemory:
            "what was asked for is not in memory"
        case .closed:
            "the store is closed"
        }
    }
}

/// Whether an errno says that the disk, or the part of it that one may use, is full.
func isFullDisk(_ code: Int32) -> Bool {
    code == ENOSPC || code == EDQUOT || code == EFBIG
}
