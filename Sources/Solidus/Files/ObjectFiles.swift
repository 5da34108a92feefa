// Files into objects and back.

import ErasureCode
import QuorumClient
import QuorumProtocol

extension ObjectClient {
    /// Stores what is in a file as the object's new version, in constant memory and as `solidus put` does: its tag is
    /// the SHA-256 of its bytes, unless the metadata have one, and its time of modification is the file's. A file that
    /// is changed while it is read is not stored.
    ///
    /// - Parameters:
    ///   - path: of a file; links are followed.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    /// - Throws: `ObjectFileError`, and `ClientError` as `put` of bytes.
    @discardableResult
    public func put(
        _ key: ObjectKey, fromFile path: String, metadata: ObjectMetadata = ObjectMetadata(),
        progress: (@Sendable (UInt64) -> Void)? = nil
    ) async throws -> PutResult {
        let sizeBytes = ByteCounter()
        return try await measure(
            .put, .object(key), facts: { OperationFacts($0, valueBytes: sizeBytes.count) }
        ) {
            try await cancelling(key) {
                let file = try await SourceFile.open(path)
                sizeBytes.add(Int(file.facts.sizeBytes))
                var metadata = metadata
                if metadata.modifiedMilliseconds == 0 {
                    metadata.modifiedMilliseconds = file.facts.modifiedMilliseconds
                }
                do {
                    return try await put(
                        key, lengthBytes: file.facts.sizeBytes, metadata: metadata, progress: progress,
                        seal: { metadata in
                            try await file.checkUnchanged()
                            if metadata.etag.isEmpty { metadata.etag = file.digest }
                        }, from: file)
                } catch ClientError.wrongLength {
                    throw ObjectFileError.changed(path: path)
                }
            }
        }
    }

    /// Reads the object, or some of its bytes, into a file, in constant memory. No byte is written before it is
    /// verified; the file appears, or is replaced, only once all are written and synced. It gets the object's time of
    /// modification.
    ///
    /// - Parameters:
    ///   - range: which bytes, from 0; cut at the object's end. Nil: all.
    ///   - path: where the file is to be, in a folder that is there. What a link points to is replaced, not the link.
    ///   - progress: told how many bytes are written.
    /// - Returns: what is to know of the object.
    /// - Throws: `ObjectFileError`; `ClientError` as `get`.
    @discardableResult
    public func get(
        _ key: ObjectKey, range: Range<UInt64>? = nil, toFile path: String,
        progress: (@Sendable (UInt64) -> Void)? = nil
    ) async throws -> ObjectStatus {
        let written = ByteCounter()
        return try await measure(
            .get, .object(key), facts: { OperationFacts($0, valueBytes: written.count) }
        ) {
            try await cancelling(key) {
                let object = try await open(key, range: range)
                let file = try await TargetFile.make(path)
                for try await piece in object {
                    try await file.append(piece)
                    written.add(piece.count)
                    progress?(written.count)
                }
                try await file.finish(modifiedMilliseconds: object.status.metadata.modifiedMilliseconds)
                return object.status
            }
        }
    }
}
