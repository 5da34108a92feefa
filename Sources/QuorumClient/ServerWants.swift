// What servers lack, as they say themselves (docs/protocol.md, Repair).

import ClusterFiles
import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// The objects of which servers lack something.
package enum ServerWants {
    package typealias Answer = ServerAnswer<[ListedWant]>

    /// Asks servers, as the client whose home this is, which must administer every bucket.
    ///
    /// - Parameters:
    ///   - only: nobody else is asked; nil: all are.
    ///   - limit: how many objects of each server, at least 1; the list may go a little beyond.
    /// - Returns: for each server the objects in ascending order, when all have answered or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package static func ask(
        _ home: ClientHome, only: Set<NodeID>?, limit: Int, timeoutMilliseconds: Int
    ) async throws(TransportError) -> [NodeID: Answer] {
        let found = Mutex<[NodeID: [ListedWant]]>([:])
        let parameters = home.cluster.parameters
        return try await EveryServer<[ListedWant]>.ask(
            home, only: only, timeoutMilliseconds: timeoutMilliseconds,
            first: WantsMessage.list(after: nil).encoded(request: 1)
        ) { node, frame in
            if case (_, .refused(let refusal))? = try? Reply.decode(frame, parameters: parameters) {
                return .giveUp("it refused: \(refusal)")
            }
            guard case (_, .wants(let wants, let hasMore))? = try? WantsMessage.decode(frame) else {
                return .giveUp("it does not know what is asked; it may be of another release")
            }
            return found.withLock { found in
                let known = found[node] ?? []
                if let last = known.last, let first = wants.first, first.key <= last.key {
                    return .giveUp("its list is out of order")
                }
                let all = known + wants
                found[node] = all
                guard hasMore, let last = wants.last, all.count < limit else { return .finish(all) }
                return .ask(WantsMessage.list(after: last.key).encoded(request: UInt64(all.count) + 1))
            }
        }
    }
}
