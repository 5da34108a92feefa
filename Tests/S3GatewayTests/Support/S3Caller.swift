// A client that signs its requests and sends them as they are.

import Crypto
import Foundation
import NIOHTTP1

@testable import S3Gateway

struct S3Caller: Sendable {
    let port: Int
    let credential: Credential

    /// How a body goes.
    enum Payload {
        /// With the hash of these bytes.
        case signed([UInt8])
        case unsigned([UInt8])
        /// Whatever these bytes are, with this in x-amz-content-sha256.
        case raw([UInt8], hash: String)
        /// In signed chunks of so many bytes.
        case chunks([UInt8], size: Int)
    }

    var host: String { "127.0.0.1:\(port)" }

    /// The bytes of a request.
    ///
    /// - Parameters:
    ///   - target: encoded.
    ///   - unsigned: headers that are sent and not signed.
    func request(
        _ method: String, _ target: String, _ headers: [(String, String)] = [], _ payload: Payload = .signed([]),
        unsigned: [(String, String)] = [], date: String = Dates.basic(Dates.now())
    ) throws -> [UInt8] {
        let scope = CredentialScope(day: String(date.prefix(8)), region: "us-east-1", service: "s3")
        let key = SigningKey(secret: credential.secret, scope: scope)
        var all = headers + [("host", host), ("x-amz-date", date)]
        var body: [UInt8]
        var hash: String
        switch payload {
        case .signed(let bytes): (body, hash) = (bytes, SigningKey.sha256(bytes))
        case .unsigned(let bytes): (body, hash) = (bytes, "UNSIGNED-PAYLOAD")
        case .raw(let bytes, let given): (body, hash) = (bytes, given)
        case .chunks(let bytes, _):
            (body, hash) = (bytes, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            all.append(("x-amz-decoded-content-length", "\(bytes.count)"))
            all.append(("content-encoding", "aws-chunked"))
        }
        all.append(("x-amz-content-sha256", hash))
        let names = Set(all.map { $0.0.lowercased() }).sorted()
        let canonical = CanonicalRequest.text(
            method: method, target: try RequestTarget(target),
            headers: RequestHeaders(all.map { (name: $0.0, value: $0.1) }), signedHeaders: names, host: host,
            omitsSignature: false, payloadHash: hash)
        let toSign = SigningKey.stringToSign(date: date, scope: scope, canonicalRequest: canonical ?? "")
        let signature = key.signature(of: toSign)
        if case .chunks(let bytes, let size) = payload {
            body = Self.chunked(bytes, size: size, key, date: date, seed: signature)
        }
        all.append(
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(credential.accessKey)/\(scope.text), "
                    + "SignedHeaders=\(names.joined(separator: ";")), Signature=\(Hexadecimals.text(signature))"
            ))
        all += unsigned
        let isFramed = all.contains { ["content-length", "transfer-encoding"].contains($0.0.lowercased()) }
        if !isFramed && (!body.isEmpty || ["PUT", "POST"].contains(method)) {
            all.append(("content-length", "\(body.count)"))
        }
        let head = "\(method) \(target) HTTP/1.1\r\n" + all.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n"
        return Array(head.utf8) + body
    }

    private static func chunked(
        _ bytes: [UInt8], size: Int, _ key: SigningKey, date: String, seed: [UInt8]
    ) -> [UInt8] {
        var (body, previous): ([UInt8], [UInt8]) = ([], seed)
        var chunks = stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min(bytes.count, $0 + size)] }
        chunks.append([])
        for chunk in chunks {
            previous = key.signature(
                of: "AWS4-HMAC-SHA256-PAYLOAD\n\(date)\n\(key.scope.text)\n\(Hexadecimals.text(previous))\n"
                    + "\(SigningKey.sha256([]))\n\(SigningKey.sha256(Array(chunk)))")
            body += Array(
                "\(String(chunk.count, radix: 16));chunk-signature=\(Hexadecimals.text(previous))\r\n".utf8)
            body += chunk + Array("\r\n".utf8)
        }
        return body
    }

    /// Sends a request on a connection of its own.
    @discardableResult
    func call(
        _ method: String, _ target: String, _ headers: [(String, String)] = [], _ payload: Payload = .signed([]),
        unsigned: [(String, String)] = []
    ) async throws -> WireResponse {
        let bytes = try request(method, target, headers, payload, unsigned: unsigned)
        return try await send(bytes, isHead: method == "HEAD")
    }

    @discardableResult
    func put(_ target: String, _ text: String, _ headers: [(String, String)] = []) async throws -> WireResponse {
        try await call("PUT", target, headers, .signed(Array(text.utf8)))
    }

    func send(_ bytes: [UInt8], isHead: Bool = false) async throws -> WireResponse {
        let port = port
        return try await offThread {
            let wire = try Wire(port: port)
            wire.send(bytes)
            return try wire.receive(isHead: isHead)
        }
    }

    /// A request without a signature.
    func anonymous(_ method: String, _ target: String, _ headers: [(String, String)] = []) async throws -> WireResponse
    {
        let lines = ([("host", host)] + headers).map { "\($0.0): \($0.1)\r\n" }.joined()
        return try await send(Array("\(method) \(target) HTTP/1.1\r\n\(lines)\r\n".utf8), isHead: method == "HEAD")
    }

    /// A target that is good without any header.
    func presigned(
        _ method: String, _ target: String, signedHeaders: [(String, String)] = [], expires: String = "600",
        date: String = Dates.basic(Dates.now())
    ) throws -> String {
        let scope = CredentialScope(day: String(date.prefix(8)), region: "us-east-1", service: "s3")
        let headers = ([("host", host)] + signedHeaders).sorted { $0.0 < $1.0 }
        let names = headers.map(\.0)
        func encoded(_ text: String) -> String { PercentCoding.encode(text.utf8, keepsSlash: false) }
        let query =
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\(encoded("\(credential.accessKey)/\(scope.text)"))"
            + "&X-Amz-Date=\(date)&X-Amz-Expires=\(expires)&X-Amz-SignedHeaders=\(encoded(names.joined(separator: ";")))"
        let whole = target + (target.contains("?") ? "&" : "?") + query
        let canonical = CanonicalRequest.text(
            method: method, target: try RequestTarget(whole),
            headers: RequestHeaders(headers.map { (name: $0.0, value: $0.1) }), signedHeaders: names, host: host,
            omitsSignature: true, payloadHash: "UNSIGNED-PAYLOAD")
        let toSign = SigningKey.stringToSign(date: date, scope: scope, canonicalRequest: canonical ?? "")
        let signature = SigningKey(secret: credential.secret, scope: scope).signature(of: toSign)
        return whole + "&X-Amz-Signature=\(Hexadecimals.text(signature))"
    }
}

func md5(_ bytes: [UInt8]) -> String { Hexadecimals.text(Insecure.MD5.hash(data: bytes)) }
func base64MD5(_ bytes: [UInt8]) -> String { Base64.text(Insecure.MD5.hash(data: bytes)) }
