// Parts of uploads out of what programs have their bytes in.

import ErasureCode
import NIOCore
import QuorumClient
import QuorumProtocol

extension ObjectClient {
    /// Stores bytes as a part of the upload. They are copied once.
    ///
    /// - Parameters:
    ///   - number: 1 to `partNumberMax`; parts are joined by rising numbers.
    ///   - etag: what completion may ask for.
    /// - Throws: as `putPart(_:of:lengthBytes:progress:seal:from:)`.
    @discardableResult
    public func putPart(
        _ number: Int, of upload: MultipartUpload, _ bytes: some Collection<UInt8>, etag: String = ""
    ) async throws -> UploadedPart {
        let whole = SharedBytes(bytes)
        let source = AsyncStream { continuation in
            continuation.yield(whole)
            continuation.finish()
        }
        return try await cancelling(upload.key) {
            try await putPart(
                number, of: upload, lengthBytes: UInt64(whole.count), seal: { $0.etag = etag }, from: source)
        }
    }

    /// Stores what a sequence of buffers gives as a part of the upload, in constant memory. The buffers are not copied.
    ///
    /// - Parameters:
    ///   - number: 1 to `partNumberMax`; parts are joined by rising numbers.
    ///   - lengthBytes: how many bytes the source has, if that is known: it is checked, and stripes are chosen by it.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    ///   - seal: called once all bytes were read; says in the metadata's tag what completion may ask for, and in its
    ///     user entries what else is to be noted of the part, or throws.
    /// - Throws: as `putPart` of `SharedBytes`.
    @discardableResult
    public func putPart<Source: AsyncSequence>(
        _ number: Int, of upload: MultipartUpload, lengthBytes: UInt64? = nil,
        progress: (@Sendable (UInt64) -> Void)? = nil,
        seal: (@Sendable (inout ObjectMetadata) async throws -> Void)? = nil, from source: Source
    ) async throws -> UploadedPart where Source.Element == ByteBuffer {
        let pieces = SharedPieces(base: source, counter: ByteCounter())
        return try await cancelling(upload.key) {
            try await putPart(
                number, of: upload, lengthBytes: lengthBytes, progress: progress,
                seal: { metadata in
                    // A source that was cancelled may only seem to be at its end.
                    try Task.checkCancellation()
                    try await seal?(&metadata)
                }, from: pieces)
        }
    }
}
