// What attacks did to others, for people.

import BenchmarkResults
import Foundation

struct HostileTable {
    let outcomes: [HostileOutcome]

    private static let columns: [(title: String, width: Int)] = [
        ("attack", 14), ("operation", 11), ("op/s rest", 11), ("attacked", 10), ("p50 rest", 10), ("attacked", 10),
        ("ratio", 7), ("p99 rest", 10), ("attacked", 10), ("ratio", 7), ("failed", 8), ("servers", 9), ("attacker", 9),
    ]

    func print(seconds: Double, rate: Double, size: ByteSize) {
        let count = outcomes.first?.rounds.count ?? 0
        Swift.print(
            """

            Correct clients' latency in ms at rest and under attack, and the median of the rounds' ratios; PUTs and GETs
            of \(size), \(brief(rate)) of each due a second. Medians over \(count) rounds of \(brief(seconds)) s.
            'failed': operations that did not succeed under attack, in all rounds. Processors that all servers and the
            attacker kept busy under attack, who runs at the lowest priority.

            """)
        row(Self.columns.map { ($0.title, $0.width) })
        for outcome in outcomes {
            for operation in HostileOperation.allCases {
                guard outcome.rounds.contains(where: { $0.rest.operations[operation] != nil }) else { continue }
                line(outcome, operation)
            }
        }
        Swift.print("")
        for outcome in outcomes where outcome.kind != AttackName.busyClientName {
            let worst = [HostileOperation.put, .get].compactMap { outcome.ratio($0) { $0.p99Milliseconds } }.max()
            guard let worst, let isMet = outcome.isMet else { continue }
            Swift.print(
                "\(outcome.kind): p99 within \(brief(HostileOutcome.p99RatioMax)) times its value at rest: "
                    + "\(brief(worst)), \(isMet ? "met" : "missed")")
        }
    }

    private func line(_ outcome: HostileOutcome, _ operation: HostileOperation) {
        let isFirst = operation == HostileOperation.allCases.first
        func processors(_ value: (HostileSample) -> Double) -> String {
            isFirst ? brief(median(outcome.rounds.map { value($0.attacked) })) : ""
        }
        func pair(_ figure: (HostileFigures) -> Double) -> [String] {
            [text(outcome.atRest(operation, figure)), text(outcome.attacked(operation, figure))]
        }
        let cells =
            [isFirst ? outcome.kind : "", operation.rawValue]
            + pair { $0.operationsPerSecond }
            + pair { $0.p50Milliseconds } + [text(outcome.ratio(operation) { $0.p50Milliseconds })]
            + pair { $0.p99Milliseconds } + [text(outcome.ratio(operation) { $0.p99Milliseconds })]
            + ["\(outcome.failureCount(operation))", processors(\.serverProcessors), processors(\.attackerProcessors)]
        row(zip(cells, Self.columns).map { ($0, $1.width) })
    }

    private func text(_ value: Double?) -> String {
        value.map { $0.isFinite ? brief($0) : "none" } ?? "-"
    }

    private func row(_ cells: [(text: String, width: Int)]) {
        let padded = cells.map { text, width in
            text.padding(toLength: max(width, text.count + 1), withPad: " ", startingAt: 0)
        }
        Swift.print(padded.joined())
    }
}
