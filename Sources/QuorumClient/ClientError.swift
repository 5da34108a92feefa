// Why an operation of a client's did not succeed, in words for people.

import NIOCore
import QuorumOperations
import QuorumProtocol
import QuorumTransport

/// The state of the channel to a server that gave no answer, in words.
public struct ServerTrouble: Sendable, Equatable {
    public let server: NodeID
    public let what: String

    package init(server: NodeID, what: String) {
        self.server = server
        self.what = what
    }
}

extension ServerConnections {
    /// What kept an object's servers from being of use, for error texts: every server but those that were.
    ///
    /// - Parameter answered: those whose answers counted.
    func troubles(
        at placement: Placement, except answered: [NodeID], seen: SeenReplies, observations: ServerObservations
    ) -> [ServerTrouble] {
        placement.nodes.sorted().compactMap { server in
            if let (_, misbehaviour) = observations.misbehaving.first(where: { $0.server == server }) {
                return ServerTrouble(server: server, what: misbehaviour.description)
            }
            if let (_, refusal) = observations.refusing.first(where: { $0.server == server }) {
                return ServerTrouble(server: server, what: "refused: \(refusal)")
            }
            guard !answered.contains(server) else { return nil }
            let (state, peer) = channel(to: server)
            if seen.answered.contains(server) {
                return ServerTrouble(
                    server: server, what: "\(peer) answered without a fragment: it has lost it, or never had it")
            }
            switch state {
            case .disconnected(let error): return ServerTrouble(server: server, what: error.description)
            case .connected: return ServerTrouble(server: server, what: "\(peer) is connected but did not answer")
            case .idle, .connecting, .closed:
                return ServerTrouble(server: server, what: "\(peer) is not connected yet")
            }
        }
    }

    /// The servers that have not answered yet.
    var waitedForTroubles: [ServerTrouble] {
        waitedFor.sorted().map { server in
            let (state, peer) = channel(to: server)
            switch state {
            case .disconnected(let error): return ServerTrouble(server: server, what: error.description)
            case .connected: return ServerTrouble(server: server, what: "\(peer) has not answered yet")
            case .idle, .connecting, .closed:
                return ServerTrouble(server: server, what: "\(peer) is not connected yet")
            }
        }
    }

    /// The servers of an object that no connection could be made to.
    func unreachable(at placement: Placement) -> [ServerTrouble] {
        placement.nodes.sorted().compactMap { server in
            guard case .disconnected(let error) = channel(to: server).state else { return nil }
            return ServerTrouble(server: server, what: error.description)
        }
    }
}

extension WriteContent {
    /// Whether bringing it to the servers may take longer than an operation: then the time without progress is bounded.
    var isLong: Bool {
        switch self {
        case .value(let value, _, _): value.count > 64 << 10
        case .staged: true
        case .deletion: false
        }
    }
}

extension OperationContext {
    /// As long an operation may go on without progress as without an answer.
    var progress: ProgressPatience {
        ProgressPatience(time: .milliseconds(Int64(patience.timeoutMilliseconds)))
    }
}

/// Why an operation did not succeed.
public enum ClientError: Error, Sendable, CustomStringConvertible {
    /// The object has no version, or was deleted.
    case notFound(ObjectKey)
    /// The value is larger than one stripe.
    case valueTooLarge(ObjectKey, sizeBytes: Int, limitBytes: Int)
    /// The upload's parts are cut into more stripes than one object's description has room for.
    case tooManyStripes(ObjectKey, limit: UInt64)
    /// A source gave another number of bytes than was said.
    case wrongLength(ObjectKey, got: UInt64, expected: UInt64)
    /// The range begins behind the object's end.
    case invalidRange(ObjectKey, lengthBytes: UInt64)
    /// The upload was stored, and something else after it, or it was given back; or it never was.
    case uploadEnded(ObjectKey)
    /// The upload has no such part, or none can have this number; or the numbers do not rise.
    case noPart(ObjectKey, number: Int)
    /// The upload's part is another one than was asked for: its tag.
    case otherPart(ObjectKey, number: Int, etag: String)
    /// No server quorum vouches any more that this version was the object's.
    case noVersion(ObjectKey, Timestamp)
    /// The version that was being read was overwritten, and its bytes are gone; what replaced it can be read.
    case overwritten(ObjectKey, Timestamp)
    /// The metadata is over a limit.
    case invalidMetadata(ObjectKey, MalformedEncoding)
    /// Too few servers gave a usable answer in time; what is known of those who did not.
    case unavailable(ObjectKey, OperationFailure, troubles: [ServerTrouble])
    /// More than f servers refused.
    case refused(ObjectKey, OperationFailure)
    /// Too few servers of some of the groups have told what is in the bucket.
    case listingUnavailable(bucket: String, groups: [GroupID], troubles: [ServerTrouble])
    /// So many servers refused to tell what is in the bucket that too few are left.
    case listingRefused(bucket: String, refusals: [ServerTrouble])
    /// Nobody has made the bucket.
    case noBucket(String)
    /// Somebody has made the bucket before.
    case bucketExists(String)
    /// There are objects in the bucket, at least so many.
    case bucketNotEmpty(String, objectCountMin: Int)
    /// The key is one of those that the cluster keeps for itself.
    case reservedKey(ObjectKey)
    /// There is no such bucket's name, prefix or delimiter; what is wrong with it.
    case invalidListing(String)
    /// The client's own key or certificate cannot be used.
    case identity(String)
    /// The calling task was cancelled.
    case cancelled(ObjectKey, OperationFailure)
    /// The client was closed.
    case closed

    public var description: String {
        switch self {
        case .notFound(let key):
            return "\(key) does not exist"
        case .valueTooLarge(let key, let size, let limit):
            let measured = size > limit ? "more than" : "exactly"
            return
                "\(key) cannot be stored: it has \(measured) \(limit) bytes, and \(limit) bytes is the largest value "
                + "that this version stores"
        case .tooManyStripes(let key, let limit):
            return
                "\(key) cannot be stored: its parts have more stripes than one object's description has room for, which "
                + "is \(limit) at most; upload fewer and larger parts"
        case .wrongLength(let key, let got, let expected):
            return "\(key) was not stored: its source gave \(got) bytes and not the \(expected) that it had at first"
        case .invalidRange(let key, let length):
            return "\(key) has \(length) bytes; there is nothing in the range that was asked for"
        case .uploadEnded(let key):
            return "the upload to \(key) cannot be gone on with: it was stored and overwritten since, or given back"
        case .noPart(let key, let number):
            return
                "the upload to \(key) has no part \(number); parts have numbers from 1 to "
                + "\(ObjectClient.partNumberMax) and are joined by rising ones"
        case .otherPart(let key, let number, let etag):
            return "part \(number) of the upload to \(key) has the tag '\(etag.printable)' and not the one asked for"
        case .noVersion(let key, let timestamp):
            return "\(key) has no version \(timestamp.fullName): it never had, or servers keep it no more"
        case .overwritten(let key, let timestamp):
            return
                "\(key) was overwritten while its version \(timestamp) was read, of which servers keep no bytes any "
                + "more; read it again"
        case .invalidMetadata(let key, let error):
            return "the metadata of \(key) cannot be stored: \(error)"
        case .unavailable(let key, let failure, let troubles):
            return (["\(key): \(failure.summary)"] + troubles.map { "  \($0.server): \($0.what)" })
                .joined(separator: "\n")
        case .refused(let key, let failure):
            let reasons = failure.observations.refusing.map { "  \($0.server): \($0.why)" }
            return (["\(key): \(failure.summary)"] + reasons).joined(separator: "\n")
        case .listingUnavailable(let bucket, let groups, let troubles):
            let names = groups.map { "\($0)" }.joined(separator: ", ")
            return
                (["the bucket \(bucket) cannot be listed: too few servers of \(names) answered in time"]
                + troubles.map { "  \($0.server): \($0.what)" }).joined(separator: "\n")
        case .listingRefused(let bucket, let refusals):
            return
                (["the bucket \(bucket) cannot be listed: \(refusals.count) servers refused"]
                + refusals.map { "  \($0.server): \($0.what)" }).joined(separator: "\n")
        case .noBucket(let bucket):
            return "the bucket \(bucket) does not exist; 'solidus mb \(bucket)' makes it"
        case .bucketExists(let bucket):
            return "the bucket \(bucket) exists already"
        case .bucketNotEmpty(let bucket, let count):
            return
                "the bucket \(bucket) is not empty: it has \(count) \(count == 1 ? "object" : "objects") at least; "
                + "'solidus rb --force \(bucket)' deletes them, too"
        case .reservedKey(let key):
            return "\(key) cannot be written: names that begin with '_' are the cluster's own"
        case .invalidListing(let reason):
            return reason
        case .identity(let reason):
            return reason
        case .cancelled(let key, let failure):
            return "\(key): cancelled" + (failure.mayHaveTakenEffect ? "; the write may yet take effect" : "")
        case .closed:
            return "the client is closed"
        }
    }

    /// Whether a write that failed so may yet take effect; false only when it certainly does not.
    public var mayHaveTakenEffect: Bool {
        switch self {
        case .unavailable(_, let failure, _), .refused(_, let failure), .cancelled(_, let failure):
            failure.mayHaveTakenEffect
        case .valueTooLarge, .tooManyStripes, .wrongLength, .invalidRange, .noVersion, .overwritten, .noPart,
            .otherPart, .invalidMetadata, .identity, .invalidListing, .listingRefused, .listingUnavailable, .noBucket,
            .bucketExists, .bucketNotEmpty, .reservedKey:
            false
        case .notFound, .uploadEnded, .closed: true
        }
    }

    /// What was seen of the servers before the operation failed.
    public var observations: ServerObservations {
        switch self {
        case .unavailable(_, let failure, _), .refused(_, let failure), .cancelled(_, let failure):
            failure.observations
        default: ServerObservations()
        }
    }
}

extension OperationFailure {
    /// One sentence on what was there and what was needed.
    var summary: String {
        switch self {
        case .unavailable(let phase, let answered, let need, _):
            "no quorum within the time limit while \(phase): \(answered.count) of \(need) servers gave a usable answer"
                + (mayHaveTakenEffect ? "; the write may yet take effect" : "")
        case .refused(let phase, let observations):
            "\(observations.refusing.count) servers refused while \(phase)"
        case .tooFewFragments(let timestamp, let have, let need, _):
            "the version \(timestamp) cannot be read within the time limit: \(have) of \(need) good fragments came"
        case .timestampExhausted:
            "the object's timestamps are exhausted"
        }
    }
}
