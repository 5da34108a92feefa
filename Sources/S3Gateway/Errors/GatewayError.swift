// Why a gateway does not start, or one of its commands fails.

/// What is wrong, in words for people.
public enum GatewayError: Error, Sendable, CustomStringConvertible {
    case cannotListen(address: String, reason: String)
    case configuration(path: String, reason: String)
    case unsuitableMode(String)
    case noSuchCredential(String)
    case invalidCredential(String)

    public var description: String {
        switch self {
        case .cannotListen(let address, let reason):
            "the gateway cannot listen on \(address): \(reason)"
        case .configuration(let path, let reason):
            "\(path): \(reason)"
        case .unsuitableMode(let mode):
            "the gateway does not serve a cluster in the mode '\(mode)': there a version may turn out to be unsound after "
                + "it was acknowledged, which no client of S3 expects; use 'fingerprint' or 'full'"
        case .noSuchCredential(let name):
            "there is no access key '\(name)'; 'solidus gateway key list' shows those that there are"
        case .invalidCredential(let reason):
            reason
        }
    }
}
