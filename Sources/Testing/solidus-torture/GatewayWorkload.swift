// The clients of a torture through gateways: each speaks S3 over a connection of its own to one of the gateways, and goes
// to the next when that is gone. What they do and see is noted as that of clients of the library is.

import Foundation
import HistoryChecker
import QuorumProtocol
import S3Wire
import Synchronization

/// What a torture has its clients do.
protocol TortureWork: Sendable {
    var clientCount: Int { get }
    var progress: TortureProgress { get }
    /// Has every client work until `isOver` says so.
    func run(until isOver: @escaping @Sendable () -> Bool) async
    /// Has every client read every object once more, as far as they come until then.
    func readBack(until deadline: ContinuousClock.Instant) async
    /// Deletes the objects, as far as that succeeds until then; no part of the history.
    func clearUp(until deadline: ContinuousClock.Instant) async
    /// Has a client, or every one, give up what it is doing, as a crash would.
    func giveUp(_ client: Int)
    func giveUpAll()
}

extension TortureWorkload: TortureWork {}

final class GatewayWorkload: TortureWork {
    /// Out of a hundred operations; the others are reads.
    private static let putPercent = 38
    private static let uploadPercent = 6
    private static let deletePercent = 6
    /// How long a client whose operation failed waits before the next.
    private static let failurePauseMicroseconds: UInt32 = 50_000

    let keys: [ObjectKey]
    let clientCount: Int
    let ports: [Int]
    let identity: S3Identity
    let timeoutSeconds: Double
    let recorder: HistoryRecorder
    let progress: TortureProgress
    private let seed: UInt64
    private let seats: Mutex<[Seat]>
    /// Which write a tag at a key is of, for listings, which show no more.
    private let tags = Mutex<[String: String]>([:])

    /// What others may know of a client that is at work.
    private struct Seat {
        /// Its name in the history: one that does not know what became of its operation goes on as another.
        var process: Int
        var connection: S3Connection.Handle?
        /// How often it was made to give up.
        var givenUp = 0
    }

    /// - Parameters:
    ///   - ports: of the gateways, on loopback.
    ///   - keys: of objects that nobody ever wrote.
    init(
        ports: [Int], identity: S3Identity, timeoutSeconds: Double, clientCount: Int, keys: [ObjectKey],
        recorder: HistoryRecorder, progress: TortureProgress, seed: UInt64
    ) {
        precondition(!ports.isEmpty && clientCount > 0 && !keys.isEmpty)
        self.ports = ports
        self.identity = identity
        self.timeoutSeconds = timeoutSeconds
        self.clientCount = clientCount
        self.keys = keys
        self.recorder = recorder
        self.progress = progress
        self.seed = seed
        seats = Mutex((0..<clientCount).map { Seat(process: $0) })
    }

    // MARK: Threads

    func run(until isOver: @escaping @Sendable () -> Bool) async {
        await onThreads { workload, caller in workload.work(caller, until: isOver) }
    }

    func readBack(until deadline: ContinuousClock.Instant) async {
        await onThreads { workload, caller in
            let start = caller.client * workload.keys.count / workload.clientCount
            for offset in workload.keys.indices where ContinuousClock.now < deadline {
                workload.get(workload.keys[(start + offset) % workload.keys.count], by: caller)
            }
        }
    }

    func clearUp(until deadline: ContinuousClock.Instant) async {
        await onThreads { workload, caller in
            for index in stride(from: caller.client, to: workload.keys.count, by: workload.clientCount)
            where ContinuousClock.now < deadline {
                _ = try? caller.call(S3Call("DELETE", "/\(workload.keys[index])"))
            }
        }
    }

    /// Runs this for each client on a thread of its own, since what they do blocks.
    private func onThreads(_ body: @escaping @Sendable (GatewayWorkload, TortureCaller) -> Void) async {
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                for client in 0..<clientCount {
                    group.addTask {
                        await withCheckedContinuation { continuation in
                            Thread.detachNewThread {
                                body(self, TortureCaller(self, client))
                                continuation.resume()
                            }
                        }
                    }
                }
            }
        } onCancel: {
            giveUpAll()
        }
    }

    func giveUpAll() {
        for client in 0..<clientCount { giveUp(client) }
    }

    func giveUp(_ client: Int) {
        seats.withLock { seats in
            seats[client].givenUp += 1
            seats[client].connection?.cut()
        }
    }

    func connected(_ client: Int, _ connection: S3Connection.Handle) {
        seats.withLock { $0[client].connection = connection }
    }

    func givenUp(_ client: Int) -> Int { seats.withLock { $0[client].givenUp } }

    private func process(_ client: Int) -> Int { seats.withLock { $0[client].process } }

    // MARK: Operations

    private func work(_ caller: TortureCaller, until isOver: @Sendable () -> Bool) {
        var generator = TortureGenerator(seed: seed, purpose: "client \(caller.client)")
        var number = 0
        while !isOver() {
            number += 1
            let key = keys[Int.random(in: keys.indices, using: &generator)]
            let name = "c\(caller.client)-\(number)"
            let choice = Int.random(in: 0..<100, using: &generator)
            let (from, to) = (Double.random(in: 0...1, using: &generator), Double.random(in: 0...1, using: &generator))
            let isLong = generator.chance(percent: 30)
            switch choice {
            case ..<Self.deletePercent: delete(key, by: caller)
            case ..<(Self.deletePercent + Self.uploadPercent):
                upload(UploadedValue(name, key: key, partCount: isLong ? 2 : 1), key, by: caller)
            case ..<(Self.deletePercent + Self.uploadPercent + Self.putPercent):
                put(UploadedValue(name, key: key, partCount: 0), key, isSigned: isLong, by: caller)
            default:
                switch choice % 5 {
                case 0: getRange(min(from, to), max(from, to), of: key, by: caller)
                case 1: head(key, by: caller)
                case 2 where isLong: list(by: caller)
                default: get(key, by: caller)
                }
            }
        }
    }

    private func put(_ value: UploadedValue, _ key: ObjectKey, isSigned: Bool, by caller: TortureCaller) {
        note(value, key)
        let headers = [(name: UploadedValue.nameHeader, value: value.name)]
        write(.put, value.name, key, by: caller) { () throws(S3WireError) in
            try caller.call(
                S3Call("PUT", "/\(key)", headers: headers), body: value.bytes,
                payloadHash: isSigned ? value.sha256 : S3Call.unsignedPayload)
        }
    }

    private func delete(_ key: ObjectKey, by caller: TortureCaller) {
        write(.deletion, nil, key, by: caller) { () throws(S3WireError) in
            try caller.call(S3Call("DELETE", "/\(key)"))
        }
    }

    /// Nothing is written before the last call, so that all before it is no part of the history.
    private func upload(_ value: UploadedValue, _ key: ObjectKey, by caller: TortureCaller) {
        let headers = [(name: UploadedValue.nameHeader, value: value.name)]
        do {
            let begun = try caller.call(
                S3Call("POST", "/\(key)", query: [("uploads", "")], headers: headers))
            guard begun.status == 200, let id = begun.element("UploadId") else {
                return failed(begun.description, isUnknown: false)
            }
            for (index, part) in value.parts.enumerated() {
                let stored = try caller.call(
                    S3Call("PUT", "/\(key)", query: [("partNumber", "\(index + 1)"), ("uploadId", id)]), body: part)
                guard stored.status == 200 else { return failed(stored.description, isUnknown: false) }
            }
            note(value, key)
            write(.put, value.name, key, by: caller) { () throws(S3WireError) in
                try caller.insist(
                    S3Call("POST", "/\(key)", query: [("uploadId", id)]), body: Array(value.completion.utf8))
            }
            progress.uploaded()
        } catch {
            failed("\(error)", isUnknown: false)
        }
    }

    private func note(_ value: UploadedValue, _ key: ObjectKey) {
        tags.withLock { $0["\(key) \(value.tag)"] = value.name }
    }

    private func write(
        _ kind: TortureProgress.Kind, _ name: String?, _ key: ObjectKey, by caller: TortureCaller,
        _ body: () throws(S3WireError) -> TortureAnswer
    ) {
        let function: HistoryEvent.Function = kind == .put ? .write : .delete
        let process = process(caller.client)
        recorder.note(process: process, .invoke, function, key: "\(key)", value: name)
        let reason: String
        let isUnknown: Bool
        do throws(S3WireError) {
            let answer = try body()
            if answer.status / 100 == 2 {
                return progress.completed(
                    kind, atNanoseconds: recorder.note(process: process, .ok, function, key: "\(key)", value: name))
            }
            reason = answer.description
            // An error of the gateway's says that it does not know, either.
            isUnknown = answer.status / 100 != 4 || answer.mayBeDone
        } catch {
            reason = "\(error)"
            if case .notSent = error { isUnknown = false } else { isUnknown = true }
        }
        recorder.note(process: process, isUnknown ? .info : .fail, function, key: "\(key)", value: name)
        if isUnknown { seats.withLock { $0[caller.client].process += clientCount } }
        failed(reason, isUnknown: isUnknown)
    }

    private func get(_ key: ObjectKey, by caller: TortureCaller) {
        read(key, by: caller, S3Call("GET", "/\(key)")) { UploadedValue.name(of: $0.body, key: key) }
    }

    private func head(_ key: ObjectKey, by caller: TortureCaller) {
        read(key, by: caller, S3Call("HEAD", "/\(key)")) { answer in
            let value = UploadedValue(claimed: answer.head[UploadedValue.nameHeader] ?? "", key: key)
            guard let value, answer.head["content-length"] == "\(value.bytes.count)",
                answer.head["etag"] == "\"\(value.tag)\""
            else { return "foreign, by its headers: \(answer.head.headers)" }
            return value.name
        }
    }

    private func getRange(_ first: Double, _ last: Double, of key: ObjectKey, by caller: TortureCaller) {
        // Every value has more bytes than that.
        let limit = Double(UploadedValue.sizeBytesMin - 1)
        let (first, last) = (Int(first * limit), Int(last * limit))
        let call = S3Call("GET", "/\(key)", headers: [(name: "range", value: "bytes=\(first)-\(last)")])
        read(key, by: caller, call) { answer in
            let value = UploadedValue(claimed: answer.head[UploadedValue.nameHeader] ?? "", key: key)
            guard let value, answer.body == Array(value.bytes[first...last]),
                answer.head["content-range"] == "bytes \(first)-\(last)/\(value.bytes.count)"
            else { return "foreign range of \(answer.body.count) bytes: \(answer.head.headers)" }
            progress.readRange()
            return value.name
        }
    }

    private func read(
        _ key: ObjectKey, by caller: TortureCaller, _ call: S3Call, _ name: (TortureAnswer) -> String
    ) {
        let process = process(caller.client)
        recorder.note(process: process, .invoke, .read, key: "\(key)", value: nil)
        let reason: String
        do throws(S3WireError) {
            let answer = try caller.call(call)
            if answer.status / 100 == 2 || answer.status == 404 {
                let value = answer.status == 404 ? nil : name(answer)
                return progress.completed(
                    .read, atNanoseconds: recorder.note(process: process, .ok, .read, key: "\(key)", value: value))
            }
            reason = answer.description
        } catch {
            reason = "\(error)"
        }
        // A read that saw nothing has changed nothing.
        recorder.note(process: process, .fail, .read, key: "\(key)", value: nil)
        failed(reason, isUnknown: false)
    }

    /// Lists all objects. Each key is an operation by itself, of a process that does nothing else: what is promised of a
    /// listing is promised of each key.
    private func list(by caller: TortureCaller) {
        func process(_ index: Int) -> Int { -1 - (caller.client * keys.count + index) }
        for (index, key) in keys.enumerated() {
            recorder.note(process: process(index), .invoke, .list, key: "\(key)", value: nil)
        }
        let bucket = String(decoding: keys[0].bucketBytes, as: UTF8.self)
        let prefix = "\(keys[0])".dropFirst(bucket.utf8.count + 1).prefix { $0 != "/" } + "/"
        let reason: String
        do throws(S3WireError) {
            let answer = try caller.call(
                S3Call("GET", "/\(bucket)", query: [("list-type", "2"), ("prefix", String(prefix))]))
            if answer.status == 200 {
                let names = answer.elements("Key")
                let tags = answer.elements("ETag").map { $0.replacingOccurrences(of: "&quot;", with: "") }
                let shown = Dictionary(zip(names, tags)) { first, _ in first }
                var time: Int64 = 0
                for (index, key) in keys.enumerated() {
                    let tag = shown[String("\(key)".dropFirst(bucket.utf8.count + 1))]
                    let value = tag.map { tag in
                        let bare = tag.filter { $0 != "\"" }
                        return self.tags.withLock { $0["\(key) \(bare)"] } ?? "foreign, with the tag \(bare)"
                    }
                    time = recorder.note(process: process(index), .ok, .list, key: "\(key)", value: value)
                }
                progress.completed(.read, atNanoseconds: time)
                return progress.listed()
            }
            reason = answer.description
        } catch {
            reason = "\(error)"
        }
        for (index, key) in keys.enumerated() {
            recorder.note(process: process(index), .fail, .list, key: "\(key)", value: nil)
        }
        failed(reason, isUnknown: false)
    }

    private func failed(_ reason: String, isUnknown: Bool) {
        progress.failed(isUnknown: isUnknown, reason)
        usleep(Self.failurePauseMicroseconds)
    }
}
