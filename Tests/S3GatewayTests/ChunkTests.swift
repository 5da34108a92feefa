// Bodies in chunks: the examples that the public documentation of S3 has, in pieces of any sizes, and what is wrong.

import NIOCore
import Testing

@testable import S3Gateway

@Suite("Bodies in chunks") struct ChunkTests {
    private static let key = SigningKey(
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        scope: CredentialScope(day: "20130524", region: "us-east-1", service: "s3"))

    private static func chain(_ seed: String) -> ChunkDecoder.Chain {
        ChunkDecoder.Chain(key: key, date: "20130524T000000Z", previous: Hexadecimals.bytes(seed) ?? [])
    }

    private static let payload = [UInt8](repeating: UInt8(ascii: "a"), count: 66_560)

    private static func signed(_ signatures: [String], trailer: String = "") -> [UInt8] {
        var bytes: [UInt8] = []
        for (size, signature) in zip([65_536, 1024, 0], signatures) {
            bytes += Array("\(String(size, radix: 16));chunk-signature=\(signature)\r\n".utf8)
            bytes += payload[..<size]
            if size > 0 { bytes += Array("\r\n".utf8) }
        }
        return bytes + Array("\(trailer)\r\n".utf8)
    }

    private static let plainSeed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    private static let plain = signed([
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ])
    private static let trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    private static let withTrailer = signed(
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        trailer: "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:"
            + "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n")

    private static func decode(
        _ bytes: [UInt8], _ chain: ChunkDecoder.Chain?, trailer: Bool = false, pieces: Int = 10_007
    ) throws -> (payload: [UInt8], decoder: ChunkDecoder) {
        var decoder = ChunkDecoder(chain: chain, hasTrailer: trailer)
        var payload: [UInt8] = []
        for begin in stride(from: 0, to: bytes.count, by: pieces) {
            var buffer = ByteBuffer(bytes: bytes[begin..<min(bytes.count, begin + pieces)])
            while let piece = try decoder.next(&buffer) { payload += piece.readableBytesView }
        }
        return (payload, decoder)
    }

    private static func code(_ body: () throws -> Void) -> S3ErrorCode? {
        do {
            try body()
            return nil
        } catch {
            return (error as? S3Error)?.code
        }
    }

    @Test("that are signed are what the documentation says", arguments: [1, 2, 85, 65_536, 1_000_000])
    func documented(pieces: Int) throws {
        let (payload, decoder) = try Self.decode(Self.plain, Self.chain(Self.plainSeed), pieces: pieces)
        #expect(payload == Self.payload && decoder.isAtEnd)
        let (second, other) = try Self.decode(
            Self.withTrailer, Self.chain(Self.trailerSeed), trailer: true, pieces: pieces)
        #expect(second == Self.payload && other.isAtEnd)
        #expect(other.trailers.map(\.name) == ["x-amz-checksum-crc32c"] && other.trailers[0].value == "sOO8/Q==")
        #expect(RunningChecksum.of(Self.payload, .crc32c) == ChecksumAlgorithm.crc32c.bytes("sOO8/Q=="))
    }

    @Test("are refused when any byte of them is another one")
    func changed() throws {
        for place in Array(0..<90) + [1000, 65_600] + Array(65_620..<(Self.withTrailer.count - 2)) {
            var bytes = Self.withTrailer
            bytes[place] ^= 1
            let result = Result {
                try Self.decode(bytes, Self.chain(Self.trailerSeed), trailer: true, pieces: 1 << 20)
            }
            guard case .success(let (_, decoder)) = result, decoder.isAtEnd else { continue }
            Issue.record("byte \(place) can be another one")
        }
    }

    @Test("are refused when a chunk is repeated, left out or cut short")
    func reordered() throws {
        let first = Self.plain[..<(65_536 + 5 + 17 + 64 + 4)]
        let rest = Self.plain[first.count...]
        let cases = [Array(first) + Array(first) + Array(rest), Array(rest)]
        for bytes in cases {
            #expect(
                Self.code { _ = try Self.decode(bytes, Self.chain(Self.plainSeed)) } == .signatureDoesNotMatch)
        }
        for count in [0, 1, 100, 65_000, Self.plain.count - 1] {
            let (_, decoder) = try Self.decode(Array(Self.plain[..<count]), Self.chain(Self.plainSeed))
            #expect(!decoder.isAtEnd)
        }
    }

    @Test("that are signed and small are refused but for the last")
    func small() {
        let zeros = String(repeating: "0", count: 64)
        let bytes = Array("1;chunk-signature=\(zeros)\r\na\r\n1;chunk-signature=\(zeros)\r\n".utf8)
        // The first one's signature is looked at first.
        #expect(Self.code { _ = try Self.decode(bytes, Self.chain(Self.plainSeed)) } == .signatureDoesNotMatch)
        var chain = Self.chain(Self.plainSeed)
        let text =
            "AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n\(Self.key.scope.text)\n\(Self.plainSeed)\n"
            + "\(SigningKey.sha256([]))\n\(SigningKey.sha256([UInt8(ascii: "a")]))"
        let signature = Hexadecimals.text(Self.key.signature(of: text))
        let signed = Array("1;chunk-signature=\(signature)\r\na\r\n1;chunk-signature=\(zeros)\r\n".utf8)
        chain.previous = Hexadecimals.bytes(Self.plainSeed) ?? []
        #expect(Self.code { _ = try Self.decode(signed, chain) } == .invalidChunkSize)
    }

    @Test("that are not signed lose their frames, whatever stands behind a size")
    func unsigned() throws {
        for text in [
            "3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:hYfZvA==\r\n\r\n",
            "3;chunk-signature=xyz\r\nabc\r\n02;a=b;c\r\nde\r\n0\r\nx-amz-checksum-crc32:hYfZvA==\r\n\r\n",
            "3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:hYfZvA==\n\r\n",
        ] {
            for pieces in 1...7 {
                let (payload, decoder) = try Self.decode(Array(text.utf8), nil, trailer: true, pieces: pieces)
                #expect(payload == Array("abcde".utf8) && decoder.isAtEnd)
                #expect(decoder.trailers.map(\.value) == ["hYfZvA=="])
            }
        }
        let (none, decoder) = try Self.decode(Array("0\r\n\r\n".utf8), nil, trailer: true)
        #expect(none.isEmpty && decoder.isAtEnd)
    }

    @Test(
        "that are malformed are refused",
        arguments: [
            ("x\r\n", S3ErrorCode.invalidRequest), ("\r\n", .invalidRequest), ("-1\r\n", .invalidRequest),
            ("10000000000000000\r\n", .invalidRequest), ("1\r\nab\r\n", .invalidRequest),
            ("0\r\n\r\nmore", .invalidRequest), ("0\r\nnocolon\r\n\r\n", .malformedTrailer),
            ("0\r\nx-amz-checksum-none:aa\r\n\r\n", .malformedTrailer), ("0\r\nhost:a\r\n\r\n", .malformedTrailer),
            (String(repeating: "1;", count: 4000), .invalidRequest),
        ])
    func malformed(text: String, code: S3ErrorCode) {
        #expect(Self.code { _ = try Self.decode(Array(text.utf8), nil, trailer: true) } == code)
        #expect(Self.code { _ = try Self.decode(Array(text.utf8), nil, trailer: true, pieces: 1) } == code)
    }

    @Test("are held in no memory, however long a line is said to be")
    func longLine() {
        var decoder = ChunkDecoder(chain: nil, hasTrailer: true)
        var buffer = ByteBuffer(repeating: UInt8(ascii: "0"), count: 5000)
        #expect(Self.code { _ = try decoder.next(&buffer) } == .invalidRequest)
    }
}
