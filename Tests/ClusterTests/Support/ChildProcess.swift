// Processes that the tests start, signal and wait for, and that never outlive the test process.

import Glibc
import Synchronization

/// Why a process could not be started or did not end.
enum ProcessError: Error, CustomStringConvertible {
    case cannotSpawn(String, errno: Int32)
    case stillRunning(String, seconds: Double)
    case endedEarly(String, ProcessEnd, output: String)
    case executableMissing(String)

    var description: String {
        switch self {
        case .cannotSpawn(let name, let code): "\(name) cannot be started: \(String(cString: strerror(code)))"
        case .stillRunning(let name, let seconds): "\(name) still runs after \(seconds) s"
        case .endedEarly(let name, let end, let output): "\(name) ended with \(end): \(output)"
        case .executableMissing(let path): "\(path) is not there; build the whole package before its tests"
        }
    }
}

/// How a process ended.
enum ProcessEnd: Equatable, Sendable {
    case exit(Int32)
    case signal(Int32)

    init(waitStatus: Int32) {
        self = waitStatus & 0x7f == 0 ? .exit(waitStatus >> 8 & 0xff) : .signal(waitStatus & 0x7f)
    }
}

/// One process. A signal never reaches another one that got its number later, since the number is held until `wait`
/// has seen the end.
final class ChildProcess: Sendable {
    let name: String
    let id: pid_t
    private let outputPath: String
    private let end = Mutex<ProcessEnd?>(nil)

    /// Starts a program with both its outputs in one file.
    init(
        _ executable: String, _ arguments: [String], outputPath: String, group: pid_t? = nil
    ) throws(ProcessError) {
        name = ([executable.split(separator: "/").last.map(String.init) ?? executable] + arguments)
            .joined(separator: " ")
        self.outputPath = outputPath
        id = try spawn(executable, arguments, inputDescriptor: nil, outputPath: outputPath, group: group)
    }

    /// What it has printed so far.
    var output: String { (try? File.read(outputPath)).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    /// How it ended; nil while it runs.
    var currentEnd: ProcessEnd? {
        end.withLock { end in
            if end == nil { end = Self.reap(id) }
            return end
        }
    }

    func signal(_ number: Int32) {
        end.withLock { end in
            if end == nil { end = Self.reap(id) }
            if end == nil { kill(id, number) }
        }
    }

    /// Kills it at once, whatever it does, and returns when it is gone.
    func destroy() {
        end.withLock { end in
            guard end == nil else { return }
            kill(id, SIGKILL)
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0 && errno == EINTR {}
            end = ProcessEnd(waitStatus: status)
        }
    }

    func wait(seconds: Double) async throws -> ProcessEnd {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            if let end = currentEnd { return end }
            guard ContinuousClock.now < deadline else { throw ProcessError.stillRunning(name, seconds: seconds) }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func reap(_ id: pid_t) -> ProcessEnd? {
        var status: Int32 = 0
        return waitpid(id, &status, WNOHANG) == id ? ProcessEnd(waitStatus: status) : nil
    }
}

/// Kills every process of its group when the test process is gone, however that came about: it waits for the end of a
/// pipe whose other end only the test process holds.
enum Watchdog {
    /// The group that servers are to join.
    static let group: Result<pid_t, ProcessError> = {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0, fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0 else {
            return .failure(.cannotSpawn("pipe", errno: errno))
        }
        defer { close(ends[0]) }
        return Result { () throws(ProcessError) in
            try spawn(
                "/bin/sh", ["-c", "trap '' HUP INT TERM; read line; kill -9 0"], inputDescriptor: ends[0],
                outputPath: "/dev/null", group: 0)
        }
    }()
}

private func spawn(
    _ executable: String, _ arguments: [String], inputDescriptor: Int32?, outputPath: String, group: pid_t?
) throws(ProcessError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let inputDescriptor {
        posix_spawn_file_actions_adddup2(&actions, inputDescriptor, 0)
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // A child must not hold the test's sockets: their ports would stay taken.
    for name in (try? File.names("/proc/self/fd")) ?? [] {
        if let descriptor = Int32(name), descriptor > 2 { posix_spawn_file_actions_addclose(&actions, descriptor) }
    }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    if let group {
        flags |= POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setpgroup(&attributes, group)
    }
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var pointers = ([executable] + arguments).map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    var id: pid_t = 0
    let code = posix_spawn(&id, executable, &actions, &attributes, pointers, environ)
    guard code == 0 else { throw .cannotSpawn(executable, errno: code) }
    return id
}
