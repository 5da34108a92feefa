// A child process that an interrupted run must not leave behind.

import Glibc
import Synchronization

final class RunningChild: Sendable {
    private let processID: Mutex<pid_t?>

    init(_ processID: pid_t) { self.processID = Mutex(processID) }

    /// Its number may be another process's from now on.
    func ended() { processID.withLock { $0 = nil } }

    func kill() {
        processID.withLock { number in
            if let number { Glibc.kill(number, SIGKILL) }
            number = nil
        }
    }
}
