// GetObject, HeadObject, GetObjectAttributes.

import NIOHTTP1
import Solidus

extension Gateway {
    func getObject(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkVersion(request)
        return try await reading(request) {
            let object = try await client.open(key)
            var response = try head(request, object.status)
            guard response.status == .ok || response.status == .partialContent else { return response }
            let range = Self.range(response)
            response.statedLength = nil
            if range.isEmpty { return response }
            // A window of pieces is on its way at a time.
            let piece = min(UInt64(object.status.layout.stripeSizeBytes), UInt64(range.count))
            let weight = Int(min(piece * UInt64(options.client.stripesInFlight + 1), UInt64(range.count)))
            if weight > Self.smallTransferBytes { response.lease = try await memory.lease(weight) }
            response.body = .object(object.slice(range))
            return response
        }
    }

    func headObject(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkVersion(request)
        return try await reading(request) { try head(request, try await client.head(key)) }
    }

    /// Transfers of at most so many bytes share no memory: there are as many as there are connections.
    static let smallTransferBytes = 256 << 10

    /// The answer without its body.
    private func head(_ request: S3Request, _ status: ObjectStatus) throws(S3Error) -> Response {
        let etag = status.shownTag
        let modified = status.metadata.modifiedMilliseconds
        var common: [(name: String, value: String)] = [
            ("ETag", "\"\(etag)\""), ("Last-Modified", Dates.http(Int64(clamping: modified / 1000))),
            ("Accept-Ranges", "bytes"),
        ]
        let conditions = Conditions(request.headers)
        switch conditions.judge(etag: etag, modifiedMilliseconds: modified) {
        case .go: break
        case .failed(let name): throw .preconditionFailed(name)
        case .notModified:
            var response = Response(.notModified, headers: common)
            for (name, value) in ObjectHeaders.response(status.metadata)
            where name == "cache-control" || name == "expires" {
                response.headers.append((name, value))
            }
            return response
        }
        let isCurrent = conditions.hasRange(etag: etag)
        let range = isCurrent ? request.headers["range"] : nil
        common += ObjectHeaders.response(status.metadata, overrides: try Self.overrides(request))
        if request.headers["x-amz-checksum-mode"]?.uppercased() == "ENABLED", request.target["partNumber"] == nil,
            let checksum = status.metadata.checksum
        {
            // Of a part of the bytes no checksum is kept.
            if ByteRanges.find(range, lengthBytes: status.lengthBytes) == .all { common += checksum.headers }
        }
        return try cut(request, range, status, common)
    }

    /// The answer's range.
    private func cut(
        _ request: S3Request, _ range: String?, _ status: ObjectStatus, _ common: [(name: String, value: String)]
    ) throws(S3Error) -> Response {
        let length = status.lengthBytes
        var response = Response(headers: common)
        var wanted = ByteRanges.find(range, lengthBytes: length)
        if let part = try Self.partNumber(request) {
            guard request.headers["range"] == nil else {
                throw S3Error(
                    .invalidRequest, "Cannot specify both Range header and partNumber query parameter")
            }
            let parts = Self.parts(of: status)
            if parts.isEmpty {
                guard part == 1 else { throw Self.noSuchPart(part, of: 1) }
                wanted = length > 0 ? .range(0..<length) : .all
            } else {
                var begin: UInt64 = 0
                guard let place = parts.firstIndex(where: { $0.number == part }) else {
                    throw Self.noSuchPart(part, of: parts.count)
                }
                for earlier in parts[..<place] { begin += earlier.lengthBytes }
                wanted = .range(begin..<(begin + parts[place].lengthBytes))
                response.headers.append(("x-amz-mp-parts-count", "\(parts.count)"))
            }
        }
        switch wanted {
        case .all: response.statedLength = length
        case .unsatisfiable:
            var error = S3Error(
                .invalidRange, "The requested range is not satisfiable",
                [("RangeRequested", request.headers["range"] ?? ""), ("ActualObjectSize", "\(length)")])
            error.headers = [("Content-Range", "bytes */\(length)")]
            throw error
        case .range(let range):
            response.status = .partialContent
            response.headers.append(("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"))
            response.statedLength = UInt64(range.count)
            response.range = range
        }
        return response
    }

    /// The bytes that an answer is to have.
    private static func range(_ response: Response) -> Range<UInt64> {
        response.range ?? 0..<(response.statedLength ?? 0)
    }

    /// The parts of which an object was uploaded; none for one that was stored in one go.
    static func parts(of status: ObjectStatus) -> [ObjectPart] {
        status.shownTag.utf8.count > 33 && status.shownTag.contains("-") ? status.layout.parts : []
    }

    private static func noSuchPart(_ part: Int, of count: Int) -> S3Error {
        S3Error(
            .invalidPartNumber, "The requested partnumber is not satisfiable",
            [("PartNumberRequested", "\(part)"), ("ActualPartCount", "\(count)")])
    }

    static func partNumber(_ request: S3Request) throws(S3Error) -> Int? {
        guard let text = request.target["partNumber"] else { return nil }
        guard let number = Int(text), (1...ObjectClient.partNumberMax).contains(number) else {
            throw .invalidArgument(
                "Part number must be an integer between 1 and \(ObjectClient.partNumberMax), inclusive",
                name: "partNumber", value: text)
        }
        return number
    }

    /// - Throws: for any version but the one that there is.
    static func checkVersion(_ request: S3Request) throws(S3Error) {
        guard let version = request.target["versionId"], version != "null" else { return }
        throw S3Error(
            .noSuchVersion, "The specified version does not exist.",
            [("Key", request.resource.key ?? ""), ("VersionId", version)])
    }

    private static func overrides(_ request: S3Request) throws(S3Error) -> [String: String] {
        var overrides: [String: String] = [:]
        for (parameter, header) in [
            ("response-content-type", "content-type"), ("response-content-language", "content-language"),
            ("response-expires", "expires"), ("response-cache-control", "cache-control"),
            ("response-content-disposition", "content-disposition"), ("response-content-encoding", "content-encoding"),
        ] {
            guard let value = request.target[parameter], !value.isEmpty else { continue }
            overrides[header] = ObjectHeaders.legal(value)
        }
        return overrides
    }

    // MARK: GetObjectAttributes

    func getObjectAttributes(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkVersion(request)
        let names = request.headers.values("x-amz-object-attributes").flatMap { value in
            value.split(separator: ",").map { $0.filter { $0 != " " } }
        }
        let known: Set<String> = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
        guard !names.isEmpty else {
            throw S3Error(
                .invalidRequest,
                "The x-amz-object-attributes header specifying the attributes to be retrieved is missing")
        }
        guard names.allSatisfy(known.contains) else {
            throw S3Error.invalidArgument(
                "Invalid attribute name specified.", name: "x-amz-object-attributes",
                value: names.joined(separator: ","))
        }
        let status = try await reading(request) { try await client.head(key) }
        switch Conditions(request.headers).judge(
            etag: status.shownTag, modifiedMilliseconds: status.metadata.modifiedMilliseconds)
        {
        case .go: break
        case .notModified: return Response(.notModified, headers: [("ETag", "\"\(status.shownTag)\"")])
        case .failed(let name): throw S3Error.preconditionFailed(name)
        }
        let parts = Self.parts(of: status)
        let marker = request.headers["x-amz-part-number-marker"].flatMap(Int.init) ?? 0
        let limit = request.headers["x-amz-max-parts"].flatMap(Int.init) ?? 1000
        guard marker >= 0, (0...Int(Int32.max)).contains(limit) else {
            throw S3Error.invalidArgument("The marker or the limit is negative.", name: "x-amz-max-parts", value: "")
        }
        return .xml(
            headers: [
                (
                    "Last-Modified", Dates.http(Int64(clamping: status.metadata.modifiedMilliseconds / 1000))
                )
            ]
        ) { xml in
            xml.root("GetObjectAttributesResponse") { xml in
                if names.contains("ETag") { xml.text("ETag", status.shownTag) }
                if names.contains("Checksum"), let checksum = status.metadata.checksum {
                    xml.element("Checksum") { xml in
                        // Here it stands without the number of parts.
                        let bare = checksum.value.split(separator: "-").first.map(String.init) ?? ""
                        KeptChecksum(checksum.algorithm, bare, checksum.type).write(to: &xml)
                    }
                }
                if names.contains("ObjectParts"), !parts.isEmpty {
                    let shown = parts.filter { $0.number > marker }.prefix(min(limit, 1000))
                    xml.element("ObjectParts") { xml in
                        xml.number("PartsCount", parts.count)
                        xml.number("PartNumberMarker", marker)
                        xml.number("NextPartNumberMarker", shown.last?.number ?? 0)
                        xml.number("MaxParts", min(limit, 1000))
                        xml.flag("IsTruncated", (shown.last?.number ?? .max) < (parts.last?.number ?? 0))
                        for part in shown {
                            xml.element("Part") { xml in
                                xml.number("PartNumber", part.number)
                                xml.number("Size", part.lengthBytes)
                            }
                        }
                    }
                }
                if names.contains("StorageClass") { xml.text("StorageClass", "STANDARD") }
                if names.contains("ObjectSize") { xml.number("ObjectSize", status.lengthBytes) }
            }
        }
    }
}
