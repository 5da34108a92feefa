// A request of S3 and its signature, version 4, by code that the gateway has nothing of: what one of both gets wrong the
// other does not agree with.

import Crypto
import Foundation

/// Who asks.
package struct S3Identity: Sendable {
    package let accessKey: String
    package let secret: String
    package let region: String

    package init(accessKey: String, secret: String, region: String = "us-east-1") {
        self.accessKey = accessKey
        self.secret = secret
        self.region = region
    }
}

/// What is asked, without its body.
package struct S3Call: Sendable {
    package static let unsignedPayload = "UNSIGNED-PAYLOAD"

    package let method: String
    /// Of letters, digits, '-', '.', '_' and '/' only, which need no encoding.
    package let path: String
    package var query: [(name: String, value: String)]
    /// Signed, as they are; in lower case.
    package var headers: [(name: String, value: String)]

    package init(
        _ method: String, _ path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
    }
}

/// Signs calls; for one thread at a time.
package struct S3Signer {
    private static let algorithm = "AWS4-HMAC-SHA256"

    private let identity: S3Identity
    private let host: String
    /// The day that the key is for.
    private var day = ""
    private var key = SymmetricKey(data: [])
    private var second = time_t(-1)
    private var date = ""

    package init(_ identity: S3Identity, host: String) {
        self.identity = identity
        self.host = host
    }

    /// The head of a request with a body of so many bytes.
    ///
    /// - Parameter payloadHash: SHA-256 of the body in hexadecimal digits, or that it is not signed.
    package mutating func head(
        _ call: S3Call, lengthBytes: Int, payloadHash: String = S3Call.unsignedPayload
    ) -> [UInt8] {
        renew()
        var headers = call.headers
        headers += [("host", host), ("x-amz-content-sha256", payloadHash), ("x-amz-date", date)]
        headers.sort { $0.name < $1.name }
        let names = headers.map(\.name).joined(separator: ";")
        let query = call.query.map { (Self.encoded($0.name), Self.encoded($0.value)) }.sorted { $0 < $1 }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        let lines = headers.map { "\($0.name):\($0.value)\n" }.joined()
        let canonical = "\(call.method)\n\(call.path)\n\(query)\n\(lines)\n\(names)\n\(payloadHash)"
        let scope = "\(day)/\(identity.region)/s3/aws4_request"
        let text = "\(Self.algorithm)\n\(date)\n\(scope)\n\(Self.hexadecimal(SHA256.hash(data: Array(canonical.utf8))))"
        let signature = Self.hexadecimal(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
        var head = "\(call.method) \(call.path)\(query.isEmpty ? "" : "?")\(query) HTTP/1.1\r\n"
        for header in headers { head += "\(header.name): \(header.value)\r\n" }
        if lengthBytes > 0 || call.method == "PUT" || call.method == "POST" {
            head += "content-length: \(lengthBytes)\r\n"
        }
        head +=
            "authorization: \(Self.algorithm) Credential=\(identity.accessKey)/\(scope), SignedHeaders=\(names), "
            + "Signature=\(signature)\r\n\r\n"
        return Array(head.utf8)
    }

    /// Has the date be now's, and the key that of its day.
    private mutating func renew() {
        var now = time(nil)
        guard now != second else { return }
        second = now
        var parts = tm()
        gmtime_r(&now, &parts)
        var bytes = [CChar](repeating: 0, count: 32)
        let count = strftime(&bytes, bytes.count, "%Y%m%dT%H%M%SZ", &parts)
        date = String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let today = String(date.prefix(8))
        guard today != day else { return }
        day = today
        key = [today, identity.region, "s3", "aws4_request"].reduce(
            SymmetricKey(data: Array("AWS4\(identity.secret)".utf8))
        ) { SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array($1.utf8), using: $0)) }
    }

    private static func encoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default: encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }

    package static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
