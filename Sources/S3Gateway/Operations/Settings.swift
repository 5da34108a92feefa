// Settings of buckets and objects that S3 has and this store has not: answered as S3 answers where nobody has set them,
// since clients ask; setting them is refused.

import Solidus

extension Gateway {
    func getBucketSetting(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        let bucket = [("BucketName", request.bucket)]
        guard let name = request.target.query.first(where: { S3Operation.bucketSettings.contains($0.name) })?.name
        else {
            throw S3Error.notImplemented("This setting")
        }
        switch name {
        case "acl": return acl()
        case "versioning": return .xml { $0.root("VersioningConfiguration") { _ in } }
        case "logging": return .xml { $0.root("BucketLoggingStatus") { _ in } }
        case "notification": return .xml { $0.root("NotificationConfiguration") { _ in } }
        case "accelerate": return .xml { $0.root("AccelerateConfiguration") { _ in } }
        case "requestPayment":
            return .xml { xml in xml.root("RequestPaymentConfiguration") { $0.text("Payer", "BucketOwner") } }
        case "policy", "policyStatus":
            throw S3Error(.noSuchBucketPolicy, "The bucket policy does not exist", bucket)
        case "lifecycle":
            throw S3Error(.noSuchLifecycleConfiguration, "The lifecycle configuration does not exist", bucket)
        case "tagging": throw S3Error(.noSuchTagSet, "The TagSet does not exist", bucket)
        case "website":
            throw S3Error(
                .noSuchWebsiteConfiguration, "The specified bucket does not have a website configuration", bucket)
        case "encryption":
            throw S3Error(
                .encryptionConfigurationNotFound, "The server side encryption configuration was not found", bucket)
        case "replication":
            throw S3Error(
                .replicationConfigurationNotFound, "The replication configuration was not found", bucket)
        case "object-lock":
            throw S3Error(
                .objectLockConfigurationNotFound, "Object Lock configuration does not exist for this bucket", bucket)
        case "ownershipControls":
            throw S3Error(.ownershipControlsNotFound, "The bucket ownership controls were not found", bucket)
        case "publicAccessBlock":
            throw S3Error(
                .noSuchPublicAccessBlock, "The public access block configuration was not found", bucket)
        default: throw S3Error.notImplemented("The setting '\(name)'")
        }
    }

    /// What is not set can be taken away.
    func deleteBucketSetting(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        return Response(.noContent)
    }

    func getObjectSetting(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkVersion(request)
        let status = try await reading(request) { try await client.head(key) }
        let name = request.target.query.first { S3Operation.objectSettings.contains($0.name) }?.name
        switch name {
        case "acl": return acl()
        case "tagging":
            let tags = status.metadata.user[ObjectHeaders.taggingName].flatMap { try? Tagging(query: $0).tags } ?? []
            return .xml { xml in
                xml.root("Tagging") { xml in
                    xml.element("TagSet") { xml in
                        for tag in tags {
                            xml.element("Tag") { xml in
                                xml.text("Key", tag.name)
                                xml.text("Value", tag.value)
                            }
                        }
                    }
                }
            }
        case "retention", "legal-hold":
            throw S3Error(
                .noSuchObjectLockConfiguration, "The specified object does not have a ObjectLock configuration")
        default: throw S3Error.notImplemented("The setting '\(name ?? "")'")
        }
    }

    /// All that there is belongs to one owner, who may do everything.
    private func acl() -> Response {
        .xml { xml in
            xml.root("AccessControlPolicy") { xml in
                xml.owner("Owner", owner)
                xml.element("AccessControlList") { xml in
                    xml.element("Grant") { xml in
                        xml.element(
                            "Grantee",
                            attributes:
                                "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\""
                        ) { xml in
                            xml.text("ID", owner)
                            xml.text("DisplayName", "solidus")
                        }
                        xml.text("Permission", "FULL_CONTROL")
                    }
                }
            }
        }
    }

    /// As far as it means what there is.
    func putACL(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        guard try await rights(request.credential, on: request.bucket).contains(.write) else {
            throw S3Error.accessDenied
        }
        try await requireBucket(request.bucket)
        if request.resource.key != nil {
            let key = try request.objectKey()
            _ = try await reading(request) { try await client.head(key) }
        }
        try ObjectHeaders.refuseUndone(request.headers)
        guard request.headers["x-amz-acl"] != nil else { throw S3Error.notImplemented("An ACL of one's own") }
        _ = try await document(request, body)
        return Response()
    }
}
