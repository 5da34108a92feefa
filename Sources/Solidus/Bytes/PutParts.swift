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
    /// - Throws: as `putPart(_:of:lengthBytes:progress:etag:from:)`.
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
            try await putPart(number, of: upload, lengthBytes: UInt64(whole.count), etag: { etag }, from: source)
        }
    }

    /// Stores what a sequence of buffers gives as a part of the upload, in constant memory. The buffers are not copied.
    ///
    /// - Parameters:
    ///   - number: 1 to `partNumberMax`; parts are joined by rising numbers.
    ///   - lengthBytes: how many bytes the source has, if that is known: it is checked, and stripes are chosen by it.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    ///   - etag: called once all bytes were read; says what completion may ask for, or throws.
    /// - Throws: as `putPart` of `SharedBytes`.
    @discardableResult
    public func putPart<Source: AsyncSequence>(
        _ number: Int, of upload: MultipartUpload, lengthBytes: UInt64? = nil,
        progress: (@Sendable (UInt64) -> Void)? = nil, etag: (@Sendable () async throws -> String)? = nil,
        from source: Source
    ) async throws -> UploadedPart where Source.Element == ByteBuffer {
        let pieces = SharedPieces(base: source, counter: ByteCounter())
        return try await cancelling(upload.key) {
            try await putPart(
                number, of: upload, lengthBytes: lengthBytes, progress: progress,
                etag: {
                    // A source that was cancelled may only seem to be at its end.
                    try Task.checkCancellation()
                    return try await etag?() ?? ""
                }, from: pieces)
        }
    }
}
