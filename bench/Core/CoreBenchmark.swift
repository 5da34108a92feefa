// What coding, hashing, fingerprinting and verifying cost on one core, kernel by kernel and operation by operation.

import ArgumentParser
import ErasureCode

/// `solidus-bench core`.
struct CoreBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "core",
        abstract: "Times the C core on one core: every kernel at every level, every operation on a stripe.",
        discussion: """
            Everything that is compared is measured in the same interleaved rounds; medians over the rounds are \
            printed, and ratios are medians of the rounds' ratios. Memory is warm: what fits a cache is there. Bind it \
            to a quiet core (taskset -c 1) and set SOLIDUS_CPU_LEVEL to see the operations at a lower level.
            """)

    @Option(help: "Interleaved rounds.")
    var rounds = 15

    @Option(help: "About how many milliseconds a sample takes.")
    var sampleMilliseconds = 5.0

    @Flag(help: "Print one JSON object a line.")
    var json = false

    private static let codes = [(m: 2, n: 4), (m: 3, n: 7), (m: 4, n: 8), (m: 8, n: 10), (m: 7, n: 19)]
    private static let fragmentSizes = [4 << 10, 32 << 10, 512 << 10, 4 << 20]
    private static let shortFragmentSizes = [16, 32, 64, 128, 256]

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("there must be at least one round") }
        guard sampleMilliseconds > 0, sampleMilliseconds <= 60_000 else {
            throw ValidationError("--sample-milliseconds are more than 0, at most 60000")
        }
    }

    func run() throws {
        let report = CoreReport(json: json)
        report.machine()
        report.beginKernels()
        let kernels = Self.fragmentSizes.map { size in
            let timings = KernelTimings(
                fragmentSizeBytes: size, rounds: rounds, sampleSeconds: sampleMilliseconds / 1000)
            report.kernels(timings)
            return timings
        }
        report.beginShortFragments()
        for size in Self.shortFragmentSizes {
            let timings = ShortFragmentTimings.atAllLevels(
                code: try ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4), fragmentSizeBytes: size,
                rounds: rounds, sampleSeconds: sampleMilliseconds / 1000)
            for level in timings { report.shortFragment(level) }
        }
        report.beginStripes()
        var stripes: [StripeTimings] = []
        for (m, n) in Self.codes {
            let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
            for size in Self.fragmentSizes {
                let timings = StripeTimings(
                    code: code, blockSizeBytes: m * size, rounds: rounds, sampleSeconds: sampleMilliseconds / 1000)
                report.stripe(timings)
                stripes.append(timings)
            }
        }
        report.targets(CoreTarget.all(kernels: kernels, stripes: stripes))
    }
}
