// The shell around one listing: the one funnel of event → Lister → effects → I/O.

import NIOCore
import QuorumOperations
import QuorumProtocol
import Synchronization

/// A part of a listing.
struct ListingPage: Sendable {
    let entries: [ListingEntry]
    let isLast: Bool
}

/// Does what a Lister says, and hands its pages on. Events may come on any thread.
final class ListingDriver: Sendable {
    private typealias Outcome = Result<ListingPage, ClientError>

    private struct State {
        var lister: Lister
        var rounds: [Int: ListingRound] = [:]
        var reads: [Int: Task<Void, Never>] = [:]
        var continuation: CheckedContinuation<Outcome, Never>?
        /// Why nothing more comes.
        var failure: ClientError?
        var isCancelled = false
    }

    private let query: ListingQuery
    private let client: ObjectClient
    private let state: Mutex<State>

    init(_ query: ListingQuery, client: ObjectClient) {
        self.query = query
        self.client = client
        state = Mutex(State(lister: Lister(query, client.parameters)))
    }

    /// The next page; to be asked for by one task at a time, and not after the last one.
    func next() async throws(ClientError) -> ListingPage {
        try await client.measure(.list, .bucket(query.bucket)) { () throws(ClientError) in
            try client.checkOpen()
            let outcome = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let failure = state.withLock { state in
                        if state.failure == nil { state.continuation = continuation }
                        return state.failure
                    }
                    if let failure {
                        continuation.resume(returning: .failure(failure))
                    } else {
                        submit(.wanted)
                    }
                }
            } onCancel: {
                cancel()
            }
            return try outcome.get()
        }
    }

    /// Ends what is under way: whoever waits for a page is told of a failure.
    func cancel() {
        let (rounds, reads) = state.withLock { state in
            state.isCancelled = true
            return (Array(state.rounds.values), Array(state.reads.values))
        }
        for round in rounds { round.finish() }
        for read in reads { read.cancel() }
    }

    /// Runs an input through the machine and does what follows from it.
    private func submit(_ input: Lister.Input) {
        var effects: [Lister.Effect] = []
        state.withLock { state in
            if state.failure == nil { state.lister.handle(input, into: &effects) }
        }
        for effect in effects { perform(effect) }
    }

    private func perform(_ effect: Lister.Effect) {
        switch effect {
        case .ask(let round, let query, let nodes):
            ask(round, query, nodes)
        case .waitForMore(let round):
            state.withLock { $0.rounds[round] }?.waitForMore()
        case .leave(let round):
            state.withLock { $0.rounds.removeValue(forKey: round) }?.leave()
        case .read(let number, let key):
            read(number, key)
        case .page(let entries, let isLast):
            let page = ListingPage(entries: entries.compactMap(ListingEntry.init), isLast: isLast)
            resume(.success(page))
        case .fail(let failure):
            fail(error(failure))
        }
    }

    private func ask(_ number: Int, _ query: ListingQuery, _ nodes: [NodeID]) {
        let round = ListingRound(query, nodes: nodes, hedge: client.readHedge, context: client.context) {
            [self] outcome, isFinal in
            // Judging takes a while, for which no event loop is to wait.
            Task {
                if isFinal {
                    for liar in outcome.liars { client.context.connections.demote(liar, for: client.demotionTime) }
                    state.withLock { _ = $0.rounds.removeValue(forKey: number) }
                }
                submit(.answered(round: number, outcome, isFinal: isFinal))
            }
        }
        let isCancelled = state.withLock { state in
            state.rounds[number] = round
            return state.isCancelled
        }
        round.begin()
        if isCancelled { round.finish() }
    }

    private func read(_ number: Int, _ key: ObjectKey) {
        state.withLock { state in
            let task = Task {
                do throws(ClientError) {
                    let found = try await client.find(key, wantsValue: false).found
                    self.state.withLock { _ = $0.reads.removeValue(forKey: number) }
                    var head: ListedHead?
                    if case .version(_, let sealed, _) = found { head = sealed.descriptor.listedHead }
                    submit(.found(read: number, found.timestamp, head))
                } catch {
                    // One that cannot be read ends the listing.
                    fail(error)
                }
            }
            state.reads[number] = task
            if state.isCancelled { task.cancel() }
        }
    }

    private func resume(_ outcome: Outcome) {
        let continuation = state.withLock { state in
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(returning: outcome)
    }

    private func fail(_ error: ClientError) {
        let isFirst = state.withLock { state in
            defer { state.failure = state.failure ?? error }
            return state.failure == nil
        }
        guard isFirst else { return }
        resume(.failure(error))
        cancel()
    }

    private func error(_ failure: ListingFailure) -> ClientError {
        do {
            try client.checkOpen()
        } catch {
            return error
        }
        let outcome = failure.outcome
        let refused = outcome.refusals.sorted { $0.key < $1.key }
            .map { ServerTrouble(server: $0.key, what: "refused: \($0.value)") }
        if refused.count > client.parameters.quorums.faults {
            return .listingRefused(bucket: query.bucket, refusals: refused)
        }
        let troubles = (failure.silent + outcome.liars).sorted().map { node in
            let (state, peer) = client.context.connections.channel(to: node)
            if outcome.liars.contains(node) {
                return ServerTrouble(server: node, what: "\(peer) answered something else than what was asked")
            }
            if case .disconnected(let error) = state { return ServerTrouble(server: node, what: error.description) }
            return ServerTrouble(server: node, what: "\(peer) did not answer in time")
        }
        return .listingUnavailable(bucket: query.bucket, groups: failure.groups.map(\.id), troubles: refused + troubles)
    }
}

extension ListingEntry {
    init?(_ listed: ListedEntry) {
        switch listed {
        case .object(let key, let live):
            guard let object = ListedObject(key, live) else { return nil }
            self = .object(object)
        case .prefix(let prefix):
            self = .prefix(prefix)
        }
    }
}
