// Bodies in signed or unsigned chunks, as `Content-Encoding: aws-chunked` has them (Signature Version 4, Transferring
// Payload in Multiple Chunks): what is in them, and whether each chunk is signed.

import Crypto
import NIOCore

struct ChunkDecoder: Sendable {
    /// Chunks but the last one have so many bytes at least where they are signed.
    static let signedChunkSizeBytesMin = 8192
    private static let lineSizeBytesMax = 4096
    private static let trailerCountMax = 16

    /// What the chunks are signed with: each signature is over the one before.
    struct Chain: Sendable {
        let key: SigningKey
        let date: String
        var previous: [UInt8]

        private static let empty = SigningKey.sha256([])

        mutating func check(_ signature: [UInt8], chunkHash: String) throws(S3Error) {
            let text = "AWS4-HMAC-SHA256-PAYLOAD\n\(head)\n\(Self.empty)\n\(chunkHash)"
            try check(signature, of: text)
        }

        mutating func check(_ signature: [UInt8], trailerHash: String) throws(S3Error) {
            try check(signature, of: "AWS4-HMAC-SHA256-TRAILER\n\(head)\n\(trailerHash)")
        }

        private var head: String { "\(date)\n\(key.scope.text)\n\(Hexadecimals.text(previous))" }

        private mutating func check(_ signature: [UInt8], of text: String) throws(S3Error) {
            let expected = key.signature(of: text)
            guard isEqualInConstantTime(expected, signature) else { throw RequestSignature.mismatch }
            previous = expected
        }
    }

    private enum State: Sendable {
        case chunkHeader
        case data(leftBytes: Int, signature: [UInt8])
        case chunkEnd
        case trailer
        case end
    }

    private var state = State.chunkHeader
    private var line: [UInt8] = []
    private var chain: Chain?
    private let hasTrailer: Bool
    private var hash = SHA256()
    /// Whether a chunk was there that only the last may be.
    private var hadShortChunk = false
    private var trailerSignature: [UInt8]?
    /// What came behind the body, in order, by lower-case name.
    private(set) var trailers: [(name: String, value: String)] = []

    /// - Parameters:
    ///   - chain: of signed chunks; nil for unsigned ones.
    ///   - hasTrailer: whether there may be something behind the last chunk.
    init(chain: Chain?, hasTrailer: Bool) {
        self.chain = chain
        self.hasTrailer = hasTrailer
    }

    /// Whether all of the body was there.
    var isAtEnd: Bool { if case .end = state { true } else { false } }

    /// Takes bytes from `buffer` until there is some payload, which it returns, or until nothing is left.
    mutating func next(_ buffer: inout ByteBuffer) throws(S3Error) -> ByteBuffer? {
        while buffer.readableBytes > 0 {
            switch state {
            case .chunkHeader:
                guard let line = try takeLine(&buffer) else { return nil }
                try beginChunk(line)
            case .data(let left, let signature):
                guard let slice = buffer.readSlice(length: min(left, buffer.readableBytes)) else { return nil }
                if chain != nil { slice.withUnsafeReadableBytes { hash.update(bufferPointer: $0) } }
                let rest = left - slice.readableBytes
                state = .data(leftBytes: rest, signature: signature)
                if rest == 0 {
                    try endData(signature)
                    state = .chunkEnd
                }
                return slice
            case .chunkEnd:
                guard let line = try takeLine(&buffer) else { return nil }
                guard line.isEmpty else { throw Self.malformed("a chunk is longer than its size says") }
                state = .chunkHeader
            case .trailer:
                guard let line = try takeLine(&buffer) else { return nil }
                try takeTrailer(line)
            case .end:
                throw Self.malformed("there is something behind its end")
            }
        }
        return nil
    }

    private mutating func beginChunk(_ line: [UInt8]) throws(S3Error) {
        let parts = line.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        let digits = parts[0].filter { !XMLReader.isBlank($0) }
        guard (1...15).contains(digits.count) else { throw Self.malformed("a chunk has no size") }
        var size = 0
        for digit in digits {
            guard let value = Hexadecimals.value(digit) else { throw Self.malformed("a chunk has no size") }
            size = size << 4 | Int(value)
        }
        var signature: [UInt8] = []
        if chain != nil {
            let name = Array("chunk-signature=".utf8)
            guard let part = parts.dropFirst().first(where: { $0.starts(with: name) }),
                let bytes = Hexadecimals.bytes(String(decoding: part.dropFirst(name.count), as: UTF8.self)),
                bytes.count == 32
            else { throw RequestSignature.mismatch }
            signature = bytes
            guard size == 0 || !hadShortChunk else {
                throw S3Error(
                    .invalidChunkSize,
                    "Only the last chunk is allowed to have a size less than \(Self.signedChunkSizeBytesMin) bytes")
            }
            hadShortChunk = size < Self.signedChunkSizeBytesMin
        }
        if size > 0 {
            state = .data(leftBytes: size, signature: signature)
        } else {
            try endData(signature)
            state = .trailer
        }
    }

    private mutating func endData(_ signature: [UInt8]) throws(S3Error) {
        guard chain != nil else { return }
        let chunkHash = Hexadecimals.text(hash.finalize())
        hash = SHA256()
        try chain?.check(signature, chunkHash: chunkHash)
    }

    private mutating func takeTrailer(_ line: [UInt8]) throws(S3Error) {
        guard !line.isEmpty else { return try endTrailers() }
        guard hasTrailer, trailers.count < Self.trailerCountMax else { throw Self.malformedTrailer }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw Self.malformedTrailer }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        let value = String(decoding: line[line.index(after: colon)...], as: UTF8.self).filter { $0 != " " }
        if name == "x-amz-trailer-signature" {
            guard let bytes = Hexadecimals.bytes(value), bytes.count == 32, trailerSignature == nil else {
                throw RequestSignature.mismatch
            }
            trailerSignature = bytes
        } else {
            guard trailerSignature == nil, ChecksumAlgorithm(header: name) != nil else { throw Self.malformedTrailer }
            trailers.append((name, value))
        }
    }

    private mutating func endTrailers() throws(S3Error) {
        if chain != nil, hasTrailer {
            guard let trailerSignature else { throw Self.malformedTrailer }
            let text = trailers.map { "\($0.name):\($0.value)\n" }.joined()
            try chain?.check(trailerSignature, trailerHash: SigningKey.sha256(Array(text.utf8)))
        }
        state = .end
    }

    /// A line without its end; nil when that is not there yet.
    private mutating func takeLine(_ buffer: inout ByteBuffer) throws(S3Error) -> [UInt8]? {
        let view = buffer.readableBytesView
        guard let end = view.firstIndex(of: 0x0A) else {
            line.append(contentsOf: view)
            buffer.moveReaderIndex(forwardBy: view.count)
            guard line.count <= Self.lineSizeBytesMax else { throw Self.malformed("a line is too long") }
            return nil
        }
        line.append(contentsOf: view[..<end])
        buffer.moveReaderIndex(forwardBy: end - view.startIndex + 1)
        guard line.count <= Self.lineSizeBytesMax else { throw Self.malformed("a line is too long") }
        defer { line = [] }
        return line.last == 0x0D ? line.dropLast() : line
    }

    private static func malformed(_ what: String) -> S3Error {
        S3Error(.invalidRequest, "The aws-chunked body is malformed: \(what).")
    }

    static var malformedTrailer: S3Error {
        S3Error(
            .malformedTrailer,
            "The request contained trailing data that was not well-formed or did not conform to "
                + "our published schema.")
    }
}
