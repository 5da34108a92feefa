// What users of other gateways met and no other test shows (docs/s3-cases.md).

import Foundation
import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("reported cases") struct CaseTests {
        private let s3: S3Caller

        init() throws { s3 = try OneGateway.current.caller }

        @Test("of what is signed")
        func signed() async throws {
            #expect(try await s3.call("PUT", "/cases-signed").status == 200)
            // A header that proxies like to change is verified as it comes; x-amz-date decides against another Date.
            let headers = [("accept-encoding", "identity"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")]
            #expect(try await s3.put("/cases-signed/k", "x", headers).status == 200)
            let request = String(decoding: try s3.request("GET", "/cases-signed/k"), as: UTF8.self)
            let lines = request.components(separatedBy: "\r\n").filter { !$0.hasPrefix("x-amz-content-sha256") }
            let bare = try await s3.send(
                Array(lines.joined(separator: "\r\n").replacing("x-amz-content-sha256;", with: "").utf8))
            #expect(bare.status == 400 && bare.code == "InvalidRequest" && bare.text.contains("x-amz-content-sha256"))
        }

        @Test("of errors, which are documents that name the request")
        func errors() async throws {
            let answer = try await s3.call("GET", "/cases-none/k")
            #expect(answer.status == 404 && answer["content-type"] == "application/xml", "\(answer)")
            for name in ["Code", "Message", "Resource", "HostId"] { #expect(answer.element(name) != nil, "\(name)") }
            let id = try #require(answer.element("RequestId"))
            #expect(answer["x-amz-request-id"] == id)
        }

        @Test("of uploads and their checksums")
        func uploads() async throws {
            #expect(try await s3.call("PUT", "/cases-uploads").status == 200)
            let begun = try await s3.call("POST", "/cases-uploads/k?uploads", [("x-amz-checksum-algorithm", "CRC32")])
            let upload = try #require(begun.element("UploadId"))
            let none = try await s3.call("GET", "/cases-uploads/k?uploadId=\(upload)")
            #expect(none.status == 200 && none.element("Part") == nil && none.element("IsTruncated") == "false")
            let bytes = testBytes(100, seed: 1)
            let sum = RunningChecksum.of(bytes, .crc32)
            let (target, crc) = ("/cases-uploads/k?partNumber=1&uploadId=\(upload)", Base64.text(sum))
            #expect(try await s3.call("PUT", target, [("x-amz-checksum-crc32", crc)], .signed(bytes)).status == 200)
            func complete(_ crc: String, _ headers: [(String, String)] = []) async throws -> WireResponse {
                // The root that an old SDK sends.
                let text =
                    "<CompletedMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\(md5(bytes))</ETag>"
                    + "<ChecksumCRC32>\(crc)</ChecksumCRC32></Part></CompletedMultipartUpload>"
                return try await s3.call(
                    "POST", "/cases-uploads/k?uploadId=\(upload)", headers, .signed(Array(text.utf8)))
            }
            #expect(try await complete("AAAAAA==").code == "InvalidPart")
            let whole = Base64.text(RunningChecksum.of(sum, .crc32))
            let done = try await complete(crc, [("x-amz-checksum-crc32", whole + "-1")])
            #expect(done.status == 200 && done.element("ChecksumCRC32") == whole + "-1", "\(done)")
            let attributes = try await s3.call(
                "GET", "/cases-uploads/k?attributes", [("x-amz-object-attributes", "Checksum")])
            #expect(attributes.element("ChecksumCRC32") == whole && attributes.element("ChecksumType") == "COMPOSITE")
            let tag = try #require(try await s3.call("HEAD", "/cases-uploads/k")["etag"])
            let unchanged = try await s3.call(
                "GET", "/cases-uploads/k", [("If-None-Match", tag), ("x-amz-checksum-mode", "ENABLED")])
            #expect(unchanged.status == 304 && !unchanged.headers.contains { $0.name.hasPrefix("x-amz-checksum") })
        }
    }
}
