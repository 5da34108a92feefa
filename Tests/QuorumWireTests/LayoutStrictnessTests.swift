// Layouts of large values as others may send them in descriptors: each field wrong, and what contradicts the rest.

import ErasureCode
import Fingerprint
import QuorumProtocol
import QuorumWire
import Testing

/// A layout's fields as they are written, each free to be wrong.
struct RawLayout: Sendable {
    struct Part: Sendable {
        var stager: UInt8 = 0
        var part: UInt16 = 1
        var attempt: UInt32 = 1
        var lengthBytes: UInt64 = 4097
        var stripeSizeBytes: UInt32 = 4096
    }

    var stagerCount: UInt8?
    var stagers = [Sample.writer]
    var partCount: UInt16?
    var parts = [Part()]
    /// What names the stripes; those of one part of 4,097 bytes.
    var names = entry(4096) + entry(1)
    /// The descriptor's own; what the parts come to unless something else is said.
    var lengthBytes: UInt64?
    var stripeSizeBytes: UInt32 = 4096
    var kind: UInt8 = 1
    var flag: UInt8 = 1
    var mode = VerificationMode.fingerprint

    static func entry(_ sizeBytes: Int) -> [UInt8] { StripeEntry.bytes(Sample.crossChecksum(sizeBytes)) }

    /// Page digests, whatever they are of.
    static func pages(_ count: Int) -> [UInt8] { Array(repeating: 7, count: count * Digest256.sizeBytes) }

    var bytes: [UInt8] {
        var descriptor = RawDescriptor()
        descriptor.kind = kind
        descriptor.mode = mode.rawValue
        descriptor.stripeSizeBytes = stripeSizeBytes
        descriptor.lengthBytes = lengthBytes ?? parts.reduce(0) { $0 &+ $1.lengthBytes }
        descriptor.staged = flag
        descriptor.crossChecksums = encoded { encoder in
            encoder.append(stagerCount ?? UInt8(stagers.count))
            for stager in stagers { encoder.append(stager) }
            encoder.append(Sample.attempt.upload)
            encoder.append(partCount ?? UInt16(parts.count))
            for part in parts {
                encoder.append(part.stager)
                encoder.append(part.part)
                encoder.append(part.attempt)
                encoder.append(part.lengthBytes)
                encoder.append(part.stripeSizeBytes)
            }
            encoder.append(raw: names)
        }
        return descriptor.bytes
    }

    /// Why it is no descriptor; nil when it is one.
    func error(_ parameters: ClusterParameters = cluster) -> DescriptorError? {
        do {
            let sealed = try SealedDescriptor(decoding: bytes, parameters: parameters)
            return SealedDescriptor(sealed.descriptor).bytes == bytes
                ? nil : .malformed(.notCanonical(field: "another encoding"))
        } catch {
            return error
        }
    }
}

@Suite("A large value's layout")
struct LayoutStrictnessTests {
    struct Case: Sendable {
        let name: String
        let error: DescriptorError
        var layout = RawLayout()

        init(_ name: String, _ error: DescriptorError, _ change: (inout RawLayout) -> Void) {
            self.name = name
            self.error = error
            change(&layout)
        }
    }

    @Test("whose fields are sound is accepted, in its one form")
    func sound() {
        #expect(RawLayout().error() == nil)
        var layout = RawLayout()
        layout.stagers = [Sample.otherWriter, Sample.writer]
        layout.parts = [
            RawLayout.Part(lengthBytes: 1), RawLayout.Part(stager: 1, part: 7, attempt: .max, lengthBytes: 4096),
            RawLayout.Part(stager: 0, part: 10_000, lengthBytes: 14 * 4096),
        ]
        layout.names = RawLayout.entry(1) + (0..<15).flatMap { _ in RawLayout.entry(4096) }
        #expect(layout.error() == nil)
        // One stripe more, and the pages are named.
        layout.parts[2].lengthBytes += 1
        layout.names = RawLayout.pages(3)
        #expect(layout.error() == nil)
        layout.parts[2].lengthBytes = 4096 * 256 * 2 + 1
        layout.names = RawLayout.pages(5)
        #expect(layout.error() == nil)
    }

    @Test("that is wrong in one field is refused by it", arguments: cases)
    func wrong(layout: Case) {
        #expect(layout.layout.error() == layout.error, "\(layout.name)")
    }

    private static func field(_ name: String) -> DescriptorError { .malformed(.notCanonical(field: name)) }

    static let cases: [Case] = names + sizes + stripes

    private static let names: [Case] = [
        Case("form 3", .malformed(.unknownValue(field: "form", value: 3))) { $0.flag = 3 },
        Case("a tombstone's", field("staged")) { ($0.kind, $0.lengthBytes) = (2, 0) },
        Case("no stagers", field("parts")) { ($0.stagers, $0.stagerCount) = ([], 0) },
        Case("no parts", field("parts")) { ($0.parts, $0.names) = ([], []) },
        Case("a stager twice", field("parts")) { $0.stagers = [Sample.writer, Sample.writer] },
        Case("a stager of nothing", field("stagers")) { $0.stagers = [Sample.writer, Sample.otherWriter] },
        Case("stagers in another order", field("part")) {
            $0.stagers = [Sample.writer, Sample.otherWriter]
            $0.parts = [RawLayout.Part(stager: 1, lengthBytes: 1), RawLayout.Part(part: 2, lengthBytes: 4096)]
        },
        Case("a stager who is not named", field("part")) { $0.parts[0].stager = 1 },
        Case("part 0", field("part")) { $0.parts[0].part = 0 },
        Case("part 10,001", field("part")) { $0.parts[0].part = 10_001 },
        Case("a part twice", field("part")) {
            $0.parts = [RawLayout.Part(lengthBytes: 4096), RawLayout.Part(lengthBytes: 1)]
        },
        Case("parts in another order", field("part")) {
            $0.parts = [RawLayout.Part(part: 2, lengthBytes: 4096), RawLayout.Part(lengthBytes: 1)]
        },
        Case("10,001 parts", .malformed(.overLimit(field: "parts", value: 10_001, limit: 10_000))) {
            $0.partCount = 10_001
        },
        Case("65,535 parts", .malformed(.overLimit(field: "parts", value: 65_535, limit: 10_000))) {
            $0.partCount = .max
        },
        Case("parts that do not follow", .malformed(.truncated(field: "stager of part"))) {
            ($0.partCount, $0.names) = (2, [])
        },
    ]

    private static let sizes: [Case] = {
        func over(_ field: String, _ value: UInt64, _ limit: UInt64) -> DescriptorError {
            .malformed(.overLimit(field: field, value: value, limit: limit))
        }
        let most: UInt64 = 5 << 40
        let stripeSizes: [UInt32] = [0, 1, 2048, 4095, 4097, 8192, 1 << 31, .max]
        return [
            Case("an empty part", over("part's length", 0, most)) { $0.parts[0].lengthBytes = 0 },
            Case("more than 5 TiB", over("part's length", most + 1, most)) { $0.parts[0].lengthBytes = most + 1 },
            Case("2^64 - 1 bytes", over("part's length", .max, most)) { $0.parts[0].lengthBytes = .max },
            Case("6 TiB in two parts", over("length", 6 << 40, most)) {
                $0.parts = [RawLayout.Part(lengthBytes: 3 << 40), RawLayout.Part(part: 2, lengthBytes: 3 << 40)]
            },
            Case("5 TiB in too many stripes", over("stripes", most / 4096, UInt64(StagedLimits.stripesMax))) {
                $0.parts[0].lengthBytes = most
            },
            Case("a length that is too small", field("staged")) { $0.lengthBytes = 4096 },
            Case("a length that is too large", field("staged")) { $0.lengthBytes = 4098 },
            Case("another stripe size than the first part's", field("staged")) { $0.stripeSizeBytes = 2048 },
        ]
            + stripeSizes.map { size in
                Case("a stripe size of \(size)", .stripeTooLarge(size, limit: 4096)) {
                    $0.parts[0].stripeSizeBytes = size
                }
            }
    }()

    private static let stripes: [Case] = {
        let entrySize = RawLayout.entry(1).count
        return [
            Case("one name for two stripes", .malformed(.truncated(field: "block size"))) {
                $0.names = RawLayout.entry(4096)
            },
            Case("half a name", .malformed(.truncated(field: "fingerprint"))) { $0.names.removeLast() },
            Case("a name too many", .malformed(.trailingBytes(count: entrySize))) { $0.names += RawLayout.entry(1) },
            Case("names in another order", field("block size")) {
                $0.names = RawLayout.entry(1) + RawLayout.entry(4096)
            },
            Case("blocks that are too short", field("block size")) {
                $0.names = RawLayout.entry(4095) + RawLayout.entry(1)
            },
            Case("blocks that are too long", field("block size")) {
                $0.names = RawLayout.entry(4096) + RawLayout.entry(2)
            },
            Case("an empty block", .malformed(.overLimit(field: "block size", value: 0, limit: 4096))) {
                $0.names = [0, 0, 0, 0] + $0.names.dropFirst(4)
            },
            Case("a block beyond all stripes", .malformed(.overLimit(field: "block size", value: 4097, limit: 4096))) {
                $0.names = [0, 0, 0x10, 1] + $0.names.dropFirst(4)
            },
            Case("17 stripes by name", .malformed(.trailingBytes(count: 17 * entrySize - 32))) {
                $0.parts[0].lengthBytes = 17 * 4096
                $0.names = (0..<17).flatMap { _ in RawLayout.entry(4096) }
            },
            Case("two stripes by page", .malformed(.overLimit(field: "block size", value: 0x0707_0707, limit: 4096))) {
                $0.names = RawLayout.pages(1)
            },
            Case("a page of two", .malformed(.truncated(field: "page digests"))) {
                $0.parts[0].lengthBytes = 257 * 4096
                $0.names = RawLayout.pages(1)
            },
            Case("half a page digest", .malformed(.truncated(field: "page digests"))) {
                $0.parts[0].lengthBytes = 257 * 4096
                $0.names = RawLayout.pages(2).dropLast()
            },
            Case("a page too many", .malformed(.trailingBytes(count: 32))) {
                $0.parts[0].lengthBytes = 256 * 4096
                $0.names = RawLayout.pages(2)
            },
            Case("pages beyond any descriptor", .malformed(.truncated(field: "page digests"))) {
                $0.parts[0].lengthBytes = UInt64(StagedLimits.stripesMax) * 4096
                $0.names = RawLayout.pages(1)
            },
        ]
    }()

    private static let laterModes: [VerificationMode] = [.lazy, .readTime]
    /// Of which the stripes are named, and only pages.
    private static let laterLengths: [UInt64] = [4096, 17 * 4096]

    @Test("is of named stripes only where versions are verified later", arguments: laterModes, laterLengths)
    func later(mode: VerificationMode, lengthBytes: UInt64) {
        let parameters = parameters(mode: mode)
        var layout = RawLayout()
        layout.mode = mode
        layout.parts[0].lengthBytes = lengthBytes
        let code = cluster.quorums.code
        layout.names =
            lengthBytes > 4096
            ? RawLayout.pages(1)
            : StripeEntry.bytes(
                CrossChecksum.encode(
                    block: SharedBytes(Array(repeating: 7, count: 4096)), code: code, coverage: mode.coverage
                ).crossChecksum)
        #expect(layout.error(parameters) == (lengthBytes > 4096 ? .malformed(.notCanonical(field: "staged")) : nil))
        // It is the mode that is in the way.
        layout.mode = .full
        #expect(layout.error(self.parameters(mode: .full)) == nil)
    }

    private func parameters(mode: VerificationMode) -> ClusterParameters {
        QuorumWireTests.parameters(mode: mode, limits: cluster.limits)
    }

    @Test("may have stripes of every size from 64 KiB to the cluster's, and no other")
    func stripeSizes() {
        var limits = cluster.limits
        limits.stripeSizeBytesMax = 1 << 20
        let parameters = QuorumWireTests.parameters(limits: limits)
        for shift in 0..<32 as Range<UInt32> {
            for size in [UInt32(1) << shift, UInt32(1) << shift | 1] {
                var layout = RawLayout()
                layout.parts[0] = RawLayout.Part(lengthBytes: 17 * UInt64(size), stripeSizeBytes: size)
                layout.stripeSizeBytes = size
                layout.names = RawLayout.pages(1)
                let isAllowed = size.nonzeroBitCount == 1 && (16...20).contains(shift)
                #expect((layout.error(parameters) == nil) == isAllowed, "\(size)")
            }
        }
    }

    @Test("of the most parts and pages has room in a descriptor, and in no small one")
    func largest() {
        var layout = RawLayout()
        layout.stagers = (0..<255).map { ClientID(high: 9, low: $0) }
        layout.parts = (0..<StagedLimits.partsMax).map {
            RawLayout.Part(
                stager: UInt8(min($0, 254)), part: UInt16($0 + 1), lengthBytes: $0 < 8000 ? 257 * 4096 : 256 * 4096)
        }
        layout.names = RawLayout.pages(StagedLimits.pageDigestsMax)
        #expect(layout.error() == nil)
        #expect(layout.bytes.count > Descriptor.unstagedSizeBytesMax)
        // Without a layout nothing is so large.
        var plain = RawDescriptor()
        plain.stripeSizeBytes = 1
        plain.crossChecksums = Array(repeating: 1, count: 400 * RawDescriptor.crossChecksumSizeBytes)
        plain.lengthBytes = 400
        #expect(plain.bytes.count < Descriptor.unstagedSizeBytesMax && plain.error == nil)
        plain.lengthBytes = 410
        plain.crossChecksums = Array(repeating: 1, count: 410 * RawDescriptor.crossChecksumSizeBytes)
        #expect(
            plain.error
                == .invalidDescriptor(
                    .malformed(
                        .overLimit(
                            field: "descriptor", value: UInt64(plain.bytes.count),
                            limit: UInt64(Descriptor.unstagedSizeBytesMax)))))
    }

    @Test("cut anywhere is refused, and with a byte changed has one encoding or none", arguments: [UInt64(1), 2, 3])
    func mutations(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let bytes = random(&generator).bytes
            for count in 0..<bytes.count where bytes.count < 2000 || Int.random(in: 0..<9, using: &generator) == 0 {
                #expect(throws: DescriptorError.self) {
                    try SealedDescriptor(decoding: Array(bytes[..<count]), parameters: cluster)
                }
            }
            for _ in 0..<200 {
                var altered = bytes
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    altered[Int.random(in: altered.indices, using: &generator)] = [
                        0, 1, 0xff, UInt8.random(in: 0...255, using: &generator),
                    ].randomElement(using: &generator)!
                }
                guard let sealed = try? SealedDescriptor(decoding: altered, parameters: cluster) else { continue }
                #expect(SealedDescriptor(sealed.descriptor).bytes == altered, "seed \(seed)")
            }
        }
    }

    @Test("comes back from its bytes as it was", arguments: [UInt64(4), 5])
    func roundTrips(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let sealed = random(&generator)
            let read = try SealedDescriptor(decoding: sealed.bytes, parameters: cluster)
            #expect(read.descriptor == sealed.descriptor && read.digest == sealed.digest, "seed \(seed)")
        }
    }

    /// A sound descriptor of up to five parts.
    private func random(_ generator: inout SeededGenerator) -> SealedDescriptor {
        let stagers = [Sample.writer, Sample.otherWriter, ClientID(high: 4, low: 4)]
        var part: UInt16 = 0
        let lengths = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
            UInt64.random(in: 1...(Bool.random(using: &generator) ? 3 * 4096 : 600 * 4096), using: &generator)
        }
        let stripeCount = lengths.reduce(0) { $0 + ($1 + 4095) / 4096 }
        let parts = lengths.map { length in
            part += UInt16.random(in: 1...2000, using: &generator)
            let attempt = AttemptName(
                stager: stagers.randomElement(using: &generator)!, upload: Sample.attempt.upload, part: part,
                number: .random(in: 0 ... .max, using: &generator))
            let count = Int((length + 4095) / 4096)
            guard stripeCount <= StagedLimits.namedStripesMax else {
                return StagedPart(
                    attempt: attempt, lengthBytes: length, stripeSizeBytes: 4096,
                    pages: (0..<(count + 255) / 256).map { .sha256([UInt8(truncatingIfNeeded: $0)]) })
            }
            return StagedPart(
                attempt: attempt, lengthBytes: length, stripeSizeBytes: 4096,
                named: (0..<count).map { Sample.crossChecksum(Int(min(4096, length - UInt64($0) * 4096))) })
        }
        return SealedDescriptor(
            Descriptor(
                value: Sample.key, staged: StagedContents(parts: parts), metadata: ObjectMetadata(etag: "x"),
                parameters: cluster))
    }
}
