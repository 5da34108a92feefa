// What an earlier run of this client has staged to an upload, so that it need not be sent again (docs/protocol.md, Going
// on with an upload). A server that says it has a stripe may lie, as one may that says STAGED: PREPARE finds out.

import Fingerprint
import QuorumOperations
import QuorumProtocol
import Synchronization

/// The stripes of one attempt that servers name as theirs.
final class StagedBefore: Sendable {
    private typealias Page = [Position: [CrossChecksum]]

    private let client: ObjectClient
    private let key: ObjectKey
    private let attempt: AttemptName
    private let stripes: [Position: StripeRanges]
    /// By their first stripes; of few at a time.
    private let pages = Mutex<[UInt32: Task<Page, Never>]>([:])

    private init(
        _ attempt: AttemptName, _ stripes: [Position: StripeRanges], of key: ObjectKey, client: ObjectClient
    ) {
        self.attempt = attempt
        self.stripes = stripes
        self.key = key
        self.client = client
    }

    /// Asks all servers; nil when none has anything.
    ///
    /// - Throws: as `ObjectClient.put`; `.uploadEnded` when more than f servers say so.
    static func find(
        _ attempt: AttemptName, stripeSizeBytes: UInt32, of key: ObjectKey, client: ObjectClient
    ) async throws(ClientError) -> StagedBefore? {
        let answers = try await client.listHeld(key, .upload(attempt.upload))
        var stripes: [Position: StripeRanges] = [:]
        var endedCount = 0
        for (server, list) in answers {
            guard case .staged(let statuses) = list,
                let status = statuses.first(where: { $0.attempt == attempt && $0.stripeSizeBytes == stripeSizeBytes })
            else { continue }
            if status.isSpent {
                endedCount += 1
            } else {
                stripes[server] = status.stripes
            }
        }
        if endedCount > client.parameters.quorums.faults { throw .uploadEnded(key) }
        return stripes.isEmpty ? nil : StagedBefore(attempt, stripes, of: key, client: client)
    }

    /// The servers that have this very stripe.
    func servers(having crossChecksum: CrossChecksum, as stripe: UInt32) async -> PositionSet {
        let first = stripe - stripe % StripePage.stripesMax
        let fetching = pages.withLock { pages in
            if let known = pages[first] { return known }
            pages = pages.filter { $0.key + StripePage.stripesMax >= first }
            let task = Task { await self.fetch(first) }
            pages[first] = task
            return task
        }
        let page = await fetching.value
        return PositionSet(
            page.filter { _, stripes in
                let place = Int(stripe - first)
                return place < stripes.count && stripes[place] == crossChecksum
            }.keys)
    }

    /// Of each server the page's stripes up to the first that it lacks.
    private func fetch(_ first: UInt32) async -> Page {
        await withTaskGroup(of: (Position, [CrossChecksum]).self) { servers in
            for (server, ranges) in stripes {
                let missing = ranges.missing(upTo: first + StripePage.stripesMax)
                let end = missing.first { $0.upperBound > first }?.lowerBound ?? first + StripePage.stripesMax
                guard end > first else { continue }
                let range = Fetch.PageRange(first: first, count: UInt16(end - first))
                servers.addTask { (server, await self.page(range, of: server)) }
            }
            return await servers.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func page(_ range: Fetch.PageRange, of server: Position) async -> [CrossChecksum] {
        let request = Request.fetch(Fetch(key: key, attempt: attempt, page: range))
        guard case .fetched(let parts)? = try? await client.ask(request, of: server), let bytes = parts.page,
            let page = try? StripePage(decoding: bytes, first: range.first, parameters: client.parameters)
        else { return [] }
        return page.stripes
    }
}

extension ObjectClient {
    /// What servers say that they hold: q of them, and of the others those that answer in time.
    func listHeld(_ key: ObjectKey, _ kind: ListHeld.Kind) async throws(ClientError) -> [Position: HeldList] {
        try checkOpen()
        let collector = HeldCollector(parameters: parameters, request: ListHeld(key: key, kind: kind))
        let operation = Operation(
            collector, key: key, deadline: context.deadline, hedge: stageHedge, context: context)
        switch await operation.run() {
        case .success(let answers):
            demote(answers.observations)
            return answers.lists
        case .failure(let failure):
            throw error(key, failure, operation.seenReplies)
        }
    }

    /// Asks one server.
    func ask(_ request: Request, of server: Position) async throws(ClientError) -> Reply {
        try checkOpen()
        let question = Question(parameters: parameters, request, to: server)
        let operation = Operation(
            question, key: request.key, deadline: context.deadline, hedge: readHedge, context: context)
        switch await operation.run() {
        case .success(let reply): return reply
        case .failure(let failure): throw error(request.key, failure, operation.seenReplies)
        }
    }
}
