// Which bucket and which object a request is about: by its path, or by its host and its path.

import QuorumProtocol

/// What a request is about.
enum Resource: Equatable, Sendable {
    case service
    case bucket(String)
    case object(bucket: String, key: String)

    var bucket: String? {
        switch self {
        case .service: nil
        case .bucket(let bucket), .object(let bucket, _): bucket
        }
    }

    /// Nil for what is no object.
    var key: String? {
        if case .object(_, let key) = self { key } else { nil }
    }
}

struct Addressing: Sendable {
    /// Names below which a host's first labels are a bucket, without ports; the longest first.
    let domains: [String]

    init(domains: [String]) {
        self.domains = domains.map { $0.lowercased() }.sorted { $0.utf8.count > $1.utf8.count }
    }

    /// - Parameters:
    ///   - host: as the request has it, with a port or without.
    ///   - path: decoded; it begins with a slash.
    func resource(host: String, path: [UInt8]) -> Resource {
        let rest = path.dropFirst()
        if let bucket = bucket(ofHost: host) {
            return rest.isEmpty
                ? .bucket(bucket) : .object(bucket: bucket, key: String(decoding: rest, as: UTF8.self))
        }
        guard !rest.isEmpty else { return .service }
        let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        let bucket = String(decoding: rest[..<slash], as: UTF8.self)
        let key = rest[slash...].dropFirst()
        return key.isEmpty ? .bucket(bucket) : .object(bucket: bucket, key: String(decoding: key, as: UTF8.self))
    }

    private func bucket(ofHost host: String) -> String? {
        guard !domains.isEmpty else { return nil }
        var name = host.lowercased()
        if let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber) {
            name = String(name[..<colon])
        }
        for domain in domains {
            if name == domain { return nil }
            if name.hasSuffix("." + domain) { return String(name.dropLast(domain.count + 1)) }
        }
        return nil
    }
}
