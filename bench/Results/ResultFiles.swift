// Results as files: JSON for the plots, CSV for spreadsheets.

import Foundation
import QuorumProtocol

/// The machine that measured, as far as it matters.
package struct MachineDescription: Encodable, Sendable {
    package let processor: String
    package let processorCount: Int
    package let memoryBytes: UInt64
    package let kernel: String
    /// The instruction set level of the coding kernels.
    package let level: String

    package init(processor: String, processorCount: Int, memoryBytes: UInt64, kernel: String, level: String) {
        self.processor = processor
        self.processorCount = processorCount
        self.memoryBytes = memoryBytes
        self.kernel = kernel
        self.level = level
    }
}

/// One part of a write's time.
package struct BreakdownPart: Encodable, Sendable {
    package let mode: String
    package let part: String
    package let microseconds: Double
    package let shareOfLatency: Double

    package init(mode: VerificationMode, part: String, microseconds: Double, shareOfLatency: Double) {
        self.mode = mode.description
        self.part = part
        self.microseconds = microseconds
        self.shareOfLatency = shareOfLatency
    }
}

/// All that one run found.
package struct ResultFile: JSONFile {
    /// A setting's medians. Figures are null where they mean nothing.
    struct Row: Encodable, Sendable {
        let mode: String
        /// The optimisations that were left out.
        let without: [String]
        let faults: Int
        let dataFragments: Int
        let servers: Int
        let operation: String
        let sizeBytes: Int
        let clients: Int
        let rounds: Int
        /// By the figures' names.
        let figures: [String: Double]
        /// Ratios to the mode `none` in the same rounds, by the figures' names.
        let ratiosToNone: [String: Double]
        /// Of what leaves optimisations out: ratios to the same with all of them in the same rounds.
        let ratiosToEverything: [String: Double]
    }

    struct Target: Encodable, Sendable {
        let figure: String
        let bound: String
        let measured: Double?
        let verdict: String
    }

    let machine: MachineDescription
    /// "loopback", or the rate of the shaped links.
    let network: String
    /// The optimisations that everything was measured without, the report on them apart.
    let without: [String]
    let secondsPerMeasurement: Double
    /// What a server's store by itself takes of PREPAREs of 4 KiB, if that was measured.
    let journalAppendsPerSecond: Double?
    let results: [Row]
    let breakdown: [BreakdownPart]
    let targets: [Target]

    package init(
        machine: MachineDescription, conditions: Conditions, secondsPerMeasurement: Double, book: SampleBook,
        breakdown: [BreakdownPart]
    ) {
        self.machine = machine
        network = conditions.link?.rawValue ?? "loopback"
        without = conditions.without.names
        self.secondsPerMeasurement = secondsPerMeasurement
        self.breakdown = breakdown
        journalAppendsPerSecond = book.journalAppendsPerSecond
        results = book.settings.map { setting in
            let workload = setting.workload
            return Row(
                mode: setting.mode.description, without: setting.without.names, faults: workload.faults,
                dataFragments: workload.dataFragmentCount, servers: workload.serverCount,
                operation: workload.operation.rawValue, sizeBytes: workload.size.bytes, clients: workload.clientCount,
                rounds: book.count(of: setting),
                figures: Self.byName { book.median($0, of: setting) },
                ratiosToNone: Self.byName { book.ratio($0, of: setting) },
                ratiosToEverything: Self.byName { book.ratioToEverything($0, of: setting) })
        }
        targets = ModeTarget.all(book, under: conditions).map {
            Target(figure: $0.figure, bound: $0.boundText, measured: $0.measured, verdict: $0.verdict.rawValue)
        }
    }

    private static func byName(_ value: (Figure) -> Double?) -> [String: Double] {
        var values: [String: Double] = [:]
        for figure in Figure.allCases { values[figure.rawValue] = value(figure) }
        return values
    }

    /// The results only: one line for each setting under one line of names. No field needs quoting: names of what is
    /// left out have blanks between them.
    package func csv() -> String {
        let fixedColumns = [
            "mode", "without", "faults", "data_fragments", "servers", "operation", "size_bytes", "clients", "rounds",
        ]
        let names = Figure.allCases.map(\.rawValue)
        var lines = [
            fixedColumns + names + names.map { $0 + "_ratio_to_none" }
                + names.map { $0 + "_ratio_to_everything" }
        ]
        for row in results {
            let fixed = [
                row.mode, row.without.joined(separator: " "), "\(row.faults)", "\(row.dataFragments)",
                "\(row.servers)", row.operation, "\(row.sizeBytes)", "\(row.clients)", "\(row.rounds)",
            ]
            func cells(_ values: [String: Double]) -> [String] { names.map { values[$0].map { "\($0)" } ?? "" } }
            lines.append(fixed + cells(row.figures) + cells(row.ratiosToNone) + cells(row.ratiosToEverything))
        }
        return lines.map { $0.joined(separator: ",") }.joined(separator: "\n") + "\n"
    }
}
