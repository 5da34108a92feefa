// Why a server does not start.

import ClusterFiles
import ObjectStorage
import QuorumProtocol
import QuorumTransport

/// What kept a server from starting, in words for people.
package enum ServerError: Error, Sendable, CustomStringConvertible {
    /// The newest lists cannot be kept.
    case lists(ConfigurationError)
    /// The store cannot be opened, or its disk cannot be used.
    case storage(StorageError)
    /// The address cannot be listened on, or the certificate cannot be used.
    case transport(TransportError)
    /// Another store has taken this one's place: it is of an earlier life than the list of keys names last.
    case outlived(store: Incarnation, listed: Incarnation)
    /// The statement key is not that of the store's life.
    case foreignKey(Incarnation)

    package var description: String {
        switch self {
        case .lists(let error): "\(error)"
        case .storage(.notAStore(let path, let reason)):
            "\(StorageError.notAStore(path: path, reason: reason)); is its disk mounted? If it is lost, begin it anew: "
                + "solidus server rebuild --home HOME"
        case .storage(let error): "\(error)"
        case .transport(let error): "\(error)"
        case .foreignKey(let store):
            "this store is of \(store), and the list of keys has another key for that than statement-key.pem; put the key "
                + "here that was made with the store"
        case .outlived(let store, let listed):
            "this store is of \(store), and the list of keys says that the server is in \(listed): another store has taken "
                + "its place, and this one must never be used again; move it away and run `solidus server rebuild`"
        }
    }
}
