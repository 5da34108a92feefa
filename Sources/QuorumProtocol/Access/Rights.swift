// What clients may do with the objects of a bucket.

/// Any of the four rights.
public struct Rights: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    public static let read = Rights(rawValue: 1)
    public static let write = Rights(rawValue: 2)
    public static let list = Rights(rawValue: 4)
    /// Over the bucket itself.
    public static let admin = Rights(rawValue: 8)
    public static let all: Rights = [.read, .write, .list, .admin]

    private static let names: [(right: Rights, name: String)] = [
        (.read, "read"), (.write, "write"), (.list, "list"), (.admin, "admin"),
    ]

    /// Rights written like "read,write", at least one and each once; nil for anything else.
    public init?(_ text: String) {
        self = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let right = Self.names.first(where: { $0.name == part })?.right, !contains(right) else { return nil }
            insert(right)
        }
    }

    public var description: String { listed.joined(separator: ",") }

    /// "read or write".
    var alternatives: String { listed.joined(separator: " or ") }

    private var listed: [String] { Self.names.filter { contains($0.right) }.map(\.name) }
}

/// Rights on one bucket, or on every one.
public struct Grant: Hashable, Sendable, CustomStringConvertible {
    /// What stands for every bucket.
    public static let everyBucket = "*"

    /// The bucket's name, or `everyBucket`.
    public let bucket: String
    /// At least one.
    public let rights: Rights

    /// Nil when there is no such bucket, no right, or one that does not exist.
    public init?(bucket: String, rights: Rights) {
        guard bucket == Self.everyBucket || ObjectKey.isBucket(bucket), !rights.isEmpty, Rights.all.contains(rights)
        else { return nil }
        self.bucket = bucket
        self.rights = rights
    }

    /// A grant written like "photos:read,write" or "*:read"; nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), let rights = Rights(String(text[text.index(after: colon)...]))
        else { return nil }
        self.init(bucket: String(text[..<colon]), rights: rights)
    }

    public var description: String { "\(bucket):\(rights)" }
}

/// What a client may be called: the name is a directory's and a certificate's too.
package enum ClientName {
    package static let rule = "a client's name is 1 to 64 of a-z, A-Z, 0-9, '-' and '_'"
    package static let sizeBytesMax = 64

    package static func isValid(_ name: String) -> Bool {
        (1...sizeBytesMax).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default:
                    false
                }
            }
    }
}
