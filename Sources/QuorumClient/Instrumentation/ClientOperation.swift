// What metrics and spans say of an operation: its name, how it ended, and what it took.

import QuorumProtocol

/// A client's operation by the name that it has in metrics and, behind `solidus.`, in spans.
package enum ClientOperation: String, CaseIterable, Sendable {
    case put, get, open, head, copy, delete
    /// One page of a listing.
    case list
    case createBucket = "create_bucket"
    case deleteBucket = "delete_bucket"
    case bucket, buckets
    case beginUpload = "begin_upload"
    case putPart = "put_part"
    case listParts = "list_parts"
    case completeUpload = "complete_upload"
    case abortUpload = "abort_upload"
    case listUploads = "list_uploads"
}

/// How an operation ended, by the name that it has in metrics and spans.
package enum OperationOutcome: String, CaseIterable, Sendable {
    case ok
    /// There is no such object, or bucket. That is an answer, and no error of a span.
    case notFound = "not_found"
    case unavailable, refused, cancelled
    /// Everything else: what cannot be done however often it is tried.
    case failed

    init(_ error: any Error) {
        switch error {
        case ClientError.notFound, ClientError.noBucket: self = .notFound
        case ClientError.unavailable, ClientError.listingUnavailable: self = .unavailable
        case ClientError.refused, ClientError.listingRefused: self = .refused
        case ClientError.cancelled, is CancellationError: self = .cancelled
        default: self = .failed
        }
    }
}

/// What an operation is about.
package enum OperationSubject: Sendable {
    case object(ObjectKey)
    case bucket(String)
    /// The buckets that there are.
    case cluster
}

/// What an operation took. Nil for what is not known of it.
package struct OperationFacts: Sendable {
    var rounds: Int?
    /// Of the value, or of the part of it that was moved.
    var valueBytes: UInt64?
    var observations = ServerObservations()

    package init(valueBytes: UInt64? = nil) {
        self.valueBytes = valueBytes
    }

    package init(_ result: PutResult, valueBytes: UInt64? = nil) {
        rounds = result.rounds
        self.valueBytes = valueBytes
        observations = result.observations
    }

    package init(_ status: ObjectStatus, valueBytes: UInt64? = nil) {
        rounds = status.rounds
        self.valueBytes = valueBytes
        observations = status.observations
    }

    init(_ copy: CopyResult) {
        rounds = copy.source.rounds + copy.written.rounds
        valueBytes = copy.source.lengthBytes
        observations = copy.written.observations
    }
}
