// Ending servers that this process need not have started.

import Glibc

extension ProcessStamp {
    /// Asks processes to end, and ends those by force that take longer than a server may take.
    ///
    /// - Parameter supervisor: it is asked in place of its servers, which it stops itself.
    /// - Returns: the processes that had to be forced.
    package static func end(_ servers: [ProcessStamp], heldBy supervisor: ProcessStamp? = nil) -> Set<pid_t> {
        (supervisor.map { [$0] } ?? servers).forEach { $0.askToEnd() }
        let limit = Supervisor.stopMilliseconds + (supervisor == nil ? 0 : 1000)
        let left = waitForEnd(servers + (supervisor.map { [$0] } ?? []), milliseconds: limit)
        left.forEach { $0.signal(SIGKILL) }
        _ = waitForEnd(left, milliseconds: Supervisor.stopMilliseconds)
        return Set(left.map(\.processID))
    }

    private static func waitForEnd(_ processes: [ProcessStamp], milliseconds: Int) -> [ProcessStamp] {
        let deadline = ContinuousClock.now + .milliseconds(milliseconds)
        var left = processes.filter(\.isRunning)
        while !left.isEmpty, ContinuousClock.now < deadline {
            usleep(20_000)
            left = left.filter(\.isRunning)
        }
        return left
    }
}
