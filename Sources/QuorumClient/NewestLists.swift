// Asking the servers of a cluster for the newest lists that they go by.

import ClusterFiles
import NIOCore
import QuorumOperations
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// The lists that servers have. Each is believed by the operator's signature; that there is no newer one is not signed.
package enum NewestLists {
    /// What a server has that is newer than what was known.
    package typealias Answer = ServerAnswer<[AnySignedList]>

    private static let kinds: [ListKind] = [.addresses, .keys, .access]

    /// Asks all servers at once, as the client whose home this is, for lists that are newer than the home's.
    ///
    /// - Returns: an answer for each server, when all are there or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package static func ask(
        _ home: ClientHome, timeoutMilliseconds: Int
    ) async throws(TransportError) -> [NodeID: Answer] {
        let configuration = home.cluster.configuration
        let known = home.cluster.lists
        // The requests are numbered from 1 on, in the order of the kinds.
        @Sendable func question(_ place: Int) -> EncodedMessage {
            let kind = kinds[place]
            return ListMessage.fetch(kind, known: known.version(of: kind)).encoded(request: UInt64(place + 1))
        }
        let taken = Mutex<[NodeID: [AnySignedList]]>([:])
        return try await EveryServer<[AnySignedList]>.ask(
            home, timeoutMilliseconds: timeoutMilliseconds, first: question(0)
        ) { node, frame in
            guard case (let number, .list(let bytes))? = try? ListMessage.decode(frame),
                (1...UInt64(kinds.count)).contains(number)
            else { return .giveUp("it does not know what is asked; it may be of another release") }
            if !bytes.isEmpty {
                do throws(ListError) {
                    let list = try AnySignedList(
                        decoding: bytes, cluster: configuration.parameters.configuration.cluster,
                        checkedBy: configuration.operatorKey)
                    guard list.kind == kinds[Int(number) - 1] else {
                        return .giveUp("it sent another list than was asked")
                    }
                    taken.withLock { $0[node, default: []].append(list) }
                } catch {
                    return .giveUp("it sent a list that is not believed: \(error)")
                }
            }
            let next = Int(number)
            return next < kinds.count ? .ask(question(next)) : .finish(taken.withLock { $0[node] ?? [] })
        }
    }
}
