// Names of what is stored ahead of its version: uploads, and attempts at their parts (docs/protocol.md, Large values).

/// An upload's name: 16 bytes, drawn at random when it begins. Who knows it and may write the object may name its
/// stripes in a version.
public struct UploadID: SixteenByteName {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func random() -> UploadID {
        UploadID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
    }
}

/// One attempt at one part of an upload, by one client. What others stage under the same numbers is another attempt.
package struct AttemptName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let stager: ClientID
    package let upload: UploadID
    /// From 1.
    package let part: UInt16
    /// Which attempt at the part.
    package let number: UInt32

    package init(stager: ClientID, upload: UploadID, part: UInt16, number: UInt32) {
        self.stager = stager
        self.upload = upload
        self.part = part
        self.number = number
    }

    package static func < (left: AttemptName, right: AttemptName) -> Bool {
        if left.stager != right.stager { return left.stager < right.stager }
        if left.upload != right.upload { return left.upload < right.upload }
        return (left.part, left.number) < (right.part, right.number)
    }

    package var description: String { "attempt \(number) at part \(part) of upload \(upload)" }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(stager)
        encoder.append(upload)
        encoder.append(part)
        encoder.append(number)
    }

    package init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        stager = try decoder.name("stager")
        upload = try decoder.name("upload")
        part = try decoder.integer("part")
        guard (1...StagedLimits.partsMax).contains(Int(part)) else { throw .notCanonical(field: "part") }
        number = try decoder.integer("attempt")
    }
}

/// Bounds of what is staged.
package enum StagedLimits {
    /// Parts of a value.
    package static let partsMax = 10_000
    /// The least stripe size of a part: what a store charges for less is more than what it holds.
    package static let stripeSizeBytesMin: UInt32 = 64 << 10
    /// The largest value: 5 TiB.
    package static let valueSizeBytesMax: UInt64 = 5 << 40
    /// A value of no more stripes than these names their cross-checksums in its descriptor, a larger one pages of them.
    package static let namedStripesMax = 16
    /// Attempts that one client has at one object at a time, and all clients together.
    package static let attemptsPerClientMax = 10_050
    package static let attemptsMax = 10_500
    /// Runs of consecutive stripes of one attempt.
    package static let rangesMax = 64
    /// Runs of lost stripes of one attempt, and of all at an object; what lies between them counts as lost.
    package static let lostRangesMax = 4
    package static let lostRangesOfAllMax = 4000
    /// Runs that a server names as missing at a time.
    package static let missingMax = 1000
    /// Digests of pages that a descriptor has room for beside everything else.
    package static let pageDigestsMax = 18_000
    /// The largest page that a message carries. Only groups of very many servers have larger ones.
    package static let pageSizeBytesMax = 1 << 20
    /// Stripes of one attempt that lie together in a store, so that they are dropped together.
    package static let stripesPerChunk: UInt32 = 4096

    /// The stripes of the largest part in the least stripes that its descriptor has room for.
    package static let stripesMax = UInt32(1 << 24)

    /// What a client is charged for a staged stripe of this size: its fragment, its entry, and what they take of the
    /// index; never less than a block of a disk.
    package static func chargeBytes(ofStripe stripeSizeBytes: UInt32, _ quorums: QuorumConfiguration) -> UInt64 {
        let fragment = quorums.code.fragmentSizeBytes(blockSizeBytes: Int(stripeSizeBytes))
        return UInt64(max(4096, fragment)) + 256
    }
}
