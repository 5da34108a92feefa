// Who may connect: the pinned certificates and the identities they stand for.

/// Who a peer is. It follows from the peer's certificate alone, never from anything the peer says.
package enum PeerIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The server with this number in the cluster.
    case server(UInt16)
    /// The client with this name in the cluster's configuration.
    case client(String)

    package var description: String {
        switch self {
        case .server(let number): "server \(number)"
        case .client(let name): "client \(name)"
        }
    }
}

/// The table of pinned certificates; a certificate outside it belongs to nobody.
package struct PeerDirectory: Sendable, Equatable {
    private let identities: [CertificatePin: PeerIdentity]

    package init(_ identities: [CertificatePin: PeerIdentity]) {
        self.identities = identities
    }

    /// Number of pinned certificates.
    package var count: Int { identities.count }

    /// Whose certificate this is; nil when it is not pinned.
    package func identity(of pin: CertificatePin) -> PeerIdentity? {
        identities[pin]
    }
}
