// CreateMultipartUpload, UploadPart, UploadPartCopy, AbortMultipartUpload. A part is an attempt of an upload of the
// client library; its tag is what its MD5 gives, and its checksum is noted beside it.

import Solidus
import Synchronization

extension Gateway {
    /// Under what a part's checksum is noted.
    static let partChecksumName = "checksum"

    func createMultipartUpload(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkName(request.key)
        var metadata = try ObjectHeaders.metadata(request.headers)
        let algorithm = try Self.algorithm(request)
        let type = try Self.checksumType(request, algorithm)
        if let algorithm { metadata.checksum = KeptChecksum(algorithm, "", type) }
        try await requireBucket(request.bucket)
        let upload = try await client.beginUpload(key, metadata: metadata)
        var headers: [(name: String, value: String)] = []
        if let algorithm {
            headers = [
                ("x-amz-checksum-algorithm", algorithm.rawValue), ("x-amz-checksum-type", type.rawValue),
            ]
        }
        return .xml(headers: headers) { xml in
            xml.root("InitiateMultipartUploadResult") { xml in
                xml.text("Bucket", request.bucket)
                xml.text("Key", request.key)
                xml.text("UploadId", upload.id)
            }
        }
    }

    /// What the object's checksum is to be of.
    private static func checksumType(
        _ request: S3Request, _ algorithm: ChecksumAlgorithm?
    ) throws(S3Error) -> ChecksumType {
        guard let text = request.headers["x-amz-checksum-type"] else {
            return algorithm == .crc64nvme ? .fullObject : .composite
        }
        guard let algorithm else {
            throw S3Error(
                .invalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
        }
        guard let type = ChecksumType(rawValue: text.uppercased()) else {
            throw S3Error(.invalidRequest, "Value for x-amz-checksum-type header is invalid.")
        }
        let isPossible =
            switch algorithm {
            case .crc32, .crc32c: true
            case .crc64nvme: type == .fullObject
            case .sha1, .sha256: type == .composite
            }
        guard isPossible else {
            throw S3Error(
                .invalidRequest,
                "The \(type.rawValue) checksum type cannot be used with the \(algorithm.rawValue) checksum algorithm.")
        }
        return type
    }

    /// The upload that a request names.
    func upload(_ request: S3Request) throws(S3Error) -> MultipartUpload {
        let id = request.target["uploadId"] ?? ""
        guard let upload = MultipartUpload(try request.objectKey(), id: id) else { throw .noSuchUpload(id) }
        return upload
    }

    /// Runs what needs an upload that goes on, and names the one that does not.
    func uploading<R>(_ request: S3Request, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch ClientError.uploadEnded {
            guard try await client.bucketExists(request.bucket) else { throw S3Error.noSuchBucket(request.bucket) }
            throw S3Error.noSuchUpload(request.target["uploadId"] ?? "")
        }
    }

    func uploadPart(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        guard !body.isAbsent else {
            throw S3Error(.missingContentLength, "You must provide the Content-Length HTTP header.")
        }
        guard let number = try Self.partNumber(request) else { preconditionFailure("a part without a number") }
        let upload = try upload(request)
        let plan = try PayloadPlan(request.headers, request.signature, contentLength: body.contentLength)
        return try await uploading(request) {
            let expected = try await client.status(of: upload).metadata.checksum
            try Self.checkAlgorithm(plan.checksum?.algorithm, expected)
            let payload = CheckedPayload(plan, algorithm: expected?.algorithm)
            let lease = try await lease(for: plan.lengthBytes)
            defer { withExtendedLifetime(lease) {} }
            let stored = Mutex<CheckedPayload.Facts?>(nil)
            try await client.putPart(
                number, of: upload, lengthBytes: plan.lengthBytes,
                seal: { metadata in
                    let facts = try payload.finish()
                    metadata.etag = facts.etag
                    if let checksum = facts.checksum {
                        metadata.user[Self.partChecksumName] =
                            KeptChecksum(checksum.algorithm, Base64.text(checksum.bytes), .fullObject).text
                    }
                    stored.withLock { $0 = facts }
                }, from: PayloadPieces(body: body, payload: payload))
            guard let facts = stored.withLock({ $0 }) else { preconditionFailure("a part that was not sealed") }
            var headers: [(name: String, value: String)] = [("ETag", "\"\(facts.etag)\"")]
            if let checksum = facts.checksum {
                headers.append((checksum.algorithm.header, Base64.text(checksum.bytes)))
            }
            return Response(headers: headers)
        }
    }

    /// - Throws: when a part comes without the checksum of which the object's is made, or with another one.
    private static func checkAlgorithm(_ given: ChecksumAlgorithm?, _ expected: KeptChecksum?) throws(S3Error) {
        guard let expected else { return }
        if let given {
            guard given == expected.algorithm else {
                throw S3Error(
                    .invalidRequest,
                    "Checksum Type mismatch occurred, expected checksum Type: "
                        + "\(expected.algorithm.rawValue.lowercased()), actual checksum Type: "
                        + given.rawValue.lowercased())
            }
        } else if expected.type == .composite {
            throw S3Error(
                .invalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: "
                    + "\(expected.algorithm.rawValue.lowercased()), actual checksum Type: null")
        }
    }

    func uploadPartCopy(_ request: S3Request) async throws -> Response {
        guard let number = try Self.partNumber(request) else { preconditionFailure("a part without a number") }
        let upload = try upload(request)
        return try await uploading(request) {
            let expected = try await client.status(of: upload).metadata.checksum
            var object = try await source(of: request)
            if let header = request.headers["x-amz-copy-source-range"], !header.isEmpty {
                object = object.slice(try ByteRanges.ofCopy(header, lengthBytes: object.status.lengthBytes))
            }
            let length = object.range.upperBound - object.range.lowerBound
            let pieces = CopiedPieces(base: object, algorithm: expected?.algorithm)
            let lease = try await lease(for: length)
            defer { withExtendedLifetime(lease) {} }
            let part = try await client.putPart(
                number, of: upload, lengthBytes: length,
                seal: { metadata in
                    metadata.etag = Hexadecimals.text(pieces.md5)
                    metadata.user[Self.partChecksumName] = pieces.kept?.text
                }, from: pieces)
            return .xml { xml in
                xml.root("CopyPartResult") { xml in
                    xml.text("LastModified", Dates.iso(milliseconds: part.modifiedMilliseconds))
                    xml.text("ETag", "\"\(part.etag)\"")
                    if let checksum = pieces.kept { xml.text(checksum.algorithm.element, checksum.value) }
                }
            }
        }
    }

    func abortMultipartUpload(_ request: S3Request) async throws -> Response {
        let upload = try upload(request)
        return try await uploading(request) {
            _ = try await client.status(of: upload)
            try await client.abort(upload)
            return Response(.noContent)
        }
    }
}
