// Requests as somebody alters them who has none of the secrets, and what they may not bring about.

import Foundation
import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("hostile requests") struct HostileTests {
        private func bucket(_ name: String) async throws -> S3Caller {
            let caller = try OneGateway.current.caller
            #expect(try await caller.call("PUT", "/\(name)").status == 200)
            return caller
        }

        /// What is answered on one connection; less than all where it is closed, or where the gateway waits for more.
        private func answers(
            _ bytes: [UInt8], _ port: Int, count: Int = 1, seconds: Int = 1
        ) async throws -> [WireResponse] {
            try await offThread {
                let wire = try Wire(port: port, seconds: seconds)
                wire.send(bytes)
                var answers: [WireResponse] = []
                while answers.count < count, let answer = try? wire.receive() { answers.append(answer) }
                return answers
            }
        }

        @Test("with any one byte changed store nothing, and are refused or not answered")
        func everyByte() async throws {
            let s3 = try await bucket("bytes")
            let request = try s3.request(
                "PUT", "/bytes/k%20k?x-id=PutObject", [("x-amz-meta-a", "b")], .signed(Array("hello".utf8)))
            let head = request.count - 5
            let places = Array(0..<request.count)
            // Names of headers and the blanks beside them are not signed as they are written.
            let stored = try await withThrowingTaskGroup(of: (Int, Bool).self) { group in
                var stored: [Int] = []
                for (number, place) in places.enumerated() {
                    if number >= 8, let (done, isStored) = try await group.next(), isStored { stored.append(done) }
                    group.addTask {
                        var other = request
                        other[place] ^= place < head && other[place] >= 0x80 ? 0x40 : 1
                        let answers = try await self.answers(other, s3.port)
                        for answer in answers where answer.status != 200 {
                            #expect((400..<500).contains(answer.status) || answer.status == 501, "\(place) \(answer)")
                            #expect(!answer.text.contains(s3.credential.secret))
                        }
                        return (place, answers.first?.status == 200)
                    }
                }
                while let (done, isStored) = try await group.next() { if isStored { stored.append(done) } }
                return stored
            }
            let text = stored.map {
                String(decoding: request[max(0, $0 - 8)..<min(request.count, $0 + 8)], as: UTF8.self)
            }
            // What may be another byte is no part of what is signed: HTTP's version, and spaces around values.
            for (place, around) in zip(stored, text) {
                let lineEnd = request.firstIndex(of: 0x0D) ?? 0
                let isVersion = (lineEnd - 8..<lineEnd).contains(place)
                #expect(isVersion || request[place] == 0x20, "byte \(place) in \(around.debugDescription)")
            }
            let listed = try await s3.call("GET", "/bytes?list-type=2")
            #expect(Set(listed.elements("Key")).isSubset(of: ["k k"]), "\(listed.text)")
            if listed.element("Key") != nil { #expect(try await s3.call("GET", "/bytes/k%20k").text == "hello") }
        }

        @Test("with lengths that contradict each other, or lines that HTTP does not have, store nothing")
        func smuggled() async throws {
            let s3 = try await bucket("smuggled")
            let inner = try s3.request("PUT", "/smuggled/inner", [], .signed(Array("x".utf8)))
            func request(_ headers: [(String, String)], _ body: [UInt8]) throws -> [UInt8] {
                try s3.request("PUT", "/smuggled/k", [], .raw(body, hash: "UNSIGNED-PAYLOAD"), unsigned: headers)
            }
            let plain = try request([("content-length", "5")], Array("hello".utf8))
            func altered(_ part: String, _ other: String) -> [UInt8] {
                Array(String(decoding: plain, as: UTF8.self).replacing(part, with: other, maxReplacements: 1).utf8)
            }
            let length = "content-length: 5\r\n"
            let cases: [(String, [UInt8])] = [
                ("two lengths", altered(length, "content-length: 5\r\ncontent-length: 6\r\n")),
                ("a list of lengths", altered(length, "content-length: 5, 6\r\n")),
                ("a signed length", altered(length, "content-length: +5\r\n")),
                ("a hexadecimal length", altered(length, "content-length: 0x5\r\n")),
                ("a length without end", altered(length, "content-length: 99999999999999999999999\r\n")),
                (
                    "length and chunks",
                    try request([("content-length", "5"), ("transfer-encoding", "chunked")], Array("0\r\n\r\n".utf8))
                        + inner
                ),
                (
                    "chunks twice",
                    try request([("transfer-encoding", "chunked, chunked")], Array("0\r\n\r\n".utf8)) + inner
                ),
                ("other chunks", try request([("transfer-encoding", "xchunked")], Array("0\r\n\r\n".utf8)) + inner),
                ("a folded header", altered(length, "x-a: b\r\n c\r\ncontent-length: 5\r\n")),
                ("a space before a colon", altered(length, "content-length : 5\r\n")),
                ("a NUL", altered(length, "x-a: b\u{0}c\r\ncontent-length: 5\r\n")),
                ("a bare CR", altered(length, "x-a: b\rc: d\r\ncontent-length: 5\r\n")),
                ("no colon", altered(length, "x-a\r\ncontent-length: 5\r\n")),
                ("a chunk without size", try request([("transfer-encoding", "chunked")], Array("\r\nhello\r\n".utf8))),
                ("a negative chunk", try request([("transfer-encoding", "chunked")], Array("-5\r\nhello\r\n".utf8))),
                (
                    "a chunk that is longer than it says",
                    try request([("transfer-encoding", "chunked")], Array("3\r\nhello\r\n0\r\n\r\n".utf8))
                ),
            ]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (name, bytes) in cases {
                    group.addTask {
                        for answer in try await self.answers(bytes, s3.port, count: 2) {
                            #expect(answer.status >= 400, "\(name): \(answer)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await s3.call("GET", "/smuggled?list-type=2").element("KeyCount") == "0")
            // What stands behind a body that is refused is the body, and no request.
            let refused = try s3.request("PUT", "/nobucket/k", [], .unsigned(inner))
            let next = try s3.request("GET", "/smuggled?list-type=2")
            let two = try await answers(refused + next, s3.port, count: 2, seconds: 60)
            #expect(two.map(\.status) == [404, 200])
            #expect(two.last?.element("KeyCount") == "0")
        }

        @Test("presigned for one thing are good for no other")
        func presigned() async throws {
            let s3 = try await bucket("presignedonly")
            try await s3.put("/presignedonly/k", "x")
            let good = try s3.presigned("GET", "/presignedonly/k")
            #expect(try await s3.anonymous("GET", good).text == "x")
            for method in ["HEAD", "DELETE", "POST", "OPTIONS"] {
                #expect(try await s3.anonymous(method, good).status >= 400, "\(method)")
            }
            #expect(try await s3.anonymous("PUT", good, [("content-length", "0")]).code == "SignatureDoesNotMatch")
            for (part, other) in [
                ("/k?", "/l?"), ("/k?", "/k?acl&"), ("Expires=600", "Expires=6000"), ("us-east-1", "eu-west-1"),
                ("%2Fs3%2F", "%2Fiam%2F"), ("SignedHeaders=host", "SignedHeaders=host%3Bx-a"),
                ("SignedHeaders=host", "SignedHeaders="), ("HMAC-SHA256", "HMAC-SHA1"), ("&X-Amz-Date=", "&X-Amz-Dat="),
                ("X-Amz-Signature=", "X-Amz-Signature=0"), ("X-Amz-Signature=", "X-Amz-Signature=&X="),
                ("?X-Amz-Algorithm", "?versionId=null&X-Amz-Algorithm"),
            ] {
                #expect(good.contains(part), "\(part)")
                let answer = try await s3.anonymous("GET", good.replacing(part, with: other, maxReplacements: 1))
                #expect((400..<500).contains(answer.status), "\(part) -> \(other): \(answer)")
            }
            #expect(try await s3.anonymous("GET", good + "&response-content-type=a").code == "SignatureDoesNotMatch")
            #expect(try await s3.anonymous("GET", good + "&X-Amz-Security-Token=t").code == "InvalidToken")
            for date in ["20130524T000000Z", "99991231T235959Z", "20261301T000000Z", "00000000T000000Z"] {
                let target = try s3.presigned("GET", "/presignedonly/k", date: date)
                #expect((400..<500).contains(try await s3.anonymous("GET", target).status), "\(date)")
            }
            #expect(try await s3.call("GET", "/presignedonly/k").text == "x")
        }

        @Test("in signed chunks that are swapped, repeated, cut or end in another trailer store nothing")
        func chunks() async throws {
            let s3 = try await bucket("hostilechunks")
            let bytes = testBytes(3 * 8192, seed: 8)
            let request = try s3.request("PUT", "/hostilechunks/k", [], .chunks(bytes, size: 8192))
            let header = "2000;chunk-signature=".utf8.count + 64 + 2
            let chunk = header + 8192 + 2
            let begin = request.count - (3 * chunk + "0;chunk-signature=".utf8.count + 64 + 4)
            func part(_ number: Int) -> ArraySlice<UInt8> {
                request[(begin + number * chunk)..<(begin + (number + 1) * chunk)]
            }
            let (head, end) = (request[..<begin], request[(begin + 3 * chunk)...])
            var seed = Array(request)
            let signature = try #require(String(decoding: head, as: UTF8.self).range(of: "Signature="))
            let place = String(decoding: head, as: UTF8.self)[..<signature.upperBound].utf8.count
            seed[place] = seed[place] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
            let cases: [(String, [UInt8])] = [
                ("swapped", Array(head + part(1) + part(0) + part(2) + end)),
                ("repeated", Array(head + part(0) + part(0) + part(2) + end)),
                (
                    "signatures swapped",
                    Array(head + part(1).prefix(header) + part(0).dropFirst(header) + part(1) + part(2) + end)
                ),
                ("left out", Array(head + part(0) + part(2) + end)),
                ("cut", Array(head + part(0) + part(1))), ("cut in a chunk", Array(head + part(0).prefix(4000))),
                ("another seed", seed),
            ]
            for (name, bytes) in cases {
                let answers = try await answers(bytes, s3.port)
                for answer in answers { #expect((400..<500).contains(answer.status), "\(name): \(answer)") }
            }
            #expect(try await s3.call("GET", "/hostilechunks?list-type=2").element("KeyCount") == "0")
            #expect(try await s3.send(request).status == 200)
        }

        @Test("for keys of every byte are stored under them, or refused")
        func keys() async throws {
            let s3 = try await bucket("allkeys")
            for byte in UInt8(0)...0x7F {
                let key = PercentCoding.encode([0x61, byte, 0x7A], keepsSlash: true)
                let put = try await s3.put("/allkeys/\(key)", "\(byte)")
                #expect(put.status == (byte == 0 ? 400 : 200), "\(byte) \(put)")
                if byte > 0 { #expect(try await s3.call("GET", "/allkeys/\(key)").text == "\(byte)", "\(byte)") }
            }
            for byte in UInt8(0x80)...0xFF {
                let target = "/allkeys/a%\(String(byte, radix: 16))"
                let answer = try await s3.anonymous("PUT", target, [("content-length", "0")])
                #expect(answer.status == 400 && answer.code == "InvalidURI", "\(byte)")
            }
            let list = try await s3.call("GET", "/allkeys?list-type=2&encoding-type=url")
            #expect(list.element("KeyCount") == "127")
        }
    }
}
