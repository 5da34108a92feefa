// ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

import Solidus

extension Gateway {
    /// Who owns all that there is.
    var owner: String { client.id.description }

    func listBuckets(_ request: S3Request) async throws -> Response {
        let limit = try Self.number(request, "max-buckets", in: 1...10_000) ?? 10_000
        let prefix = request.target["prefix"] ?? ""
        let after = request.target["continuation-token"] ?? ""
        let found = try await client.buckets().buckets.filter { bucket in
            guard let credential = request.credential, !credential.rights(on: bucket.name).isEmpty else { return false }
            return bucket.name.hasPrefix(prefix) && (after.isEmpty || after < bucket.name)
        }
        let shown = found.prefix(limit)
        return .xml { xml in
            xml.root("ListAllMyBucketsResult") { xml in
                xml.owner("Owner", owner)
                xml.element("Buckets") { xml in
                    for bucket in shown {
                        xml.element("Bucket") { xml in
                            xml.text("Name", bucket.name)
                            xml.text("CreationDate", Dates.iso(milliseconds: bucket.createdMilliseconds))
                        }
                    }
                }
                if !prefix.isEmpty { xml.text("Prefix", prefix) }
                if found.count > shown.count, let last = shown.last { xml.text("ContinuationToken", last.name) }
            }
        }
    }

    func createBucket(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        guard Self.isBucketName(request.bucket) else {
            throw S3Error(
                .invalidBucketName, "The specified bucket is not valid.", [("BucketName", request.bucket)])
        }
        try ObjectHeaders.refuseUndone(request.headers)
        if let lock = request.headers["x-amz-bucket-object-lock-enabled"], lock.lowercased() == "true" {
            throw S3Error.notImplemented("Object Lock")
        }
        let document = try await document(request, body)
        if !document.isEmpty {
            let root = try XMLReader.read(document)
            guard root.name == "CreateBucketConfiguration" else { throw S3Error.malformedXML }
            if let place = root.value("LocationConstraint"), !place.isEmpty, place != settings.region {
                guard
                    place.utf8.allSatisfy({
                        $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0)
                    }),
                    place.contains("-")
                else {
                    throw S3Error(
                        .invalidLocationConstraint, "The specified location-constraint is not valid",
                        [("LocationConstraint", place)])
                }
                throw S3Error(
                    .illegalLocationConstraint,
                    "The \(place) location constraint is incompatible for the region specific endpoint this request "
                        + "was sent to.")
            }
        }
        try await client.createBucket(request.bucket)
        buckets.forget(request.bucket)
        return Response(headers: [("Location", "/\(request.bucket)")])
    }

    func headBucket(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        return Response(headers: [("x-amz-bucket-region", settings.region), ("Content-Type", "application/xml")])
    }

    func deleteBucket(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        try await client.deleteBucket(request.bucket)
        buckets.forget(request.bucket)
        // Uploads that nobody finished go with it.
        for upload in try await client.uploads(in: request.bucket) { try await client.abort(upload.upload) }
        return Response(.noContent)
    }

    func getBucketLocation(_ request: S3Request) async throws -> Response {
        try await requireBucket(request.bucket)
        return .xml { xml in
            xml.element("LocationConstraint", attributes: "xmlns=\"\(XMLWriter.namespace)\"") { xml in
                // The first region has no name here.
                if settings.region != "us-east-1" { xml.characters(settings.region) }
            }
        }
    }

    /// Whether S3 lets a bucket be called this.
    static func isBucketName(_ name: String) -> Bool {
        guard name.utf8.count >= 3, ObjectKey.isBucket(name), !name.contains(".."), !name.hasPrefix("xn--"),
            !name.hasSuffix("-s3alias")
        else { return false }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let isAddress = labels.count == 4 && labels.allSatisfy { label in label.allSatisfy(\.isNumber) }
        return !isAddress && labels.allSatisfy { !$0.hasPrefix("-") && !$0.hasSuffix("-") }
    }

    /// A number of the query; nil when it is not there.
    ///
    /// - Throws: `.invalidArgument` for what is none, or outside the range.
    static func number(_ request: S3Request, _ name: String, in range: ClosedRange<Int>) throws(S3Error) -> Int? {
        guard let text = request.target[name] else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), range.contains(number)
        else {
            throw .invalidArgument("Provided \(name) not an integer or within integer range", name: name, value: text)
        }
        return number
    }
}
