// Whether a request is signed as it says.

/// Who signed a request, and what its body has to be signed with.
struct VerifiedSignature: Sendable {
    let signature: RequestSignature
    let key: SigningKey
    /// What stands for the body in what was signed.
    let payloadHash: String
}

struct SignatureVerifier: Sendable {
    /// How far a request's time may be from ours, in seconds.
    static let skewSeconds: Int64 = 900
    static let unsignedPayload = "UNSIGNED-PAYLOAD"

    let region: String

    /// Checks what can be checked before it is known who signs.
    func check(
        _ signature: RequestSignature, _ target: RequestTarget, _ headers: RequestHeaders, now: Int64
    ) throws(S3Error) {
        guard signature.scope.region == region else {
            var error = S3Error(
                signature.place == .header ? .authorizationHeaderMalformed : .authorizationQueryParametersError,
                "The region '\(signature.scope.region)' is wrong; expecting '\(region)'", [("Region", region)])
            error.headers = [("x-amz-bucket-region", region)]
            throw error
        }
        guard headers["x-amz-security-token"] == nil, target["X-Amz-Security-Token"] == nil else {
            throw S3Error(.invalidToken, "The provided token is malformed or otherwise invalid.")
        }
        switch signature.place {
        case .header:
            guard abs(now - signature.dateSeconds) <= Self.skewSeconds else {
                throw S3Error(
                    .requestTimeTooSkewed,
                    "The difference between the request time and the current time is too large.",
                    [
                        ("RequestTime", signature.date), ("ServerTime", Dates.iso(milliseconds: UInt64(now) * 1000)),
                        ("MaxAllowedSkewMilliseconds", "\(Self.skewSeconds * 1000)"),
                    ])
            }
        case .query(let expirySeconds):
            guard signature.dateSeconds - now <= Self.skewSeconds else {
                throw S3Error(.accessDenied, "Request is not yet valid")
            }
            let expires = signature.dateSeconds + expirySeconds
            guard now <= expires else {
                throw S3Error(
                    .accessDenied, "Request has expired",
                    [
                        ("X-Amz-Expires", "\(expirySeconds)"),
                        ("Expires", Dates.iso(milliseconds: UInt64(max(0, expires)) * 1000)),
                        ("ServerTime", Dates.iso(milliseconds: UInt64(max(0, now)) * 1000)),
                    ])
            }
        }
        guard signature.signedHeaders.contains("host") else {
            throw S3Error(
                .accessDenied, "There were headers present in the request which were not signed",
                [("HeadersNotSigned", "host")])
        }
        let unsigned = headers.beginning(with: "x-amz-").map(\.name).filter { !signature.signedHeaders.contains($0) }
            // What stands for the body in a presigned request may come as a header that nobody signed.
            .filter { signature.place == .header || $0 != "x-amz-content-sha256" }
        guard unsigned.isEmpty else {
            throw S3Error(
                .accessDenied, "There were headers present in the request which were not signed",
                [("HeadersNotSigned", unsigned.joined(separator: ", "))])
        }
    }

    /// What stands for the body.
    func payloadHash(
        _ signature: RequestSignature, _ target: RequestTarget, _ headers: RequestHeaders
    ) throws(S3Error) -> String {
        if let hash = headers["x-amz-content-sha256"] {
            guard signature.place == .header || signature.signedHeaders.contains("x-amz-content-sha256") else {
                return Self.unsignedPayload
            }
            return hash
        }
        switch signature.place {
        case .header:
            throw S3Error(
                .invalidRequest, "Missing required header for this request: x-amz-content-sha256")
        case .query:
            return target["X-Amz-Content-Sha256"] ?? Self.unsignedPayload
        }
    }

    /// - Parameter secret: of the access key that the signature names.
    func verify(
        _ signature: RequestSignature, secret: String, method: String, _ target: RequestTarget,
        _ headers: RequestHeaders
    ) throws(S3Error) -> VerifiedSignature {
        let payloadHash = try payloadHash(signature, target, headers)
        let key = SigningKey(secret: secret, scope: signature.scope)
        var shown: (canonical: String, toSign: String)?
        for host in Self.hosts(target, headers) {
            guard
                let canonical = CanonicalRequest.text(
                    method: method, target: target, headers: headers, signedHeaders: signature.signedHeaders,
                    host: host, omitsSignature: signature.place != .header, payloadHash: payloadHash)
            else { throw RequestSignature.mismatch }
            let toSign = SigningKey.stringToSign(
                date: signature.date, scope: signature.scope, canonicalRequest: canonical)
            if isEqualInConstantTime(key.signature(of: toSign), signature.signature) {
                return VerifiedSignature(signature: signature, key: key, payloadHash: payloadHash)
            }
            if shown == nil { shown = (canonical, toSign) }
        }
        var error = RequestSignature.mismatch
        error.details = [("AWSAccessKeyId", signature.accessKey)]
        if let shown {
            error.details.append(("StringToSign", shown.toSign))
            error.details.append(("SignatureProvided", Hexadecimals.text(signature.signature)))
            error.details.append(("CanonicalRequest", shown.canonical))
        }
        throw error
    }

    /// The host as it came, and then without, or with, a scheme's own port: clients sign the one and send the other.
    static func hosts(_ target: RequestTarget, _ headers: RequestHeaders) -> [String] {
        let host = target.authority ?? headers["host"] ?? ""
        for port in [":443", ":80"] where host.hasSuffix(port) {
            return [host, String(host.dropLast(port.count))]
        }
        let afterBracket = host.lastIndex(of: "]").map { host[$0...] } ?? host[...]
        return afterBracket.contains(":") ? [host] : [host, host + ":443", host + ":80"]
    }
}
