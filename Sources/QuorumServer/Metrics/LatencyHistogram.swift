// How long requests take, in the buckets that Prometheus counts in.

import NIOCore
import QuorumProtocol
import Synchronization

/// How many took how long.
struct LatencyHistogram: Equatable, Sendable {
    /// Upper bounds of the buckets in nanoseconds, 1, 2.5 and 5 of each power of ten from 100 µs to 10 s.
    static let boundsNanoseconds: [Int64] = [
        100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
        250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    /// Of each bucket alone; the last one has no bound.
    private(set) var counts = Array(repeating: UInt64(0), count: boundsNanoseconds.count + 1)
    private(set) var sumNanoseconds: UInt64 = 0

    mutating func add(nanoseconds: Int64) {
        let place = Self.boundsNanoseconds.firstIndex { nanoseconds <= $0 } ?? Self.boundsNanoseconds.count
        counts[place] += 1
        sumNanoseconds &+= UInt64(max(0, nanoseconds))
    }
}

/// What is told apart when it is told how long requests take.
enum TimedRequest: String, CaseIterable {
    case readTimestamp = "read_timestamp"
    case read
    case certificate
    case prepare
    case commit
    case describe
    case stage
    case fetch
    case discard
    case listHeld = "list_held"
    case restate

    init(_ request: Request) {
        self =
            switch request {
            case .readTimestamp: .readTimestamp
            case .read: .read
            case .certificate: .certificate
            case .prepare: .prepare
            case .commit: .commit
            case .describe: .describe
            case .stage: .stage
            case .fetch: .fetch
            case .discard: .discard
            case .listHeld: .listHeld
            case .restate: .restate
            }
    }
}

/// The time from a request's arrival to its answer, of each kind. Safe to use from any thread.
final class RequestLatencies: Sendable {
    private let histograms = Mutex<[TimedRequest: LatencyHistogram]>([:])

    func add(_ request: TimedRequest, _ time: TimeAmount) {
        histograms.withLock { $0[request, default: LatencyHistogram()].add(nanoseconds: time.nanoseconds) }
    }

    var snapshot: [TimedRequest: LatencyHistogram] { histograms.withLock { $0 } }
}
