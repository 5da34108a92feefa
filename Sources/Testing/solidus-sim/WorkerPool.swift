// Many cores: processes, each with one thread. The simulator is built for that: what no two threads touch needs no
// atomic reference counts, which otherwise take a sixth of the time.

import Foundation
import QuorumSimulator

/// Runs ranges of seeds on worker processes.
struct WorkerPool {
    /// How many seeds a worker is handed at a time: so few that all end together, and a failure is told soon.
    private static let seedsPerPiece: UInt64 = 8

    private let arguments: [String]
    private let count: Int

    /// - Parameters:
    ///   - count: how many workers; as many as there are cores when it is nil.
    ///   - world: what the seeds' worlds are like.
    init(count: Int?, world: WorldArguments) {
        self.count = max(1, count ?? ProcessInfo.processInfo.activeProcessorCount)
        arguments = ["work"] + world.words
        // A worker that has ended is noticed where its answers are read.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Runs the seeds, in their order as far as there are workers, until all were run or one has violated a promise.
    ///
    /// - Parameter report: told now and then how far it has come.
    func run(
        _ seeds: ClosedRange<UInt64>, report: (SeedTally) -> Void = { _ in }
    ) throws(WorkerFailure) -> SeedTally {
        var tally = SeedTally()
        var next: UInt64? = seeds.lowerBound
        func takePiece() -> ClosedRange<UInt64>? {
            guard tally.violatingSeed == nil, let first = next else { return nil }
            let left = seeds.upperBound - first
            let last = first + min(left, Self.seedsPerPiece - 1)
            next = last < seeds.upperBound ? last + 1 : nil
            return first...last
        }
        var busy: [WorkerProcess] = []
        for _ in 0..<count {
            guard let piece = takePiece() else { break }
            let worker = try WorkerProcess(arguments)
            worker.run(piece)
            busy.append(worker)
        }
        while !busy.isEmpty {
            var polled = busy.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
            let readyCount = poll(&polled, nfds_t(polled.count), 1000)
            if readyCount > 0 {
                for (worker, state) in zip(busy, polled) where state.revents != 0 {
                    guard let done = try worker.read() else { continue }
                    tally.add(done)
                    if let piece = takePiece() {
                        worker.run(piece)
                    } else {
                        busy.removeAll { $0 === worker }
                    }
                }
            }
            report(tally)
        }
        return tally
    }
}
