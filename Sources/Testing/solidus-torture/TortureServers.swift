// A cluster's server processes, as a torture finds them, starts and harms them, and leaves them behind.

import CommandOutcome
import Foundation
import Glibc
import ServerProcesses

/// The servers' processes. For one thread, which the servers that were not running before do not outlive.
final class TortureServers {
    private static let patienceMilliseconds = 30_000
    /// How long what a server says that it counts is taken for true.
    private static let countersPatience = Duration.seconds(1)

    private struct Slot {
        let wasRunning: Bool
        /// nil when there is no process.
        var stamp: ProcessStamp?
        /// The process, if it is one that this one started; it is collected when it ends.
        var child: ServerProcess?
        /// When it was last asked what it counts.
        var countersAsked: ContinuousClock.Instant?
    }

    /// Of what a server counts.
    private struct Counters: Decodable {
        let wants: Int
    }

    private let run: RunDirectory
    private let homes: [String]
    private var slots: [Slot]

    init(_ target: ClusterLocation) {
        run = target.run
        homes = target.homes
        slots = homes.indices.map { index in
            let stamp = target.run.server(index)
            return Slot(wasRunning: stamp != nil, stamp: stamp)
        }
    }

    func store(_ index: Int) -> String { homes[index] + "/store" }

    /// Whether the server's process is there, stopped or not.
    func isRunning(_ index: Int) -> Bool {
        slots[index].child?.collect()
        return slots[index].stamp?.isRunning ?? false
    }

    /// How the server's process ended, for people.
    func end(_ index: Int) -> String {
        guard let child = slots[index].child, let end = child.end else { return "its process is gone" }
        let lines = child.lastLines.map { "\n    \($0)" }.joined()
        return "\(end); the end of \(child.logPath):\(lines)"
    }

    /// Starts a server that does not run, and waits until it is ready.
    ///
    /// - Returns: nil, or why it did not become ready; then no process is left.
    /// - Throws: when no process can be started at all.
    func start(_ index: Int, _ program: TorturedProgram = .correct) throws(Failure) -> String? {
        var child = try ServerProcess(
            index: index, home: homes[index], program: try program.found(), diesWithCaller: !slots[index].wasRunning)
        slots[index].stamp = child.stamp
        run.note(child.stamp, in: run.serverFile(index))
        let deadline = ContinuousClock.now + .milliseconds(Self.patienceMilliseconds)
        while !child.isReady, child.end == nil, ContinuousClock.now < deadline {
            if let pipe = child.readyPipe {
                var polled = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
                if poll(&polled, 1, 20) > 0 { child.readPipe() }
            } else {
                usleep(5000)
            }
            child.collect()
        }
        slots[index].child = child
        if child.isReady { return nil }
        if case .faulty(let kind, _) = program, child.end == .exited(ExitStatus.usage.rawValue) {
            kill(index)
            throw Failure(.usage, "no policy of a liar is called \(kind); solidus-faulty-server --help lists them")
        }
        let reason = child.end == nil ? "it was not ready in time" : end(index)
        kill(index)
        return reason
    }

    /// SIGKILL; returns when the process is gone.
    func kill(_ index: Int) {
        slots[index].stamp?.signal(SIGKILL)
        waitForEnd(index)
        forget(index)
    }

    /// SIGTERM; returns when the process is gone, by force if it takes too long.
    func terminate(_ index: Int) {
        slots[index].stamp?.askToEnd()
        waitForEnd(index)
        kill(index)
    }

    func stop(_ index: Int) { slots[index].stamp?.signal(SIGSTOP) }

    func goOn(_ index: Int) { slots[index].stamp?.signal(SIGCONT) }

    /// Of how many objects a running server lacks something; nil as long as it has not said so since this was asked
    /// last.
    func wants(_ index: Int) -> Int? {
        let path = homes[index] + "/counters.json"
        guard let asked = slots[index].countersAsked, ContinuousClock.now - asked < Self.countersPatience else {
            unlink(path)
            slots[index].countersAsked = .now
            slots[index].stamp?.signal(SIGUSR1)
            return nil
        }
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return (try? JSONDecoder().decode(Counters.self, from: data))?.wants
    }

    private func waitForEnd(_ index: Int) {
        let deadline = ContinuousClock.now + .milliseconds(Supervisor.stopMilliseconds)
        while isRunning(index), ContinuousClock.now < deadline { usleep(2000) }
    }

    private func forget(_ index: Int) {
        // The pid file may only go when the process is gone for good.
        guard !isRunning(index) else { return }
        if let stamp = slots[index].stamp { run.remove(run.serverFile(index), of: stamp) }
        slots[index].stamp = nil
    }

    /// Has the running servers take over newer lists.
    func reloadLists() {
        for slot in slots { slot.stamp?.signal(SIGHUP) }
    }

    /// Starts what ran before and ends what did not.
    ///
    /// - Returns: which servers could not be started again, and why.
    func leaveAsFound() -> [String] {
        var complaints: [String] = []
        for index in slots.indices {
            if !slots[index].wasRunning {
                terminate(index)
            } else if !isRunning(index) {
                do {
                    if let reason = try start(index) { complaints.append("server \(index) does not start: \(reason)") }
                } catch {
                    complaints.append(error.message)
                }
            }
        }
        return complaints
    }
}

/// Where a cluster's files lie.
struct ClusterLocation: Sendable {
    let directory: String
    let serverCount: Int

    var run: RunDirectory { RunDirectory(clusterDirectory: directory) }
    var homes: [String] { (0..<serverCount).map { "\(directory)/servers/\($0)" } }
}

/// What runs in a server's place.
enum TorturedProgram {
    /// The program that people run.
    case correct
    /// The liar that is built for tests, with a policy's name.
    case faulty(kind: String, seed: UInt64)

    private static let faultyName = "solidus-faulty-server"

    /// The program's file, which lies beside this one.
    func found() throws(Failure) -> ServerProgram {
        switch self {
        case .correct:
            .correct(try ProgramFile.beside("solidus"))
        case .faulty(let kind, let seed):
            ServerProgram(
                path: try ProgramFile.beside(Self.faultyName),
                arguments: [Self.faultyName, "--fault", kind, "--seed", "\(seed)"])
        }
    }
}
