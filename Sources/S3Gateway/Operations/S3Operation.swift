// Which of S3's operations a request is.

import NIOHTTP1
import QuorumProtocol

/// S3's names for what can be asked. They stand in the log and in the metrics.
enum S3Operation: String, CaseIterable, Sendable {
    case listBuckets = "ListBuckets"
    case createBucket = "CreateBucket"
    case headBucket = "HeadBucket"
    case deleteBucket = "DeleteBucket"
    case getBucketLocation = "GetBucketLocation"
    case listObjects = "ListObjects"
    case listObjectsV2 = "ListObjectsV2"
    case listObjectVersions = "ListObjectVersions"
    case listMultipartUploads = "ListMultipartUploads"
    case deleteObjects = "DeleteObjects"
    case getBucketCORS = "GetBucketCors"
    case putBucketCORS = "PutBucketCors"
    case deleteBucketCORS = "DeleteBucketCors"
    case getBucketSetting = "GetBucketSetting"
    case putBucketSetting = "PutBucketSetting"
    case deleteBucketSetting = "DeleteBucketSetting"
    case putACL = "PutAcl"
    case getObject = "GetObject"
    case headObject = "HeadObject"
    case putObject = "PutObject"
    case postObject = "PostObject"
    case copyObject = "CopyObject"
    case deleteObject = "DeleteObject"
    case getObjectAttributes = "GetObjectAttributes"
    case getObjectSetting = "GetObjectSetting"
    case putObjectSetting = "PutObjectSetting"
    case deleteObjectTagging = "DeleteObjectTagging"
    case createMultipartUpload = "CreateMultipartUpload"
    case uploadPart = "UploadPart"
    case uploadPartCopy = "UploadPartCopy"
    case completeMultipartUpload = "CompleteMultipartUpload"
    case abortMultipartUpload = "AbortMultipartUpload"
    case listParts = "ListParts"
    case preflight = "Preflight"

    /// What of the bucket it takes, of several rights any one; none for what the operation itself judges.
    var sufficientRights: Rights {
        switch self {
        case .listBuckets, .preflight: []
        case .createBucket, .deleteBucket, .putBucketCORS, .deleteBucketCORS, .putBucketSetting,
            .deleteBucketSetting:
            .admin
        case .headBucket, .getBucketLocation, .getBucketSetting, .getBucketCORS, .putACL: .all
        case .listObjects, .listObjectsV2, .listObjectVersions: .list
        case .getObject, .headObject, .getObjectAttributes, .getObjectSetting: .read
        case .listMultipartUploads, .deleteObjects, .putObject, .postObject, .copyObject, .deleteObject,
            .putObjectSetting, .deleteObjectTagging, .createMultipartUpload, .uploadPart, .uploadPartCopy,
            .completeMultipartUpload, .abortMultipartUpload, .listParts:
            .write
        }
    }
}

extension S3Operation {
    /// Settings of buckets that are asked for by a name in the query.
    static let bucketSettings: Set<String> = [
        "accelerate", "acl", "analytics", "encryption", "intelligent-tiering", "inventory", "lifecycle", "logging",
        "metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock",
        "replication", "requestPayment", "tagging", "versioning", "website",
    ]
    /// The same of objects.
    static let objectSettings: Set<String> = ["acl", "tagging", "retention", "legal-hold", "torrent"]

    /// - Throws: `.methodNotAllowed` and the like.
    static func find(
        _ method: HTTPMethod, _ resource: Resource, _ target: RequestTarget, _ headers: RequestHeaders
    ) throws(S3Error) -> S3Operation {
        if method == .OPTIONS { return .preflight }
        switch resource {
        case .service:
            guard method == .GET || method == .HEAD else { throw notAllowed(method) }
            return .listBuckets
        case .bucket: return try ofBucket(method, target, headers)
        case .object: return try ofObject(method, target, headers)
        }
    }

    private static func ofBucket(
        _ method: HTTPMethod, _ target: RequestTarget, _ headers: RequestHeaders
    ) throws(S3Error) -> S3Operation {
        let setting = target.query.first { bucketSettings.contains($0.name) }?.name
        switch method {
        case .HEAD: return .headBucket
        case .GET:
            if target.has("location") { return .getBucketLocation }
            if target.has("uploads") { return .listMultipartUploads }
            if target.has("versions") { return .listObjectVersions }
            if target.has("cors") { return .getBucketCORS }
            if setting != nil { return .getBucketSetting }
            return target["list-type"] == "2" ? .listObjectsV2 : .listObjects
        case .PUT:
            if target.has("cors") { return .putBucketCORS }
            if setting == "acl" { return .putACL }
            if setting != nil { return .putBucketSetting }
            try requirePlain(target)
            return .createBucket
        case .DELETE:
            if target.has("cors") { return .deleteBucketCORS }
            if setting != nil { return .deleteBucketSetting }
            try requirePlain(target)
            return .deleteBucket
        case .POST:
            if target.has("delete") { return .deleteObjects }
            if headers["content-type"]?.lowercased().hasPrefix("multipart/form-data") ?? false { return .postObject }
            throw notAllowed(method)
        default: throw notAllowed(method)
        }
    }

    private static func ofObject(
        _ method: HTTPMethod, _ target: RequestTarget, _ headers: RequestHeaders
    ) throws(S3Error) -> S3Operation {
        let setting = target.query.first { objectSettings.contains($0.name) }?.name
        switch method {
        case .HEAD: return .headObject
        case .GET:
            if target.has("attributes") { return .getObjectAttributes }
            if setting != nil { return .getObjectSetting }
            return target.has("uploadId") ? .listParts : .getObject
        case .PUT:
            if setting == "acl" { return .putACL }
            if setting != nil { return .putObjectSetting }
            let copies = headers["x-amz-copy-source"] != nil
            switch (target.has("partNumber"), target.has("uploadId")) {
            case (true, true): return copies ? .uploadPartCopy : .uploadPart
            case (true, false):
                throw .invalidArgument(
                    "This operation requires both partNumber and uploadId.", name: "uploadId", value: "")
            case (false, true): throw notAllowed(method)
            case (false, false):
                try requirePlain(target)
                return copies ? .copyObject : .putObject
            }
        case .POST:
            if target.has("uploads") { return .createMultipartUpload }
            if target.has("uploadId") { return .completeMultipartUpload }
            if target.has("restore") || target.has("select") { throw .notImplemented("RestoreObject and SelectObject") }
            throw notAllowed(method)
        case .DELETE:
            if target.has("uploadId") { return .abortMultipartUpload }
            if target.has("tagging") { return .deleteObjectTagging }
            try requirePlain(target, besides: ["versionId"])
            return .deleteObject
        default: throw notAllowed(method)
        }
    }

    /// A change of something else than the bucket or the object must not be taken for one of these.
    private static func requirePlain(_ target: RequestTarget, besides names: Set<String> = []) throws(S3Error) {
        let signing: Set<String> = ["x-id", "AWSAccessKeyId", "Signature", "Expires"]
        for item in target.query
        where !names.contains(item.name) && !signing.contains(item.name) && !item.name.lowercased().hasPrefix("x-amz-")
        {
            throw .notImplemented("The query parameter '\(item.name)'")
        }
    }

    private static func notAllowed(_ method: HTTPMethod) -> S3Error {
        S3Error(
            .methodNotAllowed, "The specified method is not allowed against this resource.",
            [("Method", method.rawValue)])
    }
}
