// Why a cluster's files cannot be used or written, in words for the person at the console.

import QuorumProtocol

/// What is wrong with a cluster's files; each case names the file, and its description says what to do.
public enum ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No file at this path; `advice` says how one comes to be there.
    case fileMissing(path: String, advice: String)
    /// The file is there but cannot be read; `reason` is the system's text.
    case fileUnreadable(path: String, reason: String)
    /// The file is larger than any configuration.
    case fileTooLarge(path: String, limitBytes: Int)
    /// The file is not TOML; line and column count from 1.
    case notTOML(path: String, line: Int, column: Int, reason: String)
    /// The file was written in a format this program does not know.
    case unsupportedFormat(path: String, found: Int, supported: Int)
    /// The file has a key that means nothing here.
    case unknownKey(path: String, key: String)
    /// A key that must be there is not.
    case missingKey(path: String, key: String, expected: String)
    /// A key's value has another type than it must have.
    case wrongType(path: String, key: String, expected: String, found: String)
    /// A key's value has the right type and makes no sense.
    case invalidValue(path: String, key: String, value: String, reason: String)
    /// Two entries share what must be unique; `key` and `earlier` are the two places.
    case duplicate(path: String, key: String, value: String, earlier: String)
    /// Each entry makes sense, and together they do not.
    case inconsistent(path: String, reason: String)
    /// The signature is not the operator's, or what is signed may not be taken.
    case untrusted(path: String, ListError)
    /// The operator's key is not the one that the cluster believes.
    case foreignOperatorKey(path: String, listedIn: String)
    /// The cluster has no client of this name.
    case unknownClient(path: String, name: String, listed: [String])
    /// A home's certificate is not the one that the cluster's configuration lists for its owner.
    case foreignCertificate(path: String, listedIn: String, owner: String, expectedPin: String, foundPin: String)
    /// A server home's statement key is not the one that the cluster's configuration lists for the server.
    case foreignStatementKey(path: String, listedIn: String, owner: String)
    /// A server's store is to be begun anew, and there is one.
    case storeInTheWay(path: String)
    /// A certificate's period is over; seconds since 1970, and the same as text.
    case certificateExpired(path: String, notAfter: Int64, text: String)
    /// A certificate's period has not begun; seconds since 1970, and the same as text.
    case certificateNotYetValid(path: String, notBefore: Int64, text: String)
    /// A private key or certificate cannot be used for another reason; `reason` names the file.
    case unusableIdentity(reason: String)
    /// What is made anew needs a directory without any entry.
    case directoryNotEmpty(path: String)
    /// The numbers asked for make no cluster.
    case invalidParameters(reason: String)
    /// No client can be made of what was asked for.
    case invalidClient(name: String, reason: String)
    /// A file or directory could not be written; `reason` is the system's text.
    case cannotWrite(path: String, reason: String)

    public var description: String {
        switch self {
        case .fileMissing(let path, let advice):
            "\(path): no such file; \(advice)"
        case .fileUnreadable(let path, let reason):
            "\(path): cannot be read: \(reason)"
        case .fileTooLarge(let path, let limit):
            "\(path): larger than \(limit) bytes, so it is no configuration; check the path"
        case .notTOML(let path, let line, let column, let reason):
            "\(path):\(line):\(column): not TOML: \(reason); correct the file"
        case .unsupportedFormat(let path, let found, let supported):
            "\(path): format = \(found), but this program reads format \(supported); "
                + "use the release that wrote the file, or a newer one"
        case .unknownKey(let path, let key):
            "\(path): unknown key '\(key)'; remove it or correct its spelling"
        case .missingKey(let path, let key, let expected):
            "\(path): the key '\(key)' is missing; add it with \(expected)"
        case .wrongType(let path, let key, let expected, let found):
            "\(path): '\(key)' must be \(expected), not \(found)"
        case .invalidValue(let path, let key, let value, let reason):
            "\(path): '\(key)' = \(value): \(reason)"
        case .duplicate(let path, let key, let value, let earlier):
            "\(path): '\(key)' = \(value) is listed before as '\(earlier)'; each must be different"
        case .inconsistent(let path, let reason):
            "\(path): \(reason)"
        case .untrusted(let path, .wrongSignature(.configuration, let version)):
            "\(path): its signature is not the operator's: the file was changed after it was signed for epoch \(version); "
                + "take the copy from where the cluster was made"
        case .untrusted(let path, .wrongSignature(let kind, let version)):
            "\(path): its signature is not the operator's: the \(kind), version \(version), was changed after it was "
                + "signed; 'solidus cluster sign DIR' signs what is meant, with the operator's key"
        case .untrusted(let path, let error):
            "\(path): \(error)"
        case .foreignOperatorKey(let path, let listedIn):
            "\(path): this is not the operator's key that \(listedIn) names; it may be another cluster's"
        case .unknownClient(let path, let name, let listed):
            listed.isEmpty
                ? "\(path): no client is listed; 'solidus client add' makes one"
                : "\(path): no client '\(name)' is listed; there is \(listed.joined(separator: ", "))"
        case .foreignCertificate(let path, let listedIn, let owner, let expected, let found):
            "\(path): this certificate (pin \(found)) is not the one that \(listedIn) lists for \(owner) "
                + "(pin \(expected)); it may be another cluster's: put the right key.pem and certificate.pem here"
        case .foreignStatementKey(let path, let listedIn, let owner):
            "\(path): this statement key is not the one that \(listedIn) lists for \(owner); "
                + "put the right key here, or, after 'solidus server rebuild', have the operator list it"
        case .storeInTheWay(let path):
            "\(path): there is a store; if it is lost, damaged beyond repair or rolled back, move it away first, and never "
                + "use it again: its server has promised what it does not remember"
        case .certificateExpired(let path, _, let text):
            "\(path): the certificate expired at \(text); issue a new one and list its pin in addresses.toml or access.toml"
        case .certificateNotYetValid(let path, _, let text):
            "\(path): the certificate is valid only from \(text); check this machine's clock"
        case .unusableIdentity(let reason):
            reason
        case .directoryNotEmpty(let path):
            "\(path): not empty; an empty or absent directory is needed"
        case .invalidParameters(let reason):
            "no cluster can be made of these numbers: \(reason)"
        case .invalidClient(let name, let reason):
            "client '\(name)' cannot be added: \(reason)"
        case .cannotWrite(let path, let reason):
            "\(path): cannot be written: \(reason)"
        }
    }
}
