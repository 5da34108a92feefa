// A large value's layout: parts of stripes that were staged before the version was prepared, each named by the attempt
// under which servers have it (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

/// One part of a large value.
package struct StagedPart: Hashable, Sendable {
    /// Under which name servers have its stripes.
    package let attempt: AttemptName
    package let lengthBytes: UInt64
    /// A power of two; every block but the part's last has this size.
    package let stripeSizeBytes: UInt32
    /// The stripes' cross-checksums where the value has few stripes, else empty.
    package let named: [CrossChecksum]
    /// The digests of the part's pages, else empty.
    package let pages: [Digest256]

    package init(
        attempt: AttemptName, lengthBytes: UInt64, stripeSizeBytes: UInt32, named: [CrossChecksum] = [],
        pages: [Digest256] = []
    ) {
        self.attempt = attempt
        self.lengthBytes = lengthBytes
        self.stripeSizeBytes = stripeSizeBytes
        self.named = named
        self.pages = pages
    }

    package var stripeCount: UInt32 { Self.stripeCount(lengthBytes, stripeSizeBytes) }

    static func stripeCount(_ lengthBytes: UInt64, _ stripeSizeBytes: UInt32) -> UInt32 {
        let size = UInt64(stripeSizeBytes)
        return UInt32(clamping: lengthBytes / size + (lengthBytes % size == 0 ? 0 : 1))
    }

    /// How many bytes of the value the stripe holds.
    package func blockSizeBytes(of stripe: UInt32) -> Int {
        Int(min(UInt64(stripeSizeBytes), lengthBytes - UInt64(stripe) * UInt64(stripeSizeBytes)))
    }

    /// The first stripe of the page that has this one, and how many stripes that page has.
    package func page(of stripe: UInt32) -> (first: UInt32, count: Int) {
        let first = stripe - stripe % StripePage.stripesMax
        return (first, Int(min(StripePage.stripesMax, stripeCount - first)))
    }

    /// Whether the cross-checksums are those of the page's stripes by their sizes.
    package func fits(_ page: StripePage) -> Bool {
        page.stripes.enumerated().allSatisfy { offset, stripe in
            stripe.blockSizeBytes == blockSizeBytes(of: page.first + UInt32(offset))
        }
    }
}

/// The parts of a large value.
package struct StagedContents: Hashable, Sendable {
    package let parts: [StagedPart]

    /// - Precondition: there is a part, and none is empty.
    package init(parts: [StagedPart]) {
        precondition(!parts.isEmpty && parts.count <= StagedLimits.partsMax)
        self.parts = parts
    }

    package var lengthBytes: UInt64 { parts.reduce(0) { $0 &+ $1.lengthBytes } }
    package var stripeCount: UInt64 { parts.reduce(0) { $0 + UInt64($1.stripeCount) } }

    /// What a client is charged for the value's stripes at a server.
    package func chargeBytes(_ quorums: QuorumConfiguration) -> UInt64 {
        parts.reduce(0) {
            $0 &+ UInt64($1.stripeCount) &* StagedLimits.chargeBytes(ofStripe: $1.stripeSizeBytes, quorums)
        }
    }

    /// Where a byte of the value lies: its part, the stripe there, and the offset in the stripe's block.
    package func place(of offset: UInt64) -> (part: Int, stripe: UInt32, offset: Int) {
        var left = offset
        for (index, part) in parts.enumerated() {
            if left < part.lengthBytes {
                let size = UInt64(part.stripeSizeBytes)
                return (index, UInt32(left / size), Int(left % size))
            }
            left -= part.lengthBytes
        }
        preconditionFailure("an offset behind the value's end")
    }

    func encode(into encoder: inout CanonicalEncoder) {
        var stagers: [ClientID] = []
        for part in parts where !stagers.contains(part.attempt.stager) { stagers.append(part.attempt.stager) }
        encoder.append(UInt8(stagers.count))
        for stager in stagers { encoder.append(stager) }
        encoder.append(parts[0].attempt.upload)
        encoder.append(UInt16(parts.count))
        for part in parts {
            precondition(part.attempt.upload == parts[0].attempt.upload, "a value's parts are of one upload")
            encoder.append(UInt8(stagers.firstIndex(of: part.attempt.stager) ?? 0))
            encoder.append(part.attempt.part)
            encoder.append(part.attempt.number)
            encoder.append(part.lengthBytes)
            encoder.append(part.stripeSizeBytes)
        }
        for part in parts {
            for stripe in part.named { StripeEntry.encode(stripe, into: &encoder) }
            for page in part.pages { encoder.append(page) }
        }
    }

    /// - Throws: `DescriptorError` or `MalformedEncoding` when this is no value's layout in the one form that it has.
    init(from decoder: inout CanonicalDecoder, parameters: ClusterParameters) throws {
        let stagerCount = try decoder.count("stagers", as: UInt8.self, limit: Int(UInt8.max))
        var stagers: [ClientID] = []
        for _ in 0..<stagerCount { stagers.append(try decoder.name("stager")) }
        let upload: UploadID = try decoder.name("upload")
        let partCount = try decoder.count("parts", as: UInt16.self, limit: StagedLimits.partsMax)
        guard partCount > 0, stagerCount > 0, Set(stagers).count == stagerCount else {
            throw MalformedEncoding.notCanonical(field: "parts")
        }
        var shapes: [(attempt: AttemptName, lengthBytes: UInt64, stripeSizeBytes: UInt32)] = []
        var (length, stripes, stagersSeen): (UInt64, UInt64, Int) = (0, 0, 0)
        for _ in 0..<partCount {
            let stager: UInt8 = try decoder.integer("stager of part")
            let part: UInt16 = try decoder.integer("part")
            let number: UInt32 = try decoder.integer("attempt")
            let lengthBytes: UInt64 = try decoder.integer("part's length")
            let stripeSizeBytes: UInt32 = try decoder.integer("stripe size")
            // Stagers are named in the order in which they first occur, so that a layout has one encoding.
            guard Int(stager) <= stagersSeen, Int(stager) < stagerCount,
                (shapes.last?.attempt.part ?? 0) < part, part <= StagedLimits.partsMax
            else { throw MalformedEncoding.notCanonical(field: "part") }
            stagersSeen = max(stagersSeen, Int(stager) + 1)
            let limit = UInt32(parameters.limits.stripeSizeBytesMax)
            guard Self.isStripeSize(stripeSizeBytes, limit: limit) else {
                throw DescriptorError.stripeTooLarge(stripeSizeBytes, limit: parameters.limits.stripeSizeBytesMax)
            }
            guard lengthBytes > 0, lengthBytes <= StagedLimits.valueSizeBytesMax else {
                throw MalformedEncoding.overLimit(
                    field: "part's length", value: lengthBytes, limit: StagedLimits.valueSizeBytesMax)
            }
            length += lengthBytes
            stripes += UInt64(StagedPart.stripeCount(lengthBytes, stripeSizeBytes))
            let attempt = AttemptName(stager: stagers[Int(stager)], upload: upload, part: part, number: number)
            shapes.append((attempt, lengthBytes, stripeSizeBytes))
        }
        guard length <= StagedLimits.valueSizeBytesMax else {
            throw MalformedEncoding.overLimit(
                field: "length", value: length, limit: StagedLimits.valueSizeBytesMax)
        }
        guard stagersSeen == stagerCount else { throw MalformedEncoding.notCanonical(field: "stagers") }
        let isNamed = stripes <= UInt64(StagedLimits.namedStripesMax)
        var parts: [StagedPart] = []
        for shape in shapes {
            let count = StagedPart.stripeCount(shape.lengthBytes, shape.stripeSizeBytes)
            guard count <= StagedLimits.stripesMax else {
                throw MalformedEncoding.overLimit(
                    field: "stripes", value: UInt64(count), limit: UInt64(StagedLimits.stripesMax))
            }
            var named: [CrossChecksum] = []
            var pages: [Digest256] = []
            if isNamed {
                for _ in 0..<count { named.append(try StripeEntry.decode(&decoder, parameters: parameters)) }
            } else {
                let pageCount = (count - 1) / StripePage.stripesMax + 1
                guard Int(pageCount) * Digest256.sizeBytes <= decoder.remaining else {
                    throw MalformedEncoding.truncated(field: "page digests")
                }
                for _ in 0..<pageCount { pages.append(try decoder.digest("page digest")) }
            }
            let part = StagedPart(
                attempt: shape.attempt, lengthBytes: shape.lengthBytes, stripeSizeBytes: shape.stripeSizeBytes,
                named: named, pages: pages)
            let areShaped = part.named.enumerated().allSatisfy { stripe, named in
                named.blockSizeBytes == part.blockSizeBytes(of: UInt32(stripe))
            }
            guard areShaped else { throw MalformedEncoding.notCanonical(field: "block size") }
            parts.append(part)
        }
        self.parts = parts
    }

    /// Whether parts may have stripes of this size where the largest stripe of a cluster has `limit` bytes.
    package static func isStripeSize(_ size: UInt32, limit: UInt32) -> Bool {
        // Where stripes are smaller than that, as in simulations, they have one size.
        let least = min(StagedLimits.stripeSizeBytesMin, limit)
        return size >= least && size <= limit && size.nonzeroBitCount == 1
    }
}
