// Listings over HTTP.

import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("listings") struct ListingTests {
        private static let keys = [
            "a b", "a+b", "a-b", "a.b/x", "a/x", "a/y/z", "a/y/zz", "ab", "d/", "m&<>", "\u{E000}", "\u{10000}",
        ]

        private func filled(_ bucket: String) async throws -> S3Caller {
            let s3 = try OneGateway.current.caller
            #expect(try await s3.call("PUT", "/\(bucket)").status == 200)
            for key in Self.keys {
                #expect(
                    try await s3.put("/\(bucket)/\(PercentCoding.encode(key.utf8, keepsSlash: true))", key).status
                        == 200)
            }
            return s3
        }

        private static func unescaped(_ text: String) -> String {
            text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
                .replacing("&amp;", with: "&")
        }

        private static func keys(_ response: WireResponse) -> [String] { response.elements("Key").map(unescaped) }

        private static func prefixes(_ response: WireResponse) -> [String] {
            response.elements("CommonPrefixes").map { text in
                unescaped(text.replacing("<Prefix>", with: "").replacing("</Prefix>", with: ""))
            }
        }

        @Test("are in the order of the keys' bytes, with what HEAD says")
        func order() async throws {
            let s3 = try await filled("order")
            for target in ["/order", "/order/", "/order?list-type=2"] {
                let list = try await s3.call("GET", target)
                #expect(
                    Self.keys(list) == Self.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }, "\(list.text)")
                #expect(
                    list.element("IsTruncated") == "false" && list.element("Prefix") == ""
                        && list.element("Delimiter") == nil)
                #expect(
                    list.elements("StorageClass").allSatisfy { $0 == "STANDARD" } && list.element("NextMarker") == nil)
            }
            let first = try await s3.call("GET", "/order?list-type=2&max-keys=1")
            let head = try await s3.call("HEAD", "/order/a%20b")
            #expect(Self.unescaped(first.element("ETag") ?? "") == head["etag"] && first.element("Size") == "3")
            #expect(first.element("LastModified")?.utf8.count == 24 && first.element("KeyCount") == "1")
            let one = try await s3.call("GET", "/order?max-keys=1")
            #expect(one.element("KeyCount") == nil && one.element("Marker") == "" && one.element("NextMarker") == nil)
            #expect(try await s3.call("GET", "/nobucket?list-type=2").code == "NoSuchBucket")
        }

        @Test("go on page by page, in both versions", arguments: [1, 2, 3, 5], ["", "/", "-", "b", "zz"])
        func pages(size: Int, delimiter: String) async throws {
            let s3 = try OneGateway.current.caller
            if try await s3.call("HEAD", "/pages").status == 404 { _ = try await filled("pages") }
            let whole = try await s3.call("GET", "/pages?list-type=2&delimiter=\(delimiter)")
            let expected = (Self.keys(whole) + Self.prefixes(whole)).sorted {
                $0.utf8.lexicographicallyPrecedes($1.utf8)
            }
            #expect(whole.element("KeyCount") == "\(expected.count)")
            var second: [String] = []
            var token: String?
            repeat {
                let suffix =
                    token.map { "&continuation-token=" + PercentCoding.encode($0.utf8, keepsSlash: false) } ?? ""
                let page = try await s3.call(
                    "GET", "/pages?list-type=2&max-keys=\(size)&delimiter=\(delimiter)\(suffix)")
                let found = Self.keys(page) + Self.prefixes(page)
                #expect(found.count <= size && page.element("KeyCount") == "\(found.count)")
                second += found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
                token = page.element("NextContinuationToken")
                #expect((token != nil) == (page.element("IsTruncated") == "true"))
            } while token != nil && second.count <= expected.count
            #expect(second == expected)
            var first: [String] = []
            var marker: String? = ""
            while let from = marker, first.count <= expected.count {
                let text = PercentCoding.encode(from.utf8, keepsSlash: false)
                let page = try await s3.call("GET", "/pages?max-keys=\(size)&delimiter=\(delimiter)&marker=\(text)")
                let found = (Self.keys(page) + Self.prefixes(page)).sorted {
                    $0.utf8.lexicographicallyPrecedes($1.utf8)
                }
                first += found
                #expect(page.element("NextMarker") == nil || !delimiter.isEmpty)
                marker =
                    page.element("IsTruncated") == "true"
                    ? page.element("NextMarker").map(Self.unescaped) ?? found.last : nil
            }
            #expect(first == expected)
        }

        @Test("know prefixes, delimiters, and where to begin")
        func parameters() async throws {
            let s3 = try await filled("parameters")
            func list(_ query: String) async throws -> WireResponse {
                try await s3.call("GET", "/parameters?list-type=2&\(query)")
            }
            let folders = try await list("delimiter=/&prefix=a/")
            #expect(Self.keys(folders) == ["a/x"] && Self.prefixes(folders) == ["a/y/"])
            #expect(folders.element("KeyCount") == "2" && folders.element("Delimiter") == "/")
            let after = try await list("start-after=a/x")
            #expect(Self.keys(after).first == "a/y/z" && after.element("StartAfter") == "a/x")
            #expect(after.element("ContinuationToken") == nil && after.element("Owner") == nil)
            #expect(try await list("start-after=a/xx").element("Key") == "a/y/z")
            #expect(try await list("start-after=").element("StartAfter") == "")
            #expect(try await list("fetch-owner=true&max-keys=1").element("Owner") != nil)
            let none = try await list("prefix=none")
            #expect(none.status == 200 && Self.keys(none).isEmpty && none.element("KeyCount") == "0")
            let zero = try await list("max-keys=0")
            #expect(zero.element("KeyCount") == "0" && zero.element("IsTruncated") == "false")
            #expect(try await list("max-keys=5000").element("MaxKeys") == "1000")
            #expect(try await list("delimiter=").element("Delimiter") == nil)
            let encoded = try await list("encoding-type=url&delimiter=%26&prefix=m")
            #expect(Self.prefixes(encoded) == ["m%26"] && encoded.element("Delimiter") == "%26")
            #expect(encoded.element("EncodingType") == "url")
            let spaces = try await list("encoding-type=url&prefix=a&max-keys=2")
            #expect(spaces.elements("Key") == ["a+b", "a%2Bb"])
            for query in [
                "encoding-type=x", "encoding-type=", "max-keys=-1", "max-keys=x", "continuation-token=",
                "continuation-token=%25", "continuation-token=x",
            ] {
                let answer = try await list(query)
                #expect(answer.status == 400 && answer.code == "InvalidArgument", "\(query)")
            }
            let first = try await s3.call("GET", "/parameters?delimiter=/&max-keys=5&prefix=a")
            #expect(first.element("IsTruncated") == "true" && first.element("NextMarker") == "a/", "\(first.text)")
            let next = try await s3.call("GET", "/parameters?delimiter=/&prefix=a&marker=a/")
            #expect(Self.keys(next) == ["ab"] && Self.prefixes(next).isEmpty)
            let versions = try await s3.call("GET", "/parameters?versions&prefix=ab")
            #expect(versions.element("VersionId") == "null" && versions.element("IsLatest") == "true")
        }
    }
}
