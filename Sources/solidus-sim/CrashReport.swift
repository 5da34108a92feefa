// A broken invariant of the core traps the process; the seeds that were running must not be lost with it.

import Foundation

/// Names, when the process traps, the seeds that were running.
enum CrashReport {
    /// Each worker's seed, in memory that is never freed, so that a signal handler can read it. One worker writes each.
    nonisolated(unsafe) private static let running: UnsafeMutablePointer<UInt64> = {
        let seeds = UnsafeMutablePointer<UInt64>.allocate(capacity: workerCountMax)
        seeds.initialize(repeating: .max, count: workerCountMax)
        return seeds
    }()
    private static let workerCountMax = 256

    /// A worker begins with a seed.
    static func note(_ seed: UInt64, of worker: Int) {
        if worker < workerCountMax { running[worker] = seed }
    }

    static func install() {
        _ = running
        for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS] {
            signal(number) { number in
                for worker in 0..<CrashReport.workerCountMax where CrashReport.running[worker] != .max {
                    CrashReport.write("solidus-sim: trapped; a worker was running seed ", CrashReport.running[worker])
                }
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }

    /// Writes without allocating anything.
    private static func write(_ text: StaticString, _ number: UInt64) {
        _ = Glibc.write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { buffer in
            var rest = number
            var start = buffer.count - 1
            buffer[start] = UInt8(ascii: "\n")
            repeat {
                start -= 1
                buffer[start] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            _ = Glibc.write(STDERR_FILENO, buffer.baseAddress! + start, buffer.count - start)
        }
    }
}
