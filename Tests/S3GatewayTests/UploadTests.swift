// Uploads in parts over HTTP.

import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("uploads in parts") struct UploadTests {
        private static let partSize = 5 << 20

        private func bucket(_ name: String) async throws -> S3Caller {
            let caller = try OneGateway.current.caller
            #expect(try await caller.call("PUT", "/\(name)").status == 200)
            return caller
        }

        private func begin(_ s3: S3Caller, _ target: String, _ headers: [(String, String)] = []) async throws -> String
        {
            let answer = try await s3.call("POST", "\(target)?uploads", headers)
            #expect(answer.status == 200 && answer.text.contains("<InitiateMultipartUploadResult"), "\(answer)")
            return try #require(answer.element("UploadId"))
        }

        private func document(_ parts: [(Int, String)]) -> S3Caller.Payload {
            let items = parts.map { "<Part><PartNumber>\($0.0)</PartNumber><ETag>\($0.1)</ETag></Part>" }.joined()
            return .signed(Array("<CompleteMultipartUpload>\(items)</CompleteMultipartUpload>".utf8))
        }

        @Test("become one object with their tags, and the same again for who asks again")
        func complete() async throws {
            let s3 = try await bucket("complete")
            let upload = try await begin(s3, "/complete/k", [("x-amz-meta-a", "b"), ("Content-Type", "c/d")])
            let parts = [
                testBytes(Self.partSize, seed: 1), testBytes(Self.partSize + 1, seed: 2), testBytes(10, seed: 3),
            ]
            var tags: [String] = []
            for (place, part) in parts.enumerated() {
                let put = try await s3.call(
                    "PUT", "/complete/k?partNumber=\(place + 1)&uploadId=\(upload)", [], .unsigned(part))
                #expect(put.status == 200 && put["etag"] == "\"\(md5(part))\"")
                tags.append(md5(part))
            }
            #expect(try await s3.call("GET", "/complete/k").status == 404)
            let list = try await s3.call("GET", "/complete/k?uploadId=\(upload)&max-parts=2")
            #expect(list.elements("PartNumber") == ["1", "2"] && list.element("IsTruncated") == "true")
            #expect(
                list.element("NextPartNumberMarker") == "2"
                    && list.elements("Size") == ["\(Self.partSize)", "\(Self.partSize + 1)"])
            let rest = try await s3.call("GET", "/complete/k?uploadId=\(upload)&part-number-marker=2")
            #expect(rest.elements("PartNumber") == ["3"] && rest.element("IsTruncated") == "false")
            // The second is left out; quotes may be there or not.
            let body = document([(1, "\"\(tags[0])\""), (3, "&quot;\(tags[2])&quot;")])
            let etag = "\"\(md5(Hexadecimals.bytes(tags[0] + tags[2]) ?? []))-2\""
            let size = "x-amz-mp-object-size"
            for (given, code) in [("7", "InvalidRequest"), ("x", "InvalidArgument"), ("-1", "InvalidArgument")] {
                let refused = try await s3.call("POST", "/complete/k?uploadId=\(upload)", [(size, given)], body)
                #expect(refused.status == 400 && refused.code == code, "\(given) \(refused)")
            }
            #expect(try await s3.call("GET", "/complete/k").status == 404)
            for headers in [[(size, "\(Self.partSize + 10)")], []] {
                let done = try await s3.call("POST", "/complete/k?uploadId=\(upload)", headers, body)
                #expect(done.status == 200 && done.element("ETag")?.replacing("&quot;", with: "\"") == etag, "\(done)")
            }
            let got = try await s3.call("GET", "/complete/k")
            #expect(
                got.body == parts[0] + parts[2] && got["etag"] == etag && got["x-amz-meta-a"] == "b"
                    && got["content-type"] == "c/d")
            let second = try await s3.call("GET", "/complete/k?partNumber=3")
            #expect(second.status == 206 && second.body == parts[2] && second["x-amz-mp-parts-count"] == "2")
            #expect(second["etag"] == etag)
            let attributes = try await s3.call(
                "GET", "/complete/k?attributes", [("x-amz-object-attributes", "ObjectParts")])
            #expect(
                attributes.element("PartsCount") == "2" && attributes.elements("Size") == ["\(Self.partSize)", "10"])
            #expect(try await s3.call("GET", "/complete/k?uploadId=\(upload)").code == "NoSuchUpload")
            let copied = try await s3.call("PUT", "/complete/copy", [("x-amz-copy-source", "complete/k")])
            #expect(copied.element("ETag") == "&quot;\(md5(parts[0] + parts[2]))&quot;")
        }

        @Test("are refused where their list is not theirs")
        func refused() async throws {
            let s3 = try await bucket("refused")
            let upload = try await begin(s3, "/refused/k")
            let part = testBytes(16, seed: 1)
            for number in 1...2 {
                _ = try await s3.call("PUT", "/refused/k?partNumber=\(number)&uploadId=\(upload)", [], .unsigned(part))
            }
            let tag = md5(part)
            func complete(_ parts: [(Int, String)]) async throws -> WireResponse {
                try await s3.call("POST", "/refused/k?uploadId=\(upload)", [], document(parts))
            }
            #expect(try await complete([(1, tag), (2, tag)]).code == "EntityTooSmall")
            #expect(try await complete([(2, tag), (1, tag)]).code == "InvalidPartOrder")
            #expect(try await complete([(1, tag), (1, tag)]).code == "InvalidPartOrder")
            let missing = try await complete([(1, tag), (3, tag)])
            #expect(
                missing.code == "InvalidPart" && missing.element("PartNumber") == "3"
                    && missing.element("UploadId") == upload)
            #expect(try await complete([(9, tag), (8, tag)]).code == "InvalidPart")
            #expect(try await complete([(1, md5([]))]).code == "InvalidPart")
            #expect(try await complete([(0, tag)]).code == "InvalidArgument")
            #expect(try await complete([]).code == "MalformedXML")
            for (query, code) in [
                ("partNumber=0&uploadId=\(upload)", "InvalidArgument"),
                ("partNumber=10001&uploadId=\(upload)", "InvalidArgument"),
                ("partNumber=x&uploadId=\(upload)", "InvalidArgument"), ("partNumber=1&uploadId=none", "NoSuchUpload"),
                ("partNumber=1&uploadId=\(String(repeating: "0", count: 32))", "NoSuchUpload"),
                ("partNumber=1", "InvalidArgument"), ("uploadId=\(upload)", "MethodNotAllowed"),
            ] {
                #expect(try await s3.call("PUT", "/refused/k?\(query)", [], .unsigned(part)).code == code, "\(query)")
            }
            for query in ["max-parts=-1", "max-parts=x", "part-number-marker=-1"] {
                #expect(
                    try await s3.call("GET", "/refused/k?uploadId=\(upload)&\(query)").code == "InvalidArgument",
                    "\(query)")
            }
            #expect(try await s3.call("GET", "/refused/other?uploadId=\(upload)").code == "NoSuchUpload")
            #expect(try await s3.call("DELETE", "/refused/k?uploadId=\(upload)").status == 204)
            #expect(try await s3.call("DELETE", "/refused/k?uploadId=\(upload)").code == "NoSuchUpload")
            #expect(try await complete([(1, tag)]).code == "NoSuchUpload")
            #expect(try await s3.call("GET", "/refused/k").status == 404)
        }

        @Test(
            "have checksums of parts, of which the object's is made",
            arguments: [
                (ChecksumAlgorithm.crc32, ChecksumType.composite, false), (.crc32, .fullObject, true),
                (.crc64nvme, .fullObject, false), (.sha256, .composite, false),
            ])
        func checksums(algorithm: ChecksumAlgorithm, type: ChecksumType, says: Bool) async throws {
            let name = "sums-\(algorithm.rawValue.lowercased())-\(says)"
            let s3 = try await bucket(name)
            let upload = try await begin(
                s3, "/\(name)/k",
                [("x-amz-checksum-algorithm", algorithm.rawValue)]
                    + (says ? [("x-amz-checksum-type", type.rawValue)] : []))
            let parts = [testBytes(Self.partSize, seed: 1), testBytes(100, seed: 2)]
            let sums = parts.map { RunningChecksum.of($0, algorithm) }
            for (place, part) in parts.enumerated() {
                let target = "/\(name)/k?partNumber=\(place + 1)&uploadId=\(upload)"
                let bare = try await s3.call("PUT", target, [], .unsigned(part))
                #expect(type == .composite ? bare.code == "InvalidRequest" : bare.status == 200)
                let put = try await s3.call(
                    "PUT", target, [(algorithm.header, Base64.text(sums[place]))], .unsigned(part))
                #expect(put.status == 200 && put[algorithm.header] == Base64.text(sums[place]))
            }
            let list = try await s3.call("GET", "/\(name)/k?uploadId=\(upload)")
            #expect(list.elements(algorithm.element) == sums.map { Base64.text($0) })
            let expected =
                type == .composite
                ? Base64.text(RunningChecksum.of(sums[0] + sums[1], algorithm)) + "-2"
                : Base64.text(RunningChecksum.of(parts[0] + parts[1], algorithm))
            let body = document(parts.enumerated().map { ($0.offset + 1, md5($0.element)) })
            let wrong = Base64.text(RunningChecksum.of([1], algorithm))
            let refused = try await s3.call("POST", "/\(name)/k?uploadId=\(upload)", [(algorithm.header, wrong)], body)
            #expect(refused.code == "BadDigest")
            let given = expected.split(separator: "-").first.map(String.init) ?? ""
            let done = try await s3.call("POST", "/\(name)/k?uploadId=\(upload)", [(algorithm.header, given)], body)
            #expect(
                done.element(algorithm.element) == expected && done.element("ChecksumType") == type.rawValue, "\(done)")
            let head = try await s3.call("HEAD", "/\(name)/k", [("x-amz-checksum-mode", "ENABLED")])
            #expect(head[algorithm.header] == expected && head["x-amz-checksum-type"] == type.rawValue)
        }

        @Test("are listed by key and then by time, page by page")
        func listed() async throws {
            let s3 = try await bucket("listed")
            #expect(try await s3.call("GET", "/listed?uploads").element("Upload") == nil)
            var uploads: [(String, String)] = []
            for key in ["a", "a", "d/x", "d/y", "e%20f"] {
                uploads.append((key, try await begin(s3, "/listed/\(key)")))
            }
            let list = try await s3.call("GET", "/listed?uploads&encoding-type=url")
            #expect(list.elements("Key") == ["a", "a", "d/x", "d/y", "e+f"])
            #expect(list.elements("UploadId") == uploads.map(\.1) && list.element("IsTruncated") == "false")
            var found: [String] = []
            var marker = ""
            while found.count < 9 {
                let page = try await s3.call("GET", "/listed?uploads&max-uploads=1\(marker)")
                found += page.elements("UploadId")
                guard page.element("IsTruncated") == "true" else { break }
                let key = PercentCoding.encode((page.element("NextKeyMarker") ?? "").utf8, keepsSlash: false)
                marker = "&key-marker=\(key)&upload-id-marker=\(page.element("NextUploadIdMarker") ?? "")"
            }
            #expect(found == uploads.map(\.1))
            // An upload that is over meanwhile hides none of its key's others.
            let gone = String(repeating: "0", count: 32)
            let after = try await s3.call("GET", "/listed?uploads&key-marker=a&upload-id-marker=\(gone)")
            #expect(after.elements("Key") == ["a", "a", "d/x", "d/y", "e f"])
            let folders = try await s3.call("GET", "/listed?uploads&delimiter=/&prefix=")
            #expect(folders.elements("CommonPrefixes").count == 1 && folders.elements("Upload").count == 3)
            let ignored = try await s3.call("GET", "/listed?uploads&upload-id-marker=\(uploads[0].1)")
            #expect(ignored.elements("Upload").count == 5 && ignored.element("UploadIdMarker") == "")
            #expect(try await s3.call("GET", "/listed?uploads&max-uploads=-1").code == "InvalidArgument")
            // They do not keep the bucket.
            #expect(try await s3.call("DELETE", "/listed").status == 204)
        }

        @Test("take parts of other objects")
        func copied() async throws {
            let s3 = try await bucket("partcopies")
            let bytes = testBytes(Self.partSize + 100, seed: 9)
            _ = try await s3.call("PUT", "/partcopies/a%2Bb", [], .unsigned(bytes))
            let upload = try await begin(s3, "/partcopies/k")
            func copy(_ number: Int, _ headers: (String, String)...) async throws -> WireResponse {
                try await s3.call("PUT", "/partcopies/k?partNumber=\(number)&uploadId=\(upload)", headers)
            }
            let source = ("x-amz-copy-source", "partcopies/a%2Bb")
            let first = try await copy(1, source, ("x-amz-copy-source-range", ""))
            #expect(
                first.element("ETag") == "&quot;\(md5(bytes))&quot;" && first.text.contains("<CopyPartResult"),
                "\(first)")
            let second = try await copy(2, source, ("x-amz-copy-source-range", "bytes=10-19"))
            #expect(second.element("ETag") == "&quot;\(md5(Array(bytes[10..<20])))&quot;")
            for range in [
                "bytes=garbage", "abc-def", "0-2", "bytes=0-", "bytes=0-1,3-4", "bytes=5-1", "bytes=0-99999999",
            ] {
                #expect(
                    try await copy(3, source, ("x-amz-copy-source-range", range)).code == "InvalidArgument", "\(range)")
            }
            #expect(try await copy(3, ("x-amz-copy-source", "partcopies")).code == "InvalidArgument")
            #expect(try await copy(3, source, ("x-amz-copy-source-if-match", "x")).code == "PreconditionFailed")
            #expect(try await copy(3, ("x-amz-copy-source", "partcopies/none")).code == "NoSuchKey")
            let parts = [(1, md5(bytes)), (2, md5(Array(bytes[10..<20])))]
            #expect(try await s3.call("POST", "/partcopies/k?uploadId=\(upload)", [], document(parts)).status == 200)
            #expect(try await s3.call("GET", "/partcopies/k").body == bytes + bytes[10..<20])
        }

        @Test("are completed only where a condition holds")
        func conditions() async throws {
            let s3 = try await bucket("completed")
            let part = testBytes(10, seed: 1)
            func uploaded(_ key: String) async throws -> String {
                let upload = try await begin(s3, "/completed/\(key)")
                _ = try await s3.call("PUT", "/completed/\(key)?partNumber=1&uploadId=\(upload)", [], .unsigned(part))
                return upload
            }
            try await s3.put("/completed/k", "before")
            let upload = try await uploaded("k")
            let refused = try await s3.call(
                "POST", "/completed/k?uploadId=\(upload)", [("If-None-Match", "*")], document([(1, md5(part))]))
            #expect(refused.status == 412)
            let other = try await uploaded("l")
            try await s3.put("/completed/l", "meanwhile")
            let conflict = try await s3.call(
                "POST", "/completed/l?uploadId=\(other)", [("If-None-Match", "*")], document([(1, md5(part))]))
            #expect(conflict.status == 409 && conflict.code == "ConditionalRequestConflict")
            #expect(try await s3.call("GET", "/completed/l").text == "meanwhile")
        }
    }
}
