// Why a command failed, for people and for programs.

import ClusterFiles
import QuorumClient
import QuorumProtocol
import QuorumServer

/// A failed command: what the exit code says, what to tell people, and what was seen of the servers.
package struct Failure: Error {
    package let status: ExitStatus
    package let message: String
    package var observations = ServerObservations()
    /// Whether an upload cannot be gone on with, but only begun anew.
    private var endsUpload = false
    /// How many servers said so. Liars may.
    private var endingRefusalCount = 0
    /// Whether what was read was overwritten meanwhile, so that reading again will do.
    package private(set) var asksToReadAgain = false

    /// Whether an upload cannot be gone on with, but only begun anew, if so many servers may lie.
    package func endsUpload(faults: Int) -> Bool { endsUpload || endingRefusalCount > faults }

    package init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    package init(_ error: ConfigurationError) {
        let status: ExitStatus =
            switch error {
            case .cannotWrite: .inputOutput
            case .invalidParameters, .invalidClient: .usage
            default: .configuration
            }
        self.init(status, error.description)
    }

    package init(_ error: ClientError) {
        let status: ExitStatus =
            switch error {
            case .notFound, .noBucket, .noVersion, .noPart: .notFound
            case .unavailable, .listingUnavailable, .overwritten: .unavailable
            case .invalidListing, .invalidRange: .usage
            case .wrongLength: .inputOutput
            case .listingRefused, .refused, .valueTooLarge, .tooManyStripes, .invalidMetadata, .bucketExists,
                .bucketNotEmpty,
                .reservedKey, .uploadEnded, .otherPart:
                .refused
            case .identity: .configuration
            case .cancelled, .closed: .unexpected
            }
        self.init(status, error.description)
        observations = error.observations
        if case .uploadEnded = error { endsUpload = true }
        if case .overwritten = error { asksToReadAgain = true }
        if case .refused = error { endingRefusalCount = error.observations.refusing.count { $0.why.endsUpload } }
    }

    package init(_ error: ServerError) {
        let status: ExitStatus =
            switch error {
            case .storage(.notAStore), .storage(.unsupportedFormat), .storage(.foreign), .storage(.otherOwner),
                .transport(.identity):
                .configuration
            case .lists(let error):
                Failure(error).status
            default:
                .inputOutput
            }
        self.init(status, error.description)
    }

    /// The failure that a typed error of the rooms below means; nil for any other error.
    package init?(ofAny error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as ConfigurationError: self.init(error)
        case let error as ClientError: self.init(error)
        case let error as ServerError: self.init(error)
        default: return nil
        }
    }
}
