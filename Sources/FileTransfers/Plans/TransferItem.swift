// What a run over many objects or files is about, and where it comes from.

import CommandOutcome
import Glibc
import QuorumClient
import QuorumProtocol

/// One file or object, by its path below the folder or prefix that the run is about.
package struct TransferItem: Equatable, Sendable {
    package let path: [UInt8]
    package let sizeBytes: UInt64
    package let modifiedMilliseconds: UInt64
    /// Of an object.
    package let etag: String?

    package init(path: [UInt8], sizeBytes: UInt64, modifiedMilliseconds: UInt64 = 0, etag: String? = nil) {
        self.path = path
        self.sizeBytes = sizeBytes
        self.modifiedMilliseconds = modifiedMilliseconds
        self.etag = etag
    }

    /// Whether it is an empty object that marks a folder.
    package var isFolderMark: Bool { path.last == UInt8(ascii: "/") && sizeBytes == 0 }
}

/// What a source or a target shows, one after the other, in the order of the paths' bytes.
package enum TransferEntry: Sendable {
    case item(TransferItem)
    /// A folder, which is no item. Its path ends with a slash.
    case folder([UInt8], isEmpty: Bool)
    /// What is there, and is left alone at both ends; why, for people.
    case leftOut([UInt8], String)
    /// One that cannot be an item.
    case unusable([UInt8], Failure)
    /// What is at or below this path could not be looked at.
    case gap([UInt8], Failure)

    /// Below the folder or prefix.
    package var path: [UInt8] {
        switch self {
        case .item(let item): item.path
        case .folder(let path, _), .leftOut(let path, _), .unusable(let path, _), .gap(let path, _): path
        }
    }
}

/// Gives the entries of a source or target, one after the other; nil at the end.
package protocol TransferEntries: SendableMetatype {
    mutating func next() async throws(Failure) -> TransferEntry?
}

/// The files of a folder.
package struct FolderEntries: TransferEntries {
    private var walk: FolderWalk
    private let folder: [UInt8]
    /// Of a source; nil for a target, where any path will do, and a folder that is not there is an empty one.
    private let prefix: KeyPrefix?

    /// - Parameter prefix: of a source: paths that are no keys below it are unusable.
    package init(_ folder: [UInt8], filter: PathFilter, keysBelow prefix: KeyPrefix?) {
        walk = FolderWalk(folder, filter: filter)
        self.folder = folder
        self.prefix = prefix
    }

    package mutating func next() -> TransferEntry? {
        switch walk.next() {
        case nil: return nil
        case .file(let path, let facts):
            if let prefix {
                do throws(NameFault) {
                    _ = try prefix.key(path)
                } catch {
                    return .unusable(path, Failure(.refused, "\(path.readablePath.printable): \(error)"))
                }
            }
            return .item(
                TransferItem(path: path, sizeBytes: facts.sizeBytes, modifiedMilliseconds: facts.modifiedMilliseconds))
        case .folder(let path, let isEmpty): return .folder(path, isEmpty: isEmpty)
        case .other(let path, let what): return .leftOut(path, what)
        case .failed([], ENOENT) where prefix == nil: return next()
        case .failed(let path, let code):
            return .gap(path, FolderWalk.failure(folder, path, code))
        }
    }
}

/// The objects below a prefix.
package struct ObjectEntries: TransferEntries {
    private let prefix: KeyPrefix
    private let filter: PathFilter
    private var entries: BucketListing.AsyncIterator

    package init(_ client: ObjectClient, below prefix: KeyPrefix, filter: PathFilter) throws(Failure) {
        self.prefix = prefix
        self.filter = filter
        do throws(ClientError) {
            entries = try client.list(prefix: prefix.bytes).makeAsyncIterator()
        } catch {
            throw Failure(error)
        }
    }

    package mutating func next() async throws(Failure) -> TransferEntry? {
        do throws(ClientError) {
            while let entry = try await entries.next() {
                guard case .object(let object) = entry else { continue }
                let path = prefix.path(of: object.key)
                // The object that is called like the prefix itself, with its slash, is below nothing.
                guard !path.isEmpty, filter.takes(path) else { continue }
                return .item(
                    TransferItem(
                        path: path, sizeBytes: object.lengthBytes, modifiedMilliseconds: object.modifiedMilliseconds,
                        etag: object.etag))
            }
            return nil
        } catch {
            throw Failure(error)
        }
    }
}

/// Objects that are to become files: those that cannot be called so are unusable.
package struct NamedEntries<Base: TransferEntries>: TransferEntries {
    private var base: Base
    private var inTheWay = FilesInTheWay()
    private var folded: FoldedNames?

    /// - Parameter foldsNames: names that differ in case only are the same file.
    package init(_ base: Base, foldsNames: Bool) {
        self.base = base
        folded = foldsNames ? FoldedNames() : nil
    }

    package mutating func next() async throws(Failure) -> TransferEntry? {
        guard let entry = try await base.next() else { return nil }
        guard case .item(let item) = entry else { return entry }
        let shown = String(decoding: item.path, as: UTF8.self).printable
        do throws(NameFault) {
            _ = try LocalName(item.path, sizeBytes: item.sizeBytes)
            if let file = inTheWay.file(above: item.path) { throw .insideFile(file) }
        } catch {
            return .unusable(item.path, Failure(.inputOutput, "\(shown): \(error)"))
        }
        if let earlier = folded?.earlier(item.path) {
            let other = String(decoding: earlier, as: UTF8.self).printable
            return .unusable(
                item.path, Failure(.inputOutput, "\(shown): on this disk it would be the same file as \(other)"))
        }
        return entry
    }
}
