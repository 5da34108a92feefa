// Counting, timing and tracing of a client's operations. Where nobody has asked for any of it, an operation pays for
// looking whether somebody has, and no more.

import CoreMetrics
import QuorumProtocol
import Tracing

/// Where a client's operations are counted and traced.
struct ClientInstruments: Sendable {
    /// Whether this task is within an operation that is measured already. What an operation consists of is not counted
    /// beside it.
    @TaskLocal fileprivate static var isMeasuring = false

    /// Nil when nobody records them.
    private let metrics: ClientMetrics?
    private let tracer: (any Tracer)?

    init(_ options: ClientOptions) {
        let factory = options.metricsFactory ?? MetricsSystem.factory
        metrics = factory is NOOPMetricsHandler ? nil : ClientMetrics(factory)
        tracer = options.tracer
    }

    /// Nil when there is nothing to measure for.
    fileprivate func begin(_ operation: ClientOperation, _ subject: OperationSubject) -> MeasuredOperation? {
        let tracer = self.tracer ?? InstrumentationSystem.tracer
        let isTraced = !(tracer is NoOpTracer)
        guard isTraced || metrics != nil, !Self.isMeasuring else { return nil }
        let span = isTraced ? tracer.startAnySpan("solidus.\(operation.rawValue)", ofKind: .client) : nil
        if let span { subject.describe(in: span) }
        return MeasuredOperation(operation: operation, metrics: metrics, span: span, began: .now)
    }
}

/// An operation that is under way.
private struct MeasuredOperation {
    let operation: ClientOperation
    let metrics: ClientMetrics?
    let span: (any Span)?
    let began: ContinuousClock.Instant

    /// Runs what it consists of, whose spans, if it has any, are within this one's.
    func run<R: Sendable, E>(_ body: () async -> Result<R, E>) async -> Result<R, E> {
        await ClientInstruments.$isMeasuring.withValue(true) {
            guard let span else { return await body() }
            return await ServiceContext.$current.withValue(span.context) { await body() }
        }
    }

    func end(_ outcome: OperationOutcome, _ facts: OperationFacts, _ error: (any Error)?) {
        metrics?.record(operation, outcome, facts, took: .now - began)
        guard let span else { return }
        span.attributes["solidus.outcome"] = outcome.rawValue
        if let rounds = facts.rounds { span.attributes["solidus.rounds"] = rounds }
        if let bytes = facts.valueBytes { span.attributes["solidus.bytes"] = Int(clamping: bytes) }
        let refusing = facts.observations.refusing.map { Int64($0.server.rawValue) }
        if !refusing.isEmpty { span.attributes["solidus.servers.refusing"] = refusing }
        let misbehaving = facts.observations.misbehaving.map { Int64($0.server.rawValue) }
        if !misbehaving.isEmpty { span.attributes["solidus.servers.misbehaving"] = misbehaving }
        if let error, outcome != .notFound {
            span.recordError(error)
            span.setStatus(SpanStatus(code: .error, message: "\(error)"))
        }
        span.end()
    }
}

extension OperationSubject {
    fileprivate func describe(in span: any Span) {
        switch self {
        case .object(let key):
            span.attributes["solidus.bucket"] = String(decoding: key.bucketBytes, as: UTF8.self)
            span.attributes["solidus.key"] = key.description
        case .bucket(let name): span.attributes["solidus.bucket"] = name
        case .cluster: break
        }
    }
}

extension ObjectClient {
    /// Runs an operation; it is counted, timed and traced unless it is a part of one that is.
    ///
    /// - Parameter facts: what is known of it when it has succeeded.
    package func measure<R: Sendable, E: Error>(
        _ operation: ClientOperation, _ subject: OperationSubject,
        facts: (R) -> OperationFacts = { _ in OperationFacts() }, _ body: () async throws(E) -> R
    ) async throws(E) -> R {
        guard let measured = instruments.begin(operation, subject) else { return try await body() }
        let result = await measured.run { () -> Result<R, E> in
            do throws(E) {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let value):
            measured.end(.ok, facts(value), nil)
            return value
        case .failure(let error):
            var facts = OperationFacts()
            if let error = error as? ClientError { facts.observations = error.observations }
            measured.end(OperationOutcome(error), facts, error)
            throw error
        }
    }
}

/// Runs what is not the client's own work, but its caller's, in the middle of an operation: operations in it are measured
/// for themselves.
package func outsideMeasurement<R>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async rethrows -> R {
    guard ClientInstruments.isMeasuring else { return try await body() }
    return try await ClientInstruments.$isMeasuring.withValue(false, operation: body, isolation: isolation)
}
