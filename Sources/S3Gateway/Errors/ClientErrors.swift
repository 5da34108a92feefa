// What the client library's errors are in S3's words. What they say of servers is for the gateway's log.

import NIOCore
import NIOHTTP1
import NIOSSL
import QuorumClient
import QuorumProtocol

extension S3Error {
    init(_ error: ClientError) {
        switch error {
        case .notFound(let key), .noVersion(let key, _): self = .noSuchKey(key.nameText)
        case .noBucket(let bucket): self = .noSuchBucket(bucket)
        case .bucketExists(let bucket):
            self.init(
                .bucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it.",
                [("BucketName", bucket)])
        case .bucketNotEmpty(let bucket, _):
            self.init(
                .bucketNotEmpty, "The bucket you tried to delete is not empty", [("BucketName", bucket)])
        case .valueTooLarge(_, let size, let limit):
            self.init(
                .entityTooLarge, "Your proposed upload exceeds the maximum allowed size",
                [("ProposedSize", "\(size)"), ("MaxSizeAllowed", "\(limit)")])
        case .tooManyStripes:
            self.init(
                .invalidRequest,
                "The parts have more stripes than one object's description has room for; upload fewer and larger parts."
            )
        case .wrongLength(_, let got, let expected):
            self = CheckedPayload.incomplete(provided: got, expected: expected)
        case .invalidRange(_, let length):
            self.init(
                .invalidRange, "The requested range is not satisfiable", [("ActualObjectSize", "\(length)")])
        case .uploadEnded: self = .noSuchUpload("")
        case .noPart(_, let number), .otherPart(_, let number, _):
            self.init(
                .invalidPart,
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                    + "specified entity tag may not match the part's entity tag.", [("PartNumber", "\(number)")])
        case .invalidMetadata:
            self.init(.metadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
        case .refused, .listingRefused:
            // The rights of the gateway itself, or a limit of its account; the log says which.
            self.init(.serviceUnavailable, "The cluster refuses what was asked of it. The gateway's log says why.")
        case .unavailable, .listingUnavailable:
            self.init(.slowDown, "Too few servers of the cluster answer. Please try again.")
        case .overwritten:
            self.init(.slowDown, "The object was overwritten while it was read. Please try again.")
        case .reservedKey, .invalidListing:
            self.init(.invalidArgument, "The name cannot be used.")
        case .cancelled, .closed, .identity:
            self.init(.serviceUnavailable, "The gateway stops, or the request was given up.")
        }
    }

    /// Any error as what is answered to it.
    init(any error: any Error) {
        switch error {
        case let error as S3Error: self = error
        case let error as ClientError: self.init(error)
        case is CancellationError: self.init(.serviceUnavailable, "The request was given up.")
        case is HTTPParserError, is ChannelError, is IOError, is NIOSSLError:
            self.init(.incompleteBody, "The request body terminated unexpectedly")
        default: self.init(.internalError, "We encountered an internal error. Please try again.")
        }
    }
}

extension ObjectKey {
    /// What stands behind the bucket.
    var nameText: String { String(decoding: bytes[(bucketBytes.endIndex + 1)...], as: UTF8.self) }
}
