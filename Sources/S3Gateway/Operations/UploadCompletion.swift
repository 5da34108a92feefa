// CompleteMultipartUpload: the parts become one object, of which no byte is copied.

import Crypto
import Foundation
import Solidus
import Synchronization

/// What a client says of a part that is to be joined.
private struct ListedPart {
    let number: Int
    /// Without quotes.
    let etag: String
    /// By the names of their elements.
    let checksums: [(algorithm: ChecksumAlgorithm, value: String)]
}

extension Gateway {
    /// Every part but the last one has so many bytes.
    static let partSizeBytesMin: UInt64 = 5 << 20

    func completeMultipartUpload(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        let upload = try upload(request)
        let document = try await document(request, body, checksumIsTheObjects: true)
        let listed = try Self.parts(try XMLReader.read(document))
        let conditions = try conditions(request)
        let declared = try DeclaredObjectChecksum(request.headers)
        let etag = try Self.etag(listed)
        let expectedBytes = try Self.objectSize(request)
        return try await uploading(request) {
            try await checkOrder(listed, upload)
            let began = try? await client.status(of: upload).beganMilliseconds
            let kept = Mutex<KeptChecksum?>(nil)
            do {
                try await completing(request, upload.key, conditions, began) { enter in
                    _ = try await client.complete(
                        upload, parts: listed.map { PartToJoin(number: $0.number, etag: $0.etag) },
                        seal: { metadata, parts in
                            try Self.check(parts, haveBytes: expectedBytes)
                            for part in parts.dropLast() where part.lengthBytes < Self.partSizeBytesMin {
                                throw S3Error(
                                    .entityTooSmall,
                                    "Your proposed upload is smaller than the minimum allowed object size.",
                                    [
                                        ("ProposedSize", "\(part.lengthBytes)"),
                                        ("MinSizeAllowed", "\(Self.partSizeBytesMin)"),
                                        ("PartNumber", "\(part.number)"), ("ETag", part.etag),
                                    ])
                            }
                            metadata.etag = etag
                            metadata.checksum = try Self.checksum(metadata.checksum, of: parts, listed, declared)
                            let checksum = metadata.checksum
                            kept.withLock { $0 = checksum }
                            try await enter()
                        })
                }
            } catch ClientError.noPart(_, let number) {
                throw Self.invalidPart(upload, number, listed)
            } catch ClientError.otherPart(_, let number, _) {
                throw Self.invalidPart(upload, number, listed)
            }
            let checksum = kept.withLock { $0 }
            return .xml { xml in
                xml.root("CompleteMultipartUploadResult") { xml in
                    xml.text("Location", "/\(request.bucket)/\(request.key)")
                    xml.text("Bucket", request.bucket)
                    xml.text("Key", request.key)
                    xml.text("ETag", "\"\(etag)\"")
                    checksum?.write(to: &xml)
                }
            }
        }
    }

    /// What the client says that all parts have together; nil where it says nothing.
    private static func objectSize(_ request: S3Request) throws(S3Error) -> UInt64? {
        let header = "x-amz-mp-object-size"
        guard let text = request.headers[header] else { return nil }
        guard let size = UInt64(text) else {
            throw .invalidArgument("The header \(header) is no number of bytes.", name: header, value: text)
        }
        return size
    }

    private static func check(_ parts: [UploadedPart], haveBytes expectedBytes: UInt64?) throws(S3Error) {
        let bytes = parts.reduce(UInt64(0)) { $0 + $1.lengthBytes }
        guard let expectedBytes, expectedBytes != bytes else { return }
        throw S3Error(
            .invalidRequest, "The provided 'x-amz-mp-object-size' header does not match what was computed.",
            [("ExpectedSize", "\(expectedBytes)"), ("ActualSize", "\(bytes)")])
    }

    /// Tells an object that was there when the upload began from one that came meanwhile.
    private func completing(
        _ request: S3Request, _ key: ObjectKey, _ conditions: WriteConditions, _ beganMilliseconds: UInt64?,
        _ body: (_ enter: @escaping @Sendable () async throws -> Void) async throws -> Void
    ) async throws {
        do {
            try await writing(key, conditions, request.key, body)
        } catch let error as S3Error where error.code == .preconditionFailed && conditions.mustBeNew {
            if let beganMilliseconds, let status = try? await client.head(key),
                status.metadata.modifiedMilliseconds > beganMilliseconds
            {
                throw S3Error(
                    .conditionalRequestConflict,
                    "The conditional request cannot succeed due to a conflicting operation against this resource.",
                    [("Condition", "If-None-Match"), ("Key", request.key)])
            }
            throw error
        }
    }

    /// - Throws: `.invalidPartOrder`, or `.invalidPart` where a part is not there, which comes first.
    private func checkOrder(_ listed: [ListedPart], _ upload: MultipartUpload) async throws {
        let isRising = zip(listed, listed.dropFirst()).allSatisfy { $0.number < $1.number }
        guard !isRising else { return }
        let there = Set(try await client.parts(of: upload).map(\.number))
        if let missing = listed.first(where: { !there.contains($0.number) }) {
            throw Self.invalidPart(upload, missing.number, listed)
        }
        throw S3Error(
            .invalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            [("UploadId", upload.id)])
    }

    private static func invalidPart(_ upload: MultipartUpload, _ number: Int, _ listed: [ListedPart]) -> S3Error {
        S3Error(
            .invalidPart,
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                + "specified entity tag may not match the part's entity tag.",
            [
                ("UploadId", upload.id), ("PartNumber", "\(number)"),
                ("ETag", listed.first { $0.number == number }?.etag ?? ""),
            ])
    }

    /// Whatever the root is called: clients differ in that.
    private static func parts(_ root: XMLElement) throws(S3Error) -> [ListedPart] {
        let elements = root.all("Part")
        guard !elements.isEmpty, elements.count <= ObjectClient.partNumberMax else { throw .malformedXML }
        var parts: [ListedPart] = []
        for element in elements {
            guard let text = element.value("PartNumber"), let number = Int(text), let tag = element.value("ETag") else {
                throw .malformedXML
            }
            guard (1...ObjectClient.partNumberMax).contains(number) else {
                throw .invalidArgument(
                    "PartNumber must be >= 1 and <= \(ObjectClient.partNumberMax)", name: "PartNumber", value: text)
            }
            var checksums: [(algorithm: ChecksumAlgorithm, value: String)] = []
            for algorithm in ChecksumAlgorithm.allCases {
                if let value = element.value(algorithm.element) { checksums.append((algorithm, value)) }
            }
            parts.append(ListedPart(number: number, etag: tag.filter { $0 != "\"" }, checksums: checksums))
        }
        return parts
    }

    /// The MD5 of the parts' MD5s, and how many they are.
    private static func etag(_ parts: [ListedPart]) throws(S3Error) -> String {
        var md5 = Insecure.MD5()
        for part in parts {
            guard let bytes = Hexadecimals.bytes(part.etag), bytes.count == 16 else {
                throw S3Error(
                    .invalidPart,
                    "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                        + "specified entity tag may not match the part's entity tag.",
                    [("PartNumber", "\(part.number)"), ("ETag", part.etag)])
            }
            md5.update(data: bytes)
        }
        return "\(Hexadecimals.text(md5.finalize()))-\(parts.count)"
    }

    /// The checksum of all parts, from theirs.
    private static func checksum(
        _ wanted: KeptChecksum?, of parts: [UploadedPart], _ listed: [ListedPart], _ declared: DeclaredObjectChecksum?
    ) throws(S3Error) -> KeptChecksum? {
        let noted = parts.map { $0.notes[partChecksumName].flatMap(KeptChecksum.init) }
        for (part, found) in zip(listed, noted) {
            for (algorithm, value) in part.checksums where found?.algorithm == algorithm && found?.value != value {
                throw S3Error(
                    .invalidPart,
                    "One or more of the specified parts could not be found. The part may not have been uploaded, or its "
                        + "checksum is another one.", [("PartNumber", "\(part.number)")])
            }
        }
        guard let wanted else { return nil }
        let algorithm = wanted.algorithm
        var total: [UInt8] = []
        var all: [UInt8] = []
        for (place, found) in noted.enumerated() {
            guard let found, found.algorithm == algorithm, let bytes = algorithm.bytes(found.value) else {
                throw S3Error(
                    .invalidRequest,
                    "The upload was created using a \(algorithm.rawValue.lowercased()) checksum. The "
                        + "complete request must include the checksum for each part. It was missing for part "
                        + "\(parts[place].number) in the request.")
            }
            all += bytes
            if wanted.type == .fullObject {
                total =
                    place == 0 ? bytes : algorithm.combine(total, bytes, lengthBytes: parts[place].lengthBytes) ?? []
            }
        }
        var value: String
        switch wanted.type {
        case .fullObject: value = Base64.text(total)
        case .composite: value = "\(Base64.text(RunningChecksum.of(all, algorithm)))-\(parts.count)"
        }
        if let declared {
            let given =
                wanted.type == .composite && !declared.value.contains("-")
                ? "\(declared.value)-\(parts.count)" : declared.value
            guard declared.algorithm == algorithm, given == value else {
                throw S3Error(
                    .badDigest,
                    "The \(declared.algorithm.rawValue) you specified did not match the calculated checksum.")
            }
            value = given
        }
        return KeptChecksum(algorithm, value, wanted.type)
    }
}

/// What a client says that the checksum of the whole object is.
private struct DeclaredObjectChecksum {
    let algorithm: ChecksumAlgorithm
    let value: String

    init?(_ headers: RequestHeaders) throws(S3Error) {
        let found = headers.beginning(with: "x-amz-checksum-").compactMap { header in
            ChecksumAlgorithm(header: header.name).map { ($0, header.value) }
        }
        guard found.count <= 1 else {
            throw S3Error(
                .invalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        }
        guard let (algorithm, value) = found.first else { return nil }
        self.algorithm = algorithm
        self.value = value
    }
}
