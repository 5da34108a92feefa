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

    /// Loads key and certificate, and checks that they are those that the configuration lists for `owner`.
    func identity(pinned: CertificatePin, owner: String, listedIn: String) throws(ConfigurationError)
        -> TransportIdentity
    {
        let identity: TransportIdentity
        do {
            identity = try TransportIdentity(privateKeyPath: privateKey, certificatePath: certificate)
        } catch {
            throw ConfigurationError(error)
        }
        guard identity.pin == pinned else {
            throw .foreignCertificate(
                path: certificate, listedIn: listedIn, owner: owner, expectedPin: pinned.description,
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
