// How a gateway and its cluster are, for who operates them.

import ClusterFiles
import Foundation
import QuorumClient
import QuorumProtocol

/// As programs are told it.
struct GatewayStatus: Encodable, Sendable {
    struct Amounts: Encodable, Sendable {
        let requests: Double
        let refused: Double
        let failed: Double
        let receivedBytes: Double
        let sentBytes: Double
    }
    /// Of each whole second, the oldest first.
    struct Minute: Encodable, Sendable {
        let requests: [UInt64]
        let refused: [UInt64]
        let failed: [UInt64]
        let receivedBytes: [UInt64]
        let sentBytes: [UInt64]
    }
    struct Memory: Encodable, Sendable {
        let sizeBytes: Int
        let freeBytes: Int
        let waitingTransfers: Int
    }
    struct Gateway: Encodable, Sendable {
        let name: String
        let release: String
        let uptimeSeconds: Double
        /// Whether a quorum has just answered it.
        let ready: Bool
        let connections: Int
        let runningRequests: Int
        let memory: Memory
        /// Over the last ten seconds.
        let perSecond: Amounts
        let lastMinute: Minute
    }

    let time: String
    let verdict: ConditionVerdict
    let gateway: Gateway
    /// When the servers were asked.
    let clusterAgeSeconds: Double
    /// Nil when they could not be.
    let cluster: ClusterCondition?

    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? encoder.encode(self) else { preconditionFailure("a status that is no JSON") }
        return Array(json) + [UInt8(ascii: "\n")]
    }
}

/// Finds out how things are. The servers are asked by one who looks in the place of all who do within some seconds.
final class StatusSource: Sendable {
    private static let ageMax = Duration.seconds(5)
    private static let patienceMilliseconds = 3000
    private static let rateSeconds = 10

    private let name: String
    private let gateway: Gateway
    private let connectionCount: @Sendable () -> Int
    private let begin = ContinuousClock.now
    private let condition: SharedAnswer<Result<ClusterCondition, ConditionError>>

    /// Why nobody could be asked.
    private struct ConditionError: Error { let reason: String }

    init(_ gateway: Gateway, home: ClientHome, connectionCount: @escaping @Sendable () -> Int) {
        self.gateway = gateway
        self.connectionCount = connectionCount
        name = home.name
        let client = gateway.client
        condition = SharedAnswer(ageMax: Self.ageMax) {
            do {
                return .success(
                    try await ClusterCondition(
                        asking: home.following(client.cluster), timeoutMilliseconds: Self.patienceMilliseconds))
            } catch {
                return .failure(ConditionError(reason: "\(error)"))
            }
        }
    }

    func status() async -> GatewayStatus {
        async let isReady = gateway.probes.isReady
        let (condition, at) = await condition.get()
        let ready = await isReady
        let cluster = try? condition.get()
        return GatewayStatus(
            time: Dates.iso(milliseconds: Dates.nowMilliseconds()),
            verdict: Self.verdict(Self.verdict(condition), isReady: ready), gateway: facts(isReady: ready),
            clusterAgeSeconds: Self.seconds(ContinuousClock.now - at), cluster: cluster)
    }

    private static func verdict(_ condition: Result<ClusterCondition, ConditionError>) -> ConditionVerdict {
        switch condition {
        case .success(let condition): condition.verdict
        case .failure(let error):
            ConditionVerdict(
                level: .unknown, summary: "The gateway cannot ask the servers how they are.", concerns: [error.reason])
        }
    }

    /// What servers say of themselves may be a lie; whether a quorum answers the gateway is not.
    static func verdict(_ said: ConditionVerdict, isReady: Bool) -> ConditionVerdict {
        guard !isReady, said.level != .failing else { return said }
        return ConditionVerdict(
            level: .failing, summary: "The gateway gets no answer from a quorum of servers.", concerns: said.concerns)
    }

    private func facts(isReady: Bool) -> GatewayStatus.Gateway {
        let minute = gateway.metrics.throughput.lastMinute
        let uptime = ContinuousClock.now - begin
        let span = max(1, min(Self.rateSeconds, Int(uptime.components.seconds)))
        func rate(_ amount: (Throughput.Amounts) -> UInt64) -> Double {
            Double(minute.suffix(span).reduce(0) { $0 + amount($1) }) / Double(span)
        }
        return GatewayStatus.Gateway(
            name: name, release: Release.version, uptimeSeconds: Self.seconds(uptime), ready: isReady,
            connections: connectionCount(), runningRequests: gateway.metrics.runningCount,
            memory: GatewayStatus.Memory(
                sizeBytes: gateway.memory.shares.sizeBytes, freeBytes: gateway.memory.shares.freeBytes,
                waitingTransfers: gateway.memory.shares.waitingCount),
            perSecond: GatewayStatus.Amounts(
                requests: rate(\.requests), refused: rate(\.refused), failed: rate(\.failed),
                receivedBytes: rate(\.receivedBytes), sentBytes: rate(\.sentBytes)),
            lastMinute: GatewayStatus.Minute(
                requests: minute.map(\.requests), refused: minute.map(\.refused), failed: minute.map(\.failed),
                receivedBytes: minute.map(\.receivedBytes), sentBytes: minute.map(\.sentBytes)))
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds / 1_000_000_000_000_000) / 1000
    }
}
