// Why there is no measurement.

import BenchmarkResults
import QuorumProtocol

enum BenchmarkError: Error, CustomStringConvertible {
    case programMissing(path: String)
    case cannotStart(path: String, reason: String)
    case notReady(String, log: String)
    case notEnded(String, log: String)
    /// As `waitpid` has it.
    case ended(String, status: Int32, log: String)
    case noFreePorts
    case noCounters(home: String)
    case unusable(path: String, reason: String)
    /// An operation failed; figures of a run with failures would mean nothing.
    case operationFailed(Setting, reason: String)
    /// The same, of what correct clients do while nobody attacks.
    case failedAtRest(String, reason: String)
    case wrongValue(ObjectKey, gotBytes: Int, expectedBytes: Int)
    /// A byte that was read back is not the one that was written.
    case wrongBytes(ObjectKey, from: UInt64)
    case wrongListing(bucket: String, got: Int, expected: Int)
    case transferFailed(status: Int32, reason: String)
    case commandFailed(String, status: Int32, reason: String)
    /// A server has not got back what it lacks.
    case notWell(home: String)
    /// A server was well before what was to be measured beside its repair was.
    case wellTooSoon(objectCount: Int)
    case auditUnfinished(bucket: String, reason: String)

    var description: String {
        switch self {
        case .programMissing(let path):
            "\(path) is not there; 'swift build -c release --product solidus' makes it, or name it with --program"
        case .cannotStart(let path, let reason): "\(path) cannot be started: \(reason)"
        case .notReady(let name, let log): "\(name) did not become ready; see \(log)"
        case .notEnded(let name, let log): "\(name) did not end when it was told to; see \(log)"
        case .ended(let name, let status, let log): "\(name) failed (status \(status)); see \(log)"
        case .noFreePorts: "no free ports were found"
        case .noCounters(let home): "\(home): the server did not write its counters"
        case .unusable(let path, let reason): "\(path) cannot be used: \(reason)"
        case .operationFailed(let what, let reason): "\(what): an operation failed: \(reason)"
        case .failedAtRest(let what, let reason): "\(what) failed while nobody attacked: \(reason)"
        case .wrongValue(let key, let got, let expected): "\(key) has \(got) bytes instead of \(expected)"
        case .wrongBytes(let key, let offset): "\(key) has other bytes from \(offset) on than were written"
        case .wrongListing(let bucket, let got, let expected):
            "the listing of \(bucket)/ has \(got) keys instead of \(expected)"
        case .transferFailed(let status, let reason): "the transfer failed (status \(status)): \(reason)"
        case .commandFailed(let command, let status, let reason):
            "'\(command)' failed (status \(status)): \(reason)"
        case .notWell(let home): "the server of \(home) does not get well; see its server.log"
        case .wellTooSoon(let count):
            "the server had \(count) objects back before the measurement beside its repair ended; take more of them, or "
                + "less time"
        case .auditUnfinished(let bucket, let reason): "the audit of \(bucket)/ did not come to its end: \(reason)"
        }
    }
}
