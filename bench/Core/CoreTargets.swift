// What the core promises of its speed, as ratios inside one run, and whether this run kept it.

import BenchmarkResults
import ErasureCode

/// One promise and what was measured for it.
struct CoreTarget {
    enum Verdict: String {
        case met
        case missed
        /// The promise is made for instructions that this machine lacks.
        case otherMachine = "not for this machine"
    }

    let figure: String
    /// The level whose speed is promised.
    let level: String
    let atLeast: Double
    let measured: Double

    /// Whether this machine is one that the promise is made for.
    let isPromised: Bool

    /// Two runs of the very same work differ by up to this much.
    private static let noise = 0.02

    var verdict: Verdict {
        measured >= atLeast * (1 - Self.noise) ? .met : isPromised ? .missed : .otherMachine
    }

    /// All promises, as kept by the level that production code uses in this run.
    static func all(kernels: [KernelTimings], stripes: [StripeTimings]) -> [CoreTarget] {
        let twoOfFour = try? ReedSolomonCode(dataFragmentCount: 2, fragmentCount: 4)
        let fourOfEight = try? ReedSolomonCode(dataFragmentCount: 4, fragmentCount: 8)
        let isWidest = CoreLevel.active.name == "avx512"
        let large = kernels.filter { $0.fragmentSizeBytes >= 32 << 10 }
        let medium = kernels.filter { $0.fragmentSizeBytes == 512 << 10 }
        let position = CoreLevel.active.index

        func target(_ figure: String, _ atLeast: Double, promised: Bool = true, _ ratios: [Double]) -> CoreTarget {
            CoreTarget(
                figure: figure, level: CoreLevel.active.name, atLeast: atLeast, measured: ratios.min() ?? .nan,
                isPromised: promised)
        }
        func encodeRatios(_ chosen: [StripeTimings]) -> [Double] {
            chosen.map { $0.encoders[position].timing.speed(relativeTo: $0.isal) }
        }
        return [
            target(
                "fingerprint / one-stream SHA-256, 32 KiB and up", 15, promised: isWidest,
                large.map { $0.levels[position].fingerprint.speed(relativeTo: $0.openSSL) }),
            target(
                "fingerprint / memcpy, 512 KiB", 0.35, promised: isWidest,
                medium.map { $0.levels[position].fingerprint.speed(relativeTo: $0.memcpy) }),
            target(
                "tree hash / one-stream SHA-256, 32 KiB and up", isWidest ? 2.5 : 1.8,
                large.map { $0.levels[position].treeHash.speed(relativeTo: $0.openSSL) }),
            target(
                "encode / ISA-L encode, every code, median of its sizes", 1.0,
                Dictionary(grouping: stripes, by: \.code).values.map { median(encodeRatios($0)) }),
            target(
                "encode / ISA-L encode, (4,8), 32 KiB fragments", 1.5, promised: isWidest,
                encodeRatios(
                    stripes.filter { $0.code == fourOfEight && $0.blockSizeBytes == 4 * (32 << 10) })),
            target(
                "encode + hash + fingerprint / hash n fragments, (2,4), 64 KiB and 1 MiB", 0.85, promised: isWidest,
                stripes.filter { $0.code == twoOfFour && [64 << 10, 1 << 20].contains($0.blockSizeBytes) }
                    .map { $0.encode.speed(relativeTo: $0.hashAll) }),
            target(
                "verify one fragment / tree hash alone, 32 KiB and up", 0.90, promised: isWidest,
                stripes.filter { $0.verify.bytes >= 32 << 10 }.map { $0.verify.speed(relativeTo: $0.hashOne) }),
        ]
    }
}
