// Signatures of version 4: the examples that the public documentation of S3 has, and requests that were changed.

import NIOHTTP1
import Testing

@testable import S3Gateway

@Suite("Signatures") struct SignatureTests {
    private static let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    private static let now = Dates.parseBasic("20130524T000000Z") ?? 0

    /// An example of the documentation.
    struct Example: Sendable, CustomTestStringConvertible {
        var method = "GET"
        var target: String
        var headers: [(name: String, value: String)]
        var signed: String
        var signature: String
        var testDescription: String { "\(method) \(target)" }

        var all: [(name: String, value: String)] {
            [
                ("Host", "examplebucket.s3.amazonaws.com"),
                (
                    "Authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                        + "SignedHeaders=\(signed),Signature=\(signature)"
                ), ("x-amz-date", "20130524T000000Z"),
            ] + headers
        }
    }

    static let examples = [
        Example(
            target: "/test.txt", headers: [("Range", "bytes=0-9"), ("x-amz-content-sha256", empty)],
            signed: "host;range;x-amz-content-sha256;x-amz-date",
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        Example(
            method: "PUT", target: "/test%24file.text",
            headers: [
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            ], signed: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        Example(
            target: "/?lifecycle", headers: [("x-amz-content-sha256", empty)],
            signed: "host;x-amz-content-sha256;x-amz-date",
            signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        Example(
            target: "/?max-keys=2&prefix=J", headers: [("x-amz-content-sha256", empty)],
            signed: "host;x-amz-content-sha256;x-amz-date",
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]

    private static func verify(
        _ method: String, _ target: String, _ headers: [(name: String, value: String)], now: Int64 = now,
        secret: String = secret, region: String = "us-east-1"
    ) throws -> VerifiedSignature {
        let (target, headers) = (try RequestTarget(target), RequestHeaders(headers))
        let signature = try #require(try RequestSignature.find(target, headers))
        let verifier = SignatureVerifier(region: region)
        try verifier.check(signature, target, headers, now: now)
        return try verifier.verify(signature, secret: secret, method: method, target, headers)
    }

    private static func code(_ body: () throws -> Void) -> S3ErrorCode? {
        do {
            try body()
            return nil
        } catch {
            return (error as? S3Error)?.code
        }
    }

    @Test("are what the documentation says", arguments: examples)
    func documented(example: Example) throws {
        _ = try Self.verify(example.method, example.target, example.all)
    }

    @Test("of requests that were changed in any part are refused", arguments: examples)
    func changed(example: Example) throws {
        for (place, header) in example.all.enumerated() where header.name != "Authorization" {
            guard example.signed.contains(header.name.lowercased()) else { continue }
            var headers = example.all
            headers[place].value += "1"
            #expect(
                Self.code { _ = try Self.verify(example.method, example.target, headers) } != nil, "\(header.name)")
            headers.remove(at: place)
            #expect(
                Self.code { _ = try Self.verify(example.method, example.target, headers) } != nil,
                "without \(header.name)")
        }
        let others = [
            "/other", example.target + "1", example.target + (example.target.contains("?") ? "&" : "?") + "x=",
        ]
        for target in others {
            #expect(
                Self.code { _ = try Self.verify(example.method, target, example.all) } == .signatureDoesNotMatch,
                "\(target)")
        }
        #expect(Self.code { _ = try Self.verify("DELETE", example.target, example.all) } == .signatureDoesNotMatch)
        #expect(
            Self.code { _ = try Self.verify(example.method, example.target, example.all, secret: "other") }
                == .signatureDoesNotMatch)
        for digit in 0..<64 {
            var other = example
            var digits = Array(other.signature)
            digits[digit] = digits[digit] == "0" ? "1" : "0"
            other.signature = String(digits)
            #expect(
                Self.code { _ = try Self.verify(other.method, other.target, other.all) } == .signatureDoesNotMatch)
        }
    }

    private static let presigned =
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
        + "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
        + "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    private static let host: [(name: String, value: String)] = [("Host", "examplebucket.s3.amazonaws.com")]

    @Test("in the query are what the documentation says, until they expire")
    func inQuery() throws {
        _ = try Self.verify("GET", Self.presigned, Self.host, now: Self.now + 86_400)
        do {
            _ = try Self.verify("GET", Self.presigned, Self.host, now: Self.now + 86_401)
            Issue.record("an expired request was taken")
        } catch let error as S3Error {
            #expect(error.code == .accessDenied)
            #expect(error.details.map(\.name) == ["X-Amz-Expires", "Expires", "ServerTime"])
        }
        #expect(Self.code { _ = try Self.verify("PUT", Self.presigned, Self.host) } == .signatureDoesNotMatch)
        #expect(
            Self.code { _ = try Self.verify("GET", Self.presigned, Self.host, now: Self.now - 901) } == .accessDenied)
    }

    @Test(
        "in the query whose expiry is no time are refused as the documentation says", arguments: ["-1", "x", "604801"])
    func expiry(value: String) {
        let target = Self.presigned.replacing("Expires=86400", with: "Expires=\(value)")
        #expect(Self.code { _ = try Self.verify("GET", target, Self.host) } == .authorizationQueryParametersError)
    }

    @Test("do not cover headers that somebody adds to a presigned request")
    func added() {
        for name in ["x-amz-meta-a", "x-amz-copy-source", "x-amz-acl"] {
            #expect(
                Self.code { _ = try Self.verify("GET", Self.presigned, Self.host + [(name, "x")]) } == .accessDenied)
        }
    }

    @Test("are good for a host with a scheme's own port and without")
    func ports() throws {
        let example = Self.examples[0]
        for port in [":443", ":80"] {
            var headers = example.all
            headers[0].value += port
            _ = try Self.verify(example.method, example.target, headers)
        }
        var headers = example.all
        headers[0].value += ":9000"
        #expect(
            Self.code { _ = try Self.verify(example.method, example.target, headers) } == .signatureDoesNotMatch)
        #expect(
            SignatureVerifier.hosts(try RequestTarget("/"), RequestHeaders([("host", "localhost")])).contains(
                "localhost:80"))
    }

    @Test("are refused when the clocks differ by more than a quarter of an hour", arguments: [-901, 901])
    func skew(seconds: Int64) {
        let example = Self.examples[0]
        #expect(
            Self.code { _ = try Self.verify(example.method, example.target, example.all, now: Self.now + seconds) }
                == .requestTimeTooSkewed)
        #expect(
            Self.code {
                _ = try Self.verify(example.method, example.target, example.all, now: Self.now + seconds / 901 * 900)
            } == nil)
    }

    @Test("for another region are refused with the right one")
    func region() throws {
        let example = Self.examples[0]
        do {
            _ = try Self.verify(example.method, example.target, example.all, region: "eu-central-1")
            Issue.record("another region's signature was taken")
        } catch let error as S3Error {
            #expect(error.code == .authorizationHeaderMalformed)
            #expect(error.details.contains { $0.name == "Region" && $0.value == "eu-central-1" })
        }
    }

    @Test("of other kinds are refused by name, and session tokens are never taken silently")
    func others() {
        func find(_ target: String, _ headers: [(name: String, value: String)]) throws {
            _ = try RequestSignature.find(try RequestTarget(target), RequestHeaders(headers))
        }
        #expect(Self.code { try find("/?AWSAccessKeyId=a&Expires=1&Signature=b", []) } == .invalidRequest)
        #expect(Self.code { try find("/", [("authorization", "AWS a:b")]) } == .invalidRequest)
        #expect(Self.code { try find("/", [("authorization", "Bearer x")]) } == .invalidArgument)
        #expect(
            Self.code { try find(Self.presigned, [("authorization", "AWS4-HMAC-SHA256 x")]) } == .invalidArgument)
        for header in [
            "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=a", "AWS4-HMAC-SHA256 Credential=a/b,Signature=c",
        ] {
            #expect(Self.code { try find("/", [("authorization", header)]) } == .authorizationHeaderMalformed)
        }
        let example = Self.examples[0]
        #expect(
            Self.code {
                _ = try Self.verify(
                    example.method, example.target, example.all + [("x-amz-security-token", "token")])
            } == .invalidToken)
    }

    @Test("take the values of headers with runs of blanks as one blank")
    func blanks() throws {
        let target = try RequestTarget("/")
        let headers = RequestHeaders([("host", "h"), ("x-amz-meta-n", " a   b ")])
        let text = CanonicalRequest.text(
            method: "PUT", target: target, headers: headers, signedHeaders: ["host", "x-amz-meta-n"], host: "h",
            omitsSignature: false, payloadHash: "UNSIGNED-PAYLOAD")
        #expect(text == "PUT\n/\n\nhost:h\nx-amz-meta-n:a b\n\nhost;x-amz-meta-n\nUNSIGNED-PAYLOAD")
    }

    @Test("are over paths encoded once and queries with every value")
    func canonical() throws {
        func lines(_ target: String) throws -> [Substring] {
            let text = CanonicalRequest.text(
                method: "GET", target: try RequestTarget(target), headers: RequestHeaders([("host", "h")]),
                signedHeaders: ["host"], host: "h", omitsSignature: true, payloadHash: "x")
            return try #require(text).split(separator: "\n", omittingEmptySubsequences: false)
        }
        #expect(try lines("/a%20b/%C3%BC%2B%25.txt")[1] == "/a%20b/%C3%BC%2B%25.txt")
        #expect(try lines("/b//a/../c")[1] == "/b//a/../c")
        #expect(try lines("/b?versioning")[2] == "versioning=")
        #expect(try lines("/b?e=url&e=x&a=~")[2] == "a=~&e=url&e=x")
        #expect(try lines("/b?p=a+b&q=a%2Bb")[2] == "p=a%20b&q=a%2Bb")
        #expect(try lines("http://h/b/k?x=1")[1] == "/b/k")
        for target in ["/%", "/%4", "/%zz", "x", "", "/%FF", "/?%FF=1"] {
            #expect(Self.code { _ = try RequestTarget(target) } == .invalidURI, "\(target)")
        }
    }
}
