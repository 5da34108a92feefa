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
    /// Reads an object and stores its value, type, tag and user metadata as a new version of another one. The copy of an
    /// object without a tag of its writer's is tagged with the version that it was made of, so that it can be seen
    /// whether it is still the same. The read and the write have the client's whole time each.
    ///
    /// - Throws: as `get` and `put`; `.notFound` of the source.
    public func copy(_ source: ObjectKey, to target: ObjectKey) async throws(ClientError) -> CopyResult {
        let object = try await get(source)
        var metadata = object.status.metadata
        metadata.modifiedMilliseconds = 0
        metadata.etag = object.status.etag
        return CopyResult(
            source: object.status, written: try await put(target, object.value, metadata: metadata))
    }
}
