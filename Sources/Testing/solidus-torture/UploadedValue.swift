// Values that go through gateways: like others they say of themselves which write they come from, and they are known by
// what S3 tells of them, too.

import Crypto
import ErasureCode
import Foundation
import QuorumProtocol
import S3Wire

struct UploadedValue {
    static let nameHeader = "x-amz-meta-write"
    /// The smallest that there is.
    static let sizeBytesMin = TortureValue.sizeBytesMin
    private static let sizes = TortureValue.Sizes(smallBytesMax: 256 << 10, largeBytesMax: nil)
    /// Every part but the last has so many bytes at least.
    private static let partSizeBytesMin = 5 << 20

    /// That of the write, with the number of parts where it is an upload's.
    let name: String
    /// One for a PUT.
    let parts: [[UInt8]]
    let bytes: [UInt8]
    private let isUpload: Bool

    /// - Parameter partCount: 0 for what is put in one go; at most 2.
    init(_ name: String, key: ObjectKey, partCount: Int) {
        let name = partCount == 0 ? name : "\(name)p\(partCount)"
        let last = TortureValue.bytes(name, key: "\(key)", Self.sizes).array
        self.name = name
        isUpload = partCount > 0
        var parts = [last]
        if partCount == 2 {
            // It begins with the name, as every value does.
            var first = last
            while first.count < Self.partSizeBytesMin { first += last.prefix(Self.partSizeBytesMin - first.count) }
            parts.insert(first, at: 0)
        }
        self.parts = parts
        bytes = parts.count == 1 ? last : parts[0] + parts[1]
    }

    /// The value of the write that something claims to be of; nil when no write has such a name.
    init?(claimed name: String, key: ObjectKey) {
        guard TortureValue.isName(name), !name.isEmpty else { return nil }
        let pieces = name.split(separator: "p", omittingEmptySubsequences: false)
        let partCount = pieces.count == 2 ? Int(pieces[1]) : pieces.count == 1 ? 0 : nil
        guard let partCount, (0...2).contains(partCount) else { return nil }
        self.init(String(pieces[0]), key: key, partCount: partCount)
    }

    /// The name of the write that a whole value comes from; one that no write has when it is none's.
    static func name(of bytes: [UInt8], key: ObjectKey) -> String {
        if let end = bytes.prefix(64).firstIndex(of: UInt8(ascii: "\n")),
            let name = String(validating: bytes[..<end], as: UTF8.self),
            let value = UploadedValue(claimed: name, key: key), value.bytes == bytes
        {
            return name
        }
        return "foreign bytes, \(bytes.count) of them, SHA-256 \(S3Signer.hexadecimal(SHA256.hash(data: bytes)))"
    }

    var sha256: String { S3Signer.hexadecimal(SHA256.hash(data: bytes)) }

    /// Without quotes.
    var tag: String {
        guard isUpload else { return S3Signer.hexadecimal(Insecure.MD5.hash(data: bytes)) }
        var md5 = Insecure.MD5()
        for part in parts { md5.update(data: Array(Insecure.MD5.hash(data: part))) }
        return "\(S3Signer.hexadecimal(md5.finalize()))-\(parts.count)"
    }

    /// The document that completes the upload.
    var completion: String {
        let listed = parts.enumerated().map { index, part in
            "<Part><PartNumber>\(index + 1)</PartNumber>"
                + "<ETag>\(S3Signer.hexadecimal(Insecure.MD5.hash(data: part)))</ETag></Part>"
        }
        return "<CompleteMultipartUpload>\(listed.joined())</CompleteMultipartUpload>"
    }
}
