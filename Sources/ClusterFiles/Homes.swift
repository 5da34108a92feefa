// What the homes of servers and clients have in common: where their files lie, and how their keys are checked.

import DurableFiles
import Foundation
import Glibc
import QuorumTransport

/// The files in a home; see `ServerHome` and `ClientHome`.
struct HomeFiles {
    let directory: String

    init(_ directory: String) {
        var trimmed = directory[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        self.directory = String(trimmed)
    }

    var privateKey: String { directory + "/key.pem" }
    var certificate: String { directory + "/certificate.pem" }
    /// Those that take their place, while certificates are renewed.
    var nextPrivateKey: String { directory + "/next-key.pem" }
    var nextCertificate: String { directory + "/next-certificate.pem" }
    var statementKey: String { directory + "/statement-key.pem" }
    var serverFile: String { directory + "/server.toml" }
    var clientFile: String { directory + "/client.toml" }
    var store: String { directory + "/store" }
    /// How far a server is whose store was begun anew.
    var rebuildMark: String { directory + "/rebuild.json" }
    /// Which life of its store is well again.
    var wellMark: String { directory + "/rebuilt.json" }
    /// Which life of its store has gone back to an earlier state.
    var rolledBackMark: String { directory + "/rolled-back.json" }
    /// What proves that other servers lied.
    var evidence: String { directory + "/evidence" }
    /// Where a server keeps the newest lists that it has seen.
    var lists: String { directory + "/lists" }

    /// The cluster's configuration, beside which its lists lie: in the home itself, else two directories up, as in a
    /// cluster's own directory.
    var clusterFile: String {
        let own = directory + "/" + ClusterConfiguration.fileName
        let shared = directory + "/../../" + ClusterConfiguration.fileName
        guard access(own, F_OK) != 0, let resolved = realpath(shared, nil) else { return own }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func loadedIdentity() throws(IdentityError) -> TransportIdentity {
        do throws(IdentityError) {
            return try TransportIdentity(privateKeyPath: privateKey, certificatePath: certificate)
        } catch {
            // The key has been renewed, and the certificate has not yet.
            guard case .keyDoesNotMatchCertificate = error, access(nextCertificate, F_OK) == 0 else { throw error }
            return try TransportIdentity(privateKeyPath: privateKey, certificatePath: nextCertificate)
        }
    }

    /// Makes a directory that only its owner may enter.
    static func makeDirectory(_ path: String) throws(ConfigurationError) {
        try TextFile.writing { () throws(FileError) in try DurableFile.makeDirectory(path) }
    }

    /// Makes a key and a certificate and writes them.
    func makeIdentity(
        commonName: String, validFrom: Date, validUntil: Date
    ) throws(ConfigurationError) -> GeneratedIdentity {
        let identity: GeneratedIdentity
        do {
            identity = try GeneratedIdentity(commonName: commonName, validFrom: validFrom, validUntil: validUntil)
        } catch {
            throw ConfigurationError(error)
        }
        try TextFile.create(privateKey, identity.privateKeyPEM, mode: 0o600)
        try TextFile.create(certificate, identity.certificatePEM, mode: 0o644)
        return identity
    }

    /// The pin of the key and certificate that are to take the place of those in use; they are made where there are none
    /// that belong together. Nobody has heard of such as do not.
    func makeNextIdentity(commonName: String, validUntil: Date) throws(ConfigurationError) -> CertificatePin {
        if let made = try? TransportIdentity(privateKeyPath: nextPrivateKey, certificatePath: nextCertificate) {
            return made.pin
        }
        let identity: GeneratedIdentity
        do {
            identity = try GeneratedIdentity(
                commonName: commonName, validFrom: Date(timeIntervalSinceNow: -3600), validUntil: validUntil)
        } catch {
            throw ConfigurationError(error)
        }
        try TextFile.replace(nextPrivateKey, identity.privateKeyPEM, mode: 0o600)
        try TextFile.replace(nextCertificate, identity.certificatePEM, mode: 0o644)
        return identity.pin
    }

    /// Puts them in place. Where this is interrupted `identity` finds what belongs together, and it is to be repeated.
    func takeNextIdentity() throws(ConfigurationError) {
        let advice = "'solidus cluster renew-certificates' without --finish makes it"
        let key = try TextFile.read(nextPrivateKey, advice: advice, isPrivate: true)
        let certificate = try TextFile.read(nextCertificate, advice: advice)
        try TextFile.replace(privateKey, String(decoding: key, as: UTF8.self), mode: 0o600)
        try TextFile.replace(self.certificate, String(decoding: certificate, as: UTF8.self), mode: 0o644)
    }

    /// Removes them, once they are in place.
    func forgetNextIdentity() throws(ConfigurationError) {
        for path in [nextPrivateKey, nextCertificate] {
            guard unlink(path) == 0 || errno == ENOENT else {
                throw .cannotWrite(path: path, reason: systemText(errno))
            }
        }
    }

    /// Loads key and certificate, and checks that they are those that the configuration lists for `owner`, or some of
    /// those.
    func identity(pinned: [CertificatePin], owner: String, listedIn: String) throws(ConfigurationError)
        -> TransportIdentity
    {
        let identity: TransportIdentity
        do {
            identity = try loadedIdentity()
        } catch {
            throw ConfigurationError(error)
        }
        guard pinned.contains(identity.pin) else {
            throw .foreignCertificate(
                path: certificate, listedIn: listedIn, owner: owner,
                expectedPin: pinned.map(\.description).joined(separator: " or "),
                foundPin: identity.pin.description)
        }
        return identity
    }
}

extension ConfigurationError {
    init(_ error: IdentityError) {
        switch error {
        case .fileMissing(let path):
            self = .fileMissing(path: path, advice: "restore it from where the cluster was made")
        case .fileUnreadable(let path, let reason):
            self = .fileUnreadable(path: path, reason: reason)
        case .fileTooLarge(let path, let limit):
            self = .fileTooLarge(path: path, limitBytes: limit)
        case .expired(let path, let notAfter):
            self = .certificateExpired(
                path: path, notAfter: notAfter, text: CertificateValidity.text(second: notAfter))
        case .notYetValid(let path, let notBefore):
            self = .certificateNotYetValid(
                path: path, notBefore: notBefore, text: CertificateValidity.text(second: notBefore))
        case .keyOpenToOthers:
            self = .unusableIdentity(reason: "\(error)")
        case .notPEM, .unsupportedKey, .keyDoesNotMatchCertificate, .rejectedByTLS:
            self = .unusableIdentity(reason: "\(error); restore the file from where the cluster was made")
        case .cannotGenerate:
            self = .unusableIdentity(reason: "\(error)")
        }
    }
}
