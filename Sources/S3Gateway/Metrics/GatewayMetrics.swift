// What a gateway has done, for a monitoring system, in the text that Prometheus asks for.

import NIOHTTP1
import Synchronization

final class GatewayMetrics: Sendable {
    private struct Operations {
        var requests: [String: UInt64] = [:]
        var errors: [String: UInt64] = [:]
        var running = 0
        var cutCount: UInt64 = 0
        var durations = [UInt64](repeating: 0, count: GatewayMetrics.boundsSeconds.count + 1)
        var durationSeconds = 0.0
    }

    private static let boundsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    let throughput = Throughput()
    private let state = Mutex(Operations())

    /// Requests that are not answered to the end.
    var runningCount: Int { state.withLock { $0.running } }

    func began() { state.withLock { $0.running += 1 } }

    func count(_ operation: S3Operation?, _ response: Response) {
        state.withLock { state in
            let label = "operation=\"\(operation?.rawValue ?? "none")\",status=\"\(response.status.code)\""
            state.requests[label, default: 0] += 1
            if let code = response.errorCode { state.errors["code=\"\(code)\"", default: 0] += 1 }
        }
    }

    func ended(_ response: Response, _ end: AnswerEnd) {
        let seconds = Double(end.duration.components.seconds) + Double(end.duration.components.attoseconds) / 1e18
        state.withLock { state in
            state.running -= 1
            if end.isCut { state.cutCount += 1 }
            state.durations[Self.boundsSeconds.firstIndex { seconds <= $0 } ?? Self.boundsSeconds.count] += 1
            state.durationSeconds += seconds
        }
        throughput.add { amounts in
            amounts.requests += 1
            if response.status.code >= 500 {
                amounts.failed += 1
            } else if response.status.code >= 400 {
                amounts.refused += 1
            }
        }
    }

    /// - Parameters:
    ///   - connections: that there are now.
    ///   - freeBytes: of the memory for transfers.
    func text(connections: Int, freeBytes: Int) -> String {
        let state = state.withLock { $0 }
        let moved = throughput.total
        var text = ""
        func family(_ name: String, _ kind: String, _ help: String, _ samples: [(labels: String, value: String)]) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
            for sample in samples {
                text += name + (sample.labels.isEmpty ? "" : "{\(sample.labels)}") + " \(sample.value)\n"
            }
        }
        func sorted(_ counts: [String: UInt64]) -> [(String, String)] {
            counts.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        }
        family(
            "solidus_s3_requests_total", "counter", "Requests by operation and status.", sorted(state.requests))
        family("solidus_s3_errors_total", "counter", "Errors by code.", sorted(state.errors))
        family(
            "solidus_s3_received_bytes_total", "counter", "Bytes of requests' bodies.", [("", "\(moved.receivedBytes)")]
        )
        family("solidus_s3_sent_bytes_total", "counter", "Bytes of answers' bodies.", [("", "\(moved.sentBytes)")])
        family(
            "solidus_s3_cut_answers_total", "counter", "Answers that ended before all of it was there.",
            [("", "\(state.cutCount)")])
        family(
            "solidus_s3_running_requests", "gauge", "Requests that are not answered to the end.",
            [("", "\(state.running)")])
        family("solidus_s3_connections", "gauge", "Connections of clients.", [("", "\(connections)")])
        family(
            "solidus_s3_free_transfer_bytes", "gauge", "Memory for transfers that nobody has.", [("", "\(freeBytes)")])
        let name = "solidus_s3_request_seconds"
        text += "# HELP \(name) From a request's head to its answer's end.\n# TYPE \(name) histogram\n"
        var count: UInt64 = 0
        for (place, bound) in Self.boundsSeconds.enumerated() {
            count += state.durations[place]
            text += "\(name)_bucket{le=\"\(bound)\"} \(count)\n"
        }
        count += state.durations[Self.boundsSeconds.count]
        text += "\(name)_bucket{le=\"+Inf\"} \(count)\n\(name)_sum \(state.durationSeconds)\n\(name)_count \(count)\n"
        return text
    }
}
