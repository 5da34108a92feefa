// Single stripes in and out, for uploads and downloads.

import ErasureCode
import NIOCore
import NIOPosix
import QuorumOperations
import QuorumProtocol

/// A stripe that was fetched and decoded.
struct FetchedStripe: Sendable {
    let block: SharedBytes
    let page: StripePage?
}

extension ObjectClient {
    /// The most stripes of one part: what a descriptor has room for; those that it names one by one where versions are
    /// verified later, and where pages are larger than a message's head.
    static func stripesMax(_ parameters: ClusterParameters) -> UInt32 {
        let pageFits = StripePage.sizeBytesMax(parameters) <= StagedLimits.pageSizeBytesMax
        return pageFits && !parameters.mode.verifiesLater
            ? UInt32(StagedLimits.pageDigestsMax) * StripePage.stripesMax : UInt32(StagedLimits.namedStripesMax)
    }

    /// The time without progress after which a transfer fails: it is put off as long as bytes move.
    private var stallDeadline: NIODeadline { .now() + stallTime }
    private var stallPatience: ProgressPatience { ProgressPatience(time: stallTime) }

    func stage(
        _ stripe: StripeToStage, of key: ObjectKey, at targets: PositionSet, need: Int
    ) async throws(ClientError) -> StageOutcome {
        try checkOpen()
        let stager = StripeStager(parameters: parameters, key: key, stripe: stripe, targets: targets, need: need)
        let operation = Operation(
            stager, key: key, deadline: stallDeadline, progress: stallPatience, hedge: stageHedge, context: context)
        switch await operation.run() {
        case .success(let outcome): return outcome
        case .failure(let failure): throw error(key, failure, operation.seenReplies)
        }
    }

    /// Fetches and decodes one stripe.
    ///
    /// - Parameter timestamp: the version that is read, which is kept meanwhile; nil for none yet.
    func fetch(
        _ stripe: StripeToFetch, of key: ObjectKey, at timestamp: Timestamp?
    ) async throws -> FetchedStripe {
        try checkOpen()
        let fetcher = StripeFetcher(
            parameters: parameters, key: key, timestamp: timestamp, wanted: stripe,
            preference: context.connections.preference(parameters.placement(of: key)),
            endsWhenLost: timestamp != nil)
        let operation = Operation(
            fetcher, key: key, deadline: stallDeadline, progress: stallPatience, hedge: readHedge, context: context)
        switch await operation.run() {
        case .success(let outcome):
            demote(outcome.observations)
            doubt(outcome.observations, AuditDoubt(key: key, .staged(stripe.part.attempt, stripe.stripe)))
            let block = try await work {
                do {
                    return try outcome.crossChecksum.decode(outcome.fragments)
                } catch {
                    preconditionFailure("m verified fragments of one stripe do not decode: \(error)")
                }
            }
            return FetchedStripe(block: block, page: outcome.page)
        case .failure(let failure):
            throw error(key, failure, operation.seenReplies)
        }
    }

    /// Tells all servers of an object something that needs no quorum.
    ///
    /// - Parameter limit: how long it may take at most; nil: as long as any operation.
    func announce(_ request: Request, limit: TimeAmount? = nil) async {
        let announcer = Announcer(parameters: parameters, request: request)
        let deadline = limit.map { min(context.deadline, .now() + $0) } ?? context.deadline
        _ = await Operation(
            announcer, key: request.key, deadline: deadline, hedge: readHedge, context: context
        ).run()
    }

    private static let cancelledDiscardTime = TimeAmount.seconds(3)

    /// Gives back what is staged, also when this task is cancelled: then whoever did that waits.
    func discardInTime(_ discard: Discard) async {
        let limit = Task.isCancelled ? Self.cancelledDiscardTime : nil
        await Task { await self.announce(.discard(discard), limit: limit) }.value
    }

    /// Whether the channel to a server stands.
    package func isConnected(to node: NodeID) -> Bool { context.connections.channel(to: node).state == .connected }

    func isConnected(to position: Position, of key: ObjectKey) -> Bool {
        context.connections.channel(to: parameters.placement(of: key).node(at: position)).state == .connected
    }

    /// Whether the last attempt to connect to a server failed, or its connection was lost.
    func isUnreachable(_ position: Position, of key: ObjectKey) -> Bool {
        switch context.connections.channel(to: parameters.placement(of: key).node(at: position)).state {
        case .disconnected: true
        case .connected, .idle, .connecting, .closed: false
        }
    }

    /// Has something done on a worker.
    func work<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        try await context.workers.runIfActive { body() }
    }
}
