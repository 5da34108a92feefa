// Storing one part of an upload.

import ErasureCode
import QuorumProtocol

extension ObjectClient {
    /// Stores what a sequence gives as a part of the upload, in constant memory. The same part again takes the place of
    /// what was stored before, once it is complete; who completes the upload meanwhile has the one or the other.
    ///
    /// - Parameters:
    ///   - number: 1 to `partNumberMax`; parts are joined by rising numbers.
    ///   - lengthBytes: how many bytes the source has, if that is known: it is checked, and stripes are chosen by it.
    ///   - progress: told how many bytes are safe at a quorum of servers.
    ///   - seal: called once all bytes were read; says in the metadata's tag what completion may ask for, and in its
    ///     user entries what else is to be noted of the part, or throws.
    /// - Throws: what the source throws; `.noPart` for a number that no part has, `.uploadEnded`, `.valueTooLarge`,
    ///   `.wrongLength`, and as `put`.
    @discardableResult
    public func putPart<Source: AsyncSequence>(
        _ number: Int, of upload: MultipartUpload, lengthBytes: UInt64? = nil,
        progress: (@Sendable (UInt64) -> Void)? = nil,
        seal: (@Sendable (inout ObjectMetadata) async throws -> Void)? = nil,
        from source: Source
    ) async throws -> UploadedPart where Source.Element == SharedBytes {
        let key = upload.key
        return try await measure(
            .putPart, .object(key), facts: { OperationFacts(valueBytes: $0.lengthBytes) }
        ) {
            guard (1...Self.partNumberMax).contains(number) else { throw ClientError.noPart(key, number: number) }
            guard let note = try await note(of: upload), note.completed == nil else {
                throw ClientError.uploadEnded(key)
            }
            var blocks = BlockSource(source.makeAsyncIterator())
            let limit = parameters.limits.stripeSizeBytesMax
            let first = try await blocks.next(sizeBytes: limit)
            let second = first.count < limit ? SharedBytes() : try await blocks.next(sizeBytes: 1)
            var contents: StagedPart?
            var metadata = ObjectMetadata()
            if first.count > 0 {
                let size = stripeSizeBytes(ofPart: second.count > 0 ? lengthBytes : UInt64(first.count))
                blocks.putBack(second)
                blocks.putBack(first)
                // What was staged for the same part before has another number.
                let attempt = AttemptName(
                    stager: id, upload: upload.upload, part: UInt16(number), number: .random(in: .min ... .max))
                contents = try await givingBack(attempt, of: key) {
                    let contents = try await ValueUpload(attempt, stripeSizeBytes: size, of: key, client: self)
                        .stage(&blocks, lengthBytes: lengthBytes, goesOn: false, progress: progress)
                    try await seal?(&metadata)
                    metadata = try validated(metadata, of: key)
                    return contents
                }
            } else {
                if let lengthBytes, lengthBytes > 0 {
                    throw ClientError.wrongLength(key, got: 0, expected: lengthBytes)
                }
                try await seal?(&metadata)
                metadata = try validated(metadata, of: key)
            }
            let partNote = try upload.note(ofPart: number)
            _ = try await write(
                partNote, .value(SharedBytes(PartNote(contents).bytes()), metadata, salt: .random()))
            // It may have been completed, or aborted, meanwhile; then nobody would ever find what was noted now.
            guard let note = try await self.note(of: upload), note.completed == nil else {
                _ = try await writeTombstone(partNote)
                throw ClientError.uploadEnded(key)
            }
            return UploadedPart(
                number: number, lengthBytes: contents?.lengthBytes ?? 0, etag: metadata.etag,
                notes: metadata.user, modifiedMilliseconds: metadata.modifiedMilliseconds)
        }
    }

    /// Runs what stages an attempt, and gives back what it leaves when it fails.
    private func givingBack<R>(
        _ attempt: AttemptName, of key: ObjectKey, _ body: () async throws -> R
    ) async throws -> R {
        do {
            return try await body()
        } catch {
            let discard = Discard(
                key: key, stager: attempt.stager, upload: attempt.upload,
                attempt: Discard.Attempt(part: attempt.part, number: attempt.number))
            await discardInTime(discard)
            throw error
        }
    }

    /// Stripes of which a part has one page, as long as the cluster's are large enough for that: so the digests of the
    /// most parts that a value may have, and of the largest one, have room in its descriptor.
    private func stripeSizeBytes(ofPart lengthBytes: UInt64?) -> UInt32 {
        let limit = UInt32(parameters.limits.stripeSizeBytesMax)
        // Where a value has few stripes at most, there are as many parts as they are large.
        guard let lengthBytes, !parameters.mode.verifiesLater else { return limit }
        var size = min(StagedLimits.stripeSizeBytesMin, limit)
        while size < limit, size < UInt32(Self.chosenStripeSizeBytes), UInt64(size) < lengthBytes { size *= 2 }
        while size < limit, lengthBytes > UInt64(size) * UInt64(StripePage.stripesMax) { size *= 2 }
        return size
    }
}
