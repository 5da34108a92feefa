// Gateways that are killed: what they acknowledged is there, what they did not is there as a whole or not at all, and
// what clients saw meanwhile is linearizable.

import ClusterFiles
import Foundation
import Glibc
import HistoryChecker
import LoopbackPorts
import S3Wire
import Synchronization
import Testing

extension BesiegedClusters {
    @Suite("Torture through gateways", .serialized) struct GatewayTorture {
        @Test(
            "with two gateways, either killed at any time, and one server at a time harmed, histories are linearizable",
            .timeLimit(.minutes(12)), arguments: acceptance([12.0, 180], otherwise: [12]))
        func twoGateways(seconds: Double) async throws {
            try await withCluster(starts: false) { cluster in
                let (outcome, history) = try await cluster.torture(
                    seconds: seconds, ["--clients", "6", "--objects", "3", "--nemesis", "0.7", "--gateways", "2"])
                #expect(outcome.judgement.verdict == "linearizable")
                #expect(outcome.reads.completed > 0 && outcome.writes.completed > 0 && outcome.readBack == 18)
                #expect(outcome.ranges > 0)
                #expect(outcome.nemesis["kill_gateway", default: 0] > 0, "\(outcome.nemesis)")
                #expect(outcome.attackCount > 0, "\(outcome.nemesis)")
                #expect(outcome.findings.isEmpty, "\(outcome.findings)")
                let verdict = try HistoryChecker().check(events: HistoryEvent.parse(File.read(history)))
                #expect(verdict.isLinearizable)
                #expect(verdict.statistics.operations == outcome.judgement.operations)
            }
        }

        @Test(
            "killed during uploads, a gateway has lost nothing that it acknowledged, and serves nothing by half",
            .timeLimit(.minutes(10)), arguments: acceptance([1000], otherwise: [200]))
        func killedDuringUploads(count: Int) async throws {
            try await withCluster { cluster in
                let gateway = try await KilledGateway(cluster)
                defer { gateway.kill() }
                try await gateway.start()
                let made = try await gateway.call(S3Call("PUT", "/uploads"))
                #expect(made == 200)
                let uploads = Uploads(count: count, gateway)
                let work = Task { await uploads.run(clientCount: 16) }
                // Twice while they come in: also one that has just begun again is killed.
                for part in [4, 2] {
                    while uploads.acknowledged.count < count / part,
                        uploads.acknowledged.count + uploads.lostCount < count
                    { try await Task.sleep(for: .milliseconds(2)) }
                    gateway.kill()
                    try await gateway.start()
                }
                await work.value
                let acknowledged = uploads.acknowledged
                #expect(acknowledged.count > count / 2 && uploads.lostCount > 0, "\(uploads.lostCount) got no answer")
                gateway.kill()
                try await gateway.start()
                for number in 0..<count {
                    let (status, body) = try await gateway.get(Uploads.path(number))
                    if status == 404 {
                        #expect(!acknowledged.contains(number), "\(number) was acknowledged, and is not there")
                    } else {
                        #expect(status == 200 && body == Uploads.value(number), "\(number): \(status)")
                    }
                }
            }
        }
    }
}

/// A gateway that is killed and started again at the same address.
private final class KilledGateway: Sendable {
    private let cluster: TestCluster
    private let identity: S3Identity
    private let port: Int
    private let process = Mutex<ChildProcess?>(nil)

    init(_ cluster: TestCluster) async throws {
        self.cluster = cluster
        let directory = cluster.directory
        #expect(try await cluster.run(["gateway", "init", directory, "s3"]).end == .exit(0))
        let added = try await cluster.run(["gateway", "key", "add", "tests", "--cluster", directory, "--json"])
        let key = try #require(try JSONSerialization.jsonObject(with: Data(added.output.utf8)) as? [String: Any])
        identity = S3Identity(
            accessKey: try #require(key["access_key"] as? String), secret: try #require(key["secret_key"] as? String))
        port = try FreePorts.take(1)[0]
    }

    func caller() -> S3Caller { S3Caller(identity, port: port, timeoutSeconds: 60) }

    /// Returns when it listens.
    func start() async throws {
        let started = try ChildProcess(
            Executable.path(),
            ["gateway", "serve", "--cluster", cluster.directory, "--listen", "127.0.0.1:\(port)"],
            outputPath: cluster.directory + "/gateway.log", group: Watchdog.group.get())
        process.withLock { $0 = started }
        let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
        while !Loopback.accepts(port: port) {
            try #require(started.currentEnd == nil && ContinuousClock.now < deadline, "\(started.output)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// kill -9.
    func kill() { process.withLock { $0 }?.destroy() }

    func call(_ call: S3Call) async throws -> Int {
        try await onThread { try self.caller().call(call).status }
    }

    func get(_ path: String) async throws -> (status: Int, body: [UInt8]) {
        try await onThread {
            var body: [UInt8] = []
            let answer = try self.caller().call(S3Call("GET", path)) { body += $0 }
            return (answer.status, body)
        }
    }
}

/// Uploads by several clients, each of its own object. Every fiftieth comes in two parts.
private final class Uploads: Sendable {
    private static let partSizeBytes = 5 << 20

    private let count: Int
    private let gateway: KilledGateway
    private let next = Mutex(0)
    private let state = Mutex<(acknowledged: Set<Int>, lost: Int)>(([], 0))

    init(count: Int, _ gateway: KilledGateway) {
        self.count = count
        self.gateway = gateway
    }

    static func path(_ number: Int) -> String { "/uploads/\(number)" }

    static func parts(_ number: Int) -> [[UInt8]] {
        var generator = SeededGenerator("upload \(number)")
        let last = generator.bytes(1000 + number % 40 * 1500).array
        guard number % 50 == 7 else { return [last] }
        return [Array(repeating: UInt8(truncatingIfNeeded: number), count: partSizeBytes), last]
    }

    static func value(_ number: Int) -> [UInt8] { parts(number).flatMap { $0 } }

    var acknowledged: Set<Int> { state.withLock { $0.acknowledged } }
    var lostCount: Int { state.withLock { $0.lost } }

    func run(clientCount: Int) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<clientCount { group.addTask { try? await onThread { self.work() } } }
        }
    }

    private func work() {
        let caller = gateway.caller()
        while let number = take() {
            var isDone: Bool?
            while isDone == nil {
                do {
                    isDone = try Self.store(number, caller)
                } catch S3WireError.notSent {
                    // It is being started again.
                    usleep(20_000)
                } catch {
                    isDone = false
                }
            }
            state.withLock { state in
                if isDone == true { state.acknowledged.insert(number) } else { state.lost += 1 }
            }
        }
    }

    private func take() -> Int? {
        next.withLock { next in
            guard next < count else { return nil }
            defer { next += 1 }
            return next
        }
    }

    private static func store(_ number: Int, _ caller: S3Caller) throws -> Bool {
        let (path, parts) = (path(number), parts(number))
        guard parts.count > 1 else {
            return try parts[0].withUnsafeBytes { try caller.call(S3Call("PUT", path), body: $0) }.status == 200
        }
        var text = ""
        guard
            try caller.call(
                S3Call("POST", path, query: [("uploads", "")]), { text += String(decoding: $0, as: UTF8.self) }
            ).status == 200,
            let id = text.components(separatedBy: "<UploadId>").last?.components(separatedBy: "</UploadId>").first
        else { return false }
        var listed = ""
        for (index, part) in parts.enumerated() {
            let answer = try part.withUnsafeBytes {
                try caller.call(
                    S3Call("PUT", path, query: [("partNumber", "\(index + 1)"), ("uploadId", id)]), body: $0)
            }
            guard answer.status == 200, let tag = answer["etag"] else { return false }
            listed += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(tag)</ETag></Part>"
        }
        let document = Array("<CompleteMultipartUpload>\(listed)</CompleteMultipartUpload>".utf8)
        return try document.withUnsafeBytes {
            try caller.call(S3Call("POST", path, query: [("uploadId", id)]), body: $0)
        }.status == 200
    }
}

/// Runs what blocks on a thread of its own.
private func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
