// What a request is about, and what its headers ask for.

import NIOHTTP1
import Testing

@testable import S3Gateway

@Suite("Requests") struct RequestTests {
    @Test("are about the bucket of their path, or of their host")
    func addressing() throws {
        let addressing = Addressing(domains: ["example.com", "s3.example.com"])
        func find(_ host: String, _ path: String) -> Resource {
            addressing.resource(host: host, path: Array(path.utf8))
        }
        #expect(find("127.0.0.1:9000", "/") == .service)
        #expect(find("localhost:9000", "/b") == .bucket("b") && find("localhost", "/b/") == .bucket("b"))
        #expect(find("localhost", "/b/k/l") == .object(bucket: "b", key: "k/l"))
        #expect(find("localhost", "/my.dotted.bucket/k") == .object(bucket: "my.dotted.bucket", key: "k"))
        #expect(find("localhost", "/b//k") == .object(bucket: "b", key: "/k"))
        #expect(find("s3.example.com", "/b/k") == .object(bucket: "b", key: "k"))
        #expect(find("my.dotted.bucket.s3.example.com:80", "/k/") == .object(bucket: "my.dotted.bucket", key: "k/"))
        #expect(find("B.S3.example.com", "/") == .bucket("b"))
        #expect(find("b.s3.other.com", "/b/k") == .object(bucket: "b", key: "k"))
    }

    @Test("are the operations that S3 says")
    func operations() throws {
        func find(_ method: HTTPMethod, _ target: String, _ headers: (String, String)...) throws -> S3Operation {
            let target = try RequestTarget(target)
            return try S3Operation.find(
                method, Addressing(domains: []).resource(host: "h", path: target.path), target,
                RequestHeaders(headers.map { (name: $0.0, value: $0.1) }))
        }
        #expect(try find(.GET, "/") == .listBuckets)
        #expect(try find(.GET, "/b") == .listObjects && find(.GET, "/b?list-type=2") == .listObjectsV2)
        #expect(
            try find(.GET, "/b?location") == .getBucketLocation && find(.GET, "/b?uploads=") == .listMultipartUploads)
        #expect(try find(.POST, "/b?delete") == .deleteObjects && find(.POST, "/b/?delete=") == .deleteObjects)
        #expect(try find(.PUT, "/b/k") == .putObject && find(.PUT, "/b/k", ("x-amz-copy-source", "b/l")) == .copyObject)
        #expect(try find(.PUT, "/b/k?partNumber=1&uploadId=a") == .uploadPart)
        #expect(
            try find(.GET, "/b/k?uploadId=a") == .listParts && find(.DELETE, "/b/k?uploadId=a") == .abortMultipartUpload
        )
        #expect(try find(.PUT, "/b/k?x-id=PutObject&X-Amz-Date=x") == .putObject)
        #expect(try find(.DELETE, "/b/k?versionId=null") == .deleteObject)
        #expect(try find(.POST, "/b/k?uploads") == .createMultipartUpload)
        #expect(try find(.GET, "/b/k?attributes") == .getObjectAttributes && find(.HEAD, "/b/k") == .headObject)
        let refused: [(HTTPMethod, String, S3ErrorCode)] = [
            (.POST, "/b", .methodNotAllowed), (.POST, "/b/k", .methodNotAllowed),
            (.PUT, "/b/k?uploadId=a", .methodNotAllowed), (.PUT, "/b/k?partNumber=1", .invalidArgument),
            (.POST, "/b/k?restore", .notImplemented), (.PUT, "/", .methodNotAllowed),
            (.PATCH, "/b/k", .methodNotAllowed),
            // What changes something else is not to make, overwrite or delete a bucket or an object.
            (.PUT, "/b?unknown", .notImplemented), (.DELETE, "/b?unknown", .notImplemented),
            (.PUT, "/b/k?unknown", .notImplemented), (.DELETE, "/b/k?unknown", .notImplemented),
            (.PUT, "/b/k?renameObject", .notImplemented),
        ]
        for (method, target, code) in refused {
            do {
                _ = try find(method, target)
                Issue.record("\(method) \(target) is an operation")
            } catch let error as S3Error {
                #expect(error.code == code, "\(method) \(target)")
            }
        }
    }

    @Test("ask for ranges, of which those are done that S3 does")
    func ranges() {
        func find(_ header: String?, _ length: UInt64 = 100) -> ByteRanges.Wanted {
            ByteRanges.find(header, lengthBytes: length)
        }
        #expect(find(nil) == .all && find("bytes=0-1,5-6") == .all && find("items=0-9") == .all)
        #expect(find("bytes=-20") == .range(80..<100) && find("bytes=-150") == .range(0..<100))
        #expect(find("bytes=0-") == .range(0..<100) && find("bytes=5-5") == .range(5..<6))
        #expect(find("bytes=90-1000") == .range(90..<100) && find("bytes=99-18446744073709551615") == .range(99..<100))
        #expect(find("bytes=100-") == .unsatisfiable && find("bytes=102-200") == .unsatisfiable)
        #expect(find("bytes=-0") == .unsatisfiable && find("bytes=-5", 0) == .unsatisfiable)
        #expect(find("bytes=7-3") == .all && find("bytes=") == .all && find("bytes=a-b") == .all)
        #expect(find("bytes=99999999999999999999-") == .unsatisfiable)
        for header in ["bytes=garbage", "abc-def", "0-2", "bytes=0-", "bytes=0-1,3-4", "bytes=3-1", "bytes=0-100"] {
            #expect(throws: S3Error.self, "\(header)") { _ = try ByteRanges.ofCopy(header, lengthBytes: 100) }
        }
    }

    @Test("have conditions that are taken in S3's order")
    func conditions() {
        func judge(_ headers: (String, String)...) -> Conditions.Verdict {
            Conditions(RequestHeaders(headers.map { (name: $0.0, value: $0.1) }))
                .judge(etag: "abc", modifiedMilliseconds: 1_369_353_600_500)
        }
        let (earlier, same) = ("Thu, 23 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 GMT")
        #expect(judge() == .go && judge(("If-Match", "\"abc\"")) == .go && judge(("If-Match", "abc")) == .go)
        #expect(judge(("If-Match", "\"x\", \"abc\"")) == .go && judge(("If-Match", "*")) == .go)
        #expect(judge(("If-Match", "\"x\"")) == .failed("If-Match"))
        #expect(judge(("If-Match", "W/\"abc\"")) == .failed("If-Match"))
        #expect(
            judge(("If-None-Match", "\"abc\"")) == .notModified && judge(("If-None-Match", "W/abc")) == .notModified)
        #expect(judge(("If-None-Match", "\"x\""), ("If-Modified-Since", same)) == .go)
        #expect(judge(("If-Match", "\"abc\""), ("If-Unmodified-Since", earlier)) == .go)
        #expect(judge(("If-Match", "\"x\""), ("If-None-Match", "\"abc\"")) == .failed("If-Match"))
        #expect(judge(("If-Modified-Since", same)) == .notModified && judge(("If-Modified-Since", earlier)) == .go)
        #expect(judge(("If-Unmodified-Since", earlier)) == .failed("If-Unmodified-Since"))
        #expect(judge(("If-Modified-Since", "yesterday")) == .go && judge(("If-Unmodified-Since", same)) == .go)
    }

    @Test("have times in HTTP's forms, also with an offset")
    func dates() {
        let seconds: Int64 = 1_605_328_221
        #expect(Dates.http(seconds) == "Sat, 14 Nov 2020 04:30:21 GMT")
        #expect(Dates.parseHTTP("Sat, 14 Nov 2020 12:30:21 +0800") == seconds)
        #expect(Dates.parseHTTP("Sat, 14 Nov 2020 04:30:21 UTC") == seconds)
        #expect(Dates.parseHTTP("Saturday, 14-Nov-20 04:30:21 GMT") == seconds)
        #expect(Dates.parseHTTP("Sat Nov 14 04:30:21 2020") == seconds)
        #expect(Dates.parseHTTP("Sun Nov  6 08:49:37 1994") == 784_111_777)
        #expect(Dates.parseHTTP("Sunday, 06-Nov-94 08:49:37 GMT") == 784_111_777)
        #expect(Dates.iso(milliseconds: 1_605_328_221_007) == "2020-11-14T04:30:21.007Z")
        #expect(Dates.parseISO("2020-11-14T04:30:21.007Z") == seconds && Dates.basic(seconds) == "20201114T043021Z")
        for text in [
            "", "Sat, 14 Nov 2020", "Sat Nov 99 04:30:21 2020", "Saturday, 14-Nov-2020 04:30:21 GMT",
            "Sat, 99 Nov 2020 04:30:21 GMT", "2020-11-14T04:30:21Z",
        ] {
            #expect(Dates.parseHTTP(text) == nil, "\(text)")
        }
        for day in stride(from: Int64(0), to: 60_000, by: 7) {
            #expect(Dates.parseBasic(Dates.basic(day * 86_400 + 3661)) == day * 86_400 + 3661)
        }
    }

    @Test("have metadata that is kept and told again")
    func metadata() throws {
        let headers = RequestHeaders([
            ("Content-Type", "text/plain"), ("Content-Encoding", "gzip, aws-chunked"), ("Cache-Control", "no-cache"),
            ("x-amz-meta-Foo", "Bar  baz"), ("x-amz-meta-u", "ü"), ("x-amz-tagging", "a=1&b=2"),
        ])
        let metadata = try ObjectHeaders.metadata(headers)
        let told = Dictionary(
            ObjectHeaders.response(metadata).map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { $1 })
        #expect(told["content-type"] == "text/plain" && told["content-encoding"] == "gzip")
        #expect(told["x-amz-meta-foo"] == "Bar  baz" && told["x-amz-meta-u"] == "=?UTF-8?B?w7w=?=")
        #expect(told["x-amz-tagging-count"] == "2" && told["cache-control"] == "no-cache")
        #expect(try ObjectHeaders.metadata(RequestHeaders([("Content-Encoding", "aws-chunked")])).user.isEmpty)
        let refused: [(String, String, S3ErrorCode)] = [
            ("x-amz-meta-a", String(repeating: "x", count: 2048), .metadataTooLarge),
            ("x-amz-acl", "public-read", .notImplemented), ("x-amz-grant-read", "id=1", .notImplemented),
            ("x-amz-server-side-encryption", "AES256", .notImplemented),
            ("x-amz-storage-class", "GLACIER", .invalidStorageClass),
            ("x-amz-object-lock-mode", "GOVERNANCE", .notImplemented), ("x-amz-tagging", "a=1&a=2", .invalidArgument),
            ("x-amz-write-offset-bytes", "5", .notImplemented),
        ]
        for (name, value, code) in refused {
            do {
                _ = try ObjectHeaders.metadata(RequestHeaders([(name, value)]))
                Issue.record("\(name) is kept")
            } catch {
                #expect(error.code == code, "\(name)")
            }
        }
        for (name, value) in [("x-amz-acl", "private"), ("x-amz-storage-class", "STANDARD"), ("x-amz-tagging", "")] {
            _ = try ObjectHeaders.metadata(RequestHeaders([(name, value)]))
        }
    }

    @Test("name copies' sources, decoded once")
    func copySources() throws {
        func source(_ text: String) throws -> [String] {
            let source = try CopySource(text)
            return [source.bucket, source.key]
        }
        #expect(try source("b/a%20b%2Bc%25") == ["b", "a b+c%"] && source("/b/k") == ["b", "k"])
        #expect(try source("b//abc") == ["b", "/abc"] && source("b/a+b") == ["b", "a b"])
        #expect(try source("b/k?versionId=null") == ["b", "k"])
        for text in ["", "b", "b/", "/", "%", "b/%zz"] {
            #expect(throws: S3Error.self, "\(text)") { _ = try source(text) }
        }
    }

    @Test("may name buckets as S3 lets them be called")
    func bucketNames() {
        for name in ["abc", "pre-192.168.5.4-post", "a.b.c", "0ab"] { #expect(Gateway.isBucketName(name), "\(name)") }
        for name in [
            "ab", "Abc", "a_b", "192.168.5.4", "a..b", "-ab", "ab-", "a.-b", String(repeating: "a", count: 64),
        ] {
            #expect(!Gateway.isBucketName(name), "\(name)")
        }
    }
}
