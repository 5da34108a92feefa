// What the modes promise of their cost, as figures of one run, and whether this run kept it.

import QuorumProtocol

/// One promise and what was measured for it.
package struct ModeTarget: Sendable {
    package enum Bound: Sendable {
        case atLeast(Double)
        case atMost(Double)
    }

    package enum Verdict: String, Sendable {
        case met
        case missed
        /// This run did not measure it.
        case notMeasured = "not measured"
    }

    package let figure: String
    package let bound: Bound
    package let measured: Double?

    package var verdict: Verdict {
        guard let measured else { return .notMeasured }
        return switch bound {
        case .atLeast(let limit): measured >= limit ? .met : .missed
        case .atMost(let limit): measured <= limit ? .met : .missed
        }
    }

    package var boundText: String {
        switch bound {
        case .atLeast(let limit): ">= \(fixed(limit, digits: 2))"
        case .atMost(let limit): "<= \(fixed(limit, digits: 2))"
        }
    }

    /// What is to be run for the targets, with f = 1.
    ///
    /// - Parameter without: what the run leaves out.
    package static func settings(without: Set<Optimisation>) -> [Setting] {
        let compared =
            [small, large].flatMap { size in BenchmarkOperation.basic.map { workload($0, size, clientCount: 16) } }
            + [workload(.put, small, clientCount: 64), journalWorkload]
        return [VerificationMode.none, .fingerprint, .lazy].flatMap { mode in
            compared.map { Setting(mode: mode, without: without, workload: $0) }
        } + [
            Setting(mode: .fingerprint, without: without, workload: workload(.overwrite, small, clientCount: 16)),
            partialSetting(without: without),
        ]
    }

    private static func partialSetting(without: Set<Optimisation>) -> Setting {
        Setting(
            mode: .fingerprint, without: without.subtracting([.partialWrites]),
            workload: workload(.put, large, clientCount: 16))
    }

    /// Where the journal is to be what limits PUTs, not the processor's work on their bytes.
    package static var journalWorkload: Workload { workload(.put, ByteSize(bytes: 4 << 10), clientCount: 64) }

    private static var small: ByteSize { ByteSize(bytes: 64 << 10) }
    private static var large: ByteSize { ByteSize(bytes: 1 << 20) }

    private static func workload(_ operation: BenchmarkOperation, _ size: ByteSize, clientCount: Int) -> Workload {
        Workload(faults: 1, dataFragmentCount: 2, operation: operation, size: size, clientCount: clientCount)
    }

    /// All promises, beside what the run has measured for them.
    ///
    /// A link with a rate has promises of its own: what the network limits, verification must not.
    package static func all(_ book: SampleBook, under conditions: Conditions = Conditions()) -> [ModeTarget] {
        func setting(
            _ mode: VerificationMode, _ operation: BenchmarkOperation, _ size: ByteSize, clientCount: Int = 16
        ) -> Setting {
            Setting(
                mode: mode, without: conditions.without,
                workload: workload(operation, size, clientCount: clientCount))
        }
        func speed(
            _ operation: BenchmarkOperation, _ size: ByteSize, atLeast limit: Double, over link: String = ""
        ) -> ModeTarget {
            ModeTarget(
                figure: "\(operation.rawValue) throughput, fingerprint / none, \(size)\(link)", bound: .atLeast(limit),
                measured: book.ratio(.operationsPerSecond, of: setting(.fingerprint, operation, size)))
        }
        func count(
            _ text: String, _ figure: Figure, _ operation: BenchmarkOperation, _ size: ByteSize, atMost limit: Double
        ) -> ModeTarget {
            ModeTarget(
                figure: "\(text), fingerprint, \(size)", bound: .atMost(limit),
                measured: book.median(figure, of: setting(.fingerprint, operation, size)))
        }
        return [
            speed(.get, small, atLeast: 0.90),
            speed(.get, large, atLeast: 0.90),
            speed(.put, small, atLeast: 0.80),
            speed(.put, large, atLeast: 0.70),
        ]
            + (conditions.link.map { link in
                [small, large].map { speed(.put, $0, atLeast: 0.95, over: ", links of \(link.rawValue)") }
            } ?? []) + [
                ModeTarget(
                    figure: "put latency, lazy / none, \(small)", bound: .atMost(1.15),
                    measured: book.ratio(.p50Microseconds, of: setting(.lazy, .put, small))),
                count("put rounds", .roundsPerOperation, .put, small, atMost: 3),
                count("overwrite rounds", .roundsPerOperation, .overwrite, small, atMost: 2),
                count("get rounds", .roundsPerOperation, .get, small, atMost: 1),
                ModeTarget(
                    figure: "signatures per put, all servers, fingerprint, \(small), 64 clients", bound: .atMost(1),
                    measured: book.median(
                        .signaturesPerOperation, of: setting(.fingerprint, .put, small, clientCount: 64))),
                journal(
                    book,
                    book.median(
                        .operationsPerSecond,
                        of: Setting(
                            mode: .fingerprint, without: conditions.without, workload: journalWorkload))),
                // n / m, or (m + f) / m, and 1 of the value's own bytes; 2 % are for everything else.
                ModeTarget(
                    figure: "bytes sent per byte put, fingerprint, \(large)", bound: .atMost(2 * 1.02),
                    measured: conditions.without.contains(.partialWrites)
                        ? book.median(.sentBytesPerByte, of: setting(.fingerprint, .put, large)) : nil),
                ModeTarget(
                    figure: "the same, written partially", bound: .atMost(1.5 * 1.02),
                    measured: book.median(.sentBytesPerByte, of: partialSetting(without: conditions.without))),
                count("bytes received per byte got", .receivedBytesPerByte, .get, large, atMost: 1.02),
            ]
    }

    /// The servers share a disk and processors, so each can count on one n-th of what its store takes alone.
    private static func journal(_ book: SampleBook, _ operationsPerSecond: Double?) -> ModeTarget {
        var measured: Double?
        if let operationsPerSecond, let appends = book.journalAppendsPerSecond {
            measured = operationsPerSecond / (appends / Double(journalWorkload.serverCount))
        }
        return ModeTarget(
            figure: "put throughput, fingerprint, 4KiB, 64 clients / (journal appends / n)", bound: .atLeast(1.0 / 3),
            measured: measured)
    }
}
