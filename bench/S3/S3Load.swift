// Closed-loop load over S3: a thread and a connection for each client, which wait for each answer and do nothing else.

import BenchmarkResults
import Foundation
import Glibc
import S3Wire
import Synchronization

/// Where a load goes.
struct S3Target: Sendable {
    let port: Int
    let identity: S3Identity

    func caller() -> S3Caller { S3Caller(identity, port: port, timeoutSeconds: 120) }
}

/// PUTs, or GETs of what they stored.
struct S3Load: Sendable {
    static let bucket = "bench"

    let target: S3Target
    let operation: BenchmarkOperation
    let size: ByteSize
    let clientCount: Int
    /// Of each client, among how many objects of its own it goes round.
    let objectCount: Int

    private final class Results: Sendable {
        let total = Mutex(LoadOutcome())
        let failure = Mutex<String?>(nil)
    }

    /// Begins new operations for so long, and so many at least for each client; returns when all have ended.
    ///
    /// - Throws: `.failedAtRest` when one was not done.
    func run(seconds: Double, operationCountMin: Int = 1) throws -> LoadOutcome {
        let results = Results()
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let group = DispatchGroup()
        for client in 0..<clientCount {
            group.enter()
            Thread.detachNewThread {
                do {
                    let outcome = try work(client, until: deadline, operationCountMin: operationCountMin)
                    results.total.withLock { $0.add(outcome) }
                } catch {
                    results.failure.withLock { $0 = "\(error)" }
                }
                group.leave()
            }
        }
        group.wait()
        if let failure = results.failure.withLock({ $0 }) {
            throw BenchmarkError.failedAtRest("\(operation.rawValue) of \(size) over S3", reason: failure)
        }
        var total = results.total.withLock { $0 }
        total.seconds = (ContinuousClock.now - start).inSeconds
        return total
    }

    private func work(
        _ client: Int, until deadline: ContinuousClock.Instant, operationCountMin: Int
    ) throws -> LoadOutcome {
        let caller = target.caller()
        let value = operation == .put ? RandomBytes.block(sizeBytes: size.bytes) : nil
        var outcome = LoadOutcome()
        repeat {
            let number = outcome.operationCount % objectCount
            let path = "/\(Self.bucket)/\(size.bytes)/\(client)/\(number)"
            let begin = ContinuousClock.now
            let answer: S3Answer
            if let value {
                answer = try value.withUnsafeBytes { (bytes) throws(S3WireError) in
                    try caller.call(S3Call("PUT", path), body: bytes)
                }
            } else {
                answer = try caller.call(S3Call("GET", path))
            }
            guard answer.status == 200, value != nil || answer.lengthBytes == size.bytes else {
                throw BenchmarkError.unusable(
                    path: path, reason: "status \(answer.status), \(answer.lengthBytes) bytes")
            }
            outcome.note(latencyNanoseconds: UInt64((ContinuousClock.now - begin).inSeconds * 1e9), rounds: 0)
        } while ContinuousClock.now < deadline || outcome.operationCount < operationCountMin
        return outcome
    }
}
