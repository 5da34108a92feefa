// Copies of objects. A copy is a read and a write: no server moves a fragment to another object, since fragments and
// their descriptor belong to a key.

import QuorumProtocol

/// A copy that was made.
public struct CopyResult: Sendable {
    /// What was read.
    public let source: ObjectStatus
    /// What was written.
    public let written: PutResult
}

extension ObjectClient {
    /// Reads an object and stores its value, type, tag and user metadata as a new version of another one, piece by
    /// piece. The copy of an object without a tag of its writer's is tagged with the version that it was made of, so
    /// that it can be seen whether it is still the same.
    ///
    /// - Parameter progress: told how many bytes of the copy are safe.
    /// - Throws: as `open` and `put`; `.notFound` of the source.
    @discardableResult
    public func copy(
        _ source: ObjectKey, to target: ObjectKey, progress: (@Sendable (UInt64) -> Void)? = nil
    ) async throws(ClientError) -> CopyResult {
        try await measure(.copy, .object(target), facts: { OperationFacts($0) }) { () throws(ClientError) in
            try await rereading { () throws(ClientError) in
                let object = try await open(source)
                var metadata = object.status.metadata
                metadata.modifiedMilliseconds = 0
                metadata.etag = object.status.etag
                do {
                    let written = try await put(
                        target, lengthBytes: object.status.lengthBytes, metadata: metadata, progress: progress,
                        from: object)
                    return CopyResult(source: object.status, written: written)
                } catch {
                    let error = told(error, of: target)
                    guard let error = error as? ClientError else {
                        preconditionFailure("a copy fails as reads and writes do, not by \(error)")
                    }
                    throw error
                }
            }
        }
    }
}
