// Listing a bucket (docs/protocol.md, Listing).
//
// What is asked, read and shown is decided by QuorumProtocol's Lister; ListingDriver does what it says.

import NIOCore
import QuorumOperations
import QuorumProtocol

/// An object in a listing.
public struct ListedObject: Sendable, Equatable {
    public let key: ObjectKey
    public let lengthBytes: UInt64
    public let timestamp: Timestamp
    /// The writer's clock, in milliseconds since 1970.
    public let modifiedMilliseconds: UInt64
    private let writtenEtag: String

    /// As `ObjectStatus.etag`.
    public var etag: String { writtenEtag.isEmpty ? timestamp.digest.description : writtenEtag }

    /// Nil without a head, which everything has that is shown.
    init?(_ key: ObjectKey, _ live: LiveVersion) {
        guard let head = live.head else { return nil }
        self.key = key
        lengthBytes = head.lengthBytes
        timestamp = live.timestamp
        modifiedMilliseconds = head.modifiedMilliseconds
        writtenEtag = head.etag
    }
}

/// What a listing consists of.
public enum ListingEntry: Sendable, Equatable {
    case object(ListedObject)
    /// Bytes, from the bucket on up to the delimiter, with which at least one object's key begins.
    case prefix([UInt8])

    /// The bytes by which entries are in order.
    public var bytes: [UInt8] {
        switch self {
        case .object(let object): object.key.bytes
        case .prefix(let prefix): prefix
        }
    }
}

/// The live objects of a bucket in the order of their keys' bytes.
///
/// A listing is regular for each key, and no snapshot: of every object it shows the last write that was complete before
/// it began, or a later one. A key that lives throughout appears exactly once.
public struct BucketListing: AsyncSequence, Sendable {
    public typealias Element = ListingEntry

    let client: ObjectClient
    let query: ListingQuery

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let run: ListingRun
        private var waiting: [ListingEntry] = []
        /// How many of them were shown.
        private var shownCount = 0
        private var isAtEnd = false

        init(_ listing: BucketListing) {
            run = ListingRun(ListingDriver(listing.query, client: listing.client))
        }

        /// Whether it is known that nothing comes any more.
        package var isExhausted: Bool { shownCount == waiting.count && isAtEnd }

        public mutating func next() async throws(ClientError) -> ListingEntry? {
            while shownCount == waiting.count {
                if isAtEnd { return nil }
                let page = try await run.driver.next()
                waiting = page.entries
                shownCount = 0
                isAtEnd = page.isLast
            }
            defer { shownCount += 1 }
            return waiting[shownCount]
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

/// Ends what is done for a listing when nobody can ask for its rest any more.
private final class ListingRun: Sendable {
    let driver: ListingDriver

    init(_ driver: ListingDriver) { self.driver = driver }

    deinit { driver.cancel() }
}

extension ObjectClient {
    /// Lists the objects of a bucket. Nothing is asked before the first entry is.
    ///
    /// - Parameters:
    ///   - prefix: what names within the bucket begin with.
    ///   - delimiter: names that go on alike up to this, behind the prefix, become one entry; nil for none.
    ///   - after: only entries behind this name, or behind all that begins with it if it ends as an entry of a prefix
    ///     does.
    /// - Returns: entries that throw `.listingUnavailable`, also of a task that is cancelled; `.listingRefused`,
    ///   `.closed`; and of an object that has to be read `.unavailable`, `.refused` and `.cancelled`.
    /// - Throws: `.invalidListing`.
    public func list(
        _ bucket: String, prefix: String = "", delimiter: String? = nil, after: String? = nil
    ) throws(ClientError) -> BucketListing {
        guard ObjectKey.isBucket(bucket) else {
            throw .invalidListing(ObjectKeyError.invalidBucket(bucket).description)
        }
        return try list(
            prefix: Array("\(bucket)/\(prefix)".utf8), delimiter: Array((delimiter ?? "").utf8),
            after: after.map { Array("\(bucket)/\($0)".utf8) })
    }

    /// The same by bytes: both begin with the bucket and a slash.
    package func list(
        prefix: [UInt8], delimiter: [UInt8] = [], after: [UInt8]? = nil, pageSize: Int = ListingQuery.itemCountMax
    ) throws(ClientError) -> BucketListing {
        guard ObjectKey.bucket(ofPrefix: prefix) != nil else {
            throw .invalidListing(
                "'\(String(decoding: prefix, as: UTF8.self).printable)' does not begin with a bucket: 1 to 63 of a-z, "
                    + "0-9, '.' and '-', beginning and ending with a letter or digit")
        }
        guard let query = ListingQuery(prefix: prefix, delimiter: delimiter, limit: pageSize) else {
            throw .invalidListing("the prefix or the delimiter is longer than any key")
        }
        guard let after else { return BucketListing(client: self, query: query) }
        // Behind a prefix is behind all that begins with it.
        let isPrefix =
            !delimiter.isEmpty && after.count > prefix.count && after.suffix(delimiter.count) == delimiter[...]
        let start = isPrefix ? ListingQuery.successor(ofPrefix: after) : after + [0]
        guard let behind = ListingQuery(prefix: prefix, delimiter: delimiter, start: start, limit: pageSize) else {
            throw .invalidListing("the name to go on behind is longer than any key")
        }
        return BucketListing(client: self, query: behind)
    }
}
