// ListObjects, ListObjectsV2 and ListObjectVersions: one page each.

import Foundation
import Solidus

/// What a listing asks for.
private struct ListingRequest {
    static let keysMax = 1000

    let bucket: String
    let prefix: String
    let delimiter: String?
    let limit: Int
    let encodes: Bool

    init(_ request: S3Request) throws(S3Error) {
        bucket = request.bucket
        prefix = request.target["prefix"] ?? ""
        let delimiter = request.target["delimiter"] ?? ""
        self.delimiter = delimiter.isEmpty ? nil : delimiter
        limit = min(try Gateway.number(request, "max-keys", in: 0...Int(Int32.max)) ?? Self.keysMax, Self.keysMax)
        if let encoding = request.target["encoding-type"] {
            guard encoding == "url" else {
                throw .invalidArgument(
                    "Invalid Encoding Method specified in Request", name: "encoding-type", value: encoding)
            }
            encodes = true
        } else {
            encodes = false
        }
    }

    /// Text as it is shown.
    func shown(_ text: String) -> String {
        encodes ? PercentCoding.encode(text.utf8, keepsSlash: true, plusForSpace: true) : text
    }
}

/// What is shown of a bucket.
private struct ListingPage {
    var objects: [ListedObject] = []
    var prefixes: [String] = []
    var isTruncated = false
    /// The last entry's name.
    var last: String?
}

extension Gateway {
    func listObjects(_ request: S3Request) async throws -> Response {
        let query = try ListingRequest(request)
        try await requireBucket(query.bucket)
        let marker = request.target["marker"] ?? ""
        let page = try await page(query, after: marker.isEmpty ? nil : marker)
        return .xml { xml in
            xml.root("ListBucketResult") { xml in
                xml.text("Name", query.bucket)
                xml.text("Prefix", query.shown(query.prefix))
                xml.text("Marker", query.shown(marker))
                if page.isTruncated, query.delimiter != nil, let last = page.last {
                    xml.text("NextMarker", query.shown(last))
                }
                xml.number("MaxKeys", query.limit)
                if let delimiter = query.delimiter { xml.text("Delimiter", query.shown(delimiter)) }
                if query.encodes { xml.text("EncodingType", "url") }
                xml.flag("IsTruncated", page.isTruncated)
                write(page, query, owner: owner, to: &xml)
            }
        }
    }

    func listObjectsV2(_ request: S3Request) async throws -> Response {
        let query = try ListingRequest(request)
        let startAfter = request.target["start-after"]
        let token = request.target["continuation-token"]
        var after = startAfter.flatMap { $0.isEmpty ? nil : $0 }
        if let token {
            guard let name = Self.name(ofToken: token) else {
                throw S3Error.invalidArgument(
                    "The continuation token provided is incorrect", name: "continuation-token", value: token)
            }
            after = name
        }
        try await requireBucket(query.bucket)
        let page = try await page(query, after: after)
        let showsOwner = request.target["fetch-owner"] == "true"
        return .xml { xml in
            xml.root("ListBucketResult") { xml in
                xml.text("Name", query.bucket)
                xml.text("Prefix", query.shown(query.prefix))
                if let startAfter { xml.text("StartAfter", query.shown(startAfter)) }
                if let token { xml.text("ContinuationToken", token) }
                if page.isTruncated, let last = page.last { xml.text("NextContinuationToken", Self.token(of: last)) }
                xml.number("KeyCount", page.objects.count + page.prefixes.count)
                xml.number("MaxKeys", query.limit)
                if let delimiter = query.delimiter { xml.text("Delimiter", query.shown(delimiter)) }
                if query.encodes { xml.text("EncodingType", "url") }
                xml.flag("IsTruncated", page.isTruncated)
                write(page, query, owner: showsOwner ? owner : nil, to: &xml)
            }
        }
    }

    /// Every object has one version here, which S3 calls `null` where versions are not kept.
    func listObjectVersions(_ request: S3Request) async throws -> Response {
        let query = try ListingRequest(request)
        try await requireBucket(query.bucket)
        let marker = request.target["key-marker"] ?? ""
        let page = try await page(query, after: marker.isEmpty ? nil : marker)
        return .xml { xml in
            xml.root("ListVersionsResult") { xml in
                xml.text("Name", query.bucket)
                xml.text("Prefix", query.shown(query.prefix))
                xml.text("KeyMarker", query.shown(marker))
                xml.text("VersionIdMarker", request.target["version-id-marker"] ?? "")
                if page.isTruncated, let last = page.last {
                    xml.text("NextKeyMarker", query.shown(last))
                    xml.text("NextVersionIdMarker", "null")
                }
                xml.number("MaxKeys", query.limit)
                if let delimiter = query.delimiter { xml.text("Delimiter", query.shown(delimiter)) }
                if query.encodes { xml.text("EncodingType", "url") }
                xml.flag("IsTruncated", page.isTruncated)
                for object in page.objects {
                    xml.element("Version") { xml in
                        write(object, query, to: &xml)
                        xml.text("VersionId", "null")
                        xml.flag("IsLatest", true)
                        xml.owner("Owner", owner)
                    }
                }
                write(page.prefixes, query, to: &xml)
            }
        }
    }

    private func page(_ query: ListingRequest, after: String?) async throws -> ListingPage {
        var page = ListingPage()
        let base = Array("\(query.bucket)/".utf8)
        guard query.limit > 0, query.prefix.utf8.count <= ObjectKey.nameSizeBytesMax else { return page }
        guard (query.delimiter?.utf8.count ?? 0) <= 64 else {
            throw S3Error.notImplemented("A delimiter of more than 64 bytes")
        }
        // No key is longer; what is behind it is behind it cut, too.
        let after = after.map { base + Array($0.utf8.prefix(ObjectKey.nameSizeBytesMax)) }
        // One more than is shown tells whether there are more, where that takes no further page of the servers'.
        let listing = try client.list(
            prefix: base + Array(query.prefix.utf8), delimiter: Array((query.delimiter ?? "").utf8), after: after,
            pageSize: min(query.limit + 1, ListingRequest.keysMax))
        var entries = listing.makeAsyncIterator()
        while page.objects.count + page.prefixes.count < query.limit {
            guard let entry = try await entries.next() else { return page }
            let name = String(decoding: entry.bytes[base.count...], as: UTF8.self)
            page.last = name
            switch entry {
            case .object(let object): page.objects.append(object)
            case .prefix: page.prefixes.append(name)
            }
        }
        if query.limit < ListingRequest.keysMax {
            page.isTruncated = try await entries.next() != nil
        } else {
            page.isTruncated = !entries.isExhausted
        }
        return page
    }

    private func write(_ page: ListingPage, _ query: ListingRequest, owner: String?, to xml: inout XMLWriter) {
        for object in page.objects {
            xml.element("Contents") { xml in
                write(object, query, to: &xml)
                if let owner { xml.owner("Owner", owner) }
            }
        }
        write(page.prefixes, query, to: &xml)
    }

    private func write(_ object: ListedObject, _ query: ListingRequest, to xml: inout XMLWriter) {
        xml.text("Key", query.shown(object.key.nameText))
        xml.text("LastModified", Dates.iso(milliseconds: object.modifiedMilliseconds))
        xml.text("ETag", "\"\(object.shownTag)\"")
        xml.number("Size", object.lengthBytes)
        xml.text("StorageClass", "STANDARD")
    }

    private func write(_ prefixes: [String], _ query: ListingRequest, to xml: inout XMLWriter) {
        for prefix in prefixes {
            xml.element("CommonPrefixes") { $0.text("Prefix", query.shown(prefix)) }
        }
    }

    /// What goes on behind a name.
    static func token(of name: String) -> String { Base64.text([UInt8(ascii: "1")] + Array(name.utf8)) }

    static func name(ofToken token: String) -> String? {
        guard let data = Data(base64Encoded: token), data.first == UInt8(ascii: "1"), data.count > 1 else { return nil }
        return String(validating: data.dropFirst(), as: UTF8.self)
    }
}
