// One server's process as a child of this one.

import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import QuorumTransport

/// How a process ended.
package enum ProcessEnd: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    /// From the status word of waitpid.
    package init(waitStatus: Int32) {
        self = waitStatus & 0x7f == 0 ? .exited((waitStatus >> 8) & 0xff) : .killed(signal: waitStatus & 0x7f)
    }

    package var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .killed(let signal): "killed by signal \(signal)"
        }
    }
}

/// A program that can run a server's home, and what it is told beside the home.
package struct ServerProgram: Equatable, Sendable {
    /// The file to execute.
    let path: String
    /// The program's name first.
    let arguments: [String]

    package init(path: String, arguments: [String]) {
        self.path = path
        self.arguments = arguments
    }

    /// The server that people run.
    ///
    /// - Parameter solidus: the path of the program `solidus`.
    package static func correct(_ solidus: String) -> ServerProgram {
        ServerProgram(path: solidus, arguments: ["solidus", "serve"])
    }
}

/// A server that this process started.
package struct ServerProcess {
    package let index: Int
    package let processID: pid_t
    /// Nil when the process ended before it could be looked at.
    package let stamp: ProcessStamp?
    package let logPath: String
    /// Where in the log this start's lines begin.
    private let logStart: UInt64
    /// The pipe on which the server says that it is ready; nil once it is closed.
    package private(set) var readyPipe: Int32?
    package private(set) var isReady = false
    /// What it said through the pipe instead of being ready.
    private var reason = ""
    package private(set) var end: ProcessEnd?

    /// Starts the server whose home is `home`, with its output appended to `home`/server.log, which it rotates.
    package init(index: Int, home: String, program: ServerProgram, diesWithCaller: Bool) throws(Failure) {
        self.index = index
        logPath = home + "/server.log"
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard log >= 0 else { throw Failure(.inputOutput, "\(logPath): \(systemText(errno))") }
        defer { close(log) }
        logStart = UInt64(max(0, lseek(log, 0, SEEK_END)))
        var ends: [Int32] = [0, 0]
        guard process_control_pipe(&ends) == 0 else {
            throw Failure(.inputOutput, "no pipe can be made: \(systemText(errno))")
        }
        let arguments = program.arguments + ["--home", home, "--log", logPath, "--ready-pipe"]
        let vector = arguments.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        let child = process_control_spawn(program.path, vector, log, ends[1], diesWithCaller)
        let code = errno
        close(ends[1])
        guard child > 0 else {
            close(ends[0])
            throw Failure(.inputOutput, "server \(index) cannot be started: \(systemText(code))")
        }
        processID = child
        stamp = ProcessStamp(of: child)
        readyPipe = ends[0]
    }

    /// Reads what came through the ready pipe; call it when there is something to read.
    package mutating func readPipe() {
        guard let pipe = readyPipe else { return }
        var bytes = [UInt8](repeating: 0, count: ReadyPipe.messageSizeBytesMax)
        let count = Glibc.read(pipe, &bytes, bytes.count)
        if count < 0 && errno == EINTR { return }
        switch ReadyPipe.message(bytes.prefix(max(0, count))) {
        case .ready: isReady = true
        case .failed(let text): reason = text
        case nil: break
        }
        close(pipe)
        readyPipe = nil
    }

    /// Notes whether the process has ended.
    package mutating func collect() {
        guard end == nil else { return }
        var status: Int32 = 0
        guard waitpid(processID, &status, WNOHANG) == processID else { return }
        end = ProcessEnd(waitStatus: status)
        // Its last word may lie there still.
        readPipe()
    }

    /// The last lines of this start: those of the log, or what it said otherwise if the log took none, as on a full
    /// disk.
    package var lastLines: [Substring] {
        let lines = lastLogLines
        return lines.isEmpty ? reason.split(separator: "\n") : lines
    }

    /// The last lines that this start wrote into the log.
    private var lastLogLines: [Substring] {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return [] }
        defer { try? file.close() }
        let readMax: UInt64 = 4096
        // A file that is shorter than it was has been rotated: all of it is of this start.
        guard let size = try? file.seekToEnd(), size != logStart,
            case let start = size < logStart ? 0 : logStart,
            (try? file.seek(toOffset: max(start, size > readMax ? size - readMax : 0))) != nil,
            let data = try? file.read(upToCount: Int(readMax))
        else { return [] }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(5)
    }
}
