// Starting servers together, watching them, stopping them together. Everything happens on the calling thread, which the
// servers of a foreground cluster do not outlive.

import CProcessControl
import CommandOutcome
import Glibc
import QuorumTransport

/// Servers that this process started, and the signals it received.
package struct Supervisor {
    /// How long a server may take to stop before it is killed.
    package static let stopMilliseconds = 10_000

    private let run: RunDirectory
    private let signals: Int32
    private var servers: [ServerProcess] = []

    /// - Parameter watchesSignals: false where somebody else does: then no signal stops servers.
    package init(run: RunDirectory, watchesSignals: Bool = true) throws(Failure) {
        self.run = run
        signals = watchesSignals ? process_control_watch_signals(true) : -1
        guard signals >= 0 || !watchesSignals else {
            throw Failure(.inputOutput, "no pipe can be made: \(systemText(errno))")
        }
    }

    /// Starts servers, each whatever becomes of the others, and returns when each is ready or has failed. Those that
    /// are not ready in time are stopped; those that are go on.
    ///
    /// - Returns: the servers that are ready, and why the others are not.
    /// - Throws: when a signal asks to stop; then every server is stopped.
    package mutating func start(
        _ homes: [(index: Int, path: String)], diesWithCaller: Bool, waitMilliseconds: Int
    ) throws(Failure) -> (ready: [Int], failures: [(server: Int, failure: Failure)]) {
        var failures: [(server: Int, failure: Failure)] = []
        for home in homes {
            do throws(Failure) {
                let server = try ServerProcess(
                    index: home.index, home: home.path, program: .correct(ProgramFile.own),
                    diesWithCaller: diesWithCaller)
                servers.append(server)
                run.note(server.stamp, in: run.serverFile(home.index))
            } catch {
                failures.append((home.index, Failure(error.status, "server \(home.index): \(error.message)")))
            }
        }
        let deadline = ContinuousClock.now + .milliseconds(waitMilliseconds)
        while servers.contains(where: { !$0.isReady && $0.end == nil }), ContinuousClock.now < deadline {
            if wait(milliseconds: 100) {
                stop()
                throw Failure(.unexpected, "interrupted; every server was stopped")
            }
        }
        for server in servers where !server.isReady {
            if let end = server.end {
                failures.append((server.index, Self.failure(of: server, end)))
            } else {
                failures.append(
                    (
                        server.index,
                        Failure(
                            .unavailable,
                            "server \(server.index) was not ready within the time limit and was stopped; "
                                + "see \(server.logPath)")
                    ))
            }
        }
        let failed = Set(failures.map(\.server))
        stop(only: failed)
        servers.removeAll { failed.contains($0.index) }
        return (servers.map(\.index), failures.sorted { $0.server < $1.server })
    }

    private static func failure(of server: ServerProcess, _ end: ProcessEnd) -> Failure {
        let status: ExitStatus =
            if case .exited(let code) = end { ExitStatus(rawValue: code) ?? .unexpected } else { .unexpected }
        let lines = server.lastLines.map { "  \($0)" }
        let heading = "server \(server.index) did not start (\(end)); the end of \(server.logPath):"
        return Failure(status == .success ? .unexpected : status, ([heading] + lines).joined(separator: "\n"))
    }

    /// Watches until a signal says to stop or no server is left; reports each one that ends.
    ///
    /// - Returns: whether a server was still running.
    package mutating func watch() -> Bool {
        var reported: Set<Int> = []
        while true {
            let isInterrupted = wait(milliseconds: 1000)
            for server in servers where !reported.contains(server.index) {
                guard let end = server.end else { continue }
                reported.insert(server.index)
                if let stamp = server.stamp { run.remove(run.serverFile(server.index), of: stamp) }
                let left = servers.count - reported.count
                Standard.complain(
                    "warning: server \(server.index) ended (\(end)); \(serverCount(left)) left, see \(server.logPath)")
            }
            if reported.count == servers.count { return false }
            if isInterrupted { return true }
        }
    }

    /// Stops every server, by force when it takes too long or a second signal comes, and removes the pid files.
    package mutating func stop() { stop(only: Set(servers.map(\.index))) }

    private mutating func stop(only chosen: Set<Int>) {
        func isLeft(_ server: ServerProcess) -> Bool { server.end == nil && chosen.contains(server.index) }
        // A child is not collected before it is waited for, so its number cannot have gone to another process.
        for server in servers where isLeft(server) {
            kill(server.processID, SIGTERM)
            kill(server.processID, SIGCONT)
        }
        let deadline = ContinuousClock.now + .milliseconds(Self.stopMilliseconds)
        while servers.contains(where: isLeft) {
            guard wait(milliseconds: 100) || ContinuousClock.now >= deadline else { continue }
            for server in servers where isLeft(server) { kill(server.processID, SIGKILL) }
        }
        for server in servers where chosen.contains(server.index) {
            if let stamp = server.stamp { run.remove(run.serverFile(server.index), of: stamp) }
        }
    }

    /// Waits for a signal, a message of a server or the end of one, and takes note of it.
    ///
    /// - Returns: whether a signal asked to stop.
    private mutating func wait(milliseconds: Int32) -> Bool {
        var polled = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
        polled += servers.compactMap(\.readyPipe).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        _ = poll(&polled, nfds_t(polled.count), milliseconds)
        let readable = Set(polled.filter { $0.revents != 0 }.map(\.fd))
        for index in servers.indices {
            if let pipe = servers[index].readyPipe, readable.contains(pipe) { servers[index].readPipe() }
            servers[index].collect()
        }
        var numbers = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(signals, &numbers, numbers.count)
        return count > 0 && numbers[0..<count].contains { Int32($0) != SIGCHLD }
    }
}
