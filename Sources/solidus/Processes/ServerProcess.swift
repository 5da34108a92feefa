// One server's process as a child of this one.

import CProcessControl
import Foundation
import Glibc

/// How a process ended.
enum ProcessEnd: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    /// From the status word of waitpid.
    init(waitStatus: Int32) {
        self = waitStatus & 0x7f == 0 ? .exited((waitStatus >> 8) & 0xff) : .killed(signal: waitStatus & 0x7f)
    }

    var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .killed(let signal): "killed by signal \(signal)"
        }
    }
}

/// Which program a server's process runs.
enum ServerProgram: Equatable {
    /// This one.
    case correct
    /// The liar that is built beside it for tests, with a policy's name.
    case faulty(kind: String, seed: UInt64)

    private static let faultyName = "solidus-faulty-server"

    /// The file to execute and its arguments, the program's name first.
    func command(index: Int, home: String) throws(Failure) -> (path: String, arguments: [String]) {
        let own = ServerProcess.executable
        switch self {
        case .correct:
            return (own, ["solidus", "serve", "--home", home, "--ready-pipe"])
        case .faulty(let kind, let seed):
            let path = (own as NSString).deletingLastPathComponent + "/" + Self.faultyName
            guard access(path, X_OK) == 0 else {
                throw Failure(.inputOutput, "\(path) is not there; 'swift build --product \(Self.faultyName)' makes it")
            }
            let arguments = [Self.faultyName, "--home", home, "--fault", kind, "--seed", "\(seed)", "--ready-pipe"]
            return (path, arguments)
        }
    }
}

/// A server that this process started.
struct ServerProcess {
    let index: Int
    let processID: pid_t
    /// Nil when the process ended before it could be looked at.
    let stamp: ProcessStamp?
    let logPath: String
    /// Where in the log this start's lines begin.
    private let logStart: UInt64
    /// The pipe on which the server says that it is ready; nil once it is closed.
    private(set) var readyPipe: Int32?
    private(set) var isReady = false
    private(set) var end: ProcessEnd?

    /// Starts the server whose home is `home`, with its output appended to `home`/server.log.
    init(
        index: Int, home: String, program: ServerProgram = .correct, diesWithCaller: Bool
    ) throws(Failure) {
        let command = try program.command(index: index, home: home)
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
        let vector = command.arguments.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        let child = process_control_spawn(command.path, vector, log, ends[1], diesWithCaller)
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

    /// This program. Its file may have been replaced since it was started; the link in /proc leads to it still.
    fileprivate static var executable: String {
        let link = "/proc/self/exe"
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: link), access(path, X_OK) == 0
        else { return link }
        return path
    }

    /// Reads what came through the ready pipe; call it when there is something to read.
    mutating func readPipe() {
        guard let pipe = readyPipe else { return }
        var byte: UInt8 = 0
        let count = Glibc.read(pipe, &byte, 1)
        if count < 0 && errno == EINTR { return }
        isReady = count == 1
        close(pipe)
        readyPipe = nil
    }

    /// Notes whether the process has ended.
    mutating func collect() {
        guard end == nil else { return }
        var status: Int32 = 0
        if waitpid(processID, &status, WNOHANG) == processID { end = ProcessEnd(waitStatus: status) }
    }

    /// The last lines that this start wrote into the log.
    var lastLogLines: [Substring] {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return [] }
        defer { try? file.close() }
        let readMax: UInt64 = 4096
        guard let size = try? file.seekToEnd(), size > logStart,
            (try? file.seek(toOffset: max(logStart, size > readMax ? size - readMax : 0))) != nil,
            let data = try? file.read(upToCount: Int(readMax))
        else { return [] }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(5)
    }
}
