// HTTP itself: what clients rely on, and what hostile ones try.

import Foundation
import Testing

@testable import S3Gateway

extension GatewayTests {
    @Suite("connections") struct ConnectionTests {
        private func bucket(_ name: String) async throws -> S3Caller {
            let caller = try OneGateway.current.caller
            #expect(try await caller.call("PUT", "/\(name)").status == 200)
            return caller
        }

        @Test("carry requests one after the other, also those that came before an answer")
        func pipelined() async throws {
            let s3 = try await bucket("pipelined")
            try await s3.put("/pipelined/a", "first")
            try await s3.put("/pipelined/b", "second")
            let requests = [
                try s3.request("GET", "/pipelined/a"), try s3.request("HEAD", "/pipelined/none"),
                try s3.request("GET", "/pipelined/b"),
                try s3.request("PUT", "/pipelined/c", [], .signed(Array("third".utf8))),
                try s3.request("GET", "/pipelined/c"),
            ]
            let port = s3.port
            let answers = try await offThread {
                let wire = try Wire(port: port)
                wire.send(Array(requests.joined()))
                return try (0..<5).map { try wire.receive(isHead: $0 == 1) }
            }
            #expect(answers.map(\.status) == [200, 404, 200, 200, 200])
            #expect(answers.map(\.text) == ["first", "", "second", "", "third"])
        }

        @Test("tell who waits for it to go on, and no one else")
        func expecting() async throws {
            let s3 = try await bucket("expecting")
            let body = Array("hello".utf8)
            let request = try s3.request("PUT", "/expecting/k", [("Expect", "100-continue")], .signed(body))
            let empty = try s3.request("PUT", "/expecting/e", [("Expect", "100-continue")], .signed([]))
            let refused = try s3.request("PUT", "/nobucket/k", [("Expect", "100-continue")], .signed(body))
            let port = s3.port
            let (answer, second, third) = try await offThread {
                let wire = try Wire(port: port)
                wire.send(Array(request.dropLast(body.count)))
                // It comes before anything of the body is sent: else this would not end.
                let head = [try wire.receiveInterim()]
                wire.send(body)
                var answer = try wire.receive()
                answer.interim = head
                wire.send(empty)
                let second = try wire.receive()
                let other = try Wire(port: port)
                other.send(Array(refused.dropLast(body.count)))
                return (answer, second, try other.receive())
            }
            #expect(answer.interim == [100] && answer.status == 200)
            // Some clients would take the next answer on this connection for one to this request.
            #expect(second.interim.isEmpty && second.status == 200 && second["connection"] == "close")
            #expect(third.interim.isEmpty && third.status == 404 && third["connection"] == "close")
            #expect(try await s3.call("GET", "/expecting/k").text == "hello")
        }

        @Test("let a client that is refused while it sends read why")
        func refusedEarly() async throws {
            let s3 = try OneGateway.current.caller
            let request = try s3.request("PUT", "/nobucket/k", [], .unsigned(testBytes(8 << 20, seed: 1)))
            let answer = try await s3.send(request)
            #expect(answer.status == 404 && answer.code == "NoSuchBucket" && answer["connection"] == "close")
            let small = try s3.request("PUT", "/nobucket/k", [], .unsigned(testBytes(1000, seed: 1)))
            let next = try s3.request("GET", "/")
            let port = s3.port
            let statuses = try await offThread {
                let wire = try Wire(port: port)
                wire.send(small)
                let first = try wire.receive().status
                wire.send(next)
                return [first, try wire.receive().status]
            }
            #expect(statuses == [404, 200])
        }

        @Test("take lengths as HTTP has them")
        func lengths() async throws {
            let s3 = try await bucket("lengths")
            let none = try s3.request("PUT", "/lengths/k", [], .unsigned([]))
            let text = String(decoding: none, as: UTF8.self).replacing("content-length: 0\r\n", with: "")
            let missing = try await s3.send(Array(text.utf8))
            #expect(missing.status == 411 && missing.code == "MissingContentLength")
            let chunked = try await s3.call(
                "PUT", "/lengths/k", [("transfer-encoding", "chunked")],
                .raw(Array("5\r\nhello\r\n0\r\n\r\n".utf8), hash: "UNSIGNED-PAYLOAD"))
            #expect(chunked.status == 200)
            #expect(try await s3.call("GET", "/lengths/k").text == "hello")
            let long = try s3.request(
                "PUT", "/lengths/long", [("content-length", "100")], .raw(Array("hello".utf8), hash: "UNSIGNED-PAYLOAD")
            )
            let port = s3.port
            let cut = try await offThread { () -> WireResponse? in
                let wire = try Wire(port: port)
                wire.send(long)
                wire.endSending()
                return try? wire.receive()
            }
            #expect((cut?.status ?? 400) == 400)
            #expect(try await s3.call("GET", "/lengths/long").status == 404)
        }

        @Test(
            "that carry no HTTP, or two messages in one, end with a refusal",
            arguments: [
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                "PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nhello",
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
                "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nx\r\n\r\n", "nonsense\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
                "GET / HTTP/1.1\r\nHost: a\r\nx-amz-meta-a: b\u{0}c\r\n\r\n",
            ])
        func malformed(text: String) async throws {
            let port = try OneGateway.current.gateway.port
            let answer = try await offThread { () -> WireResponse? in
                let wire = try Wire(port: port)
                wire.send(text)
                wire.endSending()
                return try? wire.receive()
            }
            if let answer { #expect(answer.status == 400 && answer.code != nil, "\(answer)") }
            #expect(try await OneGateway.current.caller.call("GET", "/").status == 200)
        }

        @Test("with too many headers, or too large ones, end with a refusal")
        func headers() async throws {
            let s3 = try OneGateway.current.caller
            let port = s3.port
            for lines in [
                (0..<10_000).map { "x-\($0): y\r\n" }.joined(), "x: " + String(repeating: "y", count: 1 << 20) + "\r\n",
                (0..<100).map { "x-\($0): \(String(repeating: "y", count: 1000))\r\n" }.joined(),
            ] {
                let answer = try await offThread { () -> WireResponse? in
                    let wire = try Wire(port: port)
                    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")
                    return try? wire.receive()
                }
                if let answer { #expect(answer.status == 400 && answer.code == "RequestHeaderSectionTooLarge") }
            }
            #expect(try await s3.call("GET", "/").status == 200)
        }

        @Test("tell whether the gateway lives and can work, without a signature")
        func probes() async throws {
            let s3 = try OneGateway.current.caller
            #expect(try await s3.anonymous("GET", "/-/live").status == 200)
            #expect(try await s3.anonymous("GET", "/-/ready").text == "ready\n")
            #expect(try await s3.anonymous("HEAD", "/-/ready").status == 200)
            #expect(try await s3.anonymous("GET", "/-/other").status == 404)
            #expect(try await s3.anonymous("PUT", "/-/live").status == 405)
        }

        @Test("reach buckets by hosts, and by absolute targets")
        func hosts() async throws {
            let s3 = try await bucket("hosted")
            try await s3.put("/hosted/k", "x")
            let date = Dates.basic(Dates.now())
            let scope = CredentialScope(day: String(date.prefix(8)), region: "us-east-1", service: "s3")
            func request(_ target: String, host: String, line: String) -> String {
                let headers = [("host", host), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", date)]
                let names = headers.map(\.0)
                let canonical = (try? RequestTarget(target)).flatMap {
                    CanonicalRequest.text(
                        method: "GET", target: $0, headers: RequestHeaders(headers.map { (name: $0.0, value: $0.1) }),
                        signedHeaders: names, host: host, omitsSignature: false, payloadHash: "UNSIGNED-PAYLOAD")
                }
                let signature = SigningKey(secret: s3.credential.secret, scope: scope).signature(
                    of: SigningKey.stringToSign(date: date, scope: scope, canonicalRequest: canonical ?? ""))
                let authorization =
                    "AWS4-HMAC-SHA256 Credential=\(s3.credential.accessKey)/\(scope.text),SignedHeaders="
                    + "\(names.joined(separator: ";")),Signature=\(Hexadecimals.text(signature))"
                return "GET \(line) HTTP/1.1\r\n" + headers.map { "\($0.0): \($0.1)\r\n" }.joined()
                    + "authorization: \(authorization)\r\n\r\n"
            }
            for (target, host, line) in [
                ("/k", "hosted.s3.test", "/k"), ("/k", "hosted.s3.test:9000", "/k"),
                ("/hosted/k", "s3.test", "/hosted/k"),
                ("/hosted/k", "anything.example", "/hosted/k"), ("/hosted/k", "h", "http://h/hosted/k"),
                ("/k", "hosted.s3.test", "http://hosted.s3.test/k"),
            ] {
                let answer = try await s3.send(Array(request(target, host: host, line: line).utf8))
                #expect(answer.status == 200 && answer.text == "x", "\(host) \(line) \(answer)")
            }
        }
    }
}

@Suite("Slow clients") struct SlowClientTests {
    @Test("lose their connections, and others do not notice", .timeLimit(.minutes(3)))
    func slow() async throws {
        try await GatewayFixture.run(change: { options in
            options.limits.patience.idle = .milliseconds(500)
            options.limits.patience.body = .milliseconds(500)
            options.limits.patience.interval = .milliseconds(100)
        }) { fixture in
            let s3 = fixture.caller
            #expect(try await s3.call("PUT", "/slow").status == 200)
            let request = try s3.request("PUT", "/slow/k", [], .unsigned(testBytes(100_000, seed: 1)))
            let port = s3.port
            let (idle, half, answer) = try await offThread {
                let idle = try Wire(port: port)
                let half = try Wire(port: port)
                half.send("GET / HTTP/1.1\r\nHost: a\r\n")
                let body = try Wire(port: port)
                body.send(Array(request[..<(request.count - 50_000)]))
                return (idle.isClosed(), half.isClosed(), try? body.receive())
            }
            #expect(idle && half)
            #expect(answer?.status ?? 400 == 400)
            #expect(try await s3.call("GET", "/slow/k").status == 404)
        }
    }

    @Test("that read nothing of a large answer lose it, and it takes bounded memory", .timeLimit(.minutes(3)))
    func stalled() async throws {
        try await GatewayFixture.run(change: { options in
            options.limits.patience.answer = .milliseconds(500)
            options.limits.patience.interval = .milliseconds(100)
        }) { fixture in
            let s3 = fixture.caller
            #expect(try await s3.call("PUT", "/stalled").status == 200)
            let bytes = testBytes(24 << 20, seed: 1)
            #expect(try await s3.call("PUT", "/stalled/k", [], .unsigned(bytes)).status == 200)
            let request = try s3.request("GET", "/stalled/k")
            let port = s3.port
            let received = try await offThread { () -> Int in
                let wire = try Wire(port: port)
                wire.send(request)
                wire.awaitAnswer()
                Thread.sleep(forTimeInterval: 3)
                do {
                    return try wire.receive().body.count
                } catch WireError.closed(let after) {
                    return after.count
                }
            }
            #expect(received < bytes.count)
            #expect(try await s3.call("GET", "/stalled/k").body == bytes)
        }
    }
}
