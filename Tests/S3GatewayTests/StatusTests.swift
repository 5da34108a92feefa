// What a gateway tells those who operate it, and what it costs.

import Crypto
import Foundation
import NIOHTTP1
import QuorumClient
import Synchronization
import Testing

@testable import S3Gateway

@Suite("What operators are told", .oneGateway, .serialized) struct StatusTests {
    private func ask(
        _ target: String, method: String = "GET", of fixture: GatewayFixture? = nil
    ) async throws -> WireResponse {
        let fixture = try fixture ?? OneGateway.current
        let operators = S3Caller(
            port: try #require(fixture.gateway.metricsPort), credential: fixture.caller.credential)
        return try await operators.anonymous(method, target)
    }

    private func status(of fixture: GatewayFixture) async throws -> [String: Any] {
        let answer = try await ask("/-/status.json", of: fixture)
        #expect(answer.status == 200 && answer["content-type"] == "application/json")
        return try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
    }

    @Test("is not told to clients of S3")
    func isPrivate() async throws {
        let s3 = try OneGateway.current.caller
        for target in ["/-/status", "/-/status.json", "/metrics"] {
            let answer = try await s3.anonymous("GET", target)
            #expect(answer.status >= 400 && !answer.text.contains("servers"), "\(target): \(answer)")
        }
    }

    @Test("is a page on which nothing runs but what it brings along")
    func page() async throws {
        let answer = try await ask("/-/status")
        #expect(answer.status == 200 && answer["content-type"] == "text/html; charset=utf-8")
        let policy = try #require(answer["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none';") && !policy.contains("unsafe"))
        for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
            let text = try #require(answer.element(element))
            #expect(text.count > 1000)
            let hash = Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
            #expect(policy.contains("\(directive) 'sha256-\(hash)'"), "\(policy)")
        }
        // Nothing is loaded from elsewhere, or made HTML of what was told.
        for word in ["src=", "@import", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
            #expect(!answer.text.contains(word), "\(word)")
        }
        #expect(answer.text.components(separatedBy: "http").count == 2, "more than the name of SVG")
        for (name, value) in [
            ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-store"),
        ] {
            #expect(answer[name] == value)
        }
        let front = try await ask("/")
        #expect(front.status == 303 && front["location"] == "/-/status")
        let head = try await ask("/-/status", method: "HEAD")
        #expect(head.status == 200 && head["content-length"] == "\(answer.body.count)")
        #expect(try await ask("/-/status", method: "POST").status == 405)
        #expect(try await ask("/-/other").status == 404)
        #expect(try await ask("/-/live").text == "live\n")
        #expect(try await ask("/-/ready").text == "ready\n")
    }

    @Test("counts what is done, as it goes")
    func throughput() async throws {
        try await GatewayFixture.run { fixture in
            let s3 = fixture.caller
            #expect(try await s3.call("PUT", "/counted").status == 200)
            #expect(try await s3.call("PUT", "/counted/k", [], .unsigned(testBytes(300_000, seed: 1))).status == 200)
            #expect(try await s3.call("GET", "/counted/k").body.count == 300_000)
            #expect(try await s3.call("GET", "/counted/none").status == 404)
            _ = try await s3.anonymous("GET", "/-/live")
            // An answer is counted a moment after the client has it. Of a probe nothing is counted.
            var metrics = ""
            for _ in 0..<100 where !metrics.contains("\nsolidus_s3_running_requests 0\n") {
                metrics = try await ask("/metrics", of: fixture).text
            }
            #expect(metrics.contains("\nsolidus_s3_request_seconds_count 4\n"), "\(metrics)")
            #expect(metrics.contains("\nsolidus_s3_received_bytes_total 300000\n"), "\(metrics)")
            // A second has to be over before it is told of.
            var minute: [String: [Int]] = [:]
            for _ in 0..<100 where (minute["requests"] ?? []).reduce(0, +) < 4 {
                let gateway = try await status(of: fixture)["gateway"] as? [String: Any]
                minute = try #require(gateway?["last_minute"] as? [String: [Int]])
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(minute["requests"]?.count == 60 && minute["requests"]?.reduce(0, +) == 4)
            #expect(minute["received_bytes"]?.reduce(0, +) == 300_000)
            #expect(try #require(minute["sent_bytes"]).reduce(0, +) > 300_000)
            #expect(minute["refused"]?.reduce(0, +) == 1 && minute["failed"]?.reduce(0, +) == 0)
        }
    }

    @Test("names the server that is gone, and says when the others are too few")
    func servers() async throws {
        try await GatewayFixture.run { fixture in
            func states(_ told: [String: Any]) -> [String?] {
                ((told["cluster"] as? [String: Any])?["servers"] as? [[String: Any]] ?? []).map {
                    $0["state"] as? String
                }
            }
            func verdict(_ told: [String: Any]) throws -> [String: Any] {
                try #require(told["verdict"] as? [String: Any])
            }
            var told = try await status(of: fixture)
            // After their start servers have to hear from each other first.
            for _ in 0..<600 where try verdict(told)["level"] as? String != "well" {
                try await Task.sleep(for: .milliseconds(100))
                told = try await status(of: fixture)
            }
            let gateway = try #require(told["gateway"] as? [String: Any])
            #expect(gateway["name"] as? String == "gateway" && gateway["ready"] as? Bool == true)
            let memory = try #require(gateway["memory"] as? [String: Int])
            #expect(memory == ["size_bytes": 256 << 20, "free_bytes": 256 << 20, "waiting_transfers": 0])
            let well = "All 4 servers answer; every object can lose 1 more server."
            #expect(try verdict(told)["summary"] as? String == well)
            #expect(states(told) == ["works", "works", "works", "works"])
            for (number, summary) in [
                (1, "3 of 4 servers work; everything can be read and written, and no object can lose another server."),
                (2, "2 of 4 servers work; objects of group 0 are out of reach."),
            ] {
                await fixture.stopServer(number)
                for _ in 0..<300 where states(told)[number] != "unreachable" {
                    try await Task.sleep(for: .milliseconds(100))
                    told = try await status(of: fixture)
                }
                #expect(try verdict(told)["summary"] as? String == summary)
                let concerns = try #require(try verdict(told)["concerns"] as? [String])
                #expect(concerns.contains { $0.hasPrefix("Server \(number) does not answer: ") }, "\(concerns)")
            }
            var ready = try await ask("/-/ready", of: fixture)
            for _ in 0..<100 where ready.status == 200 {
                try await Task.sleep(for: .milliseconds(100))
                ready = try await ask("/-/ready", of: fixture)
            }
            #expect(ready.status == 503 && ready.text == "the cluster does not answer\n")
            #expect(try await ask("/-/live", of: fixture).status == 200)
        }
    }
}

@Suite("What operators are told, in parts") struct StatusPartTests {
    @Test("An answer is found once for all who ask, and again when it is old")
    func shared() async throws {
        let count = Mutex(0)
        let gate = AsyncStream.makeStream(of: Void.self)
        let shared = SharedAnswer(ageMax: .seconds(3600)) {
            count.withLock { $0 += 1 }
            for await _ in gate.stream { break }
            return count.withLock { $0 }
        }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 { group.addTask { await shared.get().answer } }
            while count.withLock({ $0 }) == 0 { try await Task.sleep(for: .milliseconds(1)) }
            gate.continuation.yield()
            for try await answer in group { #expect(answer == 1) }
        }
        #expect(await shared.get().answer == 1)
        let fresh = SharedAnswer(ageMax: .zero) {
            count.withLock {
                $0 += 1; return $0
            }
        }
        #expect(await fresh.get().answer == 2)
        #expect(await fresh.get().answer == 3)
    }

    @Test("Who has asked first may go, and others have the answer")
    func abandoned() async throws {
        let begun = Mutex(false)
        let gate = AsyncStream.makeStream(of: Void.self)
        let shared = SharedAnswer(ageMax: .seconds(3600)) {
            begun.withLock { $0 = true }
            for await _ in gate.stream { break }
            return !Task.isCancelled
        }
        let first = Task { await shared.get().answer }
        while !begun.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
        first.cancel()
        gate.continuation.yield()
        #expect(await shared.get().answer)
    }

    @Test("The last minute has its seconds in order, and forgets those before")
    func lastMinute() {
        let throughput = Throughput()
        for second in [0, 0, 1, 5, 64, 65] as [Int64] { throughput.add(at: second) { $0.requests += 1 } }
        func seconds(at second: Int64) -> [Int: UInt64] {
            let minute = throughput.lastMinute(at: second)
            #expect(minute.count == Throughput.secondCount)
            return Dictionary(
                uniqueKeysWithValues: minute.enumerated().filter { $1.requests > 0 }.map { ($0, $1.requests) })
        }
        // From second 5 to 64.
        #expect(seconds(at: 65) == [0: 1, 59: 1])
        #expect(seconds(at: 66) == [58: 1, 59: 1])
        #expect(seconds(at: 125) == [0: 1])
        #expect(seconds(at: 10_000) == [:])
        #expect(throughput.total.requests == 6)
        let young = Throughput()
        young.add(at: 2) { $0.sentBytes += 7 }
        #expect(young.lastMinute(at: 3).map(\.sentBytes) == Array(repeating: 0, count: 59) + [7])
    }

    @Test("What a quorum does counts for more than what servers say")
    func verdict() throws {
        let levels: [ConditionVerdict.Level] = [.well, .strained, .failing, .unknown]
        for level in levels {
            let said = ConditionVerdict(level: level, summary: "said", concerns: ["a"])
            #expect(StatusSource.verdict(said, isReady: true) == said)
            let judged = StatusSource.verdict(said, isReady: false)
            #expect(judged.level == .failing && judged.concerns == ["a"])
            #expect(
                judged.summary == (level == .failing ? "said" : "The gateway gets no answer from a quorum of servers."))
        }
    }
}
