// The threads on which a server verifies what is committed: its own, so that nobody else's requests wait for them, and
// so that the kernel counts what they take of the processors. What it takes to answer other servers' reads is not in
// it.

import Glibc
import NIOPosix
import Synchronization

/// One thread for connections and small values, one for large ones.
final class VerificationThreads: Sendable {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let workers = NIOThreadPool(numberOfThreads: 1)
    /// The clocks of both from when they run; nil once they end.
    private let clocks = Mutex<[clockid_t]?>([])

    init() {
        workers.start()
        group.any().execute { self.addClock() }
        workers.submit { state in
            if case .active = state { self.addClock() }
        }
    }

    /// What both have taken of the processors since they were started; 0 once they were shut down.
    var processorMicroseconds: Int {
        clocks.withLock { clocks in
            var sum = 0
            for clock in clocks ?? [] {
                var time = timespec()
                guard clock_gettime(clock, &time) == 0 else { continue }
                sum += time.tv_sec * 1_000_000 + time.tv_nsec / 1000
            }
            return sum
        }
    }

    /// Ends what is under way and both threads.
    func shutdown() async {
        clocks.withLock { $0 = nil }
        try? await workers.shutdownGracefully()
        try? await group.shutdownGracefully()
    }

    private func addClock() {
        var clock = clockid_t()
        guard pthread_getcpuclockid(pthread_self(), &clock) == 0 else { return }
        clocks.withLock { $0?.append(clock) }
    }
}
