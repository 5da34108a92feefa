// What each optimisation is worth: the mode as it is against the mode without one of them, each in turn.

import QuorumProtocol

/// The report's settings and lines.
package enum OptimisationReport {
    /// The mode without nothing, and without each optimisation.
    package static var variants: [Variant] {
        [Variant(mode: .fingerprint)] + Optimisation.allCases.map { Variant(mode: .fingerprint, without: [$0]) }
    }

    package static var workloads: [Workload] {
        BenchmarkOperation.allCases.map {
            Workload(
                faults: 1, dataFragmentCount: 2, operation: $0, size: ByteSize(bytes: 64 << 10), clientCount: 16)
        }
    }

    package static var settings: [Setting] {
        workloads.flatMap { workload in
            variants.filter { isMeasured(workload, $0) }.map {
                Setting(mode: $0.mode, without: $0.without, workload: workload)
            }
        }
    }

    /// A server's pause tells of hedging only.
    private static func isMeasured(_ workload: Workload, _ variant: Variant) -> Bool {
        workload.operation != .getDuringPause || variant.without.isSubset(of: [.hedging])
    }
}
