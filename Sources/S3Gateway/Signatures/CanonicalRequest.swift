// The text of a request that a signature of version 4 is over.

import Crypto

enum CanonicalRequest {
    /// - Parameters:
    ///   - signedHeaders: lower-case names, in the order in which the signer names them.
    ///   - host: what to take for the header `host`.
    ///   - omitsSignature: whether the query's own signature is left out, as it is of a presigned request.
    ///   - payloadHash: what stands for the body.
    /// - Returns: nil when the request lacks a header that is to be signed.
    static func text(
        method: String, target: RequestTarget, headers: RequestHeaders, signedHeaders: [String], host: String,
        omitsSignature: Bool, payloadHash: String
    ) -> String? {
        var lines = [method, PercentCoding.encode(target.path, keepsSlash: true)]
        lines.append(query(target, omitsSignature: omitsSignature))
        for name in signedHeaders {
            let values = name == "host" ? [host] : headers.values(name)
            guard !values.isEmpty else { return nil }
            lines.append("\(name):\(values.map(folded).joined(separator: ","))")
        }
        lines.append("")
        lines.append(signedHeaders.joined(separator: ";"))
        lines.append(payloadHash)
        return lines.joined(separator: "\n")
    }

    private static func query(_ target: RequestTarget, omitsSignature: Bool) -> String {
        var pairs: [(name: String, value: String)] = []
        for item in target.query where !(omitsSignature && item.name == "X-Amz-Signature") {
            pairs.append(
                (
                    PercentCoding.encode(item.name.utf8, keepsSlash: false),
                    PercentCoding.encode(item.value.utf8, keepsSlash: false)
                ))
        }
        pairs.sort { ($0.name, $0.value) < ($1.name, $1.value) }
        return pairs.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    }

    /// Runs of spaces become one.
    private static func folded(_ value: String) -> String {
        guard value.utf8.contains(UInt8(ascii: " ")) else { return value }
        var bytes: [UInt8] = []
        for byte in value.utf8 where byte != 0x20 || bytes.last != 0x20 { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The day, region and service that a signing key is good for.
struct CredentialScope: Equatable, Sendable {
    /// `20130524`.
    let day: String
    let region: String
    let service: String

    var text: String { "\(day)/\(region)/\(service)/aws4_request" }
}

/// What signs: derived from a secret for one scope.
struct SigningKey: Sendable {
    let scope: CredentialScope
    private let key: SymmetricKey

    init(secret: String, scope: CredentialScope) {
        self.scope = scope
        var key = SymmetricKey(data: Array("AWS4\(secret)".utf8))
        for part in [scope.day, scope.region, scope.service, "aws4_request"] {
            key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
        }
        self.key = key
    }

    /// The 32 bytes of a signature.
    func signature(of text: String) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }

    static func stringToSign(date: String, scope: CredentialScope, canonicalRequest: String) -> String {
        "AWS4-HMAC-SHA256\n\(date)\n\(scope.text)\n" + sha256(Array(canonicalRequest.utf8))
    }

    static func sha256(_ bytes: [UInt8]) -> String { Hexadecimals.text(SHA256.hash(data: bytes)) }
}

/// Compares without telling by its time where two byte strings differ.
func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for place in 0..<left.count { difference |= left[place] ^ right[place] }
    return difference == 0
}
