// What readers of one object may see while it is written: the history of its writes, and the check of every read.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Synchronization
import Testing

/// Writes numbered, self-checking values of one object and checks what reads return against linearizability.
///
/// A read may return a value whose write was under way during it, or the last acknowledged one, or one whose write
/// failed without being known to have had no effect; never one that had been overwritten by an acknowledged write when
/// the read began. Of concurrent acknowledged writes either may be the last.
final class WriteJournal: Sendable {
    private struct Write {
        let begin: Int
        /// When it was acknowledged; nil while it is under way or after it failed.
        var end: Int?
    }

    private struct State {
        var clock = 0
        var writes: [UInt64: Write] = [:]
        var acknowledgedCount = 0

        mutating func tick() -> Int {
            clock += 1
            return clock
        }
    }

    let key: ObjectKey
    private let state = Mutex(State())

    init(_ key: ObjectKey) { self.key = key }

    /// How many writes were acknowledged.
    var acknowledgedCount: Int { state.withLock { $0.acknowledgedCount } }

    /// Writes the next value.
    func put(_ client: ObjectClient, sizeBytes: Int) async throws(ClientError) {
        let number = state.withLock { state in
            let number = UInt64(state.writes.count + 1)
            let begin = state.tick()
            state.writes[number] = Write(begin: begin, end: nil)
            return number
        }
        _ = try await client.put(key, SelfCheckingValue.make(key, number: number, sizeBytes: sizeBytes))
        state.withLock { state in
            let end = state.tick()
            state.writes[number]?.end = end
            state.acknowledgedCount += 1
        }
    }

    /// Reads and checks; an object that was never written may be missing.
    func get(_ client: ObjectClient, sourceLocation: SourceLocation = #_sourceLocation) async throws(ClientError) {
        let begin = state.withLock { $0.tick() }
        let value: SharedBytes
        do {
            value = try await client.get(key).value
        } catch .notFound {
            let lost = state.withLock { $0.writes.values.contains { ($0.end ?? .max) < begin } }
            #expect(!lost, "\(key) is gone although a write of it was acknowledged", sourceLocation: sourceLocation)
            return
        }
        guard let number = SelfCheckingValue.number(value, of: key) else {
            Issue.record("\(key) has \(value.count) bytes that nobody wrote", sourceLocation: sourceLocation)
            return
        }
        let complaint = state.withLock { state -> String? in
            guard let write = state.writes[number] else { return "value \(number) of \(key) was never written" }
            guard let end = write.end else { return nil }
            let overwriting = state.writes.filter { $0.value.begin > end && ($0.value.end ?? .max) < begin }.keys
            return overwriting.isEmpty
                ? nil : "\(key) has value \(number) after \(overwriting.sorted()) were acknowledged"
        }
        if let complaint { Issue.record("\(complaint)", sourceLocation: sourceLocation) }
    }
}
