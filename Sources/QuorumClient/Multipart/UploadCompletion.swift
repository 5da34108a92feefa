// Making the parts of an upload one version.

import ErasureCode
import QuorumProtocol

/// A part that a version is to consist of.
public struct PartToJoin: Sendable, Hashable {
    public let number: Int
    /// What the part must have; nil for anything.
    public let etag: String?

    public init(number: Int, etag: String? = nil) {
        self.number = number
        self.etag = etag
    }
}

extension ObjectClient {
    /// Makes the parts the object's new version; they are not copied. Once more for an upload that is complete it gives
    /// the same version, also when that has been overwritten since.
    ///
    /// - Parameters:
    ///   - parts: by rising numbers; all that are stored when nil. Others are given back.
    ///   - etag: of the object; nil for that of the metadata with which the upload began.
    /// - Throws: `.noPart`, `.otherPart`, `.uploadEnded`, `.valueTooLarge`, `.tooManyStripes` when what names the parts'
    ///   stripes has no room in one descriptor; and as `put`. After an error that leaves it open whether the version was
    ///   stored it can be called again, by another process, too.
    public func complete(
        _ upload: MultipartUpload, parts: [PartToJoin]? = nil, etag: String? = nil
    ) async throws(ClientError) -> PutResult {
        do {
            return try await complete(upload, parts: parts) { metadata, _ in if let etag { metadata.etag = etag } }
        } catch let error as ClientError {
            throw error
        } catch {
            preconditionFailure("a seal that does not throw threw \(error)")
        }
    }

    /// The same, where what is known of the parts goes into the object's metadata.
    ///
    /// - Parameter seal: called with the object's metadata and the parts that are joined; may change the one, or throw.
    ///   Not called for an upload that is complete.
    public func complete(
        _ upload: MultipartUpload, parts: [PartToJoin]? = nil,
        seal: (inout ObjectMetadata, [UploadedPart]) async throws -> Void
    ) async throws -> PutResult {
        let key = upload.key
        return try await measure(.completeUpload, .object(key), facts: { OperationFacts($0) }) {
            guard let note = try await note(of: upload) else { throw ClientError.uploadEnded(key) }
            if let completed = note.completed { return Self.result(key, completed) }
            let found = try await found(parts, of: upload)
            let contents = try joined(found, of: upload)
            var metadata = note.metadata
            metadata.modifiedMilliseconds = Self.currentMilliseconds()
            try await seal(&metadata, found.map(\.part))
            let result = try await write(contents, validated(metadata, of: key), of: upload)
            var ended = note
            ended.completed = result.timestamp
            try await write(ended, of: upload)
            try await forgetParts(of: upload)
            return result
        }
    }

    private static func result(_ key: ObjectKey, _ timestamp: Timestamp) -> PutResult {
        PutResult(key: key, timestamp: timestamp, rounds: 1, durableAt: [], observations: ServerObservations())
    }

    /// The parts that are to be joined.
    private func found(
        _ wanted: [PartToJoin]?, of upload: MultipartUpload
    ) async throws(ClientError) -> [NotedPart] {
        let key = upload.key
        var found: [NotedPart]
        if let wanted {
            for (place, part) in wanted.enumerated() where place > 0 && wanted[place - 1].number >= part.number {
                throw .noPart(key, number: part.number)
            }
            found = []
            for (part, noted) in zip(wanted, try await notedParts(wanted.map(\.number), of: upload)) {
                guard let noted else { throw .noPart(key, number: part.number) }
                guard part.etag == nil || part.etag == noted.part.etag else {
                    throw .otherPart(key, number: part.number, etag: noted.part.etag)
                }
                found.append(noted)
            }
        } else {
            found = try await notedParts(of: upload)
        }
        guard !found.isEmpty else { throw .noPart(key, number: 1) }
        return found
    }

    /// Nil when all parts are empty.
    private func joined(
        _ found: [NotedPart], of upload: MultipartUpload
    ) throws(ClientError) -> StagedContents? {
        let key = upload.key
        let parts = found.compactMap(\.contents)
        guard !parts.isEmpty else { return nil }
        let lengthBytes = parts.reduce(0) { $0 &+ $1.lengthBytes }
        let contents = StagedContents(joining: parts, parameters: parameters)
        let hasRoom =
            contents.pageCount <= StagedLimits.pageDigestsMax
            && contents.stripeCount <= UInt64(Self.stripesMax(parameters))
        guard lengthBytes <= valueSizeBytesMax else {
            throw .valueTooLarge(key, sizeBytes: Int(clamping: lengthBytes), limitBytes: Int(valueSizeBytesMax))
        }
        guard hasRoom else { throw .tooManyStripes(key, limit: UInt64(Self.stripesMax(parameters))) }
        return contents
    }

    private func write(
        _ contents: StagedContents?, _ metadata: ObjectMetadata, of upload: MultipartUpload
    ) async throws(ClientError) -> PutResult {
        guard let contents else {
            let result = try await write(upload.key, .value(SharedBytes(), metadata, salt: .random()))
            await announce(.discard(Discard(key: upload.key, stager: id, upload: upload.upload)))
            return result
        }
        do throws(ClientError) {
            return try await write(upload.key, .staged(contents, metadata, salt: .random()))
        } catch {
            // f liars may say so of an upload that is not over.
            guard case .refused(_, let failure) = error,
                failure.observations.refusing.count(where: { $0.why.kind?.endsUpload ?? false })
                    > parameters.quorums.faults
            else { throw error }
            // Somebody else may have completed it, and not come to say so.
            if let earlier = try await version(of: upload) { return Self.result(upload.key, earlier) }
            throw .uploadEnded(upload.key)
        }
    }

    /// The version that consists of the upload's parts, as long as servers keep it.
    private func version(of upload: MultipartUpload) async throws(ClientError) -> Timestamp? {
        for version in try await versions(of: upload.key) where version.timestamp.writer == id && version.head != nil {
            do throws(ClientError) {
                let opened = try await open(upload.key, version: version.timestamp)
                if opened.uploadID == upload.upload { return version.timestamp }
            } catch .noVersion {
                continue
            }
        }
        return nil
    }
}

extension ObjectBytes {
    /// The upload that its stripes were staged to.
    fileprivate var uploadID: UploadID? {
        guard case .staged(let staged, _, _) = contents else { return nil }
        return staged.parts[0].attempt.upload
    }
}

extension RefusalKind {
    /// Whether what was staged to an upload is not there any more, or not to be used again.
    fileprivate var endsUpload: Bool {
        switch self {
        case .uploadEnded, .stripesMissing: true
        default: false
        }
    }
}
