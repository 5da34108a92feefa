// Made-up measurements.

import BenchmarkResults
import QuorumProtocol

enum Samples {
    /// PUTs of 64 KiB by 16 clients.
    static func setting(_ mode: VerificationMode, faults: Int = 1) -> Setting {
        Setting(
            mode: mode,
            workload: Workload(
                faults: faults, dataFragmentCount: faults + 1, operation: .put, size: ByteSize(bytes: 64 << 10),
                clientCount: 16))
    }

    static func sample(
        operationCount: Int, seconds: Double = 1, change: (inout Sample) -> Void = { _ in }
    ) -> Sample {
        var sample = Sample()
        sample.operationCount = operationCount
        sample.seconds = seconds
        change(&sample)
        return sample
    }
}
