// Making a fresh P-256 key with a self-signed certificate.

import Crypto
import Foundation
import NIOSSL
import X509

/// A fresh private key and its self-signed certificate as PEM text, ready to be written to two files.
package struct GeneratedIdentity: Sendable {
    /// PKCS #8 private key, PEM. Keep it readable by its owner only.
    package let privateKeyPEM: String
    /// X.509 certificate, PEM.
    package let certificatePEM: String
    /// The pin to list in the cluster's configuration.
    package let pin: CertificatePin

    /// Makes a P-256 key and a self-signed certificate naming `commonName`, valid from `validFrom` to `validUntil`.
    ///
    /// - Throws: `IdentityError.cannotGenerate`.
    package init(commonName: String, validFrom: Date, validUntil: Date) throws(IdentityError) {
        guard validFrom < validUntil else {
            throw .cannotGenerate(reason: "its validity would end before it begins")
        }
        guard !commonName.isEmpty, commonName.utf8.count <= 64 else {
            throw .cannotGenerate(reason: "a common name has 1 to 64 bytes")
        }
        do {
            let key = P256.Signing.PrivateKey()
            let name = try DistinguishedName { CommonName(commonName) }
            let certificate = try Certificate(
                version: .v3,
                serialNumber: Certificate.SerialNumber(),
                publicKey: Certificate.PublicKey(key.publicKey),
                notValidBefore: validFrom,
                notValidAfter: validUntil,
                issuer: name,
                subject: name,
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                },
                issuerPrivateKey: Certificate.PrivateKey(key))
            let pem = try certificate.serializeAsPEM().pemString
            privateKeyPEM = key.pemRepresentation + "\n"
            certificatePEM = pem + "\n"
            pin = try CertificatePin(
                derCertificate: NIOSSLCertificate(bytes: Array(pem.utf8), format: .pem).toDERBytes())
        } catch {
            throw .cannotGenerate(reason: "\(error)")
        }
    }
}
