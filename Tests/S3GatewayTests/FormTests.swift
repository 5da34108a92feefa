// Browsers' forms: taken apart in pieces of any sizes, and stored as their policies allow.

import Foundation
import NIOCore
import Testing

@testable import S3Gateway

@Suite("Forms") struct FormTests {
    private static let type = "multipart/form-data; boundary=\"xyz\""
    private static let form =
        "preamble\r\n--xyz\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\nu/${filename}\r\n--xyz\r\n"
        + "content-disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a%22b.txt\"\r\nContent-Type: a/b\r\n\r\n"
        + "one\r\n--xy\r\n-two\r\n--xyz\r\nContent-Disposition: form-data; name=after\r\n\r\n\r\n--xyz--\r\nepilogue"

    private func read(_ text: String, pieces: Int) throws -> (parts: [FormPart], contents: [String], isAtEnd: Bool) {
        var reader = try #require(FormReader(contentType: Self.type))
        var (parts, contents, isAtEnd): ([FormPart], [String], Bool) = ([], [], false)
        var content: [UInt8] = []
        let bytes = Array(text.utf8)
        for begin in stride(from: 0, to: bytes.count, by: pieces) {
            reader.take(ByteBuffer(bytes: bytes[begin..<min(bytes.count, begin + pieces)]))
            while !isAtEnd, let event = try reader.next() {
                switch event {
                case .part(let part): (parts, content) = (parts + [part], [])
                case .content(let buffer): content += buffer.readableBytesView
                case .partEnd: contents.append(String(decoding: content, as: UTF8.self))
                case .end: isAtEnd = true
                }
            }
        }
        return (parts, contents, isAtEnd)
    }

    @Test("are taken apart however their bytes come", arguments: [1, 2, 3, 7, 64, 10_000])
    func read(pieces: Int) throws {
        let (parts, contents, isAtEnd) = try read(Self.form, pieces: pieces)
        #expect(
            parts == [
                FormPart(name: "key", fileName: nil, contentType: nil),
                FormPart(name: "file", fileName: "a\"b.txt", contentType: "a/b"),
                FormPart(name: "after", fileName: nil, contentType: nil),
            ])
        #expect(contents == ["u/${filename}", "one\r\n--xy\r\n-two", ""] && isAtEnd)
        for count in stride(from: 0, to: Self.form.utf8.count - 12, by: 17) {
            #expect(try !read(String(decoding: Self.form.utf8.prefix(count), as: UTF8.self), pieces: pieces).isAtEnd)
        }
    }

    @Test("that are none are refused")
    func refused() throws {
        for type in [
            "", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=a",
        ] {
            #expect(FormReader(contentType: type) == nil, "\(type)")
        }
        for text in [
            "--xyzx\r\n", "--xyz\r\nno colon\r\n\r\n", "--xyz\r\nContent-Type: a\r\n\r\n",
            "--xyz\r\n" + String(repeating: "a", count: 9000),
        ] {
            #expect(throws: S3Error.self, "\(text.prefix(30))") { _ = try read(text, pieces: 1 << 20) }
        }
    }
}

extension GatewayTests {
    @Suite("forms of browsers") struct PostTests {
        private let s3: S3Caller

        init() throws { s3 = try OneGateway.current.caller }

        /// A form that is signed, with a policy of these conditions and of all fields that S3 itself takes.
        private func post(
            _ bucket: String, _ fields: [(String, String)], conditions: [String], file: String? = "hello",
            fileName: String? = "pic.txt", expires: Int64 = 600, after: String = "", namesBucket: Bool = true,
            changes: (inout String) -> Void = { _ in }
        ) async throws -> WireResponse {
            let date = Dates.basic(Dates.now())
            let scope = CredentialScope(day: String(date.prefix(8)), region: "us-east-1", service: "s3")
            let credential = "\(s3.credential.accessKey)/\(scope.text)"
            let own = [
                namesBucket ? "{\"bucket\": \"\(bucket)\"}" : "[\"starts-with\", \"$x-ignore\", \"\"]",
                "{\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"}",
                "{\"x-amz-credential\": \"\(credential)\"}", "{\"x-amz-date\": \"\(date)\"}",
            ]
            let expiration = Dates.iso(milliseconds: UInt64(Dates.now() + expires) * 1000)
            var text =
                "{\"expiration\": \"\(expiration)\", \"conditions\": [\((own + conditions).joined(separator: ","))]}"
            changes(&text)
            let policy = Base64.text(text.utf8)
            let signature = SigningKey(secret: s3.credential.secret, scope: scope).signature(of: policy)
            let all =
                fields + [
                    ("policy", policy), ("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", credential),
                    ("x-amz-date", date), ("x-amz-signature", Hexadecimals.text(signature)),
                ]
            return try await send(bucket, all, file: file, fileName: fileName, after: after)
        }

        private func send(
            _ bucket: String, _ fields: [(String, String)], file: String?, fileName: String?, after: String = ""
        ) async throws -> WireResponse {
            var body = ""
            for (name, value) in fields {
                body += "--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
            }
            if let file {
                let named = fileName.map { "; filename=\"\($0)\"" } ?? ""
                body += "--b\r\nContent-Disposition: form-data; name=\"file\"\(named)\r\n"
                body += "Content-Type: application/octet-stream\r\n\r\n\(file)\r\n"
            }
            body += "\(after)--b--\r\n"
            let head =
                "POST /\(bucket) HTTP/1.1\r\nhost: \(s3.host)\r\ncontent-type: multipart/form-data; boundary=b\r\n"
                + "content-length: \(body.utf8.count)\r\n\r\n"
            return try await s3.send(Array((head + body).utf8))
        }

        @Test("are stored as their policies allow, and answered as they ask")
        func stored() async throws {
            #expect(try await s3.call("PUT", "/forms").status == 200)
            let key = ("key", "u/${filename}")
            let starts = "[\"starts-with\", \"$key\", \"u/\"]"
            let plain = try await post("forms", [key], conditions: [starts])
            #expect(plain.status == 204 && plain["etag"] == "\"5d41402abc4b2a76b9719d911017c592\"", "\(plain)")
            #expect(try await s3.call("GET", "/forms/u/pic.txt").text == "hello")
            let created = try await post(
                "forms",
                [
                    key, ("success_action_status", "201"), ("Content-Type", "a/b"), ("x-amz-meta-m", "1"),
                    ("x-ignore-me", "2"),
                ],
                conditions: [
                    starts, "{\"success_action_status\": \"201\"}", "[\"starts-with\", \"$Content-Type\", \"a/\"]",
                    "[\"eq\", \"$x-amz-meta-m\", \"1\"]", "[\"content-length-range\", 0, 10]",
                ], fileName: "b", after: "--b\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n")
            #expect(
                created.status == 201 && created.element("Key") == "u/b" && created.element("Bucket") == "forms",
                "\(created)")
            let got = try await s3.call("GET", "/forms/u/b")
            #expect(got.text == "hello" && got["content-type"] == "a/b" && got["x-amz-meta-m"] == "1")
            let sent = try await post(
                "forms", [("key", "r"), ("success_action_redirect", "http://x/y?z")],
                conditions: ["{\"key\": \"r\"}", "[\"starts-with\", \"$success_action_redirect\", \"\"]"], fileName: nil
            )
            #expect(sent.status == 303 && sent["location"]?.hasPrefix("http://x/y?z&bucket=forms&key=r&etag=") ?? false)
            let crc = Base64.text(RunningChecksum.of(Array("hello".utf8), .sha256))
            let summed = [("key", "s"), ("x-amz-checksum-sha256", crc)]
            let sum = "[\"starts-with\", \"$x-amz-checksum-sha256\", \"\"]"
            #expect(try await post("forms", summed, conditions: ["{\"key\": \"s\"}", sum]).status == 204)
            let other = try await post("forms", summed, conditions: ["{\"key\": \"s\"}", sum], file: "other")
            #expect(other.code == "BadDigest")
            #expect(try await s3.call("GET", "/forms/s").text == "hello")
        }

        @Test("are refused beyond their policies, and store nothing")
        func refused() async throws {
            #expect(try await s3.call("PUT", "/formless").status == 200)
            let (key, equal) = (("key", "k"), "{\"key\": \"k\"}")
            let cases: [(String, WireResponse, String)] = [
                ("another key", try await post("formless", [("key", "l")], conditions: [equal]), "AccessDenied"),
                (
                    "prefix", try await post("formless", [key], conditions: ["[\"starts-with\", \"$key\", \"u/\"]"]),
                    "AccessDenied"
                ),
                (
                    "field", try await post("formless", [key, ("x-amz-meta-a", "1")], conditions: [equal]),
                    "AccessDenied"
                ),
                (
                    "missing", try await post("formless", [key], conditions: [equal, "{\"acl\": \"private\"}"]),
                    "AccessDenied"
                ),
                (
                    "operator", try await post("formless", [key], conditions: ["[\"like\", \"$key\", \"k\"]"]),
                    "AccessDenied"
                ),
                ("expired", try await post("formless", [key], conditions: [equal], expires: -1), "AccessDenied"),
                (
                    "bucket", try await post("formless", [key], conditions: [equal, "{\"bucket\": \"forms\"}"]),
                    "AccessDenied"
                ),
                (
                    "no bucket", try await post("formless", [key], conditions: [equal], namesBucket: false),
                    "AccessDenied"
                ),
                (
                    "canonically equal name",
                    try await post("formless", [("key", "e\u{301}")], conditions: ["{\"key\": \"\u{E9}\"}"]),
                    "AccessDenied"
                ),
                (
                    "negative length",
                    try await post("formless", [key], conditions: [equal, "[\"content-length-range\", -1, 9]"]),
                    "InvalidPolicyDocument"
                ),
                (
                    "two lengths",
                    try await post(
                        "formless", [key],
                        conditions: [
                            equal, "[\"content-length-range\", 0, 4]", "[\"content-length-range\", 0, 100]",
                        ]), "EntityTooLarge"
                ),
                (
                    "token",
                    try await post(
                        "formless", [key, ("x-amz-security-token", "t")],
                        conditions: [equal, "[\"starts-with\", \"$x-amz-security-token\", \"\"]"]), "InvalidToken"
                ),
                (
                    "long", try await post("formless", [key], conditions: [equal, "[\"content-length-range\", 0, 4]"]),
                    "EntityTooLarge"
                ),
                (
                    "short",
                    try await post("formless", [key], conditions: [equal, "[\"content-length-range\", 6, 9]"]),
                    "EntityTooSmall"
                ),
                ("no file", try await post("formless", [key], conditions: [equal], file: nil), "InvalidArgument"),
                ("no key", try await post("formless", [], conditions: []), "InvalidArgument"),
                (
                    "no JSON", try await post("formless", [key], conditions: [equal]) { $0 += "}" },
                    "InvalidPolicyDocument"
                ),
                (
                    "public",
                    try await post(
                        "formless", [key, ("acl", "public-read")], conditions: [equal, "{\"acl\": \"public-read\"}"]),
                    "NotImplemented"
                ),
                ("unsigned", try await send("formless", [key], file: "hello", fileName: nil), "AccessDenied"),
                (
                    "large fields",
                    try await post(
                        "formless", [key, ("x-ignore-a", String(repeating: "a", count: 70_000))], conditions: [equal]),
                    "MaxPostPreDataLengthExceededError"
                ),
            ]
            for (name, answer, code) in cases {
                #expect(answer.code == code && (400..<502).contains(answer.status), "\(name): \(answer)")
            }
            #expect(try await s3.call("GET", "/formless/k").status == 404)
            #expect(try await s3.call("GET", "/formless?list-type=2").element("KeyCount") == "0")
        }
    }
}
