// The verdict on the certificate that a peer presented in the TLS handshake.
//
// TLS itself proves that the peer holds the certificate's private key. What the certificate is worth is decided here,
// and by pin only: issuer, names and chain of a self-signed certificate say nothing. The pin is compared before any
// field of the certificate is looked at.

import NIOCore
import NIOSSL

/// What a presented certificate turned out to be.
enum PresentedCertificate: Equatable {
    /// Within its validity period.
    case valid(CertificatePin)
    /// Pinned, but its period is over.
    case expired(CertificatePin, notAfter: Int64)
    /// Pinned, but its period has not begun.
    case notYetValid(CertificatePin, notBefore: Int64)
    /// Not a pinned certificate.
    case notPinned(CertificatePin)
    /// The peer presented nothing that can be read.
    case unreadable

    /// The certificate's pin, if one could be computed.
    var pin: CertificatePin? {
        switch self {
        case .valid(let pin), .expired(let pin, _), .notYetValid(let pin, _), .notPinned(let pin): pin
        case .unreadable: nil
        }
    }

    /// Judges the leaf (first) certificate of `chain` at second `now`.
    init(chain: [NIOSSLCertificate], now: Int64, isPinned: (CertificatePin) -> Bool) {
        guard let leaf = chain.first, let bytes = try? leaf.toDERBytes() else {
            self = .unreadable
            return
        }
        let pin = CertificatePin(derCertificate: bytes)
        guard isPinned(pin) else {
            self = .notPinned(pin)
            return
        }
        guard let validity = CertificateValidity(derCertificate: bytes) else {
            self = .unreadable
            return
        }
        if now > validity.notAfter {
            self = .expired(pin, notAfter: validity.notAfter)
        } else if now < validity.notBefore {
            self = .notYetValid(pin, notBefore: validity.notBefore)
        } else {
            self = .valid(pin)
        }
    }
}

/// Carries the verdict from the TLS handler's callback to the connection's handler; confined to the event loop.
///
/// The verdict stays nil when the callback never ran, as when a peer resumes an old TLS session; no verdict means no
/// identity, so such a peer is refused.
final class PeerVerdict {
    var certificate: PresentedCertificate?
}

extension TransportIdentity {
    /// TLS 1.3 only, our certificate, the peer's certificate required; whose it must be is for the callback to decide.
    private func configuration(_ base: TLSConfiguration, closeTimeout: TimeAmount) -> TLSConfiguration {
        var configuration = base
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = [.certificate(certificate)]
        configuration.privateKey = .privateKey(privateKey)
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates([])
        configuration.shutdownTimeout = closeTimeout
        return configuration
    }

    /// The TLS context of a listening endpoint.
    func serverContext(closeTimeout: TimeAmount) throws(IdentityError) -> NIOSSLContext {
        let base = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: .privateKey(privateKey))
        return try context(configuration(base, closeTimeout: closeTimeout))
    }

    /// The TLS context of an outgoing connection.
    package func clientContext(closeTimeout: TimeAmount) throws(IdentityError) -> NIOSSLContext {
        try context(configuration(.makeClientConfiguration(), closeTimeout: closeTimeout))
    }

    private func context(_ configuration: TLSConfiguration) throws(IdentityError) -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .rejectedByTLS(reason: "\(error)")
        }
    }
}
