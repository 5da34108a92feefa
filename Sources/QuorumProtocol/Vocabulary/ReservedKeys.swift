// What a cluster keeps of its buckets: for each an object `_buckets/NAME`, and of each upload in parts that goes on in a
// bucket objects `_uploads/BUCKET/UPLOAD...`. What its gateways share are objects `_gateway/...`. Names that begin with
// `_` are no bucket's, so nobody else's object is ever called so.

extension ObjectKey {
    /// What stands before the slash in the key of a bucket's record.
    package static let bucketOfRecords = "_buckets"
    /// What stands before the first slash in the keys of what is noted of uploads.
    package static let bucketOfUploads = "_uploads"
    /// What stands before the first slash in the keys of what gateways share.
    package static let bucketOfGateways = "_gateway"

    /// What an object with a reserved name is about.
    package enum Reservation: Equatable, Sendable {
        /// A bucket's record.
        case record(of: ArraySlice<UInt8>)
        /// What is noted of an upload to a bucket.
        case upload(to: ArraySlice<UInt8>)
        /// What gateways share.
        case gateway

        /// Whose rights are those on the object; nobody has any on what gateways share but who has them on every bucket.
        package var bucket: ArraySlice<UInt8> {
            switch self {
            case .record(let bucket), .upload(let bucket): bucket
            case .gateway: Array(ObjectKey.bucketOfGateways.utf8)[...]
            }
        }
    }

    /// The key of a bucket's record.
    ///
    /// - Throws: `.invalidBucket` when no bucket may be called this.
    public init(recordOf bucket: String) throws(ObjectKeyError) {
        guard Self.isBucket(bucket) else { throw .invalidBucket(bucket) }
        try self.init(bytes: Array("\(Self.bucketOfRecords)/\(bucket)".utf8))
    }

    /// The key under which something is noted of an upload to an object of the bucket.
    ///
    /// - Parameter note: which of the notes; empty for the upload itself.
    package init(upload: UploadID, to bucket: ArraySlice<UInt8>, note: String) throws(ObjectKeyError) {
        try self.init(
            bytes: Array(Self.bucketOfUploads.utf8) + [UInt8(ascii: "/")] + bucket
                + Array("/\(upload)\(note)".utf8))
    }

    /// The key of something that gateways share.
    package init(ofGateways name: String) throws(ObjectKeyError) {
        try self.init(bytes: Array("\(Self.bucketOfGateways)/\(name)".utf8))
    }

    /// What the object is about if its name is reserved; nil for everybody's objects.
    package var reservation: Reservation? {
        guard bytes.first == UInt8(ascii: "_") else { return nil }
        let bucket = bucketBytes
        let name = bytes[(bucket.endIndex + 1)...]
        if bucket.elementsEqual(Self.bucketOfGateways.utf8) { return .gateway }
        return bucket.elementsEqual(Self.bucketOfRecords.utf8)
            ? .record(of: name) : .upload(to: name.prefix { $0 != UInt8(ascii: "/") })
    }

    /// The bucket whose record this is; nil for everything else.
    package var recordedBucket: ArraySlice<UInt8>? {
        if case .record(let bucket)? = reservation { bucket } else { nil }
    }

    /// Whether a reserved object may be called this.
    static func isReserved(bucket: ArraySlice<UInt8>, name: ArraySlice<UInt8>) -> Bool {
        if bucket.elementsEqual(bucketOfRecords.utf8) { return isBucket(name) }
        if bucket.elementsEqual(bucketOfGateways.utf8) { return !name.isEmpty }
        let uploaded = name.prefix { $0 != UInt8(ascii: "/") }
        return bucket.elementsEqual(bucketOfUploads.utf8) && isBucket(uploaded) && name.count > uploaded.count + 1
    }
}
