// A request's body on its way to the cluster: out of its frames, counted and hashed as it passes. Nothing is stored of
// it before `finish` has found all of it to be what the request says.

import Crypto
import ErasureCode
import NIOCore
import Solidus
import Synchronization

final class CheckedPayload: Sendable {
    private struct State {
        var decoder: ChunkDecoder?
        var md5 = Insecure.MD5()
        var sha256: SHA256?
        var checksum: RunningChecksum?
        var countBytes: UInt64 = 0
    }

    let plan: PayloadPlan
    /// Of which a checksum is kept with the object; nil for none.
    let algorithm: ChecksumAlgorithm?
    private let state: Mutex<State>

    /// - Parameter algorithm: what to compute when the request names no checksum of its own.
    init(_ plan: PayloadPlan, algorithm: ChecksumAlgorithm? = nil) {
        self.plan = plan
        self.algorithm = plan.checksum?.algorithm ?? algorithm
        var state = State()
        if case .chunked(let chain, let hasTrailer) = plan.framing {
            state.decoder = ChunkDecoder(chain: chain, hasTrailer: hasTrailer)
        }
        if plan.sha256 != nil { state.sha256 = SHA256() }
        state.checksum = self.algorithm.map(RunningChecksum.init)
        self.state = Mutex(state)
    }

    /// What is known of a body that was all there.
    struct Facts: Sendable {
        let lengthBytes: UInt64
        /// 16 bytes.
        let md5: [UInt8]
        let checksum: (algorithm: ChecksumAlgorithm, bytes: [UInt8])?

        var etag: String { Hexadecimals.text(md5) }
    }

    /// The next piece of payload in what came, of which it takes as much.
    func take(_ buffer: inout ByteBuffer) throws(S3Error) -> ByteBuffer? {
        try state.withLock { state throws(S3Error) in
            let piece: ByteBuffer?
            if state.decoder != nil {
                piece = try state.decoder?.next(&buffer)
            } else {
                piece = buffer.readSlice(length: buffer.readableBytes)
            }
            guard let piece, piece.readableBytes > 0 else { return nil }
            state.countBytes += UInt64(piece.readableBytes)
            if let length = plan.lengthBytes, state.countBytes > length {
                throw Self.incomplete(provided: state.countBytes, expected: length)
            }
            piece.withUnsafeReadableBytes { bytes in
                state.md5.update(bufferPointer: bytes)
                state.sha256?.update(bufferPointer: bytes)
                state.checksum?.update(bytes)
            }
            return piece
        }
    }

    /// - Throws: what about the body is not as the request says.
    func finish() throws(S3Error) -> Facts {
        try state.withLock { state throws(S3Error) in
            if let decoder = state.decoder, !decoder.isAtEnd {
                throw Self.incomplete(provided: state.countBytes, expected: plan.lengthBytes ?? 0)
            }
            if let length = plan.lengthBytes, length != state.countBytes {
                throw Self.incomplete(provided: state.countBytes, expected: length)
            }
            if let expected = plan.sha256, let sha256 = state.sha256 {
                let found = Array(sha256.finalize())
                guard isEqualInConstantTime(found, expected) else {
                    throw S3Error(
                        .contentSHA256Mismatch,
                        "The provided 'x-amz-content-sha256' header does not match what was computed.",
                        [
                            ("ClientComputedContentSHA256", Hexadecimals.text(expected)),
                            ("S3ComputedContentSHA256", Hexadecimals.text(found)),
                        ])
                }
            }
            let md5 = Array(state.md5.finalize())
            if let expected = plan.md5, expected != md5 {
                throw S3Error(
                    .badDigest, "The Content-MD5 you specified did not match what we received.",
                    [("ExpectedDigest", Base64.text(expected)), ("CalculatedDigest", Base64.text(md5))])
            }
            var checksum: (algorithm: ChecksumAlgorithm, bytes: [UInt8])?
            if let algorithm, let found = state.checksum?.bytes {
                if let declared = plan.checksum {
                    let expected: [UInt8]
                    if let bytes = declared.bytes {
                        expected = bytes
                    } else {
                        expected = try Self.trailing(algorithm, state.decoder)
                    }
                    guard expected == found else {
                        throw S3Error(
                            .badDigest,
                            "The \(algorithm.rawValue) you specified did not match the calculated checksum.",
                            [("ExpectedDigest", Base64.text(expected)), ("CalculatedDigest", Base64.text(found))])
                    }
                }
                checksum = (algorithm, found)
            }
            return Facts(lengthBytes: state.countBytes, md5: md5, checksum: checksum)
        }
    }

    private static func trailing(
        _ algorithm: ChecksumAlgorithm, _ decoder: ChunkDecoder?
    ) throws(S3Error) -> [UInt8] {
        guard let value = decoder?.trailers.first(where: { $0.name == algorithm.header })?.value else {
            throw ChunkDecoder.malformedTrailer
        }
        guard let bytes = algorithm.bytes(value) else {
            throw S3Error(.invalidRequest, "Value for \(algorithm.header) trailing header is invalid.")
        }
        return bytes
    }

    static func incomplete(provided: UInt64, expected: UInt64) -> S3Error {
        S3Error(
            .incompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header",
            [("NumberBytesExpected", "\(expected)"), ("NumberBytesProvided", "\(provided)")])
    }
}

/// The payload as the client library takes it.
struct PayloadPieces<Body: AsyncSequence>: AsyncSequence where Body.Element == ByteBuffer {
    typealias Element = SharedBytes

    let body: Body
    let payload: CheckedPayload

    struct AsyncIterator: AsyncIteratorProtocol {
        var body: Body.AsyncIterator
        let payload: CheckedPayload
        private var rest = ByteBuffer()

        init(body: Body.AsyncIterator, payload: CheckedPayload) {
            self.body = body
            self.payload = payload
        }

        mutating func next() async throws -> SharedBytes? {
            while true {
                if let piece = try payload.take(&rest) { return SharedBytes(piece) }
                guard let buffer = try await body.next() else { return nil }
                rest = buffer
            }
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: body.makeAsyncIterator(), payload: payload) }
}
