// What runs move between: files to objects, objects to files, objects to objects, and objects to nowhere.

import CommandOutcome
import QuorumClient
import QuorumProtocol

extension [UInt8] {
    /// The names on the way to a path.
    package var pathParts: [[UInt8]] { split(separator: UInt8(ascii: "/")).map(Array.init) }
}

extension KeyPrefix {
    fileprivate func knownKey(_ item: TransferItem) throws(Failure) -> ObjectKey {
        do throws(NameFault) {
            return try key(item.path)
        } catch {
            throw Failure(.refused, "\(item.path.readablePath.printable): \(error)")
        }
    }
}

/// Files of a folder become objects below a prefix.
package struct UploadEnds: TransferEnds {
    private let files: FileTransfer
    private let folder: LocalFolder
    private let prefix: KeyPrefix
    private let metadata: ObjectMetadata
    private let allowsChanging: Bool

    package init(
        _ files: FileTransfer, from folder: LocalFolder, to prefix: KeyPrefix, metadata: ObjectMetadata,
        allowsChanging: Bool
    ) {
        self.files = files
        self.folder = folder
        self.prefix = prefix
        self.metadata = metadata
        self.allowsChanging = allowsChanging
    }

    package var action: ItemAction { .stored }

    package func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        let key = try prefix.knownKey(item)
        let uploaded = try await files.upload(
            try folder.source(item.path.pathParts), to: key, metadata: metadata, allowsChanging: allowsChanging,
            progress: progress)
        return TransferredItem(sizeBytes: uploaded.sizeBytes, version: uploaded.result.timestamp.fullName)
    }

    package func isSame(_ item: TransferItem, as other: TransferItem) async throws(Failure) -> Bool {
        try await files.tag(of: try folder.source(item.path.pathParts)) == other.etag
    }

    package func isOfSource(_ failure: ExitStatus) -> Bool { failure == .inputOutput }

    package func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem {
        try await files.client.remove(try prefix.knownKey(item), item)
    }
}

/// Files of a folder are compared with objects below a prefix.
package struct ComparedEnds: TransferEnds {
    private let files: FileTransfer
    private let folder: LocalFolder
    private let prefix: KeyPrefix

    package init(_ files: FileTransfer, _ folder: LocalFolder, with prefix: KeyPrefix) {
        self.files = files
        self.folder = folder
        self.prefix = prefix
    }

    package var action: ItemAction { .read }

    /// By the object's tag where that is the file's, else by the object's content: not every tag is of the content.
    package func isSame(_ item: TransferItem, as other: TransferItem) async throws(Failure) -> Bool {
        guard item.sizeBytes == other.sizeBytes else { return false }
        let tag = try await files.tag(of: try folder.source(item.path.pathParts))
        if other.etag == tag { return true }
        return try await files.tag(of: try prefix.knownKey(other)) == tag
    }

    package func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        throw Failure(.unexpected, "\(item.path.readablePath.printable): nothing is transferred")
    }

    package func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem {
        throw Failure(.unexpected, "\(item.path.readablePath.printable): nothing is deleted")
    }

    package func isOfSource(_ failure: ExitStatus) -> Bool { false }
}

/// Objects below a prefix become files of a folder.
package struct DownloadEnds: TransferEnds {
    private let files: FileTransfer
    private let prefix: KeyPrefix
    private let folder: LocalFolder
    private let isSparse: Bool

    /// - Parameter isSparse: leaves holes in files where there are blocks of zeros.
    package init(_ files: FileTransfer, from prefix: KeyPrefix, to folder: LocalFolder, isSparse: Bool = false) {
        self.files = files
        self.prefix = prefix
        self.folder = folder
        self.isSparse = isSparse
    }

    package var action: ItemAction { .read }

    package func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        let key = try prefix.knownKey(item)
        guard !item.isFolderMark else {
            try folder.makeFolder(item.path.pathParts)
            return TransferredItem(sizeBytes: 0, version: nil)
        }
        let status = try await files.download(
            key, to: .below(folder, item.path.pathParts), isSparse: isSparse, progress: progress)
        return TransferredItem(sizeBytes: status.lengthBytes, version: status.timestamp.fullName)
    }

    package func isSame(_ item: TransferItem, as other: TransferItem) async throws(Failure) -> Bool {
        try await files.tag(of: try folder.source(item.path.pathParts)) == item.etag
    }

    package func isOfSource(_ failure: ExitStatus) -> Bool { failure == .unavailable || failure == .refused }

    package func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem {
        try folder.delete(item.path.pathParts)
        return TransferredItem(sizeBytes: item.sizeBytes, version: nil)
    }
}

/// Objects below a prefix are copied to, or moved to, another prefix.
package struct CopyEnds: TransferEnds {
    private let client: ObjectClient
    private let source: KeyPrefix
    private let target: KeyPrefix
    private let moves: Bool

    package init(_ client: ObjectClient, from source: KeyPrefix, to target: KeyPrefix, moves: Bool) {
        self.client = client
        self.source = source
        self.target = target
        self.moves = moves
    }

    package var action: ItemAction { moves ? .moved : .copied }

    package func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        let (from, to) = (try source.knownKey(item), try target.knownKey(item))
        let copy: CopyResult
        do throws(ClientError) {
            copy = try await client.copy(from, to: to, progress: FileTransfer.steps(progress))
        } catch {
            throw Failure(error)
        }
        if moves { try await client.removeMoved(copy) }
        return TransferredItem(sizeBytes: copy.source.lengthBytes, version: copy.written.timestamp.fullName)
    }

    /// Copies have their source's tag, so nothing else is ever compared.
    package func isSame(_ item: TransferItem, as other: TransferItem) -> Bool {
        item.etag != nil && item.etag == other.etag
    }

    package func isOfSource(_ failure: ExitStatus) -> Bool { failure == .unavailable || failure == .refused }

    package func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem {
        try await client.remove(try target.knownKey(item), item)
    }
}

/// Objects below a prefix are deleted.
package struct RemoveEnds: TransferEnds {
    private let client: ObjectClient
    private let prefix: KeyPrefix

    package init(_ client: ObjectClient, below prefix: KeyPrefix) {
        self.client = client
        self.prefix = prefix
    }

    package var action: ItemAction { .deleted }

    package func transfer(
        _ item: TransferItem, progress: @escaping FileTransfer.Progress
    ) async throws(Failure) -> TransferredItem {
        let removed = try await client.remove(try prefix.knownKey(item), item)
        progress(item.sizeBytes)
        return removed
    }

    package func isSame(_ item: TransferItem, as other: TransferItem) -> Bool { false }
    package func isOfSource(_ failure: ExitStatus) -> Bool { false }
    package func delete(_ item: TransferItem) async throws(Failure) -> TransferredItem {
        try await client.remove(try prefix.knownKey(item), item)
    }
}

extension ObjectClient {
    /// Deletes an object that was listed. One that is gone meanwhile is gone.
    fileprivate func remove(_ key: ObjectKey, _ item: TransferItem) async throws(Failure) -> TransferredItem {
        do throws(ClientError) {
            let result = try await delete(key)
            return TransferredItem(sizeBytes: item.sizeBytes, version: result?.timestamp.fullName)
        } catch {
            throw Failure(error)
        }
    }

    /// Deletes the source of a copy, unless it was written since.
    ///
    /// - Throws: `.partial` when it was: both are there then.
    package func removeMoved(_ copy: CopyResult) async throws(Failure) {
        let source = copy.source.key
        do throws(ClientError) {
            if try await head(source).timestamp == copy.source.timestamp {
                _ = try await writeTombstone(source)
                return
            }
        } catch .notFound {
            return
        } catch {
            throw Failure(error)
        }
        throw Failure(
            .partial,
            "\(source) was written while it was copied to \(copy.written.key): both are there. Move it again.")
    }
}
