// Checksums that clients send and get back.

import Crypto
import Foundation

enum ChecksumAlgorithm: String, CaseIterable, Sendable {
    case crc32 = "CRC32"
    case crc32c = "CRC32C"
    case crc64nvme = "CRC64NVME"
    case sha1 = "SHA1"
    case sha256 = "SHA256"

    /// By its name in any case.
    init?(name: String) { self.init(rawValue: name.uppercased()) }

    /// By the name of its header or trailer, in lower case.
    init?(header: String) {
        guard let algorithm = Self.allCases.first(where: { $0.header == header }) else { return nil }
        self = algorithm
    }

    var header: String { "x-amz-checksum-\(rawValue.lowercased())" }
    /// In documents.
    var element: String { "Checksum\(rawValue)" }

    var sizeBytes: Int {
        switch self {
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        case .sha1: 20
        case .sha256: 32
        }
    }

    /// Nil when the text is not the checksum's bytes in base 64.
    func bytes(_ text: String) -> [UInt8]? {
        guard let data = Data(base64Encoded: text), data.count == sizeBytes else { return nil }
        return Array(data)
    }

    /// Of two pieces together, for those algorithms that allow it.
    func combine(_ first: [UInt8], _ second: [UInt8], lengthBytes: UInt64) -> [UInt8]? {
        let polynomial: UInt64
        switch self {
        case .crc32: polynomial = CyclicRedundancy.polynomial32
        case .crc32c: polynomial = CyclicRedundancy.polynomial32C
        case .crc64nvme: polynomial = CyclicRedundancy.polynomial64NVMe
        case .sha1, .sha256: return nil
        }
        func number(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        let combined = CyclicRedundancy.combine(
            number(first), number(second), lengthBytes: lengthBytes, polynomial: polynomial, width: 8 * sizeBytes)
        return (0..<sizeBytes).map { UInt8(truncatingIfNeeded: combined >> UInt64(8 * (sizeBytes - 1 - $0))) }
    }
}

/// What a checksum is of: of all bytes, or of the parts' checksums.
enum ChecksumType: String, Sendable {
    case composite = "COMPOSITE"
    case fullObject = "FULL_OBJECT"
}

/// A checksum that grows with the bytes.
struct RunningChecksum: Sendable {
    private enum State: Sendable {
        case crc32(UInt32)
        case crc32c(UInt32)
        case crc64nvme(UInt64)
        case sha1(Insecure.SHA1)
        case sha256(SHA256)
    }

    private var state: State

    init(_ algorithm: ChecksumAlgorithm) {
        state =
            switch algorithm {
            case .crc32: .crc32(0)
            case .crc32c: .crc32c(0)
            case .crc64nvme: .crc64nvme(0)
            case .sha1: .sha1(Insecure.SHA1())
            case .sha256: .sha256(SHA256())
            }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch state {
        case .crc32(let value): state = .crc32(CyclicRedundancy.crc32(value, bytes))
        case .crc32c(let value): state = .crc32c(CyclicRedundancy.crc32c(value, bytes))
        case .crc64nvme(let value): state = .crc64nvme(CyclicRedundancy.crc64NVMe(value, bytes))
        case .sha1(var hash):
            hash.update(bufferPointer: bytes)
            state = .sha1(hash)
        case .sha256(var hash):
            hash.update(bufferPointer: bytes)
            state = .sha256(hash)
        }
    }

    /// The bytes of the checksum, the highest first.
    var bytes: [UInt8] {
        switch state {
        case .crc32(let value), .crc32c(let value): withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case .crc64nvme(let value): withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case .sha1(let hash): Array(hash.finalize())
        case .sha256(let hash): Array(hash.finalize())
        }
    }

    static func of(_ bytes: [UInt8], _ algorithm: ChecksumAlgorithm) -> [UInt8] {
        var checksum = RunningChecksum(algorithm)
        bytes.withUnsafeBytes { checksum.update($0) }
        return checksum.bytes
    }
}

enum Base64 {
    static func text(_ bytes: some Sequence<UInt8>) -> String { Data(bytes).base64EncodedString() }
}

/// What a request says of its body's checksum.
struct DeclaredChecksum: Equatable, Sendable {
    let algorithm: ChecksumAlgorithm
    /// Nil when it comes behind the body.
    let bytes: [UInt8]?

    /// Nil when the request says nothing.
    ///
    /// - Throws: when it says what cannot be, or several things.
    static func find(_ headers: RequestHeaders) throws(S3Error) -> DeclaredChecksum? {
        let others = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"]
        let given = headers.beginning(with: "x-amz-checksum-").filter { !others.contains($0.name) }
        guard given.count <= 1 else {
            throw S3Error(
                .invalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        }
        let trailer = try trailerAlgorithm(headers)
        let named = headers["x-amz-sdk-checksum-algorithm"] ?? headers["x-amz-checksum-algorithm"]
        var namedAlgorithm: ChecksumAlgorithm?
        if let named {
            guard let algorithm = ChecksumAlgorithm(name: named) else {
                throw S3Error(
                    .invalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                        + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
            }
            namedAlgorithm = algorithm
        }
        if let (name, value) = given.first {
            guard let algorithm = ChecksumAlgorithm(header: name) else {
                throw S3Error(
                    .invalidRequest,
                    "The algorithm type you specified in x-amz-checksum- header is invalid.")
            }
            guard trailer == nil else {
                throw S3Error(
                    .invalidRequest,
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
            }
            guard namedAlgorithm == nil || namedAlgorithm == algorithm else { throw mismatch(name) }
            guard let bytes = algorithm.bytes(value) else {
                throw S3Error(.invalidRequest, "Value for \(name) header is invalid.")
            }
            return DeclaredChecksum(algorithm: algorithm, bytes: bytes)
        }
        if let trailer {
            guard namedAlgorithm == nil || namedAlgorithm == trailer else { throw mismatch("x-amz-trailer") }
            return DeclaredChecksum(algorithm: trailer, bytes: nil)
        }
        guard headers["x-amz-sdk-checksum-algorithm"] == nil else {
            throw S3Error(
                .invalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                    + "headers were found.")
        }
        return nil
    }

    private static func trailerAlgorithm(_ headers: RequestHeaders) throws(S3Error) -> ChecksumAlgorithm? {
        guard let trailer = headers["x-amz-trailer"] else { return nil }
        let names = trailer.lowercased().split(separator: ",").map { $0.filter { $0 != " " } }
        guard names.count == 1, let algorithm = ChecksumAlgorithm(header: names[0]) else {
            throw S3Error(.invalidRequest, "The value specified in the x-amz-trailer header is not supported")
        }
        return algorithm
    }

    private static func mismatch(_ name: String) -> S3Error {
        S3Error(.invalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid: it is not that of \(name).")
    }
}
