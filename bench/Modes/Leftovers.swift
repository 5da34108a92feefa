// What a run makes and must not leave behind: removed on every way out that a process has a say in.

import Dispatch
import Glibc
import Synchronization

/// Removals, the latest first, at the end of a run or when it is interrupted.
struct Leftovers {
    final class Removals: Sendable {
        private let waiting = Mutex<[@Sendable () -> Void]>([])

        func add(_ removal: @escaping @Sendable () -> Void) {
            waiting.withLock { $0.append(removal) }
        }

        /// Under the lock, so that no thread ends the process while another one removes.
        func run() {
            waiting.withLock { waiting in
                while let removal = waiting.popLast() { removal() }
            }
        }
    }

    let removals: Removals
    private let interruptions: [any DispatchSourceSignal]

    /// From now on SIGINT and SIGTERM remove everything before they end the process, and with it the servers.
    init() {
        let removals = Removals()
        self.removals = removals
        interruptions = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                removals.run()
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    /// To be called before the thing is made, so that one half made is removed too.
    func add(_ removal: @escaping @Sendable () -> Void) { removals.add(removal) }

    /// Removes everything.
    func removeAll() {
        removals.run()
        interruptions.forEach { $0.cancel() }
    }
}
