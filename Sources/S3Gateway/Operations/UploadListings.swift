// ListParts and ListMultipartUploads.

import Solidus

extension Gateway {
    private static let partsShownMax = 1000

    func listParts(_ request: S3Request) async throws -> Response {
        let marker = try Self.number(request, "part-number-marker", in: 0...Int(Int32.max)) ?? 0
        let limit = min(
            try Self.number(request, "max-parts", in: 0...Int(Int32.max)) ?? Self.partsShownMax, Self.partsShownMax)
        let upload = try upload(request)
        return try await uploading(request) {
            let wanted = try await client.status(of: upload).metadata.checksum
            let parts = try await client.parts(of: upload).filter { $0.number > marker }
            let shown = parts.prefix(limit)
            return .xml { xml in
                xml.root("ListPartsResult") { xml in
                    xml.text("Bucket", request.bucket)
                    xml.text("Key", request.key)
                    xml.text("UploadId", upload.id)
                    xml.owner("Initiator", owner)
                    xml.owner("Owner", owner)
                    xml.text("StorageClass", "STANDARD")
                    xml.number("PartNumberMarker", marker)
                    xml.number("NextPartNumberMarker", shown.last?.number ?? 0)
                    xml.number("MaxParts", limit)
                    xml.flag("IsTruncated", shown.count < parts.count && limit > 0)
                    if let wanted {
                        xml.text("ChecksumAlgorithm", wanted.algorithm.rawValue)
                        xml.text("ChecksumType", wanted.type.rawValue)
                    }
                    for part in shown {
                        xml.element("Part") { xml in
                            xml.number("PartNumber", part.number)
                            xml.text("LastModified", Dates.iso(milliseconds: part.modifiedMilliseconds))
                            xml.text("ETag", "\"\(part.etag)\"")
                            xml.number("Size", part.lengthBytes)
                            if let checksum = part.notes[Self.partChecksumName].flatMap(KeptChecksum.init) {
                                xml.text(checksum.algorithm.element, checksum.value)
                            }
                        }
                    }
                }
            }
        }
    }

    /// What a page of uploads consists of.
    private enum UploadEntry {
        case upload(MultipartUploadStatus)
        case prefix(String)
    }

    func listMultipartUploads(_ request: S3Request) async throws -> Response {
        let limit = min(try Self.number(request, "max-uploads", in: 0...Int(Int32.max)) ?? 1000, 1000)
        let prefix = request.target["prefix"] ?? ""
        let delimiter = request.target["delimiter"] ?? ""
        let keyMarker = request.target["key-marker"] ?? ""
        // Without a key to begin at it says nothing.
        let uploadMarker = keyMarker.isEmpty ? "" : request.target["upload-id-marker"] ?? ""
        let encoding = request.target["encoding-type"]
        guard encoding == nil || encoding == "url" else {
            throw S3Error.invalidArgument(
                "Invalid Encoding Method specified in Request", name: "encoding-type", value: encoding ?? "")
        }
        func shown(_ text: String) -> String {
            encoding == nil ? text : PercentCoding.encode(text.utf8, keepsSlash: true, plusForSpace: true)
        }
        try await requireBucket(request.bucket)
        let uploads = Self.behind(
            try await client.uploads(in: request.bucket), key: keyMarker, upload: uploadMarker)
        var entries: [UploadEntry] = []
        var isTruncated = false
        var last: (key: String, upload: String)?
        for status in uploads {
            let name = status.upload.key.nameText
            guard name.utf8.starts(with: prefix.utf8) else { continue }
            let common = Self.commonPrefix(of: name, behind: prefix, upTo: delimiter)
            if let common {
                if case .prefix(let last)? = entries.last, last.utf8.elementsEqual(common.utf8) { continue }
                // What is behind it in an earlier page was shown there.
                if !keyMarker.isEmpty, keyMarker.utf8.starts(with: common.utf8) { continue }
            }
            guard entries.count < limit else {
                isTruncated = limit > 0
                break
            }
            entries.append(common.map { .prefix($0) } ?? .upload(status))
            last = (common ?? name, common == nil ? status.upload.id : "")
        }
        let page = entries
        return .xml { xml in
            xml.root("ListMultipartUploadsResult") { xml in
                xml.text("Bucket", request.bucket)
                xml.text("KeyMarker", shown(keyMarker))
                xml.text("UploadIdMarker", uploadMarker)
                if isTruncated, let last {
                    xml.text("NextKeyMarker", shown(last.key))
                    xml.text("NextUploadIdMarker", last.upload)
                }
                xml.text("Prefix", shown(prefix))
                if !delimiter.isEmpty { xml.text("Delimiter", shown(delimiter)) }
                if encoding != nil { xml.text("EncodingType", "url") }
                xml.number("MaxUploads", limit)
                xml.flag("IsTruncated", isTruncated)
                for case .upload(let status) in page {
                    xml.element("Upload") { xml in
                        xml.text("Key", shown(status.upload.key.nameText))
                        xml.text("UploadId", status.upload.id)
                        xml.owner("Initiator", owner)
                        xml.owner("Owner", owner)
                        xml.text("StorageClass", "STANDARD")
                        xml.text("Initiated", Dates.iso(milliseconds: status.beganMilliseconds))
                        if let checksum = status.metadata.checksum {
                            xml.text("ChecksumAlgorithm", checksum.algorithm.rawValue)
                            xml.text("ChecksumType", checksum.type.rawValue)
                        }
                    }
                }
                for case .prefix(let prefix) in page {
                    xml.element("CommonPrefixes") { $0.text("Prefix", shown(prefix)) }
                }
            }
        }
    }

    /// A name up to the first delimiter behind a prefix; nil where there is none.
    private static func commonPrefix(of name: String, behind prefix: String, upTo delimiter: String) -> String? {
        let (name, delimiter) = (Array(name.utf8), Array(delimiter.utf8))
        let begin = prefix.utf8.count
        guard !delimiter.isEmpty, name.count >= begin + delimiter.count else { return nil }
        for place in begin...(name.count - delimiter.count)
        where name[place..<(place + delimiter.count)].elementsEqual(delimiter) {
            return String(decoding: name[..<(place + delimiter.count)], as: UTF8.self)
        }
        return nil
    }

    /// The uploads behind a key, or behind an upload to that key.
    private static func behind(
        _ uploads: [MultipartUploadStatus], key: String, upload: String
    ) -> [MultipartUploadStatus] {
        guard !key.isEmpty else { return uploads }
        let ofKey = uploads.filter { $0.upload.key.nameText.utf8.elementsEqual(key.utf8) }
        let place = upload.isEmpty ? nil : ofKey.firstIndex { $0.upload.id == upload }
        // Of a key whose upload is gone meanwhile, all are shown once more: none may be left out.
        let rest = upload.isEmpty ? [] : place.map { Array(ofKey[($0 + 1)...]) } ?? ofKey
        return rest + uploads.filter { key.utf8.lexicographicallyPrecedes($0.upload.key.nameText.utf8) }
    }
}
