// Results for people.

import BenchmarkResults
import Foundation
import QuorumProtocol

/// Prints what a run found.
struct ModesTable {
    let book: SampleBook
    let conditions: Conditions

    func machine(_ machine: MachineDescription) {
        print(machine.text)
        if let link = conditions.link {
            print("Every server's link and the clients' have \(link.rawValue) in each direction.")
        }
        if !conditions.without.isEmpty { print("Without \(conditions.without.names.joined(separator: ", ")).") }
        print("Servers, clients and the disk share this machine. Medians over the rounds; x none: ratio to mode none.")
    }

    // MARK: - Everything

    private static let columns: [(title: String, width: Int)] = [
        ("mode", 12), ("op/s", 8), ("x none", 8), ("MB/s", 8), ("p50 ms", 8), ("x none", 8), ("p99 ms", 8),
        ("p99.9", 8), ("client CPU", 12), ("server CPU", 12), ("later", 8), ("sent", 7), ("recvd", 7), ("verif.", 7),
        ("disk", 7),
        ("rounds", 8), ("sign.", 7), ("commits", 7),
    ]

    func results() {
        print(
            """

            CPU in seconds per GB of values, 'later' what servers do once they are idle. In bytes per byte of value what
            clients sent and received, what servers read from each other to verify, and growth on disk. Signatures and
            group commits per operation, all servers together.
            """)
        var seen: Set<Workload> = []
        for workload in book.settings.map(\.workload) where seen.insert(workload).inserted {
            print("\n\(workload)")
            row(Self.columns.map { ($0.title, $0.width) })
            for mode in VerificationMode.allCases { line(setting(mode, workload)) }
        }
    }

    private func setting(_ mode: VerificationMode, _ workload: Workload) -> Setting {
        Setting(mode: mode, without: conditions.without, workload: workload)
    }

    private func line(_ setting: Setting) {
        guard book.count(of: setting) > 0 else { return }
        func figure(_ figure: Figure, _ scale: Double = 1) -> String { text(book.median(figure, of: setting), scale) }
        let isPut = setting.workload.operation.isWrite
        let cells = [
            setting.mode.description, figure(.operationsPerSecond),
            text(book.ratio(.operationsPerSecond, of: setting)), figure(.megabytesPerSecond),
            figure(.p50Microseconds, 1e-3), text(book.ratio(.p50Microseconds, of: setting)),
            figure(.p99Microseconds, 1e-3), figure(.p999Microseconds, 1e-3), figure(.clientCPUSecondsPerGB),
            figure(.serverCPUSecondsPerGB), isPut ? figure(.laterServerCPUSecondsPerGB) : "",
            figure(.sentBytesPerByte), figure(.receivedBytesPerByte),
            isPut ? figure(.verificationBytesPerByte) : "", isPut ? figure(.diskBytesPerByte) : "",
            figure(.roundsPerOperation), isPut ? figure(.signaturesPerOperation) : "",
            isPut ? figure(.groupCommitsPerOperation) : "",
        ]
        row(zip(cells, Self.columns).map { ($0, $1.width) })
    }

    // MARK: - Reports

    func breakdown(_ breakdown: Breakdown) {
        print("\nA write of \(Breakdown.workload.size) with nothing else under way, mode \(breakdown.mode)")
        row([("part", 58), ("us", 10), ("share", 8)])
        for part in breakdown.parts {
            row([
                (part.part, 58), (fixed(part.microseconds, digits: 1), 10),
                (fixed(100 * part.shareOfLatency, digits: 1) + " %", 8),
            ])
        }
    }

    func verification(_ workloads: [Workload]) {
        for operation in BenchmarkOperation.basic {
            print(
                "\nLatency of one \(operation.rawValue) of 64KiB in ms (median; beside it x none), by time of verification"
            )
            let modes: [VerificationMode] = [.fingerprint, .full, .lazy, .readTime, .none]
            row([("f", 4), ("servers", 8)] + modes.map { ($0.description, 16) })
            for workload in workloads where workload.operation == operation {
                let cells = modes.map { mode in
                    let setting = setting(mode, workload)
                    return text(book.median(.p50Microseconds, of: setting), 1e-3) + "  "
                        + text(book.ratio(.p50Microseconds, of: setting))
                }
                row([("\(workload.faults)", 4), ("\(workload.serverCount)", 8)] + cells.map { ($0, 16) })
            }
        }
    }

    func targets() {
        print("\nTargets (f = 1; 16 clients unless said otherwise)")
        row([("figure", 70), ("bound", 9), ("measured", 10), ("verdict", 14)])
        for target in ModeTarget.all(book, under: conditions) {
            row([
                (target.figure, 70), (target.boundText, 9), (text(target.measured), 10),
                (target.verdict.rawValue, 14),
            ])
        }
        if let rate = book.journalAppendsPerSecond {
            print("A store by itself takes \(brief(rate)) appends a second (\(ModeTarget.journalWorkload)).")
        }
    }

    private static let optimisationColumns: [(title: String, width: Int)] = [
        ("without", 20), ("op/s", 8), ("x all", 7), ("p50 ms", 8), ("x all", 7), ("p99 ms", 8), ("p99.9", 8),
        ("client CPU", 12), ("x all", 7), ("server CPU", 12), ("x all", 7), ("rounds", 8), ("sign.", 7),
        ("commits", 7),
    ]

    func optimisations() {
        print("\nWhat each optimisation is worth; x all: ratio to all of them in the same rounds")
        for workload in OptimisationReport.workloads {
            print("\n\(workload), fingerprint")
            row(Self.optimisationColumns.map { ($0.title, $0.width) })
            for setting in OptimisationReport.settings where setting.workload == workload { optimisationLine(setting) }
        }
    }

    private func optimisationLine(_ setting: Setting) {
        func figure(_ figure: Figure, _ scale: Double = 1) -> String { text(book.median(figure, of: setting), scale) }
        func ratio(_ figure: Figure) -> String { text(book.ratioToEverything(figure, of: setting)) }
        let isWrite = setting.workload.operation.isWrite
        let cells = [
            setting.without.isEmpty ? "nothing (all on)" : setting.without.names.joined(separator: " "),
            figure(.operationsPerSecond), ratio(.operationsPerSecond), figure(.p50Microseconds, 1e-3),
            ratio(.p50Microseconds), figure(.p99Microseconds, 1e-3), figure(.p999Microseconds, 1e-3),
            figure(.clientCPUSecondsPerGB), ratio(.clientCPUSecondsPerGB), figure(.serverCPUSecondsPerGB),
            ratio(.serverCPUSecondsPerGB), figure(.roundsPerOperation), isWrite ? figure(.signaturesPerOperation) : "",
            isWrite ? figure(.groupCommitsPerOperation) : "",
        ]
        row(zip(cells, Self.optimisationColumns).map { ($0, $1.width) })
    }

    // MARK: - Formatting

    private func text(_ value: Double?, _ scale: Double = 1) -> String {
        value.map { brief($0 * scale) } ?? "-"
    }

    private func row(_ cells: [(text: String, width: Int)]) {
        let padded = cells.map { text, width in
            text.padding(toLength: max(width, text.count + 1), withPad: " ", startingAt: 0)
        }
        print(padded.joined())
    }
}
