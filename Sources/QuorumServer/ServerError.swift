// Why a server does not start.

import ClusterFiles
import ObjectStorage
import QuorumTransport

/// What kept a server from starting, in words for people.
package enum ServerError: Error, Sendable, CustomStringConvertible {
    /// The newest lists cannot be kept.
    case lists(ConfigurationError)
    /// The store cannot be opened, or its disk cannot be used.
    case storage(StorageError)
    /// The address cannot be listened on, or the certificate cannot be used.
    case transport(TransportError)

    package var description: String {
        switch self {
        case .lists(let error): "\(error)"
        case .storage(let error): "\(error)"
        case .transport(let error): "\(error)"
        }
    }
}
