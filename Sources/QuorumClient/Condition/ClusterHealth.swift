// Asking every server of a cluster how it is.

import ClusterFiles
import QuorumProtocol
import QuorumTransport
import QuorumWire

/// What the servers of a cluster say of themselves. Nothing of it is signed: a lying server says what it likes.
package enum ClusterHealth {
    package typealias Answer = ServerAnswer<ServerStatus>

    /// Asks all servers at once, as the client whose home this is.
    ///
    /// - Returns: an answer for each server, when all are there or the time is over.
    /// - Throws: `.identity` when the client's key or certificate cannot be used.
    package static func ask(
        _ home: ClientHome, timeoutMilliseconds: Int
    ) async throws(TransportError) -> [NodeID: Answer] {
        try await EveryServer<ServerStatus>.ask(
            home, timeoutMilliseconds: timeoutMilliseconds, first: StatusMessage.fetch.encoded(request: 1)
        ) { _, frame in
            guard let (number, message) = try? StatusMessage.decode(frame), number == 1,
                case .status(let status) = message
            else { return .giveUp("it does not know what is asked; it may be of another release") }
            return .finish(status)
        }
    }
}
