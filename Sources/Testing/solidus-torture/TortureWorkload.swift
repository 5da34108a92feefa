// The clients of a torture: each does one operation after the other, and everything it does and sees is noted.

import ClusterFiles
import ErasureCode
import Foundation
import HistoryChecker
import QuorumClient
import QuorumProtocol
import Synchronization

/// Clients that put, get and delete the same few objects at the same time.
final class TortureWorkload: Sendable {
    /// Out of a hundred operations; the others are gets.
    private static let putPercent = 42
    private static let deletePercent = 6
    /// Out of a hundred gets, where values are large.
    private static let rangePercent = 40
    private static let listingPercent = 10
    private static let smallDiskValueSizeBytesMax = 16 << 10
    /// How long a client whose operation failed waits before the next.
    private static let failurePause = Duration.milliseconds(50)

    let keys: [ObjectKey]
    let clientCount: Int
    let clients: [ObjectClient]
    let recorder: HistoryRecorder
    let progress: TortureProgress
    private let seed: UInt64
    let sizes: TortureValue.Sizes
    private let hasSmallDisks: Bool
    /// What each client is doing, for whoever makes it give up.
    private let running: Mutex<[Task<Void, Never>?]>
    /// Each client's name in the history: one that does not know what became of its operation goes on as another.
    let processes: Mutex<[Int]>

    /// - Parameters:
    ///   - clients: shared by the torture's clients in turn; two of one identity share one.
    ///   - keys: of objects that nobody ever wrote.
    ///   - stripeCountMax: how many stripes a value may have. With more than one, some values do, and some gets are of
    ///     ranges or of listings.
    ///   - hasSmallDisks: whether the servers' disks are small. Then the values are, too, lest they fill the disks when
    ///     they are not to be full, and every second identity only reads and deletes: a put that needs a server that is
    ///     full beside one that is harmed takes its whole time.
    init(
        clients: [ObjectClient], clientCount: Int, keys: [ObjectKey], recorder: HistoryRecorder,
        progress: TortureProgress, seed: UInt64, stripeCountMax: Int, hasSmallDisks: Bool
    ) {
        precondition(!clients.isEmpty && clientCount > 0 && !keys.isEmpty)
        precondition(!hasSmallDisks || (clients.count > 1 && clientCount > 1 && stripeCountMax == 1))
        self.clients = clients
        self.clientCount = clientCount
        self.keys = keys
        self.recorder = recorder
        self.progress = progress
        self.seed = seed
        self.hasSmallDisks = hasSmallDisks
        let stripeSizeBytesMax = clients[0].parameters.limits.stripeSizeBytesMax
        sizes = TortureValue.Sizes(
            smallBytesMax: hasSmallDisks
                ? min(stripeSizeBytesMax, Self.smallDiskValueSizeBytesMax) : stripeSizeBytesMax,
            largeBytesMax: stripeCountMax > 1 ? stripeCountMax * stripeSizeBytesMax : nil)
        running = Mutex(Array(repeating: nil, count: clientCount))
        processes = Mutex(Array(0..<clientCount))
    }

    /// Has every client work until `isOver` says so.
    func run(until isOver: @escaping @Sendable () -> Bool) async {
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<clientCount {
                group.addTask { await self.work(client, until: isOver) }
            }
        }
    }

    /// Has every client read every object once more, each beginning with another one, as far as they come until then.
    func readBack(until deadline: ContinuousClock.Instant) async {
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<clientCount {
                group.addTask {
                    let start = client * self.keys.count / self.clientCount
                    for offset in self.keys.indices where ContinuousClock.now < deadline {
                        await self.get(self.keys[(start + offset) % self.keys.count], as: client)
                    }
                }
            }
        }
    }

    /// Deletes the objects, as far as that succeeds until then; no part of the history.
    func clearUp(until deadline: ContinuousClock.Instant) async {
        let width = min(clientCount, keys.count)
        await withTaskGroup(of: Void.self) { group in
            for first in 0..<width {
                group.addTask {
                    for index in stride(from: first, to: self.keys.count, by: width)
                    where ContinuousClock.now < deadline {
                        _ = try? await self.clients[0].delete(self.keys[index])
                    }
                }
            }
        }
    }

    /// Has every client give up what it is doing.
    func giveUpAll() {
        for client in 0..<clientCount { giveUp(client) }
    }

    /// Has a client give up what it is doing, as a crash would: it goes on with something else.
    func giveUp(_ client: Int) {
        running.withLock { $0[client] }?.cancel()
    }

    private func mayPut(_ client: Int) -> Bool { !hasSmallDisks || (client % clients.count).isMultiple(of: 2) }

    private func work(_ client: Int, until isOver: @Sendable () -> Bool) async {
        var generator = TortureGenerator(seed: seed, purpose: "client \(client)")
        var number = 0
        while !isOver() {
            number += 1
            let key = keys[Int.random(in: keys.indices, using: &generator)]
            let name = "c\(client)-\(number)"
            let choice = Int.random(in: 0..<100, using: &generator)
            let reading = self.reading(&generator)
            let operation = Task { [self] in
                if choice < Self.deletePercent {
                    await delete(key, as: client)
                } else if choice < Self.deletePercent + Self.putPercent, mayPut(client) {
                    await put(name, key, as: client)
                } else {
                    switch reading {
                    case .whole: await get(key, as: client)
                    case .range(let from, let to): await getRange(from, to, of: key, as: client)
                    case .listing: await list(as: client)
                    }
                }
            }
            running.withLock { $0[client] = operation }
            await operation.value
            running.withLock { $0[client] = nil }
        }
    }

    private func reading(_ generator: inout TortureGenerator) -> TortureReading {
        guard sizes.largeBytesMax != nil else { return .whole }
        let choice = Int.random(in: 0..<100, using: &generator)
        if choice < Self.listingPercent { return .listing }
        guard choice < Self.listingPercent + Self.rangePercent else { return .whole }
        return .range(.random(in: 0...1, using: &generator), .random(in: 0...1, using: &generator))
    }

    private func put(_ name: String, _ key: ObjectKey, as client: Int) async {
        let value = TortureValue.bytes(name, key: "\(key)", sizes)
        // What shows no whole value tells by the tag which write it shows.
        let metadata = ObjectMetadata(etag: name)
        await write(.put, name, key, as: client) { (store) throws(ClientError) in
            try await store.put(key, value, metadata: metadata)
        }
    }

    private func delete(_ key: ObjectKey, as client: Int) async {
        await write(.deletion, nil, key, as: client) { (store) throws(ClientError) in
            try await store.delete(key)
        }
    }

    private func write(
        _ kind: TortureProgress.Kind, _ value: String?, _ key: ObjectKey, as client: Int,
        _ body: (ObjectClient) async throws(ClientError) -> PutResult?
    ) async {
        let function: HistoryEvent.Function = kind == .put ? .write : .delete
        let process = processes.withLock { $0[client] }
        recorder.note(process: process, .invoke, function, key: "\(key)", value: value)
        do throws(ClientError) {
            let result = try await body(clients[client % clients.count])
            if let result { progress.observed(result.observations) }
            // What deletes nothing has only read.
            progress.completed(
                result == nil ? .read : kind,
                atNanoseconds: recorder.note(process: process, .ok, function, key: "\(key)", value: value))
        } catch {
            let isUnknown = error.mayHaveTakenEffect
            recorder.note(process: process, isUnknown ? .info : .fail, function, key: "\(key)", value: value)
            if isUnknown { processes.withLock { $0[client] += clientCount } }
            if kind == .put, error.isForFullDisks { progress.refusedAsFull() }
            await failed(error, isUnknown: isUnknown)
        }
    }

    private func get(_ key: ObjectKey, as client: Int) async {
        let process = processes.withLock { $0[client] }
        recorder.note(process: process, .invoke, .read, key: "\(key)", value: nil)
        do throws(ClientError) {
            let value: String?
            do throws(ClientError) {
                let object = try await clients[client % clients.count].get(key)
                progress.observed(object.status.observations)
                value = TortureValue.name(of: object.value, key: "\(key)", sizes)
            } catch .notFound {
                value = nil
            }
            progress.completed(
                .read, atNanoseconds: recorder.note(process: process, .ok, .read, key: "\(key)", value: value))
        } catch {
            // A read that saw nothing has changed nothing.
            recorder.note(process: process, .fail, .read, key: "\(key)", value: nil)
            await failed(error, isUnknown: false)
        }
    }

    func failed(_ error: ClientError, isUnknown: Bool) async {
        progress.observed(error.observations)
        if case .cancelled = error {
            progress.failed(isUnknown: isUnknown, nil)
        } else {
            progress.failed(isUnknown: isUnknown, error.description)
            try? await Task.sleep(for: Self.failurePause)
        }
    }
}
