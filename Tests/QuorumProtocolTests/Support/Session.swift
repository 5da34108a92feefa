// An operation of a client of the simulated cluster, and what the client was told.

import QuorumProtocol

/// An operation of a client, under way or over.
struct Session {
    enum Machine {
        case writer(Writer)
        case reader(Reader)
    }

    /// What the client was told.
    enum Outcome {
        case wrote(WriteOutcome)
        /// nil: nothing is there.
        case read([UInt8]?, ReadOutcome)
        case failed(OperationFailure)
    }

    let client: ClientID
    /// The server that reads, when it is not the client.
    var server: Position?
    /// Whether a write is of fragments that are no block's encoding.
    var isPoisonous = false
    let key: ObjectKey
    var machine: Machine
    /// What a write writes; nil for a tombstone, and for reads.
    let bytes: [UInt8]?
    /// What the encoding of a write comes to, whatever the writer was given: so a lie goes the way of a value.
    var encoded: Writer.Input?
    let startedAt: Int
    var finishedAt: Int?
    var outcome: Outcome?
    var isCrashed = false

    var isRunning: Bool { outcome == nil && !isCrashed }

    var isWrite: Bool {
        if case .writer = machine { true } else { false }
    }
}

extension Session.Outcome? {
    /// The text that was read; nil when nothing was there, "failed" when the read did not succeed.
    var text: String? {
        switch self {
        case .read(let bytes, _)?: bytes.map { String(decoding: $0, as: UTF8.self) }
        case .wrote?: "wrote"
        case .failed?, nil: "failed"
        }
    }

    var wrote: WriteOutcome? {
        if case .wrote(let outcome)? = self { outcome } else { nil }
    }

    var read: ReadOutcome? {
        if case .read(_, let outcome)? = self { outcome } else { nil }
    }

    var failure: OperationFailure? {
        if case .failed(let failure)? = self { failure } else { nil }
    }
}

extension ReadOutcome.Found {
    /// The version found, which may be a tombstone; nil when there is none.
    var timestamp: Timestamp? {
        switch self {
        case .nothing(let timestamp): timestamp
        case .version(let timestamp, _, _): timestamp
        }
    }
}
