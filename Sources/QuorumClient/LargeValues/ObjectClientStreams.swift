// Values of any size as streams.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// An object that is being read: a sequence of pieces in order, each verified, of which few are in memory at a time.
public struct ObjectBytes: AsyncSequence, Sendable {
    public typealias Element = SharedBytes
    public typealias Failure = ClientError

    /// What is to know of the object beside its bytes.
    public let status: ObjectStatus
    /// Which of its bytes these are.
    public let range: Range<UInt64>
    let contents: Contents

    enum Contents: Sendable {
        case whole(SharedBytes)
        /// `isCurrent`: of the version that the object had, and not of one that was asked for by its timestamp.
        case staged(StagedContents, isCurrent: Bool, ObjectClient)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var whole: SharedBytes?
        fileprivate let pieces: PieceReader?

        /// - Throws: `.overwritten` when it was, and its bytes are gone, or `.noVersion` when it was asked for by its
        ///   timestamp; `.unavailable`, `.cancelled`, `.closed`. Nothing comes after that.
        public mutating func next() async throws(ClientError) -> SharedBytes? {
            if let pieces { return try await pieces.next() }
            defer { whole = nil }
            return whole
        }
    }

    /// Some of the object's bytes.
    ///
    /// - Precondition: they are among these.
    public func slice(_ bounds: Range<UInt64>) -> ObjectBytes {
        precondition(bounds.lowerBound >= range.lowerBound && bounds.upperBound <= range.upperBound)
        switch contents {
        case .whole(let bytes):
            let (first, last) = (Int(bounds.lowerBound - range.lowerBound), Int(bounds.upperBound - range.lowerBound))
            return ObjectBytes(status: status, range: bounds, contents: .whole(bytes[first..<last]))
        case .staged:
            return ObjectBytes(status: status, range: bounds, contents: contents)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        switch contents {
        case .whole(let bytes):
            AsyncIterator(whole: bytes.count > 0 ? bytes : nil, pieces: nil)
        case .staged(let staged, let isCurrent, let client):
            AsyncIterator(
                pieces: PieceReader(
                    staged, key: status.key, timestamp: status.timestamp, isCurrent: isCurrent, range: range,
                    client: client))
        }
    }
}

extension ObjectClient {
    /// The stripe size where a value's length is known and small stripes suffice.
    static let chosenStripeSizeBytes = 1 << 20

    /// Stores what a sequence gives as the object's new version, in constant memory: a value of any size up to 5 TiB.
    /// Nothing is seen of it before all of it is stored. Where versions are verified later
    /// (`VerificationMode.lazy`, `.readTime`) a value has at most 16 of the cluster's stripes.
    ///
    /// - Parameters:
    ///   - lengthBytes: how many bytes the source has, if that is known: it is checked, and small values take fewer
    ///     rounds.
    ///   - upload: which upload this is. What was staged to it before is compared and not sent again, and is kept when
    ///     this fails, to be gone on with. Nil: one of its own, which is given back when this fails. Values of one
    ///     stripe are stored at once and need none.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    ///   - seal: called once all bytes were read, before the version is made; may change the metadata, or throw.
    /// - Throws: what the source throws; `.valueTooLarge`, `.wrongLength`, `.uploadEnded`, and as `put`.
    public func put<Source: AsyncSequence>(
        _ key: ObjectKey, lengthBytes: UInt64? = nil, metadata: ObjectMetadata = ObjectMetadata(),
        upload: ResumableUpload? = nil, progress: (@Sendable (UInt64) -> Void)? = nil,
        seal: (@Sendable (inout ObjectMetadata) async throws -> Void)? = nil, from source: Source
    ) async throws -> PutResult where Source.Element == SharedBytes {
        try checkOpen()
        var metadata = try validated(metadata, of: key)
        try await checkBucket(of: key)
        let limit = parameters.limits.stripeSizeBytesMax
        if let lengthBytes, lengthBytes > valueSizeBytesMax {
            throw ClientError.valueTooLarge(
                key, sizeBytes: Int(clamping: lengthBytes), limitBytes: Int(valueSizeBytesMax))
        }
        var blocks = BlockSource(source.makeAsyncIterator())
        let first = try await blocks.next(sizeBytes: limit)
        let second = first.count < limit ? SharedBytes() : try await blocks.next(sizeBytes: 1)
        guard second.count > 0 else {
            if let lengthBytes, lengthBytes != UInt64(first.count) {
                throw ClientError.wrongLength(key, got: UInt64(first.count), expected: lengthBytes)
            }
            try await seal?(&metadata)
            let result = try await put(key, first, metadata: metadata)
            progress?(UInt64(first.count))
            return result
        }
        blocks.putBack(second)
        blocks.putBack(first)
        let names = upload ?? newUpload(lengthBytes: lengthBytes)
        let attempt = AttemptName(stager: id, upload: names.upload, part: 1, number: 0)
        return try await ValueUpload(attempt, stripeSizeBytes: names.stripeSizeBytes, of: key, client: self).run(
            &blocks, lengthBytes: lengthBytes, isKept: upload != nil, metadata: metadata, progress: progress, seal: seal
        )
    }

    /// Stores a value of more than one stripe that is in memory.
    func putStriped(
        _ key: ObjectKey, _ value: SharedBytes, metadata: ObjectMetadata
    ) async throws(ClientError) -> PutResult {
        let whole = AsyncStream { continuation in
            continuation.yield(value)
            continuation.finish()
        }
        do {
            return try await put(key, lengthBytes: UInt64(value.count), metadata: metadata, from: whole)
        } catch let error as ClientError {
            throw error
        } catch {
            throw .cancelled(
                key,
                .unavailable(
                    .stage, answered: [], need: parameters.quorums.quorum, observations: ServerObservations()))
        }
    }

    /// The largest value that the cluster takes.
    public var valueSizeBytesMax: UInt64 {
        min(
            StagedLimits.valueSizeBytesMax,
            UInt64(parameters.limits.stripeSizeBytesMax) * UInt64(Self.stripesMax(parameters)))
    }

    /// Small stripes where the length is known and its digests fit, so that a range read moves little; else the
    /// cluster's.
    func stripeSizeBytes(for lengthBytes: UInt64?) -> UInt32 {
        let limit = parameters.limits.stripeSizeBytesMax
        guard let lengthBytes else { return UInt32(limit) }
        var size = min(Self.chosenStripeSizeBytes, limit)
        while size < limit, lengthBytes > UInt64(size) * UInt64(Self.stripesMax(parameters)) { size *= 2 }
        return UInt32(size)
    }

    /// Opens an object to be read piece by piece. The version that is found now is read to its end, whatever is written
    /// meanwhile.
    ///
    /// - Parameter range: which of its bytes; cut at its end. Nil: all.
    /// - Throws: `.notFound`, `.invalidRange` when the range begins behind the end, `.unavailable`, `.refused`,
    ///   `.cancelled`, `.closed`.
    public func open(_ key: ObjectKey, range: Range<UInt64>? = nil) async throws(ClientError) -> ObjectBytes {
        let (status, descriptor, stripes) = try await read(key, wantsValue: true)
        return try opened(status, descriptor, stripes, isCurrent: true, range)
    }

    /// The bytes of a version that was found, or some of them.
    func opened(
        _ status: ObjectStatus, _ descriptor: Descriptor, _ stripes: [[VerifiedFragment]], isCurrent: Bool,
        _ range: Range<UInt64>?
    ) throws(ClientError) -> ObjectBytes {
        let key = status.key
        let wanted = range ?? 0..<status.lengthBytes
        guard wanted.lowerBound < status.lengthBytes || wanted.isEmpty || range == nil else {
            throw .invalidRange(key, lengthBytes: status.lengthBytes)
        }
        let cut = min(wanted.lowerBound, status.lengthBytes)..<min(wanted.upperBound, status.lengthBytes)
        if let staged = descriptor.staged {
            return ObjectBytes(status: status, range: cut, contents: .staged(staged, isCurrent: isCurrent, self))
        }
        let value = Self.decode(stripes, of: descriptor)
        return ObjectBytes(
            status: status, range: cut, contents: .whole(value[Int(cut.lowerBound)..<Int(cut.upperBound)]))
    }
}
