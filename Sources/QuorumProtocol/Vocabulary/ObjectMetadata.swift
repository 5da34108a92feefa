// What a user says about an object beside its bytes.

/// An object's metadata, part of its descriptor and so of its timestamp.
public struct ObjectMetadata: Hashable, Sendable {
    package static let contentTypeSizeBytesMax = 256
    package static let etagSizeBytesMax = 128
    package static let userEntryCountMax = 64
    package static let userSizeBytesMax = 8 << 10

    /// A MIME type; empty when the writer named none.
    public var contentType: String
    /// An opaque tag of the value, if the writer gave one.
    public var etag: String
    /// The writer's clock, in milliseconds since 1970; never trusted for order.
    public var modifiedMilliseconds: UInt64
    /// Free entries of the user's, ordered by name.
    public var user: [String: String]

    public init(
        contentType: String = "", etag: String = "", modifiedMilliseconds: UInt64 = 0, user: [String: String] = [:]
    ) {
        self.contentType = contentType
        self.etag = etag
        self.modifiedMilliseconds = modifiedMilliseconds
        self.user = user
    }

    /// - Throws: which part is over its limit.
    package func validate() throws(MalformedEncoding) {
        func check(_ field: String, _ size: Int, _ limit: Int) throws(MalformedEncoding) {
            guard size <= limit else { throw .overLimit(field: field, value: UInt64(size), limit: UInt64(limit)) }
        }
        try check("content type", contentType.utf8.count, Self.contentTypeSizeBytesMax)
        try check("etag", etag.utf8.count, Self.etagSizeBytesMax)
        try check("user metadata entries", user.count, Self.userEntryCountMax)
        let size = user.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        try check("user metadata", size, Self.userSizeBytesMax)
    }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(counted: Array(contentType.utf8))
        encoder.append(counted: Array(etag.utf8))
        encoder.append(modifiedMilliseconds)
        let entries = user.map { (name: Array($0.key.utf8), value: Array($0.value.utf8)) }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        encoder.append(UInt16(entries.count))
        for entry in entries {
            encoder.append(counted: entry.name)
            encoder.append(counted: entry.value)
        }
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        contentType = try decoder.text("content type", limit: Self.contentTypeSizeBytesMax)
        etag = try decoder.text("etag", limit: Self.etagSizeBytesMax)
        modifiedMilliseconds = try decoder.integer("modification time")
        user = [:]
        let entryCount = try decoder.count("user metadata entries", as: UInt16.self, limit: Self.userEntryCountMax)
        var previous: [UInt8]?
        for _ in 0..<entryCount {
            let name = try decoder.text("user metadata name", limit: Self.userSizeBytesMax)
            let value = try decoder.text("user metadata value", limit: Self.userSizeBytesMax)
            let nameBytes = Array(name.utf8)
            if let previous, !previous.lexicographicallyPrecedes(nameBytes) {
                throw .notCanonical(field: "user metadata order")
            }
            // Two spellings that Unicode calls equal would collapse into one entry and change the encoding.
            guard user.updateValue(value, forKey: name) == nil else { throw .notCanonical(field: "user metadata name") }
            previous = nameBytes
        }
        try validate()
    }
}
