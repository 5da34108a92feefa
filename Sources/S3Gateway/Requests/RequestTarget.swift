// The target of a request line, taken apart without losing what a signature is over.

/// A query's name and value, decoded.
struct QueryItem: Equatable, Sendable {
    let name: String
    let value: String
}

/// Path and query of a request.
struct RequestTarget: Sendable {
    /// The longest target that is looked at, in bytes: a key of 1,024 bytes, each encoded, and a long query.
    static let sizeBytesMax = 16 << 10

    /// Of an absolute target, `http://HOST/...`; nil for all others.
    let authority: String?
    /// Decoded once. It begins with a slash.
    let path: [UInt8]
    /// In the order of the request; a name may be there several times.
    let query: [QueryItem]

    /// - Throws: `.invalidURI` for what is no path, is encoded wrongly, or is no UTF-8.
    init(_ text: String) throws(S3Error) {
        guard text.utf8.count <= Self.sizeBytesMax else { throw S3Error(.invalidURI, "The URI is too long.") }
        var rest = Array(text.utf8)[...]
        var authority: String?
        for scheme in ["http://", "https://"] where rest.starts(with: scheme.utf8) {
            rest = rest.dropFirst(scheme.utf8.count)
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            authority = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[end...]
            if rest.first != UInt8(ascii: "/") { rest = [UInt8(ascii: "/")] + rest }
            break
        }
        guard rest.first == UInt8(ascii: "/") else { throw Self.invalid }
        let mark = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        // A '+' in a path is a plus: that is what RFC 3986 says, and SDKs never send a space so.
        guard let path = PercentCoding.decode(rest[..<mark], plusIsSpace: false), Self.isText(path) else {
            throw Self.invalid
        }
        self.authority = authority
        self.path = path
        var query: [QueryItem] = []
        for pair in rest[mark...].dropFirst().split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard let name = PercentCoding.decode(pair[..<equals], plusIsSpace: true), Self.isText(name),
                let value = PercentCoding.decode(pair[equals...].dropFirst(), plusIsSpace: true), Self.isText(value)
            else { throw Self.invalid }
            query.append(
                QueryItem(name: String(decoding: name, as: UTF8.self), value: String(decoding: value, as: UTF8.self)))
        }
        self.query = query
    }

    /// The first value under a name; nil when the query does not have it.
    subscript(_ name: String) -> String? { query.first { $0.name == name }?.value }

    func has(_ name: String) -> Bool { query.contains { $0.name == name } }

    private static var invalid: S3Error { S3Error(.invalidURI, "Couldn't parse the specified URI.") }

    private static func isText(_ bytes: [UInt8]) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }
}
