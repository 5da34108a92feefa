// A program that works for the benchmark, in a process of its own, and says when it is ready.

import CProcessControl
import Foundation
import Glibc
import Synchronization

/// A running program. The kernel ends it with the thread that started it.
final class ChildProgram: Sendable {
    private static let patienceMilliseconds = 60_000

    /// For error texts.
    let name: String
    let processID: pid_t
    private let log: String
    private let readyPipe: Int32
    private let isEnded = Atomic(false)

    /// Starts the process; `waitUntilReady` must follow.
    ///
    /// - Parameters:
    ///   - words: the arguments, the program's name first. One of them has it say by descriptor 3 that it is ready.
    ///   - log: the file to which its output and its errors are appended.
    init(_ name: String, path: String, words: [String], log: String) throws {
        self.name = name
        self.log = log
        let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw BenchmarkError.cannotStart(path: path, reason: "\(log) cannot be written") }
        defer { close(descriptor) }
        var ends: [Int32] = [0, 0]
        guard process_control_pipe(&ends) == 0 else {
            throw BenchmarkError.cannotStart(path: path, reason: "no pipe can be made")
        }
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        processID = process_control_spawn(path, arguments, descriptor, ends[1], true)
        let code = errno
        close(ends[1])
        readyPipe = ends[0]
        guard processID > 0 else {
            close(ends[0])
            throw BenchmarkError.cannotStart(path: path, reason: String(cString: strerror(code)))
        }
    }

    /// Returns when the program has said so. Call it once.
    func waitUntilReady() throws {
        defer { close(readyPipe) }
        var polled = pollfd(fd: readyPipe, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        guard poll(&polled, 1, Int32(Self.patienceMilliseconds)) == 1, read(readyPipe, &byte, 1) == 1 else {
            throw BenchmarkError.notReady(name, log: log)
        }
    }

    /// Ends the process, unless that was done.
    func kill() {
        guard begin(SIGKILL) else { return }
        var status: Int32 = 0
        while waitpid(processID, &status, 0) < 0, errno == EINTR {}
    }

    /// Has the process end by itself, and returns when it has.
    ///
    /// - Throws: `notEnded` when it has to be killed, and `ended` when it said that something was wrong.
    func terminate() throws {
        guard begin(SIGTERM) else { return }
        let deadline = ContinuousClock.now + .milliseconds(Self.patienceMilliseconds)
        var status: Int32 = 0
        while waitpid(processID, &status, WNOHANG) != processID {
            guard ContinuousClock.now < deadline else {
                Glibc.kill(processID, SIGKILL)
                waitpid(processID, &status, 0)
                throw BenchmarkError.notEnded(name, log: log)
            }
            usleep(1000)
        }
        guard status == 0 else { throw BenchmarkError.ended(name, status: status, log: log) }
    }

    /// Sends the signal that is to be the process's end; false when one was sent before, since the number may be
    /// another process's by now.
    private func begin(_ signal: Int32) -> Bool {
        guard !isEnded.exchange(true, ordering: .acquiringAndReleasing) else { return false }
        Glibc.kill(processID, signal)
        return true
    }
}
