// From events to operations: invocations paired with what became of them.

/// One operation of a process on one key.
package struct HistoryOperation: Hashable, Sendable {
    /// What became of it.
    package enum Outcome: Hashable, Sendable {
        /// It took effect, by this time.
        case ok(atNanoseconds: Int64)
        /// It never took effect.
        case failed(atNanoseconds: Int64)
        /// Nobody knows, and nobody will.
        case unknown
    }

    package let process: String
    package let function: HistoryEvent.Function
    package let key: String
    /// What was written or, when the outcome is `ok`, read; nil for a deletion and for "not found".
    package let value: String?
    package let invokedNanoseconds: Int64
    package let outcome: Outcome

    package init(
        process: String, function: HistoryEvent.Function, key: String, value: String?, invokedNanoseconds: Int64,
        outcome: Outcome
    ) {
        self.process = process
        self.function = function
        self.key = key
        self.value = value
        self.invokedNanoseconds = invokedNanoseconds
        self.outcome = outcome
    }
}

/// Why events make no history.
package enum HistoryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No event begins an operation: there is nothing to judge.
    case noOperations
    /// A process began an operation while it had one open; positions are those of the events, counted from 0.
    case stillOpen(process: String, event: Int)
    /// A completion of nothing.
    case notOpen(process: String, event: Int)
    /// A completion of something else than what is open.
    case mismatch(process: String, event: Int)
    /// A process went on after an operation with unknown outcome: it may still be running that one.
    case reusedAfterInfo(process: String, event: Int)
    /// A process's events do not come in the order of their times.
    case timeRunsBackwards(process: String, event: Int)
    /// A write without a value, or a deletion with one.
    case unfittingValue(process: String, event: Int)

    package var description: String {
        switch self {
        case .noOperations:
            "it has no operations"
        case .stillOpen(let process, let event):
            "event \(event + 1): process \(process) begins an operation while another is open"
        case .notOpen(let process, let event):
            "event \(event + 1): process \(process) completes an operation that it never began"
        case .mismatch(let process, let event):
            "event \(event + 1): process \(process) completes another operation than the one it began"
        case .reusedAfterInfo(let process, let event):
            "event \(event + 1): process \(process) goes on after an operation whose outcome is unknown"
        case .timeRunsBackwards(let process, let event):
            "event \(event + 1): the time of process \(process) runs backwards"
        case .unfittingValue(let process, let event):
            "event \(event + 1): process \(process) writes nothing, or deletes something"
        }
    }
}

extension HistoryOperation {
    /// The operations that the events describe, in the order in which they were begun. One that is still open at the
    /// end has an unknown outcome.
    package static func pair(_ events: [HistoryEvent]) throws(HistoryError) -> [HistoryOperation] {
        struct Process {
            var openEvent: Int?
            var isSpent = false
            var timeNanoseconds = Int64.min
        }
        var processes: [String: Process] = [:]
        var completions: [Int?] = Array(repeating: nil, count: events.count)
        for (position, event) in events.enumerated() {
            var process = processes[event.process] ?? Process()
            guard event.timeNanoseconds >= process.timeNanoseconds else {
                throw .timeRunsBackwards(process: event.process, event: position)
            }
            process.timeNanoseconds = event.timeNanoseconds
            if event.kind == .invoke {
                guard process.openEvent == nil else { throw .stillOpen(process: event.process, event: position) }
                guard !process.isSpent else { throw .reusedAfterInfo(process: event.process, event: position) }
                guard event.function.isReading || (event.function == .write) == (event.value != nil) else {
                    throw .unfittingValue(process: event.process, event: position)
                }
                process.openEvent = position
            } else {
                guard let open = process.openEvent else { throw .notOpen(process: event.process, event: position) }
                let invocation = events[open]
                guard invocation.function == event.function, invocation.key == event.key,
                    event.function.isReading || event.value == nil || event.value == invocation.value
                else { throw .mismatch(process: event.process, event: position) }
                completions[open] = position
                process.openEvent = nil
                process.isSpent = event.kind == .info
            }
            processes[event.process] = process
        }
        var operations: [HistoryOperation] = []
        for (position, event) in events.enumerated() where event.kind == .invoke {
            operations.append(HistoryOperation(event, completion: completions[position].map { events[$0] }))
        }
        return operations
    }

    private init(_ invocation: HistoryEvent, completion: HistoryEvent?) {
        process = invocation.process
        function = invocation.function
        key = invocation.key
        value = invocation.function.isReading ? completion?.value : invocation.value
        invokedNanoseconds = invocation.timeNanoseconds
        switch completion?.kind {
        case .ok?: outcome = .ok(atNanoseconds: completion?.timeNanoseconds ?? .max)
        case .fail?: outcome = .failed(atNanoseconds: completion?.timeNanoseconds ?? .max)
        case .info?, .invoke?, nil: outcome = .unknown
        }
    }
}

extension HistoryOperation: CustomStringConvertible {
    package var description: String {
        let what =
            switch function {
            case .write: "wrote \(value ?? "nothing")"
            case .delete: "deleted"
            case .read: "read \(value ?? "not found")"
            case .list: "listed \(value ?? "nothing")"
            }
        let until =
            switch outcome {
            case .ok(let time): "to \(time) ns"
            case .failed(let time): "failed at \(time) ns"
            case .unknown: "with unknown outcome"
            }
        return "process \(process) \(what) from \(invokedNanoseconds) \(until)"
    }
}
