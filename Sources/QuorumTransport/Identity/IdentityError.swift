// Why an identity (private key and certificate) could not be made or loaded, in words for the person at the console.

/// What went wrong with a private key or certificate of our own; each case names the file to look at.
package enum IdentityError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What a PEM file was expected to hold.
    package enum Content: String, Equatable, Sendable {
        case certificate
        case privateKey = "private key"
    }

    /// No file at this path.
    case fileMissing(path: String)
    /// The file exists but could not be read; `reason` is the system's text.
    case fileUnreadable(path: String, reason: String)
    /// Users other than the owner may read or change the private key; `mode` holds the permission bits.
    case keyOpenToOthers(path: String, mode: UInt32)
    /// The file is larger than any key or certificate.
    case fileTooLarge(path: String, limitBytes: Int)
    /// The file is not PEM text with the expected content.
    case notPEM(path: String, expected: Content)
    /// The file is PEM, but its key is not on the curve P-256.
    case unsupportedKey(path: String)
    /// The private key belongs to another certificate.
    case keyDoesNotMatchCertificate(keyPath: String, certificatePath: String)
    /// The certificate's period is over; seconds since 1970.
    case expired(path: String, notAfter: Int64)
    /// The certificate's period has not begun; seconds since 1970.
    case notYetValid(path: String, notBefore: Int64)
    /// The parameters do not make a certificate (an end before the beginning, for instance).
    case cannotGenerate(reason: String)
    /// The TLS library refused the key or certificate.
    case rejectedByTLS(reason: String)

    package var description: String {
        switch self {
        case .fileMissing(let path):
            "\(path): no such file"
        case .fileUnreadable(let path, let reason):
            "\(path): cannot be read: \(reason)"
        case .keyOpenToOthers(let path, let mode):
            "\(path): the private key is open to other users (mode \(String(mode, radix: 8))); run 'chmod 600 \(path)', "
                + "and take a new key if somebody may have read it"
        case .fileTooLarge(let path, let limit):
            "\(path): larger than \(limit) bytes, so it is no key or certificate file"
        case .notPEM(let path, let expected):
            "\(path): not a PEM file with a \(expected.rawValue)"
        case .unsupportedKey(let path):
            "\(path): the key is not a P-256 key"
        case .keyDoesNotMatchCertificate(let keyPath, let certificatePath):
            "the private key in \(keyPath) does not belong to the certificate in \(certificatePath)"
        case .expired(let path, let notAfter):
            "\(path): the certificate expired at \(CertificateValidity.text(second: notAfter)); issue a new one"
        case .notYetValid(let path, let notBefore):
            "\(path): the certificate is valid only from \(CertificateValidity.text(second: notBefore)); "
                + "check this machine's clock"
        case .cannotGenerate(let reason):
            "cannot make a certificate: \(reason)"
        case .rejectedByTLS(let reason):
            "the TLS library refuses the key or certificate: \(reason)"
        }
    }
}
