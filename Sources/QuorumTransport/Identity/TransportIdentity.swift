// Our own end of mutual authentication: a private key with its certificate, loaded and checked.

import Crypto
import Glibc
import NIOSSL
import X509

/// A P-256 private key and the certificate that belongs to it, checked against each other and against the clock.
package struct TransportIdentity: Sendable {
    /// The pin under which peers know this identity.
    package let pin: CertificatePin
    /// The certificate's validity period.
    package let validity: CertificateValidity
    let certificate: NIOSSLCertificate
    let privateKey: NIOSSLPrivateKey

    /// Key and certificate files are a few hundred bytes; the limit keeps a wrong path from filling memory.
    package static let maximumFileSizeBytes = 1 << 20

    /// Loads a PEM private key and a PEM certificate from files.
    ///
    /// - Parameter now: the clock's second, seconds since 1970; pass another value only to look at expired identities.
    /// - Throws: `IdentityError`, naming the file at fault.
    package init(
        privateKeyPath: String, certificatePath: String, now: Int64 = CertificateValidity.currentSecond()
    ) throws(IdentityError) {
        let certificateFile = try Self.read(certificatePath)
        let keyFile = try Self.read(privateKeyPath)
        guard keyFile.mode & 0o077 == 0 else {
            throw .keyOpenToOthers(path: privateKeyPath, mode: keyFile.mode)
        }
        try self.init(
            privateKeyPEM: keyFile.text, certificatePEM: certificateFile.text, privateKeyPath: privateKeyPath,
            certificatePath: certificatePath, now: now)
    }

    /// Takes a PEM private key and a PEM certificate from memory; errors speak of "private key" and "certificate" in
    /// the place of paths.
    package init(
        privateKeyPEM: String, certificatePEM: String, now: Int64 = CertificateValidity.currentSecond()
    ) throws(IdentityError) {
        try self.init(
            privateKeyPEM: privateKeyPEM, certificatePEM: certificatePEM, privateKeyPath: "private key",
            certificatePath: "certificate", now: now)
    }

    private init(
        privateKeyPEM: String, certificatePEM: String, privateKeyPath: String, certificatePath: String,
        now: Int64
    ) throws(IdentityError) {
        guard let parsed = try? Certificate(pemEncoded: certificatePEM) else {
            throw .notPEM(path: certificatePath, expected: .certificate)
        }
        guard privateKeyPEM.contains("PRIVATE KEY-----") else {
            throw .notPEM(path: privateKeyPath, expected: .privateKey)
        }
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: privateKeyPEM) else {
            throw .unsupportedKey(path: privateKeyPath)
        }
        guard let certified = P256.Signing.PublicKey(parsed.publicKey) else {
            throw .unsupportedKey(path: certificatePath)
        }
        guard certified.rawRepresentation == key.publicKey.rawRepresentation else {
            throw .keyDoesNotMatchCertificate(keyPath: privateKeyPath, certificatePath: certificatePath)
        }
        let validity = CertificateValidity(of: parsed)
        guard now <= validity.notAfter else { throw .expired(path: certificatePath, notAfter: validity.notAfter) }
        guard now >= validity.notBefore else {
            throw .notYetValid(path: certificatePath, notBefore: validity.notBefore)
        }
        do {
            certificate = try NIOSSLCertificate(bytes: Array(certificatePEM.utf8), format: .pem)
            pin = try CertificatePin(derCertificate: certificate.toDERBytes())
            privateKey = try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)
        } catch {
            throw .rejectedByTLS(reason: "\(error)")
        }
        self.validity = validity
    }

    private static func read(_ path: String) throws(IdentityError) -> (text: String, mode: UInt32) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT ? .fileMissing(path: path) : .fileUnreadable(path: path, reason: systemText(errno))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .fileUnreadable(path: path, reason: systemText(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .fileUnreadable(path: path, reason: "not a regular file")
        }
        guard status.st_size <= maximumFileSizeBytes else {
            throw .fileTooLarge(path: path, limitBytes: maximumFileSizeBytes)
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while bytes.count <= maximumFileSizeBytes {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .fileUnreadable(path: path, reason: systemText(errno)) }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[0..<count])
        }
        return (String(decoding: bytes, as: UTF8.self), status.st_mode & 0o777)
    }
}
