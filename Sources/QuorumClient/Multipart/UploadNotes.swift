// What is noted of an upload in parts, in objects of its own (docs/protocol.md, Uploads in parts): one for the upload, and
// one for each part that is complete. They are written and read as every object is, so that what a client was told is
// what every other one sees, whatever lying servers say.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// What an upload is to become, and whether it has.
struct UploadNote: Equatable {
    static let formatTag = "solidus.upload.1"

    let key: ObjectKey
    let metadata: ObjectMetadata
    /// Its client's clock when it began, in milliseconds since 1970.
    let beganMilliseconds: UInt64
    /// The version that it has become; nil while it goes on.
    var completed: Timestamp?

    var bytes: [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: Self.formatTag)
        encoder.append(counted: key.bytes)
        metadata.encode(into: &encoder)
        encoder.append(beganMilliseconds)
        encoder.append(completed)
        return encoder.bytes
    }

    init(key: ObjectKey, metadata: ObjectMetadata, beganMilliseconds: UInt64) {
        self.key = key
        self.metadata = metadata
        self.beganMilliseconds = beganMilliseconds
    }

    init(decoding bytes: [UInt8]) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: Self.formatTag, "note of an upload")
        key = try decoder.objectKey("object key")
        metadata = try ObjectMetadata(from: &decoder)
        beganMilliseconds = try decoder.integer("beginning")
        completed = try decoder.optionalTimestamp("completed version")
        try decoder.finish()
    }
}

/// A part that is stored.
struct PartNote: Equatable {
    static let formatTag = "solidus.upload-part.1"

    let lengthBytes: UInt64
    /// Where its stripes are; nil when it is empty.
    let contents: StagedPart?

    init(_ contents: StagedPart?) {
        lengthBytes = contents?.lengthBytes ?? 0
        self.contents = contents
    }

    func bytes() -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: Self.formatTag)
        encoder.append(lengthBytes)
        if let contents {
            contents.attempt.encode(into: &encoder)
            encoder.append(contents.stripeSizeBytes)
            for stripe in contents.named { StripeEntry.encode(stripe, into: &encoder) }
            for page in contents.pages { encoder.append(page) }
        }
        return encoder.bytes
    }

    init(decoding bytes: [UInt8], parameters: ClusterParameters) throws(MalformedEncoding) {
        var decoder = CanonicalDecoder(bytes)
        try decoder.expect(tag: Self.formatTag, "note of a part")
        lengthBytes = try decoder.integer("part's length")
        guard lengthBytes > 0 else {
            contents = nil
            try decoder.finish()
            return
        }
        let attempt = try AttemptName(from: &decoder)
        let size: UInt32 = try decoder.integer("stripe size")
        guard StagedContents.isStripeSize(size, limit: UInt32(parameters.limits.stripeSizeBytesMax)),
            lengthBytes <= StagedLimits.valueSizeBytesMax
        else { throw .notCanonical(field: "stripe size") }
        let shape = StagedPart(attempt: attempt, lengthBytes: lengthBytes, stripeSizeBytes: size)
        let count = shape.stripeCount
        var named: [CrossChecksum] = []
        var pages: [Digest256] = []
        if count <= StagedLimits.namedStripesMax {
            for stripe in 0..<count {
                let entry = try StripeEntry.decode(&decoder, parameters: parameters)
                guard entry.blockSizeBytes == shape.blockSizeBytes(of: stripe) else {
                    throw .notCanonical(field: "block size")
                }
                named.append(entry)
            }
        } else {
            for _ in 0...((count - 1) / StripePage.stripesMax) { pages.append(try decoder.digest("page digest")) }
        }
        try decoder.finish()
        contents = StagedPart(
            attempt: attempt, lengthBytes: lengthBytes, stripeSizeBytes: size, named: named, pages: pages)
    }
}

extension StagedContents {
    /// The parts of one value: named by their stripes if all of it has few, else by their pages.
    init(joining parts: [StagedPart], parameters: ClusterParameters) {
        let isNamed = parts.reduce(0) { $0 + UInt64($1.stripeCount) } <= UInt64(StagedLimits.namedStripesMax)
        self.init(
            parts: parts.map { part in
                guard !isNamed, !part.named.isEmpty else { return part }
                // So few stripes are one page.
                let page = StripePage(first: 0, stripes: part.named)
                return StagedPart(
                    attempt: part.attempt, lengthBytes: part.lengthBytes, stripeSizeBytes: part.stripeSizeBytes,
                    pages: [.sha256(page.bytes(parameters))])
            })
    }

    /// Digests of pages in the value's descriptor.
    var pageCount: Int { parts.reduce(0) { $0 + $1.pages.count } }
}
