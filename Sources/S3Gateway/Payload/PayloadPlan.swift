// What a request says of its body: how long it is, how it is framed, and by what it is to be checked.

import Foundation

struct PayloadPlan: Sendable {
    enum Framing: Sendable {
        /// The bytes as they come.
        case plain
        /// aws-chunked.
        case chunked(ChunkDecoder.Chain?, hasTrailer: Bool)
    }

    let framing: Framing
    /// Of what is in the frames; nil when nobody said.
    let lengthBytes: UInt64?
    /// What SHA-256 has to give, where the body is signed as a whole.
    let sha256: [UInt8]?
    /// What MD5 has to give.
    let md5: [UInt8]?
    let checksum: DeclaredChecksum?

    static let streamingPrefix = "STREAMING-"

    /// - Parameters:
    ///   - verified: nil for a request that nobody signed.
    ///   - contentLength: of the body as it comes; nil when it is in HTTP's own chunks.
    init(
        _ headers: RequestHeaders, _ verified: VerifiedSignature?, contentLength: UInt64?
    ) throws(S3Error) {
        md5 = try Self.md5(headers)
        checksum = try DeclaredChecksum.find(headers)
        let hash = verified?.payloadHash ?? headers["x-amz-content-sha256"] ?? SignatureVerifier.unsignedPayload
        if hash.hasPrefix(Self.streamingPrefix) {
            framing = .chunked(try Self.chain(hash, verified), hasTrailer: hash.hasSuffix("-TRAILER"))
            sha256 = nil
            guard let text = headers["x-amz-decoded-content-length"], let length = UInt64(text) else {
                throw S3Error(.missingContentLength, "You must provide the x-amz-decoded-content-length HTTP header.")
            }
            lengthBytes = length
            if hash.hasSuffix("-TRAILER") {
                guard headers["x-amz-trailer"] != nil else { throw ChunkDecoder.malformedTrailer }
            }
        } else {
            framing = .plain
            lengthBytes = contentLength
            if hash == SignatureVerifier.unsignedPayload {
                sha256 = nil
            } else {
                guard let bytes = Hexadecimals.bytes(hash), bytes.count == 32 else {
                    throw .invalidArgument(
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                            + "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a "
                            + "valid sha256 value.", name: "x-amz-content-sha256", value: hash)
                }
                sha256 = bytes
            }
            // Behind a body that is not in chunks of its own nothing can come.
            guard headers["x-amz-trailer"] == nil else { throw ChunkDecoder.malformedTrailer }
        }
    }

    private static func chain(
        _ hash: String, _ verified: VerifiedSignature?
    ) throws(S3Error) -> ChunkDecoder.Chain? {
        switch hash {
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER": return nil
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
            guard let verified else { throw .accessDenied }
            return ChunkDecoder.Chain(
                key: verified.key, date: verified.signature.date, previous: verified.signature.signature)
        default:
            throw .notImplemented("The payload signature \(hash)")
        }
    }

    private static func md5(_ headers: RequestHeaders) throws(S3Error) -> [UInt8]? {
        guard let text = headers["content-md5"] else { return nil }
        guard let data = Data(base64Encoded: text), data.count == 16 else {
            throw S3Error(.invalidDigest, "The Content-MD5 you specified was invalid.", [("Content-MD5", text)])
        }
        return Array(data)
    }
}
