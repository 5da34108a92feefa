// The metrics of one client. They are made once, so that an operation only adds to them.

import CoreMetrics

/// Counters, timers and recorders for each operation and outcome.
final class ClientMetrics: Sendable {
    private let operations: [Counter]
    private let durations: [Timer]
    private let valueBytes: [Counter]
    private let rounds: [Recorder]

    init(_ factory: any MetricsFactory) {
        let ends = ClientOperation.allCases.flatMap { operation in
            OperationOutcome.allCases.map { outcome in
                [("operation", operation.rawValue), ("outcome", outcome.rawValue)]
            }
        }
        operations = ends.map { Counter(label: "solidus.client.operations", dimensions: $0, factory: factory) }
        durations = ends.map { Timer(label: "solidus.client.duration", dimensions: $0, factory: factory) }
        let names = ClientOperation.allCases.map { [("operation", $0.rawValue)] }
        valueBytes = names.map { Counter(label: "solidus.client.bytes", dimensions: $0, factory: factory) }
        rounds = names.map { Recorder(label: "solidus.client.rounds", dimensions: $0, factory: factory) }
    }

    func record(
        _ operation: ClientOperation, _ outcome: OperationOutcome, _ facts: OperationFacts, took duration: Duration
    ) {
        let name = operation.index
        let end = name * OperationOutcome.allCases.count + outcome.index
        operations[end].increment()
        let (seconds, attoseconds) = duration.components
        durations[end].recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        if let bytes = facts.valueBytes { valueBytes[name].increment(by: bytes) }
        if let count = facts.rounds { rounds[name].record(count) }
    }
}

extension CaseIterable where Self: Equatable, AllCases.Index == Int {
    /// Its place among all cases.
    fileprivate var index: Int { Self.allCases.firstIndex(of: self)! }
}
