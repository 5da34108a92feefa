// Everything that is hashed, signed, stored or sent has one encoding, and nothing else decodes or traps.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("The canonical encoding")
struct CanonicalCodingTests {
    static let group = TestGroup(faults: 1)
    static let wide = TestGroup(faults: 1, dataFragmentCount: 8)

    // MARK: Samples

    static func descriptors(_ group: TestGroup) -> [[UInt8]] {
        let metadata = ObjectMetadata(
            contentType: "text/plain", etag: "etag", modifiedMilliseconds: 77, user: ["b": "2", "a": "1", "ä": ""])
        let block = SharedBytes([UInt8](repeating: 7, count: 100))
        let (_, crossChecksum) = CrossChecksum.encode(block: block, code: group.quorums.code)
        func value(_ length: UInt64, _ stripe: UInt32, _ stripes: [CrossChecksum]) -> [UInt8] {
            SealedDescriptor(
                Descriptor(
                    value: .photo, lengthBytes: length, stripeSizeBytes: stripe, stripes: stripes, metadata: metadata,
                    parameters: group.parameters)
            ).bytes
        }
        return [
            value(100, 100, [crossChecksum]), value(0, 1, []), value(200, 100, [crossChecksum, crossChecksum]),
            group.tombstone(.photo).0.bytes,
        ]
    }

    static func certificate(_ group: TestGroup) -> Certificate {
        let version = group.version(.photo, "value", counter: 3)
        // A batch of five, so that paths are not empty.
        let keys = (0..<5).map { ObjectKey.of("bucket/\($0)") }
        let statements = group.servers.prefix(group.quorums.quorum).map { server in
            let batch = keys.map {
                group.unsigned(of: server, $0, version.timestamp, .superseded, incarnation: 2)
            }
            guard let signed = try? group.signer(server, incarnation: 2).sign(batch) else {
                preconditionFailure("signing failed")
            }
            return signed[3]
        }
        return group.certificate(version.timestamp, statements)
    }

    static func records(_ group: TestGroup) -> [[UInt8]] {
        var full = ObjectRecord()
        full.committed = CommittedVersion(certificate(group))
        for counter in [1, 3, 9] as [UInt64] {
            let timestamp = group.version(.photo, "v\(counter)", counter: counter).timestamp
            full.held.append(
                HeldVersion(
                    timestamp: timestamp, fragments: counter == 3 ? .absent : .held,
                    supersededMilliseconds: counter == 1 ? 5 : nil))
        }
        return [ObjectRecord().bytes, full.bytes]
    }

    static func decodeCertificate(_ bytes: [UInt8]) throws(MalformedEncoding) -> [UInt8] {
        var decoder = CanonicalDecoder(bytes)
        let certificate = try Certificate(from: &decoder)
        try decoder.finish()
        return encode(certificate)
    }

    static func encode(_ certificate: Certificate) -> [UInt8] {
        var encoder = CanonicalEncoder()
        certificate.encode(into: &encoder)
        return encoder.bytes
    }

    /// A certificate up to the count of its statements.
    static func appendHead(of certificate: Certificate, kind: UInt8 = 1, to encoder: inout CanonicalEncoder) {
        encoder.append(kind)
        encoder.append(certificate.epoch)
        encoder.append(certificate.group.rawValue)
        encoder.append(certificate.timestamp)
    }

    /// One sort of encoding: samples, and decoding followed by encoding again.
    struct Sort: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let samples: [[UInt8]]
        let roundTrip: @Sendable ([UInt8]) throws -> [UInt8]
    }

    static let sorts = [
        Sort(testDescription: "descriptor", samples: descriptors(group)) { bytes in
            // A decoded descriptor keeps its bytes: only encoding it anew shows whether they were canonical.
            let decoded = try SealedDescriptor(decoding: bytes, parameters: group.parameters)
            return SealedDescriptor(decoded.descriptor).bytes
        },
        Sort(testDescription: "wide descriptor", samples: descriptors(wide)) { bytes in
            SealedDescriptor(try SealedDescriptor(decoding: bytes, parameters: wide.parameters).descriptor).bytes
        },
        Sort(testDescription: "certificate", samples: [encode(certificate(group)), encode(certificate(wide))]) {
            try decodeCertificate($0)
        },
        Sort(testDescription: "record", samples: records(group) + records(wide)) {
            try ObjectRecord(decoding: $0).bytes
        },
    ]

    // MARK: Strictness

    @Test("gives back what was encoded", arguments: sorts)
    func roundTrip(sort: Sort) throws {
        for sample in sort.samples { #expect(try sort.roundTrip(sample) == sample) }
    }

    @Test("refuses every truncation and every trailing byte", arguments: sorts)
    func truncation(sort: Sort) {
        for sample in sort.samples {
            for count in 0..<sample.count {
                #expect(throws: (any Error).self, "\(count) of \(sample.count) bytes") {
                    try sort.roundTrip(Array(sample[..<count]))
                }
            }
            for extra in [0, 1, 255] as [UInt8] {
                #expect(throws: (any Error).self) { try sort.roundTrip(sample + [extra]) }
            }
        }
    }

    @Test("refuses altered bytes or gives back exactly those: no second encoding of anything", arguments: sorts)
    func mutations(sort: Sort) {
        for seed in 0..<3000 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            var bytes = sort.samples[Int.random(in: sort.samples.indices, using: &generator)]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let position = Int.random(in: bytes.indices, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 2: bytes.remove(at: position)
                default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: position)
                }
            }
            guard let again = try? sort.roundTrip(bytes) else { continue }
            #expect(again == bytes, "seed \(seed)")
        }
    }

    @Test("refuses a record that says when a version was superseded which it says was not")
    func recordWithIdleTime() {
        var record = ObjectRecord()
        let timestamp = Self.group.version(.photo, "v", counter: 1).timestamp
        record.held = [HeldVersion(timestamp: timestamp, fragments: .held)]
        var bytes = record.bytes
        // Behind it are whether it was committed before, and the count of what is staged.
        bytes[bytes.count - 6] = 1
        #expect(throws: MalformedEncoding.notCanonical(field: "superseded at")) { try ObjectRecord(decoding: bytes) }
        bytes = record.bytes
        bytes[bytes.count - 5] = 1
        #expect(throws: MalformedEncoding.notCanonical(field: "was committed")) { try ObjectRecord(decoding: bytes) }
    }

    // MARK: Descriptors' fields

    /// The offset of the field after the tag, kind and key.
    static let afterKey = 1 + Descriptor.formatTag.utf8.count + 1 + 4 + ObjectKey.photo.bytes.count

    static func altered(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = descriptors(group)[0]
        change(&bytes)
        return bytes
    }

    static let wrongDescriptors: [([UInt8], DescriptorError)] = [
        (altered { $0[1] ^= 1 }, .malformed(.notCanonical(field: "descriptor format"))),
        (
            altered { $0[afterKey - ObjectKey.photo.bytes.count - 5] = 9 },
            .malformed(.unknownValue(field: "kind", value: 9))
        ),
        (altered { $0[afterKey + 8] = 0xff }, .stripeTooLarge(0xff00_0064, limit: 8 << 20)),
        (altered { $0[afterKey + 11] = 0 }, .stripeTooLarge(0, limit: 8 << 20)),
        (altered { $0[afterKey + 12] = 3 }, .wrongCode(dataFragments: 3, fragments: 4)),
        (altered { $0[afterKey + 13] = 7 }, .wrongCode(dataFragments: 2, fragments: 7)),
        (altered { $0[afterKey + 14] = 9 }, .wrongCode(dataFragments: 2, fragments: 4)),
        (altered { $0[afterKey + 15] = 9 }, .wrongMode(9)),
        (altered { $0[afterKey] = 0xff }, .malformed(.truncated(field: "cross-checksums"))),
        (
            altered { for offset in 0..<8 { $0[afterKey + offset] = 0xff } },
            .malformed(.truncated(field: "cross-checksums"))
        ),
        (
            [UInt8](repeating: 0, count: Descriptor.sizeBytesMax + 1),
            .malformed(
                .overLimit(
                    field: "descriptor", value: UInt64(Descriptor.sizeBytesMax + 1),
                    limit: UInt64(Descriptor.sizeBytesMax)))
        ),
    ]

    @Test("refuses a descriptor with a typed error", arguments: wrongDescriptors)
    func wrongDescriptor(bytes: [UInt8], expected: DescriptorError) {
        #expect(throws: expected) { try SealedDescriptor(decoding: bytes, parameters: Self.group.parameters) }
    }

    @Test("refuses a tombstone with a length")
    func tombstoneWithLength() {
        var bytes = Self.descriptors(Self.group)[3]
        bytes[Self.afterKey + 7] = 1
        #expect(throws: DescriptorError.tombstoneWithValue) {
            try SealedDescriptor(decoding: bytes, parameters: Self.group.parameters)
        }
    }

    @Test("refuses counts over their limits before it reads what they count")
    func countsOverLimit() {
        var statements = CanonicalEncoder()
        Self.appendHead(of: Self.certificate(Self.group), to: &statements)
        statements.append(UInt8(1))
        statements.append(UInt16(0))
        statements.append(UInt64(1))
        statements.append(UInt8(1))
        statements.append(UInt32(0))
        statements.append(UInt32(1))
        statements.append(UInt8(17))
        #expect(throws: MalformedEncoding.overLimit(field: "path", value: 17, limit: 16)) {
            try Self.decodeCertificate(statements.bytes)
        }
        let lists = ["unverified versions", "poisonous versions", "held versions"]
        for (position, field) in lists.enumerated() {
            var record = CanonicalEncoder()
            record.append(tag: "solidus.object.9")
            record.append(UInt8(0))
            for _ in 0..<min(position, 2) { record.append(UInt32(0)) }
            if position == 2 {
                // No condemned version, and nothing due.
                record.append(UInt8(0))
                record.append(UInt8(0))
                record.append(UInt64(0))
            }
            record.append(UInt32.max)
            #expect(throws: MalformedEncoding.overLimit(field: field, value: 0xffff_ffff, limit: 65536)) {
                try ObjectRecord(decoding: record.bytes)
            }
        }
        var counted = CanonicalDecoder([0xff, 0xff, 0xff, 0xff, 1])
        #expect(throws: MalformedEncoding.overLimit(field: "text", value: 0xffff_ffff, limit: 9)) {
            try counted.text("text", limit: 9)
        }
    }

    @Test("refuses statements that are not in the servers' order, and a server twice")
    func statementOrder() {
        let certificate = Self.certificate(Self.group)
        for order in [[1, 0, 2], [0, 0, 1], [0, 2, 1]] {
            var encoder = CanonicalEncoder()
            Self.appendHead(of: certificate, to: &encoder)
            encoder.append(UInt8(3))
            for position in order { certificate.statements[position].encode(into: &encoder) }
            #expect(throws: MalformedEncoding.notCanonical(field: "statements' order")) {
                try Self.decodeCertificate(encoder.bytes)
            }
        }
    }

    @Test("refuses a certificate of a kind that is not known", arguments: [0, 2, 3, 255] as [UInt8])
    func certificateKind(kind: UInt8) {
        var encoder = CanonicalEncoder()
        Self.appendHead(of: Self.certificate(Self.group), kind: kind, to: &encoder)
        encoder.append(UInt8(0))
        #expect(throws: MalformedEncoding.unknownValue(field: "certificate's kind", value: UInt64(kind))) {
            try Self.decodeCertificate(encoder.bytes)
        }
    }

    @Test("of a certificate and a statement in it has these bytes")
    func knownCertificate() {
        let timestamp = Timestamp(
            counter: 5, writer: ClientID(high: 1, low: 2), digest: Digest256.sha256(Array("abc".utf8)))
        let statement = SignedStatement(
            node: NodeID(0x0203), incarnation: Incarnation(4), claim: .superseded, leafIndex: 6, leafCount: 7,
            path: [Digest256.sha256(Array("abc".utf8))], signature: [UInt8](repeating: 0x99, count: 64))
        let certificate = Certificate(
            epoch: 3, group: GroupID(0x0a0b0c), timestamp: timestamp, statements: [statement])
        let digest: [UInt8] = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ]
        let head: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x0a, 0x0b, 0x0c]
        let version: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2] + digest
        let signed: [UInt8] = [2, 3, 0, 0, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 6, 0, 0, 0, 7, 1] + digest
        #expect(
            Self.encode(certificate) == head + version + [1] + signed + [1] + [UInt8](repeating: 0x99, count: 64))
    }

    @Test("refuses metadata over its limits")
    func metadataLimits() {
        let texts = [255, 256, 257].map { String(repeating: "x", count: $0) }
        #expect(throws: Never.self) { try ObjectMetadata(contentType: texts[1]).validate() }
        #expect(throws: MalformedEncoding.self) { try ObjectMetadata(contentType: texts[2]).validate() }
        #expect(throws: MalformedEncoding.self) { try ObjectMetadata(etag: texts[0]).validate() }
        let entries = Dictionary(uniqueKeysWithValues: (0..<65).map { ("\($0)", "") })
        #expect(throws: MalformedEncoding.self) { try ObjectMetadata(user: entries).validate() }
        let large = ["name": String(repeating: "x", count: 8 << 10)]
        #expect(throws: MalformedEncoding.self) { try ObjectMetadata(user: large).validate() }
    }

    // MARK: Order

    @Test("orders timestamps as their encodings are ordered byte by byte")
    func timestampOrder() {
        for seed in 0..<2000 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let edges: [UInt64] = [1, 2, 255, 256, 1 << 32, 1 << 63, .max]
            func timestamp() -> Timestamp {
                let digest = Digest256.sha256([UInt8.random(in: 0...3, using: &generator)])
                return Timestamp(
                    counter: edges.randomElement(using: &generator)!,
                    writer: ClientID(
                        high: edges.randomElement(using: &generator)!, low: edges.randomElement(using: &generator)!),
                    digest: digest)
            }
            let (a, b) = (timestamp(), timestamp())
            func bytes(_ timestamp: Timestamp) -> [UInt8] {
                var encoder = CanonicalEncoder()
                encoder.append(timestamp)
                return encoder.bytes
            }
            #expect(bytes(a).count == Timestamp.sizeBytes)
            #expect((a < b) == bytes(a).lexicographicallyPrecedes(bytes(b)), "seed \(seed)")
            #expect((a == b) == (bytes(a) == bytes(b)), "seed \(seed)")
            #expect(Timestamp?.some(a).precedes(b) == (a < b))
            #expect(Timestamp?.none.precedes(a) && !Timestamp?.some(a).precedes(nil) && !Timestamp?.none.precedes(nil))
        }
    }

    @Test("refuses a timestamp with the counter 0")
    func counterZero() {
        var decoder = CanonicalDecoder([UInt8](repeating: 0, count: Timestamp.sizeBytes))
        #expect(throws: MalformedEncoding.notCanonical(field: "timestamp")) { try decoder.timestamp("timestamp") }
    }
}

@Suite("An object's key")
struct ObjectKeyTests {
    @Test(
        "is BUCKET/NAME",
        arguments: [
            "a/b", "a/b/c", "a.b-c/ä", "0/\u{0}", "a//", String(repeating: "b", count: 63) + "/x",
            "b/" + String(repeating: "x", count: 1024),
        ])
    func valid(text: String) throws {
        #expect(try ObjectKey(text).bytes == Array(text.utf8))
    }

    static let invalid: [([UInt8], ObjectKeyError)] = [
        (Array("".utf8), .noBucket), (Array("abc".utf8), .noBucket), (Array("/a".utf8), .invalidBucket("")),
        (Array("a/".utf8), .emptyName), (Array("A/b".utf8), .invalidBucket("A")),
        (Array("-a/b".utf8), .invalidBucket("-a")), (Array("a./b".utf8), .invalidBucket("a.")),
        (Array("a_b/c".utf8), .invalidBucket("a_b")),
        (Array((String(repeating: "b", count: 64) + "/x").utf8), .invalidBucket(String(repeating: "b", count: 64))),
        (Array(("b/" + String(repeating: "x", count: 1025)).utf8), .tooLong(sizeBytes: 1027)),
        ([0x61, 0x2f, 0xff], .notUTF8), ([0x61, 0x2f, 0xc3], .notUTF8), ([0x61, 0x2f, 0xed, 0xa0, 0x80], .notUTF8),
        ([UInt8](repeating: 0x61, count: 5000), .tooLong(sizeBytes: 5000)),
    ]

    @Test("is refused when it is anything else", arguments: invalid)
    func refused(bytes: [UInt8], expected: ObjectKeyError) {
        #expect(throws: expected) { try ObjectKey(bytes: bytes) }
    }

    @Test("tells spellings apart that Unicode calls equal")
    func spellings() throws {
        #expect(try ObjectKey("a/\u{e9}") != ObjectKey("a/e\u{301}"))
    }
}
