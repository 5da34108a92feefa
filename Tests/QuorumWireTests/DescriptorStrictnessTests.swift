// Descriptors as others may send them: foreign, contradictory or claiming too much, within otherwise sound frames.

import ErasureCode
import Fingerprint
import QuorumProtocol
import QuorumWire
import Testing

/// A descriptor's fields as they are written, each free to be wrong.
struct RawDescriptor: Sendable {
    var tag = Descriptor.formatTag
    var kind: UInt8 = 1
    var key = Sample.key.bytes
    var lengthBytes: UInt64 = 0
    var stripeSizeBytes: UInt32 = 4096
    var dataFragmentCount: UInt8 = 2
    var fragmentCount: UInt8 = 4
    var matrix = ReedSolomonCode.matrixID
    var mode = VerificationMode.fingerprint.rawValue
    var contentType: [UInt8] = []
    var etag: [UInt8] = []
    var userCount: UInt16?
    var user: [(name: [UInt8], value: [UInt8])] = []
    /// Whether a layout of parts follows.
    var staged: UInt8 = 0
    var crossChecksums: [UInt8] = []

    /// The size of one stripe's cross-checksum of the tests' cluster.
    static let crossChecksumSizeBytes = 4 * 32 + 2 * 16

    var bytes: [UInt8] {
        encoded { encoder in
            encoder.append(tag: tag)
            encoder.append(kind)
            encoder.append(counted: key)
            encoder.append(lengthBytes)
            encoder.append(stripeSizeBytes)
            encoder.append(dataFragmentCount)
            encoder.append(fragmentCount)
            encoder.append(matrix)
            encoder.append(mode)
            encoder.append(counted: contentType)
            encoder.append(counted: etag)
            encoder.append(UInt64(0))
            encoder.append(userCount ?? UInt16(user.count))
            for entry in user {
                encoder.append(counted: entry.name)
                encoder.append(counted: entry.value)
            }
            encoder.append(staged)
            encoder.append(raw: crossChecksums)
        }
    }

    /// Why a DESCRIPTOR with this descriptor is refused; nil when it is accepted.
    var error: WireError? {
        let head = encoded { encoder in
            encoder.append(Sample.route.epoch)
            encoder.append(Sample.route.group.rawValue)
            encoder.append(counted: Sample.key.bytes)
            encoder.append(Sample.timestamp(1, of: Sample.value))
            encoder.append(counted: bytes)
        }
        return Direction.request.error(of: frame(.descriptor, head: head))
    }
}

@Suite("A descriptor in a frame")
struct DescriptorStrictnessTests {
    struct Case: Sendable {
        let name: String
        let error: DescriptorError
        var descriptor = RawDescriptor()

        init(_ name: String, _ error: DescriptorError, _ change: (inout RawDescriptor) -> Void) {
            self.name = name
            self.error = error
            change(&descriptor)
        }
    }

    @Test("whose fields are sound is accepted")
    func sound() {
        #expect(RawDescriptor().error == nil)
        var descriptor = RawDescriptor()
        descriptor.lengthBytes = 4097
        descriptor.crossChecksums = Array(repeating: 1, count: 2 * RawDescriptor.crossChecksumSizeBytes)
        descriptor.user = [(Array("a".utf8), Array("1".utf8)), (Array("b".utf8), [])]
        #expect(descriptor.error == nil)
    }

    @Test("of another code, mode or stripe size than the cluster's is refused by it", arguments: foreignCases)
    func foreign(descriptor: Case) {
        #expect(descriptor.descriptor.error == .invalidDescriptor(descriptor.error), "\(descriptor.name)")
    }

    static let foreignCases: [Case] = [
        Case("3 of 7", .wrongCode(dataFragments: 3, fragments: 7)) {
            ($0.dataFragmentCount, $0.fragmentCount) = (3, 7)
        },
        Case("2 of 5", .wrongCode(dataFragments: 2, fragments: 5)) { $0.fragmentCount = 5 },
        Case("0 of 0", .wrongCode(dataFragments: 0, fragments: 0)) {
            ($0.dataFragmentCount, $0.fragmentCount) = (0, 0)
        },
        Case("255 of 255", .wrongCode(dataFragments: 255, fragments: 255)) {
            ($0.dataFragmentCount, $0.fragmentCount) = (255, 255)
        },
        Case("another matrix", .wrongCode(dataFragments: 2, fragments: 4)) { $0.matrix = 2 },
        Case("mode 0", .wrongMode(0)) { $0.mode = 0 },
        Case("mode 255", .wrongMode(255)) { $0.mode = 255 },
        Case("stripes of nothing", .stripeTooLarge(0, limit: 4096)) { $0.stripeSizeBytes = 0 },
        Case("stripes too large", .stripeTooLarge(4097, limit: 4096)) { $0.stripeSizeBytes = 4097 },
        Case("stripes of 4 GiB", .stripeTooLarge(.max, limit: 4096)) { $0.stripeSizeBytes = .max },
        Case("a tombstone with a length", .tombstoneWithValue) { ($0.kind, $0.lengthBytes) = (2, 1) },
    ]

    @Test("of a cluster with more faults is refused by its code")
    func otherCluster() {
        let foreign = Sample.sealedValue(lengthBytes: 100, parameters: parameters(faults: 2, stripeSizeBytesMax: 4096))
        let describe = Request.describe(
            Describe(key: Sample.key, timestamp: Sample.timestamp(1, of: foreign), descriptor: foreign))
        #expect(
            Direction.request.error(of: Message.request(describe).frame(number: 1))
                == .invalidDescriptor(.wrongCode(dataFragments: 3, fragments: 7)))
    }

    @Test("whose length and cross-checksums contradict each other is refused", arguments: contradictoryCases)
    func contradictory(descriptor: Case) {
        #expect(descriptor.descriptor.error == .invalidDescriptor(descriptor.error), "\(descriptor.name)")
    }

    static let contradictoryCases: [Case] = {
        let missing = DescriptorError.malformed(.truncated(field: "cross-checksums"))
        let one = [UInt8](repeating: 1, count: RawDescriptor.crossChecksumSizeBytes)
        let endless: [Case] = [1, 2, 3, 4095, 4096].map { stripeSize in
            Case("2^64 - 1 bytes in stripes of \(stripeSize)", missing) {
                ($0.lengthBytes, $0.stripeSizeBytes, $0.crossChecksums) = (.max, stripeSize, one)
            }
        }
        return endless + [
            Case("a stripe, no cross-checksum", missing) { $0.lengthBytes = 1 },
            Case("two stripes, one cross-checksum", missing) { ($0.lengthBytes, $0.crossChecksums) = (4097, one) },
            Case("half a cross-checksum", missing) { ($0.lengthBytes, $0.crossChecksums) = (1, Array(one.dropLast())) },
            Case("no stripe, one cross-checksum", .malformed(.trailingBytes(count: one.count))) {
                $0.crossChecksums = one
            },
            Case("one stripe, two cross-checksums", .malformed(.trailingBytes(count: one.count))) {
                ($0.lengthBytes, $0.crossChecksums) = (4096, one + one)
            },
            Case("a tombstone with a cross-checksum", .malformed(.trailingBytes(count: one.count))) {
                ($0.kind, $0.crossChecksums) = (2, one)
            },
        ]
    }()

    @Test("that is malformed is refused by the field", arguments: malformedCases)
    func malformed(descriptor: Case) {
        #expect(descriptor.descriptor.error == .invalidDescriptor(descriptor.error), "\(descriptor.name)")
    }

    static let malformedCases: [Case] = {
        func over(_ field: String, _ value: UInt64, _ limit: UInt64) -> DescriptorError {
            .malformed(.overLimit(field: field, value: value, limit: limit))
        }
        func text(_ count: Int) -> [UInt8] { Array(repeating: UInt8(ascii: "x"), count: count) }
        let names = (0..<100).map { index in Array("\(index + 100)".utf8) }
        return [
            Case("another format", .malformed(.notCanonical(field: "descriptor format"))) {
                $0.tag = "solidus.descriptor.4"
            },
            Case("kind 0", .malformed(.unknownValue(field: "kind", value: 0))) { $0.kind = 0 },
            Case("kind 3", .malformed(.unknownValue(field: "kind", value: 3))) { $0.kind = 3 },
            Case("no key", .malformed(.notCanonical(field: "object key"))) { $0.key = [] },
            Case("a long content type", over("content type", 257, 256)) { $0.contentType = text(257) },
            Case("a long etag", over("etag", 129, 128)) { $0.etag = text(129) },
            Case("an etag that is not UTF-8", .malformed(.notCanonical(field: "etag"))) { $0.etag = [0xff] },
            Case("65 entries", over("user metadata entries", 65, 64)) { $0.user = names.prefix(65).map { ($0, []) } },
            Case("65,535 entries", over("user metadata entries", 65_535, 64)) { $0.userCount = .max },
            Case("64 entries of which none follows", .malformed(.truncated(field: "user metadata name"))) {
                $0.userCount = 64
            },
            Case("a huge name", over("user metadata name", 8193, 8192)) { $0.user = [(text(8193), [])] },
            Case("a huge value", over("user metadata value", 50_000, 8192)) { $0.user = [([], text(50_000))] },
            Case("much in many entries", over("user metadata", 64 * 1003, 8192)) {
                $0.user = names.prefix(64).map { ($0, text(1000)) }
            },
            Case("entries out of order", .malformed(.notCanonical(field: "user metadata order"))) {
                $0.user = [(names[1], []), (names[0], [])]
            },
            Case("an entry twice", .malformed(.notCanonical(field: "user metadata order"))) {
                $0.user = [(names[0], []), (names[0], [])]
            },
            Case("two spellings of one name", .malformed(.notCanonical(field: "user metadata name"))) {
                $0.user = [(Array("e\u{301}".utf8), []), (Array("\u{e9}".utf8), [])]
            },
        ]
    }()
}
