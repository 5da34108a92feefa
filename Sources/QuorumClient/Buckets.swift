// Making, listing and deleting buckets. A bucket is a name: its record says who made it and when, and no server asks
// whether it is there before it takes an object.

import ErasureCode
import QuorumProtocol
import Synchronization

/// A bucket that somebody has made.
public struct Bucket: Sendable, Equatable {
    public let name: String
    /// The maker's clock, in milliseconds since 1970.
    public let createdMilliseconds: UInt64
    /// Who made it.
    public let owner: ClientID

    public init(name: String, createdMilliseconds: UInt64, owner: ClientID) {
        self.name = name
        self.createdMilliseconds = createdMilliseconds
        self.owner = owner
    }
}

/// Buckets that a client may see.
public struct BucketList: Sendable {
    /// In the order of their names.
    public let buckets: [Bucket]
    /// Whether these are all; otherwise only those were looked for that the client has rights on by name.
    public let isComplete: Bool
}

/// Which buckets were there not long ago.
final class KnownBuckets: Sendable {
    private static let timeToLive = Duration.seconds(60)
    private let seen = Mutex<[String: ContinuousClock.Instant]>([:])

    func contains(_ bucket: String) -> Bool {
        seen.withLock { $0[bucket].map { ContinuousClock.now - $0 < Self.timeToLive } ?? false }
    }

    func insert(_ bucket: String) { seen.withLock { $0[bucket] = .now } }
    func remove(_ bucket: String) { seen.withLock { $0[bucket] = nil } }
}

extension ObjectClient {
    /// How many objects a bucket that is to be deleted is asked for, to say how many are in it.
    private static let countedObjectsMax = 1000

    /// Makes a bucket. Two clients that do so at once may both be told that they have; the later one owns it.
    ///
    /// - Throws: `.bucketExists`, `.invalidListing` when no bucket may be called this; as `put`. It takes the right
    ///   `admin` on the bucket.
    @discardableResult
    public func createBucket(_ name: String) async throws(ClientError) -> Bucket {
        try await measure(.createBucket, .bucket(name)) { () throws(ClientError) in
            let record = try Self.record(of: name)
            if try await bucket(name) != nil { throw .bucketExists(name) }
            let created = Self.currentMilliseconds()
            let metadata = ObjectMetadata(modifiedMilliseconds: created)
            _ = try await write(record, .value(SharedBytes(), metadata, salt: .random()))
            knownBuckets?.insert(name)
            return Bucket(name: name, createdMilliseconds: created, owner: id)
        }
    }

    /// Deletes a bucket in which there is nothing. What is written into it meanwhile stays, and is in no bucket that can
    /// be listed.
    ///
    /// - Throws: `.noBucket`, `.bucketNotEmpty`; as `put` and `list`. It takes the rights `admin` and `list`, and
    ///   `read` or `write`.
    public func deleteBucket(_ name: String) async throws(ClientError) {
        try await measure(.deleteBucket, .bucket(name)) { () throws(ClientError) in
            let record = try Self.record(of: name)
            guard try await bucket(name) != nil else { throw .noBucket(name) }
            var entries = try list(name).makeAsyncIterator()
            var count = 0
            while count < Self.countedObjectsMax, try await entries.next() != nil { count += 1 }
            guard count == 0 else { throw .bucketNotEmpty(name, objectCountMin: count) }
            _ = try await writeTombstone(record)
            knownBuckets?.remove(name)
        }
    }

    /// What is known of a bucket; nil when nobody has made it.
    ///
    /// - Throws: `.invalidListing` when no bucket may be called this; as `head`. It takes any right on the bucket.
    public func bucket(_ name: String) async throws(ClientError) -> Bucket? {
        try await measure(.bucket, .bucket(name)) { () throws(ClientError) in
            do throws(ClientError) {
                let status = try await head(Self.record(of: name))
                knownBuckets?.insert(name)
                // Nobody writes a record twice, so its version's writer and time are the bucket's.
                return Bucket(
                    name: name, createdMilliseconds: status.metadata.modifiedMilliseconds,
                    owner: status.timestamp.writer)
            } catch .notFound {
                return nil
            }
        }
    }

    /// The buckets that the client may see: all when it has the right `list`, and `read` or `write`, on every bucket,
    /// else those that it has any right on by name.
    ///
    /// - Throws: as `list` and `head`.
    public func buckets() async throws(ClientError) -> BucketList {
        try await measure(.buckets, .cluster) { () throws(ClientError) in
            do throws(ClientError) {
                var buckets: [Bucket] = []
                let prefix = Array("\(ObjectKey.bucketOfRecords)/".utf8)
                var entries = try list(prefix: prefix).makeAsyncIterator()
                while let entry = try await entries.next() {
                    guard case .object(let object) = entry, let name = object.key.recordedBucket else { continue }
                    buckets.append(
                        Bucket(
                            name: String(decoding: name, as: UTF8.self),
                            createdMilliseconds: object.modifiedMilliseconds, owner: object.timestamp.writer))
                }
                return BucketList(buckets: buckets, isComplete: true)
            } catch .listingRefused {
                var buckets: [Bucket] = []
                for grant in grants where grant.bucket != Grant.everyBucket {
                    if let bucket = try await bucket(grant.bucket) { buckets.append(bucket) }
                }
                return BucketList(buckets: buckets, isComplete: false)
            }
        }
    }

    /// Whether somebody has made the bucket. One that was there less than a minute ago is not asked for again when the
    /// options say that writes ask.
    ///
    /// - Throws: as `bucket`.
    public func bucketExists(_ name: String) async throws(ClientError) -> Bool {
        if knownBuckets?.contains(name) ?? false { return true }
        return try await bucket(name) != nil
    }

    /// Refuses what nobody may write, and, if the options say so, what is in no bucket.
    func checkBucket(of key: ObjectKey) async throws(ClientError) {
        guard key.reservation == nil else { throw .reservedKey(key) }
        guard knownBuckets != nil else { return }
        let bucket = String(decoding: key.bucketBytes, as: UTF8.self)
        guard try await bucketExists(bucket) else { throw .noBucket(bucket) }
    }

    private static func record(of bucket: String) throws(ClientError) -> ObjectKey {
        do throws(ObjectKeyError) {
            return try ObjectKey(recordOf: bucket)
        } catch {
            throw .invalidListing(error.description)
        }
    }
}
