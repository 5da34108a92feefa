// A process named so that no later process with the same number is taken for it.

import CommandOutcome
import DurableFiles
import Foundation
import Glibc
import QuorumTransport

/// A process id with the process's start time and the machine's boot, as in a pid file: "PID START BOOT".
package struct ProcessStamp: Equatable, Sendable {
    package let processID: pid_t
    /// Clock ticks from the boot to the process's start.
    let startTicks: UInt64
    let bootID: String

    /// The stamp of a process that runs now; nil when there is none, or when it has ended and waits to be collected. As
    /// long as one of its threads is still ending, it runs: until then the system has not let go of its files and
    /// locks.
    package init?(of processID: pid_t) {
        guard let text = try? String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8),
            let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8),
            // The second field, the program's name, may itself contain blanks and parentheses.
            let nameEnd = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]) else { return nil }
        if ["Z", "X"].contains(fields[0]) {
            let threads = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/task")
            guard let threads, threads.count > 1 else { return nil }
        }
        self.processID = processID
        startTicks = start
        bootID = boot.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Fails when the system's list of processes is not there: no process could be told from one that has ended.
    package static func checkProcesses() throws(Failure) {
        guard ProcessStamp(of: getpid()) != nil else {
            throw Failure(.inputOutput, "/proc is not there, without which no process can be found; mount it")
        }
    }

    /// The stamp written in a pid file; nil when there is no such file or it holds something else.
    package init?(readingFrom path: String) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 3, let processID = pid_t(fields[0]), processID > 1, let start = UInt64(fields[1]) else {
            return nil
        }
        self.processID = processID
        startTicks = start
        bootID = String(fields[2])
    }

    /// Whether this very process still runs.
    package var isRunning: Bool { ProcessStamp(of: processID) == self }

    /// Whether it runs the program in this file, as it is there now: not one that the file has had before.
    package func runs(_ program: String) -> Bool {
        var (own, other) = (stat(), stat())
        return stat("/proc/\(processID)/exe", &own) == 0 && stat(program, &other) == 0 && own.st_dev == other.st_dev
            && own.st_ino == other.st_ino
    }

    /// Writes the pid file at `path`.
    package func write(to path: String) throws(Failure) {
        do throws(FileError) {
            try DurableFile.replace(path, Array("\(processID) \(startTicks) \(bootID)\n".utf8), mode: 0o600)
        } catch {
            throw Failure(.inputOutput, "\(path): cannot be written: \(systemText(error.code))")
        }
    }

    /// Sends a signal if this very process still runs.
    package func signal(_ number: Int32) {
        if isRunning { kill(processID, number) }
    }

    /// Asks the process to end. One that was stopped (SIGSTOP) could not hear it, so it is continued.
    package func askToEnd() {
        signal(SIGTERM)
        signal(SIGCONT)
    }
}
