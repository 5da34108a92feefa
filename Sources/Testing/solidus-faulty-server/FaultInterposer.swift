// A fault policy between a real server's sockets, its honest replica and its real disk.

import Dispatch
import QuorumFaults
import QuorumProtocol
import QuorumServer
import Synchronization

/// Has a server lie as its policy says.
///
/// A policy speaks of replies, sockets of numbered requests, each answered at most once. A request that the policy does
/// not answer is kept for a while, as owed to its client; what the policy later says beyond one reply goes out in
/// answer to owed requests, the oldest first. So a client also gets answers that belong to something else. Those that
/// say nothing do not list either, and the mixture lies about listings, too. Lies to auditors go beside any policy.
final class FaultInterposer: ServerInterposer {
    /// How many requests of one session may be owed before the oldest is forgotten.
    private static let owedRequestsMax = 16
    /// How long a server with delay factor 1 is taken to need for an answer.
    private static let usualDelayMilliseconds = 4

    private typealias Answer = @Sendable (RequestTag, Reply?) -> Void

    private struct Asked {
        let request: Request
        let client: ClientID
    }

    private struct State {
        var fault: any ServerFault
        var listing: ListingLiar?
        var audit: AuditLiar?
        var context: FaultContext
        let answer: Answer
        /// Requests that the replica was given.
        var passed: [RequestTag: Asked] = [:]
        /// By session, the oldest first.
        var owed: [UInt64: [RequestTag]] = [:]

        mutating func receive(_ request: Request, from client: ClientID, tag: RequestTag) -> (Request?, [Reply]) {
            switch fault.receive(request, from: client, &context) {
            case .pass(let changed):
                passed[tag] = Asked(request: changed, client: client)
                return (changed, [])
            case .answer(let replies):
                return (nil, replies)
            case .swallow:
                return (nil, [])
            }
        }

        mutating func send(_ reply: Reply, tag: RequestTag) -> [Reply] {
            guard let asked = passed.removeValue(forKey: tag) else { return [reply] }
            return fault.send(reply, to: asked.client, answering: asked.request, &context)
        }

        mutating func keeps(_ change: ObjectChange) -> Bool { fault.keeps(change, &context) }

        /// Which requests of the session are answered with what, now that there are replies to `tag`.
        mutating func assign(_ replies: [Reply], tag: RequestTag) -> [(RequestTag, Reply?)] {
            var owed = owed.removeValue(forKey: tag.session) ?? []
            var answers: [(RequestTag, Reply?)] = []
            if let first = replies.first {
                answers.append((tag, first))
                for reply in replies.dropFirst() where !owed.isEmpty { answers.append((owed.removeFirst(), reply)) }
            } else {
                owed.append(tag)
                if owed.count > FaultInterposer.owedRequestsMax { answers.append((owed.removeFirst(), nil)) }
            }
            if !owed.isEmpty { self.owed[tag.session] = owed }
            return answers
        }
    }

    private let kind: ServerFaultKind
    private let auditLie: AuditLie?
    private let parameters: ClusterParameters
    private let seed: UInt64
    private let clock = ContinuousClock()
    private let start = ContinuousClock().now
    /// nil until the server starts.
    private let state = Mutex<State?>(nil)

    init(kind: ServerFaultKind, auditLie: AuditLie?, parameters: ClusterParameters, seed: UInt64) {
        self.kind = kind
        self.auditLie = auditLie
        self.parameters = parameters
        self.seed = seed
    }

    func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
        state.withLock { state in
            state = State(
                fault: kind.make(), listing: kind.listingLie.map { ListingLiar($0, seed: seed) },
                audit: auditLie.map { AuditLiar($0, seed: seed) },
                context: FaultContext(
                    parameters: parameters, node: signer.node, signer: signer, generator: SeededGenerator(seed: seed),
                    conspiracy: Conspiracy(signers: [signer])),
                answer: answer)
        }
    }

    func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? {
        // Servers that verify ask like clients, and policies tell askers apart only by their names.
        let client =
            switch principal {
            case .client(let client): client
            case .server(let server): ClientID(high: 0, low: UInt64(server.rawValue))
            }
        let now = nowMilliseconds
        let (passed, replies) = state.withLock { state -> (Request?, [Reply]) in
            state?.context.nowMilliseconds = now
            return state?.receive(request, from: client, tag: tag) ?? (nil, [])
        }
        if passed == nil { deliver(replies, tag: tag) }
        return passed
    }

    func send(_ reply: Reply, tag: RequestTag) {
        let now = nowMilliseconds
        let replies = state.withLock { state -> [Reply] in
            state?.context.nowMilliseconds = now
            return state?.send(reply, tag: tag) ?? []
        }
        deliver(replies, tag: tag)
    }

    func keeps(_ change: ObjectChange) -> Bool {
        let now = nowMilliseconds
        return state.withLock { state in
            state?.context.nowMilliseconds = now
            return state?.keeps(change) ?? true
        }
    }

    func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? {
        state.withLock { state in
            guard state?.listing != nil else { return answer }
            return state?.listing?.answer(query, answer)
        }
    }

    func audit(_ query: AuditQuery, _ answer: AuditAnswer) -> AuditAnswer? {
        state.withLock { state in
            guard state?.audit != nil else { return answer }
            return state?.audit?.answer(query, answer)
        }
    }

    private var nowMilliseconds: UInt64 {
        let passed = start.duration(to: clock.now).components
        return UInt64(passed.seconds) * 1000 + UInt64(passed.attoseconds / 1_000_000_000_000_000)
    }

    /// Answers the request `tag` and, with what is left over, requests owed to the same session.
    private func deliver(_ replies: [Reply], tag: RequestTag) {
        let (answer, delayFactor, answers) = state.withLock { state -> (Answer?, Int, [(RequestTag, Reply?)]) in
            (state?.answer, state?.fault.delayFactor ?? 1, state?.assign(replies, tag: tag) ?? [])
        }
        guard let answer, !answers.isEmpty else { return }
        guard delayFactor > 1 else {
            for (tag, reply) in answers { answer(tag, reply) }
            return
        }
        let delay = DispatchTimeInterval.milliseconds(delayFactor * Self.usualDelayMilliseconds)
        DispatchQueue.global().asyncAfter(deadline: .now() + delay) {
            for (tag, reply) in answers { answer(tag, reply) }
        }
    }
}

extension ServerFaultKind {
    /// What its name says of listings; nil: nothing.
    fileprivate var listingLie: ListingLie? {
        switch self {
        case .silent, .mute: .silence
        case .mixture: .mixture
        default: nil
        }
    }
}
