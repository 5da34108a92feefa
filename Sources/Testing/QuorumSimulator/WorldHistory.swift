// What the honest clients did and were told, operation by operation: the record that is judged.

import Fingerprint
import QuorumProtocol

/// What a read, of the value or of the descriptor only, found.
struct Observation {
    /// nil: no version was ever committed.
    let timestamp: Timestamp?
    let isTombstone: Bool
    /// The value; nil for a tombstone, for no version, and when only the descriptor was asked for.
    let bytes: [UInt8]?
}

extension Observation {
    /// What is recorded instead when an error is planted.
    func with(_ planted: PlantedError) -> Observation {
        switch planted {
        case .staleRead:
            return Observation(timestamp: nil, isTombstone: false, bytes: nil)
        case .alteredValue:
            return Observation(
                timestamp: timestamp, isTombstone: isTombstone,
                bytes: bytes.map { $0.isEmpty ? [1] : [$0[0] ^ 1] + $0.dropFirst() })
        case .unwrittenVersion:
            let unwritten = timestamp.map {
                Timestamp(
                    counter: $0.counter, writer: $0.writer, digest: Digest256.sha256([UInt8](repeating: 0, count: 1)))
            }
            return Observation(timestamp: unwritten, isTombstone: isTombstone, bytes: bytes)
        case .lostFragments, .lostPending, .silence:
            return self
        }
    }
}

/// One operation of an honest client.
struct RecordedOperation {
    enum Outcome {
        case running
        case wrote(Timestamp)
        case read(Observation)
        /// What a listing showed.
        case listed([ListedEntry])
        case failed(OperationFailure)
        /// The client crashed; nobody knows.
        case crashed
    }

    let client: Int
    let object: Int
    let kind: PlannedOperation.Kind
    /// What a write writes; nil for a deletion, and for reads.
    let bytes: [UInt8]?
    /// Whether it began when all faults but the liars had ended.
    let beganHealed: Bool
    /// Steps of the world, of which each is later than the one before.
    let invokedAtStep: Int
    /// Whether a write's value was staged ahead of it, and if so by an earlier operation.
    let isStaged: Bool
    let isReused: Bool
    var completedAtStep: Int?
    var outcome = Outcome.running

    var isWrite: Bool {
        switch kind {
        case .write, .delete: true
        case .read, .head, .list: false
        }
    }
}

/// What a run is found guilty of.
package struct Violation: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// An own invariant of a replica, a writer or a reader.
        case invariant
        /// A history that is none of a register.
        case linearizability
        /// One timestamp with two values, or bytes that are not what was written.
        case integrity
        /// A version that nobody wrote.
        case forgery
        /// A committed version that the correct servers cannot give back.
        case durability
        /// More is stored than the limits allow, or counters that nobody counted.
        case bound
        /// A listing that leaves out what was there, or shows what was not.
        case regularity
        /// An operation that does not finish although nothing stands in its way.
        case liveness
        /// A disk that holds something else than its records say, or a store that does not keep its own promises.
        case storage
        /// An audit that blames somebody correct, or does not find what is missing.
        case audit
    }

    package let kind: Kind
    package let description: String

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        description = "\(kind.rawValue): \(text)"
    }
}

/// How a run went.
package struct WorldReport: Sendable {
    package let seed: UInt64
    /// nil: nothing is wrong.
    package let violation: Violation?
    package let eventCount: Int
    package let virtualMicroseconds: UInt64
    /// Operations that succeeded, that failed, and whose client crashed.
    package let succeededCount: Int
    package let failedCount: Int
    package let crashedCount: Int
    /// A digest of all that happened, in order; equal for equal runs.
    package let traceHash: UInt64
    /// What happened, readable; empty unless asked for.
    package let transcript: [String]
}
