// Storing what is in memory.

import ErasureCode
import NIOCore
import QuorumClient
import QuorumProtocol

extension ObjectClient {
    /// Stores bytes as the object's new version: an array, `Data`, a slice of either. They are copied once.
    ///
    /// - Throws: as `put(_:_:metadata:)` of `SharedBytes`.
    @discardableResult
    public func put(
        _ key: ObjectKey, _ bytes: some Collection<UInt8>, metadata: ObjectMetadata = ObjectMetadata()
    ) async throws(ClientError) -> PutResult {
        try await put(key, SharedBytes(bytes), metadata: metadata)
    }

    /// Stores the readable bytes of a buffer as the object's new version. They are not copied.
    ///
    /// - Throws: as `put(_:_:metadata:)` of `SharedBytes`.
    @discardableResult
    public func put(
        _ key: ObjectKey, _ buffer: ByteBuffer, metadata: ObjectMetadata = ObjectMetadata()
    ) async throws(ClientError) -> PutResult {
        try await put(key, SharedBytes(buffer), metadata: metadata)
    }

    /// Stores a text in UTF-8 as the object's new version.
    ///
    /// - Throws: as `put(_:_:metadata:)` of `SharedBytes`.
    @discardableResult
    public func put(
        _ key: ObjectKey, _ text: String, metadata: ObjectMetadata = ObjectMetadata()
    ) async throws(ClientError) -> PutResult {
        try await put(key, SharedBytes(text.utf8), metadata: metadata)
    }
}
