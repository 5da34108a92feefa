// What a cluster keeps of its buckets: for each an object `_buckets/NAME`. Names that begin with `_` are no bucket's, so
// nobody else's object is ever called so.

extension ObjectKey {
    /// What stands before the slash in the key of a bucket's record.
    package static let bucketOfRecords = "_buckets"

    /// The key of a bucket's record.
    ///
    /// - Throws: `.invalidBucket` when no bucket may be called this.
    public init(recordOf bucket: String) throws(ObjectKeyError) {
        guard Self.isBucket(bucket) else { throw .invalidBucket(bucket) }
        try self.init(bytes: Array("\(Self.bucketOfRecords)/\(bucket)".utf8))
    }

    /// The bucket whose record this is; nil for everybody's objects.
    package var recordedBucket: ArraySlice<UInt8>? {
        let bucket = bucketBytes
        return Self.isBucketOfRecords(bucket) ? bytes[(bucket.endIndex + 1)...] : nil
    }

    static func isBucketOfRecords(_ bytes: ArraySlice<UInt8>) -> Bool { bytes.elementsEqual(bucketOfRecords.utf8) }
}
