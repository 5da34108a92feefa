// What the system counts: processor time and memory of processes, space of directories.

import CDiskSpace
import Foundation
import Glibc

enum ProcessorTime {
    /// User and system time of a process and all its threads, in seconds, to a clock tick.
    static func seconds(of processID: pid_t) throws -> Double {
        let path = "/proc/\(processID)/stat"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        // The name in parentheses may hold anything; after it come the state and ten numbers, then the two times.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw BenchmarkError.unusable(path: path, reason: "no times in it")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

enum PeakMemory {
    /// The most that a process has had in memory since its start, or since `reset`, in bytes.
    static func bytes(of processID: pid_t) throws -> Int {
        let path = "/proc/\(processID)/status"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        guard let number = line?.split(separator: " ").dropFirst().first, let kibibytes = Int(number) else {
            throw BenchmarkError.unusable(path: path, reason: "no peak in it")
        }
        return kibibytes << 10
    }

    /// From now on the peak is that of what follows.
    static func reset(of processID: pid_t) throws {
        let path = "/proc/\(processID)/clear_refs"
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw BenchmarkError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        guard write(descriptor, "5", 1) == 1 else {
            throw BenchmarkError.unusable(path: path, reason: String(cString: strerror(errno)))
        }
    }
}

enum DiskSpace {
    /// Bytes that the files below a directory take on disk. Space that is reserved for a file but was never written, as
    /// a journal's segment has it, is left out where the file system tells (ext4 and XFS do).
    static func usedBytes(below directory: String) -> Int {
        guard let names = FileManager.default.enumerator(atPath: directory) else { return 0 }
        var total = 0
        for case let name as String in names { total += usedBytes(ofFile: directory + "/" + name) }
        return total
    }

    private static func usedBytes(ofFile path: String) -> Int {
        var information = stat()
        guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return 0 }
        let allocated = Int(information.st_blocks) * 512
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return allocated }
        defer { close(descriptor) }
        let written = disk_space_written_bytes(descriptor)
        return written < 0 ? allocated : min(allocated, Int(written))
    }
}
