// Objects as streams of SwiftNIO's buffers.

import ErasureCode
import NIOCore
import QuorumClient
import QuorumProtocol

extension ObjectClient {
    /// Stores what a sequence of buffers gives as the object's new version, in constant memory: a value of any size up
    /// to 5 TiB. The buffers are not copied. Nothing is seen of the version before all of it is stored.
    ///
    /// - Parameters:
    ///   - lengthBytes: how many bytes the source has, if that is known: it is checked, and small values take fewer
    ///     rounds.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    /// - Throws: what the source throws; `ClientError.valueTooLarge`, `.wrongLength`, `.cancelled`, and as `put` of
    ///   bytes.
    @discardableResult
    public func put<Source: AsyncSequence>(
        _ key: ObjectKey, lengthBytes: UInt64? = nil, metadata: ObjectMetadata = ObjectMetadata(),
        progress: (@Sendable (UInt64) -> Void)? = nil, from source: Source
    ) async throws -> PutResult where Source.Element == ByteBuffer {
        let counter = ByteCounter()
        let pieces = SharedPieces(base: source, counter: counter)
        return try await measure(
            .put, .object(key), facts: { OperationFacts($0, valueBytes: counter.count) }
        ) {
            try await cancelling(key) {
                try await put(
                    key, lengthBytes: lengthBytes, metadata: metadata, progress: progress,
                    // A source that was cancelled may only seem to be at its end.
                    seal: { _ in try Task.checkCancellation() }, from: pieces)
            }
        }
    }

    /// Runs a transfer whose cancellation is told as that of every other operation.
    func cancelling<R: Sendable>(_ key: ObjectKey, _ transfer: () async throws -> R) async throws -> R {
        do {
            return try await transfer()
        } catch {
            throw told(error, of: key)
        }
    }
}

extension ObjectBytes {
    /// The same bytes as buffers, each a copy of a verified piece.
    public var buffers: ObjectBuffers { ObjectBuffers(bytes: self) }
}

/// An object that is being read: its bytes in order, each buffer verified before it is given.
public struct ObjectBuffers: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    public typealias Failure = ClientError

    let bytes: ObjectBytes

    /// What is to know of the object beside its bytes.
    public var status: ObjectStatus { bytes.status }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var pieces: ObjectBytes.AsyncIterator

        /// - Throws: `.unavailable`, `.cancelled`, `.closed`; nothing comes after that.
        public mutating func next() async throws(ClientError) -> ByteBuffer? {
            try await pieces.next().map { ByteBuffer($0) }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: bytes.makeAsyncIterator()) }
}

/// A source's buffers as the client takes them.
struct SharedPieces<Base: AsyncSequence>: AsyncSequence where Base.Element == ByteBuffer {
    typealias Element = SharedBytes

    let base: Base
    let counter: ByteCounter

    struct AsyncIterator: AsyncIteratorProtocol {
        var base: Base.AsyncIterator
        let counter: ByteCounter

        mutating func next() async throws -> SharedBytes? {
            guard let buffer = try await outsideMeasurement({ try await base.next() }) else { return nil }
            counter.add(buffer.readableBytes)
            return SharedBytes(buffer)
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator(), counter: counter) }
}
