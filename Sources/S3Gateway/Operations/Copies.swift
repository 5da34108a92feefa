// CopyObject, and what UploadPartCopy has in common with it.

import Solidus

/// The object that a request copies.
struct CopySource: Sendable {
    let bucket: String
    let key: String

    /// - Throws: `.invalidArgument` for what names no object.
    init(_ header: String) throws(S3Error) {
        // A version is named behind the key; there is one only.
        var text = header[...]
        var version: Substring?
        if let mark = text.lastIndex(of: "?"), text[mark...].hasPrefix("?versionId=") {
            version = text[mark...].dropFirst("?versionId=".count)
            text = text[..<mark]
        }
        guard let bytes = PercentCoding.decode(text.utf8, plusIsSpace: true),
            let decoded = String(validating: bytes, as: UTF8.self)
        else { throw Self.invalid(header) }
        var rest = decoded[...]
        if rest.hasPrefix("/") { rest = rest.dropFirst() }
        guard let slash = rest.firstIndex(of: "/"), slash != rest.startIndex else { throw Self.invalid(header) }
        bucket = String(rest[..<slash])
        key = String(rest[rest.index(after: slash)...])
        guard !key.isEmpty else { throw Self.invalid(header) }
        if let version, version != "null" {
            throw S3Error(.noSuchVersion, "The specified version does not exist.", [("VersionId", String(version))])
        }
    }

    private static func invalid(_ header: String) -> S3Error {
        .invalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", name: "x-amz-copy-source",
            value: header)
    }
}

extension Gateway {
    /// The source of a copy, opened, if the one who asks may read it and the conditions hold.
    func source(of request: S3Request) async throws -> ObjectBytes {
        let source = try CopySource(request.headers["x-amz-copy-source"] ?? "")
        guard try await rights(request.credential, on: source.bucket).contains(.read) else {
            throw S3Error.accessDenied
        }
        let key = try Self.objectKey(source.bucket, source.key)
        let object = try await reading(request) { try await client.open(key) }
        switch Conditions(request.headers, prefix: "x-amz-copy-source-").judge(
            etag: object.status.shownTag, modifiedMilliseconds: object.status.metadata.modifiedMilliseconds)
        {
        case .go: return object
        case .notModified: throw S3Error.preconditionFailed("x-amz-copy-source-If-None-Match")
        case .failed(let name): throw S3Error.preconditionFailed("x-amz-copy-source-\(name)")
        }
    }

    func copyObject(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkName(request.key)
        let replaces = try Self.replaces(request, "x-amz-metadata-directive")
        let replacesTags = try Self.replaces(request, "x-amz-tagging-directive")
        let given = try ObjectHeaders.metadata(request.headers)
        let conditions = try conditions(request)
        try await requireBucket(request.bucket)
        let object = try await source(of: request)
        let namesVersion = request.headers["x-amz-copy-source"]?.contains("?versionId=") ?? false
        guard object.status.key != key || replaces || replacesTags || namesVersion || !conditions.isEmpty else {
            throw S3Error(
                .invalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                    + "object's metadata, storage class, website redirect location or encryption attributes.")
        }
        if !conditions.isEmpty { try conditions.check(try await currentTag(key), key: request.key) }
        var metadata = object.status.metadata
        let tags = replacesTags ? given.user[ObjectHeaders.taggingName] : metadata.user[ObjectHeaders.taggingName]
        let checksum = metadata.checksum
        if replaces { metadata = given }
        metadata.user[ObjectHeaders.taggingName] = tags
        metadata.checksum = checksum
        metadata.etag = object.status.shownTag
        metadata.modifiedMilliseconds = Dates.nowMilliseconds()
        let algorithm = try Self.algorithm(request) ?? checksum?.algorithm
        // What was uploaded in parts is one from here on, and so are its tag and its checksum.
        var digests: CopiedPieces<ObjectBytes>?
        if !Self.parts(of: object.status).isEmpty || algorithm != checksum?.algorithm || checksum?.type == .composite {
            digests = CopiedPieces(base: object, algorithm: algorithm)
        }
        let lease = try await lease(for: object.status.lengthBytes)
        defer { withExtendedLifetime(lease) {} }
        let modified = metadata.modifiedMilliseconds
        let (first, computed) = (metadata, digests)
        try await writing(key, conditions, request.key) { enter in
            let seal: @Sendable (inout ObjectMetadata) async throws -> Void = { metadata in
                if let computed {
                    metadata.checksum = computed.kept
                    metadata.etag = Hexadecimals.text(computed.md5)
                }
                try await enter()
            }
            if let digests {
                _ = try await client.put(
                    key, lengthBytes: object.status.lengthBytes, metadata: first, seal: seal, from: digests)
            } else {
                _ = try await client.put(
                    key, lengthBytes: object.status.lengthBytes, metadata: first, seal: seal, from: object)
            }
        }
        let kept = digests.map(\.kept) ?? checksum
        let etag = digests.map { Hexadecimals.text($0.md5) } ?? first.etag
        return .xml { xml in
            xml.root("CopyObjectResult") { xml in
                xml.text("LastModified", Dates.iso(milliseconds: modified))
                xml.text("ETag", "\"\(etag)\"")
                kept?.write(to: &xml)
            }
        }
    }

    /// The algorithm of which a checksum is asked for.
    static func algorithm(_ request: S3Request) throws(S3Error) -> ChecksumAlgorithm? {
        guard let name = request.headers["x-amz-checksum-algorithm"] else { return nil }
        guard let algorithm = ChecksumAlgorithm(name: name) else {
            throw S3Error(
                .invalidRequest,
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                    + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        }
        return algorithm
    }

    private static func replaces(_ request: S3Request, _ header: String) throws(S3Error) -> Bool {
        switch request.headers[header] {
        case nil, "COPY": return false
        case "REPLACE": return true
        case let other?:
            throw .invalidArgument("Unknown \(header).", name: header, value: other)
        }
    }
}
