// PostObject: a browser's form with a file in it, signed by a policy.

import NIOCore
import Solidus
import Synchronization

/// The file of a form, which is the last that is read of it.
private final class FormFile: AsyncSequence {
    typealias Element = ByteBuffer

    private let body: RequestBody
    private var reader: FormReader

    init(_ body: RequestBody, _ reader: FormReader) {
        self.body = body
        self.reader = reader
    }

    func next() async throws -> ByteBuffer? {
        while true {
            switch try reader.next() {
            case .content(let buffer): return buffer
            case .partEnd, .end, .part: return nil
            case nil:
                guard let buffer = try await body.next() else { throw FormReader.malformed }
                reader.take(buffer)
            }
        }
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        let file: FormFile
        mutating func next() async throws -> ByteBuffer? { try await file.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(file: self) }
}

extension Gateway {
    private static let formSizeBytesMax = 64 << 10
    private static let formFieldsMax = 100

    /// The fields ahead of the file, by lower-case names, and the file's own part.
    private func fields(
        _ reader: inout FormReader, _ body: RequestBody
    ) async throws -> (fields: [String: String], file: FormPart) {
        var fields: [String: String] = [:]
        var size = 0
        var part: FormPart?
        var content: [UInt8] = []
        while true {
            switch try reader.next() {
            case .part(let begun):
                if begun.name == "file" { return (fields, begun) }
                (part, content) = (begun, [])
            case .content(let buffer):
                size += buffer.readableBytes
                guard size <= Self.formSizeBytesMax else {
                    throw S3Error(
                        .maxPostPreDataLengthExceeded,
                        "Your POST request fields preceding the upload file were too large.")
                }
                content += buffer.readableBytesView
            case .partEnd:
                guard let ended = part, let text = String(validating: content, as: UTF8.self),
                    fields.count < Self.formFieldsMax, fields.updateValue(text, forKey: ended.name) == nil
                else { throw FormReader.malformed }
                part = nil
            case .end:
                throw S3Error.invalidArgument(
                    "POST requires exactly one file upload per request.", name: "file", value: "0")
            case nil:
                guard let buffer = try await body.next() else { throw FormReader.malformed }
                reader.take(buffer)
            }
        }
    }

    func postObject(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        guard var reader = FormReader(contentType: request.headers["content-type"] ?? "") else {
            throw FormReader.malformed
        }
        var (fields, file) = try await fields(&reader, body)
        guard let template = fields["key"], !template.isEmpty else {
            throw S3Error.invalidArgument(
                "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.",
                name: "key", value: "")
        }
        fields["bucket"] = request.bucket
        let policy = try await policy(fields, request.bucket)
        let name = template.replacing("${filename}", with: file.fileName ?? "")
        let key = try Self.objectKey(request.bucket, name)
        try Self.checkName(name)
        // What a form says of an object is what a request's headers say.
        var headers = fields.map { (name: $0.key == "acl" ? "x-amz-acl" : $0.key, value: $0.value) }
        headers.removeAll { $0.name == "x-amz-content-sha256" || $0.name == "x-amz-trailer" }
        let described = RequestHeaders(headers)
        let metadata = try ObjectHeaders.metadata(described)
        guard fields["x-amz-security-token"] == nil else {
            throw S3Error(.invalidToken, "The provided token is malformed or otherwise invalid.")
        }
        if fields["tagging"] != nil { throw S3Error.notImplemented("Tags of a form") }
        try await requireBucket(request.bucket)
        let payload = CheckedPayload(try PayloadPlan(described, nil, contentLength: nil))
        let lease = try await lease(for: nil)
        defer { withExtendedLifetime(lease) {} }
        let stored = Mutex<String?>(nil)
        let none = try WriteConditions(RequestHeaders([]))
        try await writing(key, none, name) { enter in
            _ = try await client.put(
                key, metadata: metadata,
                seal: { metadata in
                    let facts = try payload.finish()
                    try Self.check(facts.lengthBytes, policy.lengths)
                    metadata.etag = facts.etag
                    metadata.checksum = facts.checksum.map {
                        KeptChecksum($0.algorithm, Base64.text($0.bytes), .fullObject)
                    }
                    stored.withLock { $0 = facts.etag }
                    try await enter()
                },
                from: PayloadPieces(
                    body: LimitedBody(body: FormFile(body, reader), limitBytes: policy.lengths?.upperBound),
                    payload: payload))
        }
        guard let etag = stored.withLock({ $0 }) else { preconditionFailure("a put that was not sealed") }
        // What comes behind the file is nothing.
        while try await body.next() != nil {}
        return Self.answer(fields, request.bucket, name, etag)
    }

    /// What the form's signer allows.
    private func policy(_ fields: [String: String], _ bucket: String) async throws -> PostPolicy {
        guard let text = fields["policy"], let algorithm = fields["x-amz-algorithm"],
            let credential = fields["x-amz-credential"], let signature = fields["x-amz-signature"],
            let date = fields["x-amz-date"]
        else { throw S3Error.accessDenied }
        guard algorithm == RequestSignature.algorithm else {
            throw S3Error.invalidArgument("The algorithm is not supported.", name: "x-amz-algorithm", value: algorithm)
        }
        let (accessKey, scope) = try RequestSignature.formCredential(credential)
        guard scope.region == settings.region, date.hasPrefix(scope.day), Dates.parseBasic(date) != nil else {
            throw S3Error(
                .accessDenied, "The form's credential is of another day or region; expecting '\(settings.region)'.")
        }
        guard let known = try await knownCredential(accessKey) else {
            throw S3Error(
                .invalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.",
                [("AWSAccessKeyId", accessKey)])
        }
        let expected = SigningKey(secret: known.secret, scope: scope).signature(of: text)
        guard let given = Hexadecimals.bytes(signature), isEqualInConstantTime(expected, given) else {
            throw RequestSignature.mismatch
        }
        guard known.rights(on: bucket).contains(.write) else { throw S3Error.accessDenied }
        let policy = try PostPolicy(text)
        try policy.check(fields, now: Dates.now())
        return policy
    }

    private static func check(_ lengthBytes: UInt64, _ lengths: ClosedRange<UInt64>?) throws(S3Error) {
        guard let lengths else { return }
        if lengthBytes < lengths.lowerBound {
            throw S3Error(
                .entityTooSmall, "Your proposed upload is smaller than the minimum allowed size",
                [("ProposedSize", "\(lengthBytes)"), ("MinSizeAllowed", "\(lengths.lowerBound)")])
        }
        if lengthBytes > lengths.upperBound { throw tooLarge(lengths.upperBound) }
    }

    fileprivate static func tooLarge(_ limit: UInt64) -> S3Error {
        S3Error(
            .entityTooLarge, "Your proposed upload exceeds the maximum allowed size", [("MaxSizeAllowed", "\(limit)")])
    }

    private static func answer(
        _ fields: [String: String], _ bucket: String, _ name: String, _ etag: String
    ) -> Response {
        let path = "/\(bucket)/" + PercentCoding.encode(name.utf8, keepsSlash: true)
        let common = [(name: "ETag", value: "\"\(etag)\""), (name: "Location", value: path)]
        if let target = fields["success_action_redirect"] ?? fields["redirect"], !target.isEmpty,
            target.utf8.allSatisfy({ (0x21..<0x7F).contains($0) })
        {
            let query =
                "bucket=\(bucket)&key=\(PercentCoding.encode(name.utf8, keepsSlash: false))&etag="
                + PercentCoding.encode("\"\(etag)\"".utf8, keepsSlash: false)
            return Response(
                .seeOther,
                headers: [common[0], ("Location", target + (target.contains("?") ? "&" : "?") + query)])
        }
        switch fields["success_action_status"] {
        case "200": return Response(.ok, headers: common)
        case "201":
            return .xml(.created, headers: common) { xml in
                xml.element("PostResponse") { xml in
                    xml.text("Location", path)
                    xml.text("Bucket", bucket)
                    xml.text("Key", name)
                    xml.text("ETag", "\"\(etag)\"")
                }
            }
        default: return Response(.noContent, headers: common)
        }
    }
}

/// A body that ends in an error when it is longer than it may be.
private struct LimitedBody<Base: AsyncSequence>: AsyncSequence where Base.Element == ByteBuffer {
    typealias Element = ByteBuffer

    let body: Base
    let limitBytes: UInt64?

    struct AsyncIterator: AsyncIteratorProtocol {
        var base: Base.AsyncIterator
        let limitBytes: UInt64?
        var countBytes: UInt64 = 0

        mutating func next() async throws -> ByteBuffer? {
            guard let buffer = try await base.next() else { return nil }
            countBytes += UInt64(buffer.readableBytes)
            if let limitBytes, countBytes > limitBytes { throw Gateway.tooLarge(limitBytes) }
            return buffer
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: body.makeAsyncIterator(), limitBytes: limitBytes)
    }
}
