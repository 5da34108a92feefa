// What attacks did to others: figures at rest and under attack, taken in turns, and ratios inside each round before
// their median is.

import Foundation

/// What correct clients do meanwhile.
package enum HostileOperation: String, Sendable, CaseIterable, Encodable {
    /// Writes one of a few objects again.
    case put
    /// Reads one of other objects.
    case get
    /// Connects as a client that knows nothing yet, reads an object and leaves.
    case firstGet = "first-get"
}

/// What one operation's loop found in one measurement.
package struct HostileFigures: Hashable, Sendable, Encodable {
    /// Operations that were due in the measurement.
    package var dueCount: Int
    /// Those that succeeded, how late it may have been.
    package var operationCount: Int
    /// Of those that succeeded: a second, from the first one due to the last one done.
    package var operationsPerSecond: Double
    /// Latencies of those that succeeded, from the moment that each was due.
    package var p50Milliseconds: Double
    package var p99Milliseconds: Double
    package var maximumMilliseconds: Double
    /// Why one of the others did not; nil when there is none.
    package var firstFailure: String?

    package init(
        dueCount: Int, operationCount: Int, operationsPerSecond: Double, p50Milliseconds: Double,
        p99Milliseconds: Double, maximumMilliseconds: Double, firstFailure: String? = nil
    ) {
        self.dueCount = dueCount
        self.operationCount = operationCount
        self.operationsPerSecond = operationsPerSecond
        self.p50Milliseconds = p50Milliseconds
        self.p99Milliseconds = p99Milliseconds
        self.maximumMilliseconds = maximumMilliseconds
        self.firstFailure = firstFailure
    }
}

/// One measurement, at rest or under attack.
package struct HostileSample: Sendable, Encodable {
    package var operations: [HostileOperation: HostileFigures]
    /// Processor time in seconds a second: of correct clients, of all servers together, and of the attacker.
    package var clientProcessors: Double
    package var serverProcessors: Double
    package var attackerProcessors: Double

    package init(
        operations: [HostileOperation: HostileFigures], clientProcessors: Double, serverProcessors: Double,
        attackerProcessors: Double
    ) {
        self.operations = operations
        self.clientProcessors = clientProcessors
        self.serverProcessors = serverProcessors
        self.attackerProcessors = attackerProcessors
    }

    private enum CodingKeys: String, CodingKey {
        case operations, clientProcessors, serverProcessors, attackerProcessors
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        // By name: a dictionary by anything but text would be a list.
        try container.encode(
            Dictionary(uniqueKeysWithValues: operations.map { ($0.rawValue, $1) }), forKey: .operations)
        try container.encode(clientProcessors, forKey: .clientProcessors)
        try container.encode(serverProcessors, forKey: .serverProcessors)
        try container.encode(attackerProcessors, forKey: .attackerProcessors)
    }
}

/// One round of one attack: a measurement at rest, and one under attack right after it.
package struct HostileRound: Sendable, Encodable {
    package var rest: HostileSample
    package var attacked: HostileSample
    /// What the attacker counted, by name.
    package var attacker: [String: UInt64]
    /// What the servers counted meanwhile, refusals by reason, all servers together.
    package var refusals: [String: UInt64]

    package init(
        rest: HostileSample, attacked: HostileSample, attacker: [String: UInt64], refusals: [String: UInt64]
    ) {
        self.rest = rest
        self.attacked = attacked
        self.attacker = attacker
        self.refusals = refusals
    }
}

/// All rounds of one attack.
package struct HostileOutcome: Sendable, Encodable {
    /// The aim: nobody's attack more than doubles others' p99.
    package static let p99RatioMax = 2.0

    package let kind: String
    package private(set) var rounds: [HostileRound] = []

    package init(kind: String) {
        self.kind = kind
    }

    package mutating func add(_ round: HostileRound) { rounds.append(round) }

    /// The median over the rounds; nil when no round has the operation, or none of it succeeded.
    package func atRest(_ operation: HostileOperation, _ figure: (HostileFigures) -> Double) -> Double? {
        middle(rounds.compactMap { Self.value($0.rest, operation, figure) })
    }

    package func attacked(_ operation: HostileOperation, _ figure: (HostileFigures) -> Double) -> Double? {
        middle(rounds.compactMap { Self.value($0.attacked, operation, figure) })
    }

    /// The median of the rounds' ratios, under attack to at rest. A round in which none succeeded under attack has an
    /// infinite one, of what is better when it is less.
    package func ratio(_ operation: HostileOperation, _ figure: (HostileFigures) -> Double) -> Double? {
        middle(
            rounds.compactMap { round in
                guard let rest = Self.value(round.rest, operation, figure), rest > 0 else { return nil }
                return (Self.value(round.attacked, operation, figure) ?? .infinity) / rest
            })
    }

    /// How many operations of this kind did not succeed under attack, in all rounds.
    package func failureCount(_ operation: HostileOperation) -> Int {
        rounds.reduce(0) { sum, round in
            let figures = round.attacked.operations[operation]
            return sum + (figures.map { $0.dueCount - $0.operationCount } ?? 0)
        }
    }

    /// Whether the aim is met by the operations that clients with sessions do; nil when that was not measured.
    package var isMet: Bool? {
        let ratios = [HostileOperation.put, .get].compactMap { ratio($0) { $0.p99Milliseconds } }
        return ratios.isEmpty ? nil : ratios.allSatisfy { $0 <= Self.p99RatioMax }
    }

    private static func value(
        _ sample: HostileSample, _ operation: HostileOperation, _ figure: (HostileFigures) -> Double
    ) -> Double? {
        guard let figures = sample.operations[operation], figures.operationCount > 0 else { return nil }
        return figure(figures)
    }

    private func middle(_ values: [Double]) -> Double? { values.isEmpty ? nil : median(values) }
}

/// All that one run found, as a file.
package struct HostileFile: JSONFile {
    package struct Attack: Encodable, Sendable {
        let kind: String
        let isMet: Bool?
        let p99Ratios: [String: Double]
        let p50Ratios: [String: Double]
        let failures: [String: Int]
        let rounds: [HostileRound]
    }

    let machine: MachineDescription
    let secondsPerMeasurement: Double
    let sizeBytes: Int
    /// Of PUTs, and as many of GETs, a second.
    let operationsPerSecond: Double
    /// What an attacker might do to each server a second; nil: whatever he could.
    let attacksPerSecond: Double?
    let attacks: [Attack]

    package init(
        machine: MachineDescription, secondsPerMeasurement: Double, size: ByteSize, operationsPerSecond: Double,
        attacksPerSecond: Double?, outcomes: [HostileOutcome]
    ) {
        self.machine = machine
        self.secondsPerMeasurement = secondsPerMeasurement
        sizeBytes = size.bytes
        self.operationsPerSecond = operationsPerSecond
        self.attacksPerSecond = attacksPerSecond
        attacks = outcomes.map { outcome in
            func byOperation<Value>(_ value: (HostileOperation) -> Value?) -> [String: Value] {
                var values: [String: Value] = [:]
                for operation in HostileOperation.allCases { values[operation.rawValue] = value(operation) }
                return values
            }
            // JSON has no infinity: a ratio of nothing is left out.
            func ratios(_ figure: @escaping (HostileFigures) -> Double) -> [String: Double] {
                byOperation { outcome.ratio($0, figure).flatMap { $0.isFinite ? $0 : nil } }
            }
            return Attack(
                kind: outcome.kind, isMet: outcome.isMet, p99Ratios: ratios { $0.p99Milliseconds },
                p50Ratios: ratios { $0.p50Milliseconds }, failures: byOperation { outcome.failureCount($0) },
                rounds: outcome.rounds)
        }
    }
}
