// Finding what a client has left unfinished, so that somebody can finish it (docs/protocol.md, Accounts).

import ClusterFiles
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// The objects at which a client has something unfinished.
package enum PendingObjects {
    package typealias Answer = ServerAnswer<[ObjectKey]>

    /// Asks all servers at once, as the client whose home this is.
    ///
    /// - Parameters:
    ///   - kind: what is unfinished there.
    ///   - client: whose it is; another's only an administrator of every bucket is told.
    /// - Returns: for each server the objects in ascending order, when all have answered or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package static func ask(
        _ kind: UnfinishedKind, _ home: ClientHome, of client: ClientID, timeoutMilliseconds: Int
    ) async throws(TransportError) -> [NodeID: Answer] {
        let found = Mutex<[NodeID: [ObjectKey]]>([:])
        let parameters = home.cluster.parameters
        // What is there was written under an earlier quota, too, so a smaller one of now says nothing. Where a larger one
        // was taken back, the rest comes when the first are finished; liars are not to make up more than that.
        let quotas = home.cluster.lists.access.contents.quotas[client] ?? ClientQuotas()
        let limit = max(quotas.bareVersions(parameters.limits), parameters.limits.bareVersionsPerClientMax)
        return try await EveryServer<[ObjectKey]>.ask(
            home, timeoutMilliseconds: timeoutMilliseconds,
            first: PendingMessage.list(kind, of: client, after: nil).encoded(request: 1)
        ) { node, frame in
            if case (_, .refused(let refusal))? = try? Reply.decode(frame, parameters: parameters) {
                return .giveUp("it refused: \(refusal)")
            }
            guard case (_, .objects(let keys, let hasMore))? = try? PendingMessage.decode(frame) else {
                return .giveUp("it does not know what is asked; it may be of another release")
            }
            return found.withLock { found in
                let known = found[node] ?? []
                if let last = known.last, let first = keys.first, first <= last {
                    return .giveUp("its list is out of order")
                }
                let all = known + keys
                found[node] = all
                guard hasMore, let last = keys.last, all.count < limit else { return .finish(all) }
                return .ask(PendingMessage.list(kind, of: client, after: last).encoded(request: UInt64(all.count) + 1))
            }
        }
    }
}
