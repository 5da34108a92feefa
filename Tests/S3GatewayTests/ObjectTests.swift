// Objects over HTTP, byte by byte.

import Foundation
import Solidus
import Testing

@testable import S3Gateway

@Suite("Over HTTP", .oneGateway, .serialized) struct GatewayTests {}

extension GatewayTests {
    @Suite("objects") struct ObjectTests {
        private func bucket(_ name: String) async throws -> S3Caller {
            let caller = try OneGateway.current.caller
            let made = try await caller.call("PUT", "/\(name)")
            #expect(made.status == 200 && made["location"] == "/\(name)", "\(made)")
            return caller
        }

        @Test("come back as they were stored, with all that was said of them")
        func stored() async throws {
            let s3 = try await bucket("objects")
            let put = try await s3.put(
                "/objects/a%20b/%C3%BC%2B%25.txt", "hello",
                [
                    ("Content-Type", "text/plain"), ("x-amz-meta-Foo", "Bar"), ("Cache-Control", "no-cache"),
                    ("Content-Encoding", "gzip,aws-chunked"), ("Expires", "soon"), ("x-amz-acl", "private"),
                    ("x-amz-storage-class", "STANDARD"), ("x-amz-tagging", "a=1"),
                ])
            #expect(put.status == 200 && put["etag"] == "\"5d41402abc4b2a76b9719d911017c592\"", "\(put)")
            for method in ["GET", "HEAD"] {
                let got = try await s3.call(method, "/objects/a%20b/%C3%BC%2B%25.txt")
                #expect(got.status == 200 && got["etag"] == put["etag"] && got["content-length"] == "5", "\(got)")
                #expect(got["content-type"] == "text/plain" && got["x-amz-meta-foo"] == "Bar")
                #expect(got["cache-control"] == "no-cache" && got["content-encoding"] == "gzip")
                #expect(
                    got["expires"] == "soon" && got["accept-ranges"] == "bytes" && got["x-amz-tagging-count"] == "1")
                #expect(got["last-modified"]?.hasSuffix("GMT") ?? false && got["x-amz-request-id"] != nil)
                #expect(got["server"] == "Solidus" && got["x-amz-checksum-crc32"] == nil)
                #expect(got.text == (method == "GET" ? "hello" : ""))
            }
            let whole = try ObjectKey("objects/a b/ü+%.txt")
            let inside = try await OneGateway.current.withClient { try await $0.get(whole) }
            #expect(inside.text == "hello" && inside.status.metadata.user["foo"] == "Bar")
        }

        @Test("may be empty, have names that end with a slash, begin with one, or look like paths")
        func names() async throws {
            let s3 = try await bucket("names")
            for (target, body) in [
                ("/names/dir/", ""), ("/names/dir/x", "x"), ("/names/dir", "d"), ("/names//lead", "l"),
                ("/names/a/../b", "dots"), ("/names/.", "dot"), ("/names/a//b", "two"), ("/names/%2Fenc", "enc"),
                ("/names/full/", "not empty"), ("/names/" + String(repeating: "k", count: 1024), "long"),
                ("/names/" + String(repeating: "%C3%BC", count: 512), "wide"),
            ] {
                #expect(try await s3.put(target, body).status == 200, "\(target)")
                let got = try await s3.call("GET", target)
                #expect(
                    got.status == 200 && got.text == body && got["etag"] == "\"\(md5(Array(body.utf8)))\"", "\(target)")
                #expect(try await s3.call("HEAD", target)["content-length"] == "\(body.utf8.count)")
            }
            let long = try await s3.put("/names/" + String(repeating: "k", count: 1025), "x")
            #expect(long.status == 400 && long.code == "KeyTooLongError")
            #expect(try await s3.put("/names/a%00b", "x").code == "InvalidArgument")
            let request = try s3.request("PUT", "/names/aXb", [], .signed([1]))
            let noText = String(decoding: request, as: UTF8.self).replacing("aXb", with: "a%FFb")
            #expect(try await s3.send(Array(noText.utf8)).code == "InvalidURI")
            #expect(try await s3.put("/names/a%EF%BF%BE", "x").code == "InvalidArgument")
            for target in ["/names/di", "/names/a", "/names/dir/x/"] {
                let got = try await s3.call("HEAD", target)
                #expect(got.status == 404 && got.body.isEmpty, "\(target)")
            }
            #expect(try await s3.call("GET", "/names/none").code == "NoSuchKey")
            #expect(try await s3.call("GET", "/nobucket/none").code == "NoSuchBucket")
            #expect(try await s3.put("/nobucket/none", "x").code == "NoSuchBucket")
            #expect(try await s3.call("GET", "/Not_A_Bucket/none").code == "NoSuchBucket")
        }

        @Test("are read in ranges")
        func ranges() async throws {
            let s3 = try await bucket("ranges")
            // Three stripes and a bit.
            let bytes = testBytes(3 * GatewayFixture.stripeSizeBytes + 100, seed: 1)
            #expect(try await s3.call("PUT", "/ranges/k", [], .unsigned(bytes)).status == 200)
            let length = bytes.count
            func get(_ range: String, _ more: [(String, String)] = []) async throws -> WireResponse {
                try await s3.call("GET", "/ranges/k", [("Range", range)] + more)
            }
            for (range, expected) in [
                ("bytes=0-0", 0..<1), ("bytes=0-", 0..<length), ("bytes=-20", (length - 20)..<length),
                ("bytes=1048570-1048580", 1_048_570..<1_048_581), ("bytes=5-99999999", 5..<length),
                ("bytes=-99999999", 0..<length),
            ] {
                let got = try await get(range)
                #expect(got.status == 206 && got.body == Array(bytes[expected]), "\(range)")
                #expect(got["content-range"] == "bytes \(expected.lowerBound)-\(expected.upperBound - 1)/\(length)")
                #expect(got["etag"] == "\"\(md5(bytes))\"" && got["last-modified"] != nil)
            }
            for range in ["bytes=0-1,5-6", "items=0-9", "bytes=9-3"] {
                let got = try await get(range)
                #expect(got.status == 200 && got.body == bytes && got["accept-ranges"] == "bytes", "\(range)")
            }
            let beyond = try await get("bytes=\(length)-")
            #expect(
                beyond.status == 416 && beyond.code == "InvalidRange" && beyond["content-range"] == "bytes */\(length)")
            #expect(beyond.element("ActualObjectSize") == "\(length)" && beyond.element("RangeRequested") != nil)
            let head = try await s3.call("HEAD", "/ranges/k", [("Range", "bytes=0-9")])
            #expect(head.status == 206 && head["content-length"] == "10")
            try await s3.put("/ranges/empty", "")
            let none = try await s3.call("GET", "/ranges/empty", [("Range", "bytes=-5")])
            #expect(none.status == 416 && none["content-range"] == "bytes */0")
            let first = try await s3.call("GET", "/ranges/k?partNumber=1")
            #expect(first.status == 206 && first.body == bytes && first["x-amz-mp-parts-count"] == nil)
            #expect(try await s3.call("GET", "/ranges/empty?partNumber=1").status == 200)
            #expect(try await s3.call("GET", "/ranges/k?partNumber=2").status == 416)
            #expect(try await s3.call("GET", "/ranges/k?partNumber=0").code == "InvalidArgument")
            #expect(
                try await s3.call("GET", "/ranges/k?partNumber=1", [("Range", "bytes=0-1")]).code == "InvalidRequest")
        }

        @Test("are read under conditions, and told otherwise where the request says so")
        func conditions() async throws {
            let s3 = try await bucket("conditions")
            let put = try await s3.put("/conditions/k", "hello", [("Cache-Control", "max-age=1")])
            let etag = try #require(put["etag"])
            let notModified = try await s3.call("GET", "/conditions/k", [("If-None-Match", etag)])
            #expect(notModified.status == 304 && notModified.body.isEmpty && notModified["etag"] == etag)
            #expect(notModified["cache-control"] == "max-age=1" && notModified["content-length"] == nil)
            let failed = try await s3.call("GET", "/conditions/k", [("If-Match", "\"other\"")])
            #expect(failed.status == 412 && failed.code == "PreconditionFailed")
            #expect(try await s3.call("GET", "/conditions/k", [("If-Match", etag)]).text == "hello")
            let modified = try #require(try await s3.call("HEAD", "/conditions/k")["last-modified"])
            for (ifRange, status) in [
                (etag, 206), (modified, 200), ("\"other\"", 200), ("W/\(etag)", 200), ("*", 200),
                ("\(etag), \"b\"", 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200), ("nonsense", 200),
            ] {
                let got = try await s3.call("GET", "/conditions/k", [("Range", "bytes=1-2"), ("If-Range", ifRange)])
                #expect(got.status == status && got.text == (status == 206 ? "el" : "hello"), "\(ifRange) \(got)")
            }
            let told = try await s3.call(
                "GET",
                "/conditions/k?response-content-type=a%2Fb&response-cache-control=no-store&response-expires=x"
                    + "&response-content-disposition=attachment&response-content-encoding=&response-content-language=de",
                [("Range", "bytes=0-1")])
            #expect(told.status == 206 && told["content-type"] == "a/b" && told["cache-control"] == "no-store")
            #expect(told["content-disposition"] == "attachment" && told["content-encoding"] == nil)
            #expect(told["content-language"] == "de" && told["expires"] == "x")
            #expect(try await s3.call("GET", "/conditions/k?versionId=null").status == 200)
            #expect(try await s3.call("GET", "/conditions/k?versionId=abc").code == "NoSuchVersion")
        }

        @Test("are written under conditions, of which one of many at once holds")
        func writes() async throws {
            let s3 = try await bucket("writes")
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<20 {
                    group.addTask { try await s3.put("/writes/k", "\(number)", [("If-None-Match", "*")]).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [200] + Array(repeating: 412, count: 19))
            let etag = try #require(try await s3.call("HEAD", "/writes/k")["etag"])
            #expect(try await s3.put("/writes/k", "new", [("If-Match", etag)]).status == 200)
            let stale = try await s3.put("/writes/k", "stale", [("If-Match", etag)])
            #expect(stale.status == 412 && stale.code == "PreconditionFailed")
            #expect(try await s3.call("GET", "/writes/k").text == "new")
            #expect(try await s3.put("/writes/none", "x", [("If-Match", etag)]).code == "NoSuchKey")
            #expect(try await s3.call("DELETE", "/writes/k", [("If-Match", etag)]).status == 412)
            #expect(try await s3.call("DELETE", "/writes/k").status == 204)
            #expect(try await s3.call("DELETE", "/writes/k").status == 204)
            #expect(try await s3.call("GET", "/writes/k").status == 404)
        }

        @Test("whose bodies are not as they are said to be are not stored")
        func digests() async throws {
            let s3 = try await bucket("digests")
            let body = Array("hello".utf8)
            try await s3.put("/digests/k", "before")
            let (right, wrong) = (base64MD5(body), base64MD5([1]))
            let cases: [(String, [(String, String)], S3Caller.Payload, String)] = [
                ("MD5", [("Content-MD5", wrong)], .signed(body), "BadDigest"),
                ("no MD5", [("Content-MD5", "x")], .signed(body), "InvalidDigest"),
                ("empty MD5", [("Content-MD5", "")], .signed(body), "InvalidDigest"),
                ("short MD5", [("Content-MD5", "aGVsbG8=")], .signed(body), "InvalidDigest"),
                ("SHA-256", [], .raw(body, hash: SigningKey.sha256([1])), "XAmzContentSHA256Mismatch"),
                ("no SHA-256", [], .raw(body, hash: "x"), "InvalidArgument"),
                ("CRC32", [("x-amz-checksum-crc32", "AAAAAA==")], .signed(body), "BadDigest"),
                (
                    "two", [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha1", "")], .signed(body),
                    "InvalidRequest"
                ),
                ("storage class", [("x-amz-storage-class", "GLACIER")], .signed(body), "InvalidStorageClass"),
                ("encryption", [("x-amz-server-side-encryption", "AES256")], .signed(body), "NotImplemented"),
                ("ACL", [("x-amz-acl", "public-read")], .signed(body), "NotImplemented"),
                (
                    "metadata", [("x-amz-meta-a", String(repeating: "a", count: 2048))], .signed(body),
                    "MetadataTooLarge"
                ),
            ]
            for (name, headers, payload, code) in cases {
                let answer = try await s3.call("PUT", "/digests/k", headers, payload)
                #expect(answer.code == code && (400..<502).contains(answer.status), "\(name): \(answer)")
            }
            #expect(try await s3.call("GET", "/digests/k").text == "before")
            let badMD5 = try await s3.call("PUT", "/digests/k", [("Content-MD5", wrong)], .signed(body))
            #expect(badMD5.status == 400 && badMD5.element("ExpectedDigest") == wrong)
            #expect(badMD5.element("CalculatedDigest") == right)
            #expect(try await s3.call("PUT", "/digests/k", [("Content-MD5", right)], .signed(body)).status == 200)
        }

        @Test("have checksums that are kept and told when somebody asks", arguments: ChecksumAlgorithm.allCases)
        func checksums(algorithm: ChecksumAlgorithm) async throws {
            let name = "checksums-\(algorithm.rawValue.lowercased())"
            let s3 = try await bucket(name)
            let value = Base64.text(RunningChecksum.of(Array("hello".utf8), algorithm))
            let put = try await s3.put("/\(name)/k", "hello", [(algorithm.header, value)])
            #expect(put.status == 200 && put[algorithm.header] == value && put["x-amz-checksum-type"] == "FULL_OBJECT")
            let got = try await s3.call("GET", "/\(name)/k", [("x-amz-checksum-mode", "ENABLED")])
            #expect(got[algorithm.header] == value && got["x-amz-checksum-type"] == "FULL_OBJECT")
            #expect(try await s3.call("GET", "/\(name)/k")[algorithm.header] == nil)
            let attributes = try await s3.call(
                "GET", "/\(name)/k?attributes", [("x-amz-object-attributes", "Checksum, ObjectSize,ETag")])
            #expect(attributes.element(algorithm.element) == value && attributes.element("ObjectSize") == "5")
            #expect(
                attributes.text.contains("<GetObjectAttributesResponse") && attributes.element("StorageClass") == nil)
            #expect(try await s3.call("GET", "/\(name)/k?attributes").code == "InvalidRequest")
        }

        @Test("come in chunks, signed and not, with something behind them and not")
        func chunks() async throws {
            let s3 = try await bucket("chunks")
            let bytes = testBytes(200_000, seed: 3)
            let signed = try await s3.call("PUT", "/chunks/signed", [], .chunks(bytes, size: 65_536))
            #expect(signed.status == 200 && signed["etag"] == "\"\(md5(bytes))\"", "\(signed)")
            let got = try await s3.call("GET", "/chunks/signed")
            #expect(got.body == bytes && got["content-encoding"] == nil)
            let small = try await s3.call("PUT", "/chunks/small", [], .chunks(bytes, size: 4096))
            #expect(small.status == 403 && small.code == "InvalidChunkSizeError")
            let empty = try await s3.call("PUT", "/chunks/dir/", [], .chunks([], size: 65_536))
            #expect(empty.status == 200 && empty["etag"] == "\"d41d8cd98f00b204e9800998ecf8427e\"")

            func unsigned(
                _ text: String, _ length: Int, _ trailer: String? = "x-amz-checksum-crc32",
                _ headers: [(String, String)] = []
            ) async throws -> WireResponse {
                try await s3.call(
                    "PUT", "/chunks/k",
                    [("x-amz-decoded-content-length", "\(length)")] + headers
                        + (trailer.map { [("x-amz-trailer", $0)] } ?? []),
                    .raw(Array(text.utf8), hash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"))
            }
            let wrong = "3\r\nabc\r\n2;chunk-signature=x\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
            let crc = Base64.text(RunningChecksum.of(Array("abcde".utf8), .crc32))
            let whole = wrong.replacing("AAAAAA==", with: crc)
            let stored = try await unsigned(whole, 5)
            #expect(stored.status == 200 && stored["x-amz-checksum-crc32"] == crc, "\(stored)")
            #expect(try await s3.call("GET", "/chunks/k").text == "abcde")
            try await s3.put("/chunks/k", "before")
            for (text, length, trailer, code) in [
                (wrong, 5, "x-amz-checksum-crc32", "BadDigest"), (whole, 3, "x-amz-checksum-crc32", "IncompleteBody"),
                (whole, 6, "x-amz-checksum-crc32", "IncompleteBody"), (whole, 5, nil, "MalformedTrailerError"),
                (whole, 5, "x-amz-checksum-sha1", "MalformedTrailerError"),
                ("5\r\nabcde\r\n0\r\n\r\n", 5, "x-amz-checksum-crc32", "MalformedTrailerError"),
                ("5\r\nabcde\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", 5, "x-amz-checksum-crc32", "MalformedTrailerError"),
                ("5\r\nabcde\r\n", 5, "x-amz-checksum-crc32", "IncompleteBody"),
                ("", 5, "x-amz-checksum-crc32", "IncompleteBody"),
            ] {
                let answer = try await unsigned(text, length, trailer)
                #expect(answer.status == 400 && answer.code == code, "\(text.debugDescription) \(answer)")
            }
            #expect(try await s3.call("GET", "/chunks/k").text == "before")
            // The same within HTTP's own chunks.
            let inner = Array(whole.utf8)
            let outer = "\(String(inner.count, radix: 16))\r\n\(whole)\r\n0\r\n\r\n"
            let twice = try await unsigned(outer, 5, "x-amz-checksum-crc32", [("transfer-encoding", "chunked")])
            #expect(twice.status == 200, "\(twice)")
            #expect(try await s3.call("GET", "/chunks/k").text == "abcde")
        }

        @Test("in signed chunks are not stored when a byte is another one or the body ends early")
        func tampered() async throws {
            let s3 = try await bucket("tampered")
            try await s3.put("/tampered/k", "before")
            let bytes = testBytes(2 * GatewayFixture.stripeSizeBytes + 10, seed: 4)
            let request = try s3.request("PUT", "/tampered/k", [], .chunks(bytes, size: 65_536))
            let place = try #require(request.count > 1000 ? request.count - 300 : nil)
            var changed = request
            changed[place] ^= 1
            let answer = try await s3.send(changed)
            #expect(answer.status == 403 && answer.code == "SignatureDoesNotMatch", "\(answer)")
            let port = s3.port
            let cut = try await offThread { () -> WireResponse? in
                let wire = try Wire(port: port)
                wire.send(Array(request[..<(request.count - 5000)]))
                wire.endSending()
                return try? wire.receive()
            }
            #expect((cut?.status ?? 400) >= 400)
            #expect(try await s3.call("GET", "/tampered/k").text == "before")
            #expect(try await s3.send(request).status == 200)
            #expect(try await s3.call("GET", "/tampered/k").body == bytes)
        }

        @Test("that others wrote beside the gateway put nothing into its answers but what headers may have")
        func foreign() async throws {
            let s3 = try await bucket("foreign")
            let key = try ObjectKey("foreign/k")
            let metadata = ObjectMetadata(
                contentType: "a\r\nx-evil: 1", etag: "b\r\nx-evil: 2",
                user: [
                    "n": "c\r\nx-evil: 3", "o\r\nx-evil": "4", "s3:cache-control": "d\r\nx-evil: 5",
                    "s3:checksum": "CRC32 e\r\nx-evil:6 FULL_OBJECT",
                ])
            try await OneGateway.current.withClient { _ = try await $0.put(key, "hello", metadata: metadata) }
            for method in ["GET", "HEAD"] {
                let got = try await s3.call(method, "/foreign/k", [("x-amz-checksum-mode", "ENABLED")])
                #expect(got.status == 200 && got["content-length"] == "5" && got["x-amz-missing-meta"] == "1", "\(got)")
                #expect(!got.headers.contains { $0.name.contains("evil") })
            }
            let tag = try #require(try await s3.call("HEAD", "/foreign/k")["etag"])
            let list = try await s3.call("GET", "/foreign")
            #expect(list.element("ETag") == tag.replacing("\"", with: "&quot;"))
            #expect(try await s3.call("GET", "/foreign/k", [("If-Match", tag)]).text == "hello")
        }

        @Test("are copied, with their metadata or with other")
        func copies() async throws {
            let s3 = try await bucket("copies")
            let bytes = testBytes(GatewayFixture.stripeSizeBytes + 1, seed: 5)
            _ = try await s3.call(
                "PUT", "/copies/a%2Bb%20c", [("x-amz-meta-n", "1"), ("Content-Type", "a/b")], .unsigned(bytes))
            let copied = try await s3.call("PUT", "/copies/to", [("x-amz-copy-source", "/copies/a%2Bb%20c")])
            #expect(copied.status == 200 && copied.text.contains("<CopyObjectResult"), "\(copied)")
            #expect(
                copied.element("ETag") == "&quot;\(md5(bytes))&quot;"
                    && copied.element("LastModified")?.hasSuffix("Z") ?? false)
            let got = try await s3.call("GET", "/copies/to")
            #expect(got.body == bytes && got["x-amz-meta-n"] == "1" && got["content-type"] == "a/b")
            func copy(_ to: String, _ headers: (String, String)...) async throws -> WireResponse {
                try await s3.call("PUT", "/copies/\(to)", headers)
            }
            let source = ("x-amz-copy-source", "copies/to")
            #expect(try await copy("to", source).code == "InvalidRequest")
            #expect(try await copy("to", ("x-amz-copy-source", "copies/to?versionId=null")).status == 200)
            #expect(
                try await copy("to", source, ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-m", "2")).status
                    == 200)
            let replaced = try await s3.call("HEAD", "/copies/to")
            #expect(
                replaced["x-amz-meta-n"] == nil && replaced["x-amz-meta-m"] == "2"
                    && replaced["content-type"] == "binary/octet-stream")
            for (headers, code) in [
                ([("x-amz-copy-source", "copies/none")], "NoSuchKey"),
                ([("x-amz-copy-source", "nobucket/k")], "NoSuchBucket"),
                ([("x-amz-copy-source", "copies/a+b%20c")], "NoSuchKey"),
                ([("x-amz-copy-source", "copies")], "InvalidArgument"),
                ([source, ("x-amz-metadata-directive", "X")], "InvalidArgument"),
                ([source, ("x-amz-copy-source-if-match", "x")], "PreconditionFailed"),
                ([source, ("x-amz-copy-source-if-none-match", md5(bytes))], "PreconditionFailed"),
                ([source, ("If-None-Match", "*")], "PreconditionFailed"),
            ] {
                let answer = try await s3.call("PUT", "/copies/a%2Bb%20c", headers)
                #expect(answer.code == code, "\(headers): \(answer)")
            }
            let summed = try await copy("summed", source, ("x-amz-checksum-algorithm", "SHA256"))
            #expect(summed.element("ChecksumSHA256") == Base64.text(RunningChecksum.of(bytes, .sha256)))
        }

        @Test("are deleted many at a time")
        func deletes() async throws {
            let s3 = try await bucket("deletes")
            for key in ["a//b", "a/../b", "%20x%20", "amp%26", "q"] { try await s3.put("/deletes/\(key)", "x") }
            func delete(_ document: String, _ headers: [(String, String)]? = nil) async throws -> WireResponse {
                let bytes = Array(document.utf8)
                return try await s3.call(
                    "POST", "/deletes?delete", headers ?? [("Content-MD5", base64MD5(bytes))], .signed(bytes))
            }
            func objects(_ keys: String...) -> String {
                keys.map { "<Object><Key>\($0)</Key></Object>" }.joined()
            }
            let some = "<Delete>\(objects("a//b", "a/../b", " x ", "amp&amp;", "none"))</Delete>"
            #expect(try await delete(some, []).code == "InvalidRequest")
            #expect(try await delete(some, [("Content-MD5", base64MD5([1]))]).code == "BadDigest")
            #expect(try await s3.call("HEAD", "/deletes/a//b").status == 200)
            let done = try await delete(some)
            #expect(
                done.status == 200 && done.elements("Deleted").count == 5 && done.element("Error") == nil, "\(done)")
            for key in ["a//b", "a/../b", "%20x%20", "amp%26"] {
                #expect(try await s3.call("HEAD", "/deletes/\(key)").status == 404, "\(key)")
            }
            let quiet = try await delete("<Delete xmlns=\"x\"><Quiet>true</Quiet>\(objects("q"))</Delete>")
            #expect(quiet.status == 200 && quiet.element("Deleted") == nil && quiet.text.contains("<DeleteResult"))
            for document in [
                "<Delete>\(Array(repeating: objects("k"), count: 1001).joined())</Delete>", "<Delete/>", "x",
                "<Delete>\(objects("&#x1;"))</Delete>", "<Delete><Object/></Delete>",
                "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete>\(objects("&b;"))</Delete>",
            ] {
                #expect(try await delete(document).code == "MalformedXML", "\(document.prefix(80))")
            }
        }
    }
}
