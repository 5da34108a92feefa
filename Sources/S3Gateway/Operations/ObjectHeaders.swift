// What a request's headers say of an object beside its bytes, how that is kept with the object, and how it is told again.
// Users' own entries are kept under their names without `x-amz-meta-`, as `solidus put --meta` keeps them; what S3 has
// besides is kept under names with a colon, which no header has.

import NIOHTTP1
import Solidus

enum ObjectHeaders {
    /// Bytes of the names and values of users' own entries.
    static let userSizeBytesMax = 2048
    static let userPrefix = "x-amz-meta-"
    private static let ownPrefix = "s3:"
    /// Headers that are kept as they are.
    static let kept = [
        "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
        "x-amz-website-redirect-location",
    ]
    static let taggingName = ownPrefix + "tagging"
    static let checksumName = ownPrefix + "checksum"

    /// - Throws: what cannot be kept, or is asked for and not done.
    static func metadata(_ headers: RequestHeaders) throws(S3Error) -> ObjectMetadata {
        try refuseUndone(headers)
        var metadata = ObjectMetadata()
        if let type = headers["content-type"], !type.isEmpty {
            guard type.utf8.count <= ObjectMetadata.contentTypeSizeBytesMax else {
                throw .invalidArgument("The content type is too long.", name: "Content-Type", value: type)
            }
            metadata.contentType = type
        }
        for name in kept {
            guard var value = headers[name] else { continue }
            if name == "content-encoding" { value = withoutChunks(value) }
            if !value.isEmpty { metadata.user[ownPrefix + name] = value }
        }
        var size = 0
        var userNames: [String: [String]] = [:]
        for (name, value) in headers.beginning(with: userPrefix) {
            userNames[String(name.dropFirst(userPrefix.utf8.count)), default: []].append(value)
        }
        for (name, values) in userNames {
            let value = values.joined(separator: ",")
            size += name.utf8.count + value.utf8.count
            guard !name.isEmpty else { throw .invalidArgument("A header has no name.", name: userPrefix, value: value) }
            metadata.user[name] = value
        }
        let count = metadata.user.count
        guard size <= userSizeBytesMax, count <= ObjectMetadata.userEntryCountMax - 2 else {
            throw S3Error(
                .metadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size",
                [("Size", "\(size)"), ("MaxSizeAllowed", "\(userSizeBytesMax)")])
        }
        if let tagging = headers["x-amz-tagging"], !tagging.isEmpty {
            _ = try Tagging(query: tagging)
            metadata.user[taggingName] = tagging
        }
        return metadata
    }

    /// Refuses what somebody relies on who asks for it, and which is not done here.
    static func refuseUndone(_ headers: RequestHeaders) throws(S3Error) {
        if let acl = headers["x-amz-acl"], !["private", "bucket-owner-full-control", "bucket-owner-read"].contains(acl)
        {
            throw .notImplemented("The canned ACL '\(acl)'")
        }
        for (name, value) in headers.all {
            if name.hasPrefix("x-amz-grant-") { throw .notImplemented("Grants of ACLs") }
            if name.hasPrefix("x-amz-server-side-encryption") || name.hasPrefix("x-amz-copy-source-server-side-") {
                throw .notImplemented("Server-side encryption")
            }
            if name.hasPrefix("x-amz-object-lock-") { throw .notImplemented("Object Lock") }
            // Taken for a write of the whole object, it would replace what is to be kept.
            if name == "x-amz-write-offset-bytes" { throw .notImplemented("Appending to an object") }
            if name == "x-amz-storage-class", value != "STANDARD" {
                throw S3Error(.invalidStorageClass, "The storage class you specified is not valid: there is STANDARD.")
            }
        }
    }

    /// The codings without the one that is only of the request.
    static func withoutChunks(_ codings: String) -> String {
        codings.split(separator: ",").map { coding in
            coding.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
        }
        .map { String($0) }.filter { $0.lowercased() != "aws-chunked" }.joined(separator: ",")
    }

    /// What a GET and a HEAD tell.
    ///
    /// - Parameter overrides: what a request wants told in the place of what is kept, by lower-case name.
    static func response(
        _ metadata: ObjectMetadata, overrides: [String: String] = [:]
    ) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        let type = metadata.contentType.isEmpty ? "binary/octet-stream" : metadata.contentType
        headers.append(("Content-Type", overrides["content-type"] ?? legal(type)))
        for name in kept {
            if let value = overrides[name] ?? metadata.user[ownPrefix + name].map(legal) {
                headers.append((name, value))
            }
        }
        var missing = 0
        for (name, value) in metadata.user.sorted(by: { $0.key < $1.key }) where !name.hasPrefix(ownPrefix) {
            if isName(name) {
                headers.append((userPrefix + name.lowercased(), legal(value)))
            } else {
                missing += 1
            }
        }
        if missing > 0 { headers.append(("x-amz-missing-meta", "\(missing)")) }
        if let tagging = metadata.user[taggingName], let tags = try? Tagging(query: tagging).tags, !tags.isEmpty {
            headers.append(("x-amz-tagging-count", "\(tags.count)"))
        }
        return headers
    }

    /// A value as a header may have it: what is no printable ASCII goes as RFC 2047 has it.
    static func legal(_ value: String) -> String {
        if value.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x09 }) { return value }
        return "=?UTF-8?B?\(Base64.text(value.utf8))?="
    }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

/// Tags as headers may have them. Whoever writes beside a gateway may have given an object any.
enum ETags {
    static func shown(_ etag: String, _ timestamp: Timestamp) -> String {
        etag.utf8.allSatisfy { (0x21..<0x7F).contains($0) && $0 != 0x22 } ? etag : timestamp.digest.description
    }
}

extension ObjectStatus {
    var shownTag: String { ETags.shown(etag, timestamp) }
}

extension ListedObject {
    var shownTag: String { ETags.shown(etag, timestamp) }
}

/// A checksum that is kept with an object.
struct KeptChecksum: Equatable, Sendable {
    let algorithm: ChecksumAlgorithm
    /// In base 64; for a composite one with a dash and the number of parts. Empty while parts are uploaded.
    let value: String
    let type: ChecksumType

    init(_ algorithm: ChecksumAlgorithm, _ value: String, _ type: ChecksumType) {
        self.algorithm = algorithm
        self.value = value
        self.type = type
    }

    /// Nil for what `text` does not give.
    init?(_ text: String) {
        let fields = text.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count == 3, fields[1].utf8.allSatisfy({ (0x21..<0x7F).contains($0) }),
            let algorithm = ChecksumAlgorithm(rawValue: String(fields[0])),
            let type = ChecksumType(rawValue: String(fields[2]))
        else { return nil }
        self.init(algorithm, String(fields[1]), type)
    }

    /// As it is kept.
    var text: String { "\(algorithm.rawValue) \(value) \(type.rawValue)" }

    var headers: [(name: String, value: String)] {
        [(algorithm.header, value), ("x-amz-checksum-type", type.rawValue)]
    }

    func write(to xml: inout XMLWriter) {
        xml.text(algorithm.element, value)
        xml.text("ChecksumType", type.rawValue)
    }
}

extension ObjectMetadata {
    var checksum: KeptChecksum? {
        get { user[ObjectHeaders.checksumName].flatMap(KeptChecksum.init) }
        set { user[ObjectHeaders.checksumName] = newValue?.text }
    }
}

/// Tags of an object, kept as the header `x-amz-tagging` has them.
struct Tagging: Sendable {
    static let countMax = 10

    let tags: [QueryItem]

    init(query: String) throws(S3Error) {
        guard query.utf8.count <= 4096, let target = try? RequestTarget("/?\(query)"),
            target.query.count <= Self.countMax
        else {
            throw .invalidArgument("The header 'x-amz-tagging' is not tags.", name: "x-amz-tagging", value: query)
        }
        tags = target.query
        guard Set(tags.map(\.name)).count == tags.count,
            tags.allSatisfy({ (1...128).contains($0.name.unicodeScalars.count) && $0.value.unicodeScalars.count <= 256 }
            )
        else {
            throw .invalidArgument("The header 'x-amz-tagging' is not tags.", name: "x-amz-tagging", value: query)
        }
    }
}
