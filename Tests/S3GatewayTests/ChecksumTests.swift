// Checksums against their published check values, and against each other.

import Testing

@testable import S3Gateway

@Suite("Checksums") struct ChecksumTests {
    @Test(
        "have their published values",
        arguments: [
            (ChecksumAlgorithm.crc32, "cbf43926"), (.crc32c, "e3069283"), (.crc64nvme, "ae8b14860a799888"),
            (.sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ])
    func published(algorithm: ChecksumAlgorithm, value: String) {
        #expect(Hexadecimals.text(RunningChecksum.of(Array("123456789".utf8), algorithm)) == value)
    }

    private static let bytes: [UInt8] = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    @Test("do not depend on how the bytes come", arguments: ChecksumAlgorithm.allCases)
    func pieces(algorithm: ChecksumAlgorithm) {
        let whole = RunningChecksum.of(Self.bytes, algorithm)
        for size in [1, 3, 7, 8, 9, 64, 4999] {
            var checksum = RunningChecksum(algorithm)
            for begin in stride(from: 0, to: Self.bytes.count, by: size) {
                Self.bytes[begin..<min(Self.bytes.count, begin + size)].withUnsafeBytes { checksum.update($0) }
            }
            checksum.update(UnsafeRawBufferPointer(start: nil, count: 0))
            #expect(checksum.bytes == whole, "pieces of \(size)")
        }
    }

    @Test("of two pieces are that of both", arguments: [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme])
    func combined(algorithm: ChecksumAlgorithm) {
        let whole = RunningChecksum.of(Self.bytes, algorithm)
        for cut in [0, 1, 2, 3, 8, 100, 2500, 4999, 5000] {
            let (first, second) = (Array(Self.bytes[..<cut]), Array(Self.bytes[cut...]))
            let combined = algorithm.combine(
                RunningChecksum.of(first, algorithm), RunningChecksum.of(second, algorithm),
                lengthBytes: UInt64(second.count))
            #expect(combined == whole, "cut at \(cut)")
        }
    }

    @Test("of a request are one, of one algorithm, and of the right length")
    func declared() throws {
        func find(_ headers: (String, String)...) throws -> DeclaredChecksum? {
            try DeclaredChecksum.find(RequestHeaders(headers.map { (name: $0.0, value: $0.1) }))
        }
        #expect(try find() == nil)
        #expect(try find(("x-amz-checksum-crc32", "hYfZvA=="))?.algorithm == .crc32)
        #expect(try find(("x-amz-trailer", "x-amz-checksum-sha1"))?.bytes == nil)
        let refused: [[(String, String)]] = [
            [("x-amz-checksum-crc32", "hYfZvA=="), ("x-amz-checksum-sha1", "")],
            [("x-amz-checksum-crc32", ""), ("x-amz-checksum-crc32c", "")],
            [("x-amz-sdk-checksum-algorithm", "CRC32"), ("x-amz-checksum-crc32c", "hYfZvA==")],
            [("x-amz-sdk-checksum-algorithm", "CRC32")], [("x-amz-sdk-checksum-algorithm", "MD6")],
            [("x-amz-checksum-crc32", "AAAA")], [("x-amz-checksum-crc32", "=")], [("x-amz-checksum-md6", "AAAA")],
            [("x-amz-trailer", "x-amz-meta-a")],
            [("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-checksum-crc32", "hYfZvA==")],
        ]
        for headers in refused {
            #expect(throws: S3Error.self, "\(headers)") {
                _ = try DeclaredChecksum.find(RequestHeaders(headers.map { (name: $0.0, value: $0.1) }))
            }
        }
    }
}
