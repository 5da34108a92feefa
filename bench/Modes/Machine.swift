// What this machine is.

import BenchmarkResults
import Foundation
import Glibc

extension MachineDescription {
    static var current: MachineDescription {
        var system = utsname()
        uname(&system)
        let kernel = withUnsafeBytes(of: system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return MachineDescription(
            processor: processorName, processorCount: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: ProcessInfo.processInfo.physicalMemory, kernel: kernel, level: CoreLevel.active.name)
    }

    /// For people.
    var text: String {
        "\(processor), \(processorCount) processors, \(memoryBytes >> 30) GiB, Linux \(kernel), level \(level)"
    }

    static var processorName: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        return model?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    }
}
