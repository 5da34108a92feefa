// The core benchmark's results: a table for people, one JSON object a line for scripts.

import BenchmarkResults
import Foundation

/// Prints results as they come, so that a long run shows its progress.
struct CoreReport {
    let json: Bool

    func machine() {
        let levels = CoreLevel.all.map(\.name)
        if json {
            line([
                "kind": "machine", "processor": MachineDescription.processorName, "levels": levels,
                "active_level": CoreLevel.active.name,
            ])
        } else {
            print(
                "\(MachineDescription.processorName); levels \(levels.joined(separator: ", ")); active \(CoreLevel.active.name)"
            )
            print("GB/s = 10^9 bytes a second, medians of interleaved rounds, one thread")
        }
    }

    // MARK: - Kernels

    private static let kernelColumns = [10, 30, 12, 10, 16, 12]

    func beginKernels() {
        guard !json else { return }
        print("\nOne fragment")
        row(["fragment", "kernel", "level", "GB/s", "x OpenSSL SHA", "x memcpy"], Self.kernelColumns)
    }

    func kernels(_ timings: KernelTimings) {
        kernel(timings, timings.memcpy, level: nil)
        kernel(timings, timings.openSSL, level: nil)
        for level in timings.levels { kernel(timings, level.fingerprint, level: level.level) }
        for level in timings.levels { kernel(timings, level.treeHash, level: level.level) }
        for level in timings.levels { key(timings, level) }
    }

    private func kernel(_ timings: KernelTimings, _ timing: Timing, level: CoreLevel?) {
        let toStream = timing.speed(relativeTo: timings.openSSL)
        let toCopy = timing.speed(relativeTo: timings.memcpy)
        if json {
            line([
                "kind": "kernel", "kernel": timing.name, "level": level?.name ?? "",
                "fragment_bytes": timings.fragmentSizeBytes, "gb_per_s": timing.gigabytesPerSecond,
                "ratio_to_openssl_sha256": toStream, "ratio_to_memcpy": toCopy,
            ])
        } else {
            row(
                [
                    size(timings.fragmentSizeBytes), timing.name, level?.name ?? "", number(timing.gigabytesPerSecond),
                    number(toStream), number(toCopy, digits: 3),
                ], Self.kernelColumns)
        }
    }

    /// The key's set-up does not depend on the fragment's size, so it is shown with the smallest only.
    private func key(_ timings: KernelTimings, _ level: KernelTimings.PerLevel) {
        guard timings.fragmentSizeBytes == 4 << 10 else { return }
        if json {
            line(["kind": "key", "level": level.level.name, "microseconds": level.key.seconds * 1e6])
        } else {
            row(["", "key set-up", level.level.name, number(level.key.seconds * 1e6) + " us"], Self.kernelColumns)
        }
    }

    // MARK: - Short fragments

    private static let shortFragmentColumns = [10, 12, 14, 14, 14]

    func beginShortFragments() {
        guard !json else { return }
        print("\nVerifying one short fragment of (2,4) (nanoseconds)")
        row(["fragment", "level", "verify one", "hashing", "fingerprint"], Self.shortFragmentColumns)
    }

    func shortFragment(_ timings: ShortFragmentTimings) {
        let nanoseconds = [timings.verify.seconds, timings.hashing.seconds, timings.fingerprintSeconds].map { $0 * 1e9 }
        if json {
            line([
                "kind": "short_fragment", "level": timings.level.name, "fragment_bytes": timings.verify.bytes,
                "verify_ns": nanoseconds[0], "hashing_ns": nanoseconds[1], "fingerprint_ns": nanoseconds[2],
            ])
        } else {
            row(
                ["\(timings.verify.bytes) B", timings.level.name] + nanoseconds.map { number($0, digits: 0) },
                Self.shortFragmentColumns)
        }
    }

    // MARK: - Stripes

    private static let stripeColumns = [8, 10, 32, 12, 10, 14]

    func beginStripes() {
        guard !json else { return }
        print("\nOne stripe (GB/s of block; hash one and verify one: of fragment)")
        row(["code", "fragment", "operation", "level", "GB/s", "ratio"], Self.stripeColumns)
    }

    func stripe(_ timings: StripeTimings) {
        operation(timings, timings.isal)
        for (level, timing) in timings.encoders {
            operation(timings, timing, level: level, relativeTo: ("ISA-L", timings.isal))
        }
        operation(timings, timings.hashAll)
        operation(timings, timings.encode, level: .active, relativeTo: ("hash n", timings.hashAll))
        operation(timings, timings.hashOne, level: .active)
        operation(timings, timings.verify, level: .active, relativeTo: ("hash one", timings.hashOne))
        operation(timings, timings.verifyAndDecode, level: .active)
        operation(timings, timings.verifyTogetherAndDecode, level: .active)
        operation(timings, timings.reencodeAndCompare, level: .active)
    }

    private func operation(
        _ timings: StripeTimings, _ timing: Timing, level: CoreLevel? = nil,
        relativeTo other: (name: String, timing: Timing)? = nil
    ) {
        let ratio = other.map { timing.speed(relativeTo: $0.timing) }
        if json {
            var object: [String: Any] = [
                "kind": "stripe", "m": timings.code.dataFragmentCount, "n": timings.code.fragmentCount,
                "fragment_bytes": timings.verify.bytes, "operation": timing.name, "level": level?.name ?? "",
                "gb_per_s": timing.gigabytesPerSecond,
            ]
            if let other, let ratio {
                object["ratio"] = ratio
                object["ratio_to"] = other.name
            }
            line(object)
        } else {
            let comparison = if let other, let ratio { "\(number(ratio)) x \(other.name)" } else { "" }
            row(
                [
                    "(\(timings.code.dataFragmentCount),\(timings.code.fragmentCount))", size(timings.verify.bytes),
                    timing.name, level?.name ?? "", number(timing.gigabytesPerSecond),
                    comparison,
                ], Self.stripeColumns)
        }
    }

    // MARK: - Targets

    private static let targetColumns = [78, 10, 10, 10, 24]

    func targets(_ targets: [CoreTarget]) {
        if !json {
            print("\nTargets (the worst case of each; 2 % are granted to noise)")
            row(["figure", "level", "at least", "measured", "verdict"], Self.targetColumns)
        }
        for target in targets {
            if json {
                line([
                    "kind": "target", "figure": target.figure, "level": target.level, "at_least": target.atLeast,
                    "measured": target.measured, "verdict": target.verdict.rawValue,
                ])
            } else {
                row(
                    [
                        target.figure, target.level, number(target.atLeast), number(target.measured),
                        target.verdict.rawValue,
                    ], Self.targetColumns)
            }
        }
    }

    // MARK: - Formatting

    private func size(_ bytes: Int) -> String {
        bytes >= 1 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
    }

    private func number(_ value: Double, digits: Int = 2) -> String {
        String(format: "%.\(digits)f", value)
    }

    private func row(_ cells: [String], _ widths: [Int]) {
        let padded = zip(cells, widths).map { cell, width in
            cell.padding(toLength: max(width, cell.count + 1), withPad: " ", startingAt: 0)
        }
        print(padded.joined())
    }

    private func line(_ object: [String: Any]) {
        guard let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else {
            preconditionFailure("a result is not JSON: \(object)")
        }
        print(String(decoding: data, as: UTF8.self))
    }
}
