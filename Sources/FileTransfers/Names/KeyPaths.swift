// From the path of a file below a folder to the key of an object below a prefix, and back.

import QuorumProtocol

/// Why a path has no key, or a key no path.
package enum NameFault: Error, Equatable, Sendable, CustomStringConvertible {
    case noKey(ObjectKeyError)
    /// The bytes between two slashes, or before the first or behind the last one.
    case emptyPart
    /// `.` or `..`.
    case dotPart
    case zeroByte
    /// A key that ends like a folder's, of an object with bytes.
    case folderWithContent
    case insideFile([UInt8])

    package var description: String {
        switch self {
        case .noKey(.notUTF8): "its name is not UTF-8, so no object can be called that"
        case .noKey(let error): "no object can be called that: \(error)"
        case .emptyPart: "no file can be called that: a part of the name is empty"
        case .dotPart: "no file can be called that: '.' and '..' are not names"
        case .zeroByte: "no file can be called that: there is a zero byte in it"
        case .folderWithContent: "it is called as a folder, and has content"
        case .insideFile(let file):
            "no file can be called that: '\(String(decoding: file, as: UTF8.self).printable)' is an object, too"
        }
    }
}

/// What a key is on a disk.
package enum LocalName: Equatable, Sendable {
    case file([[UInt8]])
    /// An empty object whose key ends with a slash, by which some mark a folder.
    case folder([[UInt8]])
}

/// The place of keys below which a command works.
package struct KeyPrefix: Sendable, Equatable, CustomStringConvertible {
    /// Ends with a slash.
    package let bytes: [UInt8]

    /// A bucket, or a bucket and a name, which stands for a folder: `photos/2024` is about `photos/2024/` and what is
    /// below, and not about `photos/2024-old`.
    package init(_ bytes: [UInt8]) throws(ObjectKeyError) {
        let bytes = bytes.last == UInt8(ascii: "/") ? bytes : bytes + [UInt8(ascii: "/")]
        guard ObjectKey.bucket(ofPrefix: bytes) != nil else {
            throw .invalidBucket(String(decoding: bytes.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self))
        }
        guard bytes.count < ObjectKey.sizeBytesMax else { throw .tooLong(sizeBytes: bytes.count) }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
        self.bytes = bytes
    }

    package var bucket: String { String(decoding: bytes.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self) }
    package var description: String { String(decoding: bytes, as: UTF8.self).printable }

    /// The key of the file at this path below the folder that stands for the prefix.
    package func key(_ path: [UInt8]) throws(NameFault) -> ObjectKey {
        do throws(ObjectKeyError) {
            return try ObjectKey(bytes: bytes + path)
        } catch {
            throw .noKey(error)
        }
    }

    /// What follows the prefix in a key that begins with it.
    package func path(of key: ObjectKey) -> [UInt8] { Array(key.bytes.dropFirst(bytes.count)) }

    /// Whether one of the two is below the other, or they are the same.
    package func overlaps(_ other: KeyPrefix) -> Bool {
        bytes.starts(with: other.bytes) || other.bytes.starts(with: bytes)
    }
}

extension LocalName {
    /// What an object's path below its prefix is on a disk. It never leads out of the folder that it is looked up in.
    package init(_ path: [UInt8], sizeBytes: UInt64) throws(NameFault) {
        var parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
        let isFolder = parts.count > 1 && parts.last == []
        if isFolder { parts.removeLast() }
        for part in parts {
            if part.isEmpty { throw .emptyPart }
            if part == [UInt8(ascii: ".")] || part == Array("..".utf8) { throw .dotPart }
            if part.contains(0) { throw .zeroByte }
        }
        if isFolder, sizeBytes > 0 { throw .folderWithContent }
        self = isFolder ? .folder(parts) : .file(parts)
    }
}

/// Finds, among paths in the order of their bytes, those that are in a place where another one is a file.
package struct FilesInTheWay: Sendable {
    /// Paths with which all others between them and the last one begin, each longer than the one before.
    private var open: [[UInt8]] = []

    package init() {}

    /// The file that this path would be inside of; nil if there is none. Paths come in order.
    package mutating func file(above path: [UInt8]) -> [UInt8]? {
        while let last = open.last, !path.starts(with: last) { open.removeLast() }
        let found = open.first { path.count > $0.count && path[$0.count] == UInt8(ascii: "/") }
        if found == nil, path.last != UInt8(ascii: "/") { open.append(path) }
        return found
    }
}

/// Paths that a file system which tells no upper from lower case, or no composed from decomposed letters, takes for the
/// same file.
package struct FoldedNames: Sendable {
    private var seen: [String: [UInt8]] = [:]

    package init() {}

    /// The path before this one that is the same file there; nil if this is the first.
    package mutating func earlier(_ path: [UInt8]) -> [UInt8]? {
        let folded = Self.folded(path)
        if let earlier = seen[folded], earlier != path { return earlier }
        seen[folded] = path
        return nil
    }

    /// Whether there was a path that is the same file there.
    package func contains(_ path: [UInt8]) -> Bool { seen[Self.folded(path)] != nil }

    private static func folded(_ path: [UInt8]) -> String {
        // Swift compares text by canonical equivalence.
        String(decoding: path, as: UTF8.self).lowercased().uppercased().lowercased()
    }
}
