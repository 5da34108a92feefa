// Metrics of real servers over HTTP: what they say after known traffic, and what others may ask there.

import ErasureCode
import Foundation
import Glibc
import LoopbackPorts
import QuorumClient
import QuorumProtocol
import Testing

/// What a server answered over HTTP.
struct HTTPAnswer {
    let status: Int
    let head: String
    let body: String

    /// Sends bytes to a port of this machine and takes what comes until the other end closes.
    static func ask(_ port: Int, _ request: String) throws -> HTTPAnswer? {
        guard let socket = Loopback.connect(port: port) else { return nil }
        defer { close(socket) }
        var time = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        let bytes = Array(request.utf8)
        guard send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return nil }
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            received += buffer[..<count]
        }
        let text = String(decoding: received, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let head = String(text[..<end.lowerBound])
        guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
        return HTTPAnswer(status: status, head: head, body: String(text[end.upperBound...]))
    }

    static func get(_ path: String, _ port: Int, method: String = "GET") throws -> HTTPAnswer? {
        try ask(port, "\(method) \(path) HTTP/1.1\r\nhost: localhost\r\n\r\n")
    }
}

extension Clusters {
    @Suite("Metrics", .serialized) struct Metrics {
        /// Samples by their names with labels.
        private func samples(_ text: String) -> [String: Double] {
            var samples: [String: Double] = [:]
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                let parts = line.split(separator: " ")
                #expect(parts.count >= 2)
                let name = parts.dropLast().joined(separator: " ")
                #expect(samples[name] == nil, "twice: \(name)")
                samples[name] = Double(parts[parts.count - 1])
                #expect(samples[name] != nil, "no number: \(line)")
            }
            return samples
        }

        @Test("tell what a server has done, over HTTP, and nothing else is there", .timeLimit(.minutes(2)))
        func told() async throws {
            let base = try FreePorts.takeConsecutive(4)
            try await withCluster(change: { $0.metricsBasePort = base }) { cluster in
                // Metrics are told a moment after the server listens for requests.
                var first = try HTTPAnswer.get("/metrics", base)
                for _ in 0..<200 where first == nil {
                    try await Task.sleep(for: .milliseconds(50))
                    first = try HTTPAnswer.get("/metrics", base)
                }
                let before = samples(try #require(first).body)
                #expect(before["solidus_requests_total{from=\"client\"}"] == 0)
                try await cluster.withClient { client in
                    for number in 0..<20 {
                        let key = try ObjectKey("tests/metrics/\(number)")
                        _ = try await client.put(key, SeededBytes.make("metrics \(number)", 3000))
                        _ = try await client.get(key)
                    }
                }
                for server in cluster.servers {
                    let port = base + Int(server.rawValue)
                    let answer = try #require(try HTTPAnswer.get("/metrics", port))
                    #expect(answer.status == 200 && answer.head.lowercased().contains("text/plain; version=0.0.4"))
                    let after = samples(answer.body)
                    #expect(try #require(after["solidus_requests_total{from=\"client\"}"]) >= 20, "\(server)")
                    let name = "solidus_request_duration_seconds"
                    let count = try #require(after["\(name)_count{request=\"prepare\"}"])
                    #expect(count >= 20 && after["\(name)_bucket{request=\"prepare\",le=\"+Inf\"}"] == count)
                    #expect(try #require(after["\(name)_sum{request=\"prepare\"}"]) > 0)
                    #expect(try #require(after["solidus_stored_changes_total"]) > 0)
                    #expect(after["solidus_storage_state{state=\"writable\"}"] == 1)
                    #expect(after["solidus_storage_state{state=\"full\"}"] == 0)
                    let end = try #require(after["solidus_certificate_end_timestamp_seconds"])
                    #expect(end > Date().timeIntervalSince1970 + 86400)
                    // Every family says what it is.
                    let families = Set(
                        answer.body.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map {
                            $0.split(separator: " ")[2]
                        })
                    for sample in after.keys {
                        let family = sample.split(separator: "{")[0]
                        let isTyped = families.contains { family == $0 || family.hasPrefix("\($0)_") }
                        #expect(isTyped, "\(sample)")
                    }
                }
                #expect(try HTTPAnswer.get("/", base)?.status == 200)
                #expect(try HTTPAnswer.get("/metrics?x=y", base)?.status == 200)
                #expect(try HTTPAnswer.get("/secrets", base)?.status == 404)
                #expect(try HTTPAnswer.get("/metrics", base, method: "POST")?.status == 405)
                let head = try #require(try HTTPAnswer.get("/metrics", base, method: "HEAD"))
                #expect(head.status == 200 && head.body.isEmpty)
            }
        }

        @Test("are given to who asks rightly, whatever others send or hold open", .timeLimit(.minutes(2)))
        func besieged() async throws {
            let base = try FreePorts.takeConsecutive(4)
            try await withCluster(change: { $0.metricsBasePort = base }) { cluster in
                for garbage in [
                    "\r\n\r\n\u{0}\u{1}", "GET", String(repeating: "x", count: 300_000),
                    "GET /metrics HTTP/9.9\r\n\r\n",
                ] {
                    _ = try HTTPAnswer.ask(base, garbage + (garbage == "GET" ? "\r\n\r\n" : ""))
                }
                // More than it takes hold their connections open and say nothing: for ten seconds.
                let held = (0..<40).compactMap { _ in Loopback.connect(port: base) }
                defer { for socket in held { close(socket) } }
                let deadline = ContinuousClock.now + .seconds(40)
                var answer: HTTPAnswer?
                while answer == nil, ContinuousClock.now < deadline {
                    answer = try HTTPAnswer.get("/metrics", base)
                    if answer == nil { try await Task.sleep(for: .milliseconds(200)) }
                }
                #expect(answer?.status == 200)
                // The store has not noticed.
                try await cluster.withClient { _ = try await cluster.checkOperations($0, "besieged", sizesBytes: [5]) }
                #expect(cluster.isAlive(NodeID(0)))
            }
        }

        @Test("are all that the alert rules and the dashboard ask for", .timeLimit(.minutes(2)))
        func deployed() async throws {
            let base = try FreePorts.takeConsecutive(4)
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            try await withCluster(change: { $0.metricsBasePort = base }) { cluster in
                // Something of every kind has to have happened for its samples to be there.
                try await cluster.withClient { _ = try await cluster.checkOperations($0, "deployed", sizesBytes: [5]) }
                let body = try #require(try HTTPAnswer.get("/metrics", base)).body
                let families = Set(
                    body.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map {
                        String($0.split(separator: " ")[2])
                    })
                for file in ["deploy/prometheus/solidus.rules.yml", "deploy/grafana/solidus.json"] {
                    let text = try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8)
                    let named = text.matches(of: /solidus_[a-z_]+/).map { String($0.output) }
                    #expect(named.count > 10, "\(file) asks for nothing")
                    for name in Set(named) {
                        let isThere =
                            families.contains(name)
                            || ["_bucket", "_sum", "_count"].contains {
                                name.hasSuffix($0) && families.contains(String(name.dropLast($0.count)))
                            }
                        #expect(isThere, "\(file) asks for \(name), which no server tells")
                    }
                }
                let dashboard = try Data(contentsOf: root.appendingPathComponent("deploy/grafana/solidus.json"))
                #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: dashboard) }
            }
        }
    }
}
