// The key and certificate by which a running server is known. They may be renewed without a restart
// (docs/operations.md, Certificates).

import ClusterFiles
import Logging
import QuorumProtocol
import QuorumTransport
import Synchronization

/// What a server shows, safe to use from any thread.
final class ShownIdentity: Sendable {
    private let node: NodeID
    private let directory: String?
    private let logger: Logger
    private let identity: Mutex<TransportIdentity>

    init(_ configuration: ServerConfiguration, logger: Logger) {
        node = configuration.node
        directory = configuration.identityDirectory
        identity = Mutex(configuration.identity)
        self.logger = logger
    }

    var validity: CertificateValidity { identity.withLock { $0.validity } }
    var pin: CertificatePin { identity.withLock { $0.pin } }

    /// Has the server show what lies in its home now, if that is another one than before and the lists name it. With
    /// anything else the one before stays.
    ///
    /// - Returns: what is wrong with it.
    func renew(_ cluster: ClusterDescription, _ endpoint: ServerEndpoint, _ peers: PeerReads) -> String? {
        guard let directory else { return nil }
        do {
            let found = try ServerHome.identity(in: directory, of: node, cluster)
            guard found.pin != pin else { return nil }
            try endpoint.show(found)
            peers.show(found)
            identity.withLock { $0 = found }
            let end = CertificateValidity.text(second: found.validity.notAfter)
            logger.info("shows the certificate \(found.pin) from now on, which ends at \(end)")
            return nil
        } catch {
            logger.error("the certificate is not taken: \(error)")
            return "\(error)"
        }
    }

    /// Says so in the last days of the certificate.
    func warn() {
        guard let warning = validity.warning(now: CertificateValidity.currentSecond()) else { return }
        logger.warning("\(warning)")
    }
}
