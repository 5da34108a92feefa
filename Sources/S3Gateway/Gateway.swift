// A gateway: requests of S3 in, operations of the client library out.

import ClusterFiles
import Logging
import NIOCore
import NIOHTTP1
import Solidus
import Synchronization

/// What may be told to a gateway beside its home.
public struct GatewayOptions: Sendable {
    public var client = ClientOptions()
    /// What transfers of more than 256 KiB may have in memory together, in bytes.
    public var memoryBytes = 256 << 20
    /// Requests of one access key that are answered at a time.
    public var requestsPerKeyMax = 2048
    /// How many event loops carry clients' connections.
    public var eventLoopCount = 2
    var limits = ServerLimits()

    public init() { client.checksBuckets = true }
}

/// What is asked, by whom.
struct S3Request: Sendable {
    let operation: S3Operation
    let method: HTTPMethod
    let resource: Resource
    let target: RequestTarget
    let headers: RequestHeaders
    /// Nil for somebody who does not say who he is.
    let credential: Credential?
    let signature: VerifiedSignature?
    let context: RequestContext

    /// The bucket's name.
    ///
    /// - Precondition: it is about one.
    var bucket: String {
        guard let bucket = resource.bucket else { preconditionFailure("\(operation) without a bucket") }
        return bucket
    }

    /// The object's name within its bucket.
    ///
    /// - Precondition: it is about one.
    var key: String {
        guard let key = resource.key else { preconditionFailure("\(operation) without an object") }
        return key
    }

    func objectKey() throws(S3Error) -> ObjectKey { try Gateway.objectKey(bucket, key) }
}

final class Gateway: RequestHandler {
    /// What a document that a client sends may have, in bytes.
    static let documentSizeBytesMax = 2 << 20

    let client: ObjectClient
    let settings: GatewaySettings
    let options: GatewayOptions
    let writers = KeyQueue()
    let memory: TransferMemory
    let metrics = GatewayMetrics()
    let probes: Probes
    let buckets: BucketSettings
    private let credentials: CredentialCache
    private let addressing: Addressing
    private let verifier: SignatureVerifier
    private let logger: Logger
    private let accessLog: (@Sendable (String) -> Void)?
    private let underWay = Mutex<[String: Int]>([:])

    init(
        _ client: ObjectClient, home: GatewayHome, options: GatewayOptions, logger: Logger,
        accessLog: (@Sendable (String) -> Void)?
    ) {
        self.client = client
        probes = Probes(client)
        settings = home.settings
        self.options = options
        memory = TransferMemory(sizeBytes: options.memoryBytes)
        credentials = CredentialCache(CredentialRecords(client, key: home.sharedKey))
        buckets = BucketSettings(client, SharedRecords(client, key: home.sharedKey))
        addressing = Addressing(domains: home.settings.domains)
        verifier = SignatureVerifier(region: home.settings.region)
        self.logger = logger
        self.accessLog = accessLog
    }

    // MARK: Requests

    func respond(to head: HTTPRequestHead, _ body: RequestBody, _ context: RequestContext) async -> Response {
        if let response = await probes.respond(to: head) { return response }
        metrics.began()
        var operation: S3Operation?
        var resource = Resource.service
        var response: Response
        do {
            let target = try RequestTarget(head.uri)
            let headers = RequestHeaders(head.headers)
            guard head.isOld || headers.values("host").count == 1 else {
                throw S3Error(.invalidRequest, "The request has to have one header Host.")
            }
            resource = addressing.resource(host: target.authority ?? headers["host"] ?? "", path: target.path)
            let found = try S3Operation.find(head.method, resource, target, headers)
            operation = found
            response = try await answer(found, head.method, resource, target, headers, body, context)
            // What is done is not undone by rules that cannot be read.
            response = (try? await withCORS(response, head.method, headers, resource)) ?? response
        } catch {
            let reported = S3Error(any: error)
            log(error, as: reported, context)
            response = Self.response(reported, resource: Self.path(resource), requestID: context.id)
            response =
                (try? await withCORS(response, head.method, RequestHeaders(head.headers), resource)) ?? response
            if head.method == .HEAD || response.status == .notModified { response.body = .none }
        }
        metrics.count(operation, response)
        return response
    }

    private func answer(
        _ operation: S3Operation, _ method: HTTPMethod, _ resource: Resource, _ target: RequestTarget,
        _ headers: RequestHeaders, _ body: RequestBody, _ context: RequestContext
    ) async throws -> Response {
        if operation == .preflight { return try await preflight(resource, headers) }
        var credential: Credential?
        var verified: VerifiedSignature?
        if let signature = try RequestSignature.find(target, headers) {
            try verifier.check(signature, target, headers, now: Dates.now())
            guard let known = try await credentials.credential(signature.accessKey) else {
                throw S3Error(
                    .invalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.",
                    [("AWSAccessKeyId", signature.accessKey)])
            }
            verified = try verifier.verify(
                signature, secret: known.secret, method: method.rawValue, target, headers)
            credential = known
        }
        let request = S3Request(
            operation: operation, method: method, resource: resource, target: target, headers: headers,
            credential: credential, signature: verified, context: context)
        // A form carries its own signature.
        if operation != .postObject { try await authorize(request) }
        guard let credential else { return try await perform(request, body) }
        guard enter(credential.accessKey) else { throw S3Error(.slowDown, "Please reduce your request rate.") }
        defer { leave(credential.accessKey) }
        return try await perform(request, body)
    }

    /// Nil when there is no such access key.
    func knownCredential(_ accessKey: String) async throws -> Credential? {
        try await credentials.credential(accessKey)
    }

    /// - Throws: `.accessDenied`.
    private func authorize(_ request: S3Request) async throws {
        guard let bucket = request.resource.bucket else {
            guard request.credential != nil else { throw S3Error.accessDenied }
            return
        }
        let rights = try await rights(request.credential, on: bucket)
        guard !rights.isDisjoint(with: request.operation.sufficientRights) else { throw S3Error.accessDenied }
        if request.credential == nil {
            guard request.target.query.allSatisfy({ !$0.name.hasPrefix("response-") }) else {
                throw S3Error(
                    .invalidRequest, "Request specific response headers cannot be used for anonymous GET requests.")
            }
        }
    }

    /// What somebody may do with a bucket.
    func rights(_ credential: Credential?, on bucket: String) async throws -> Rights {
        if let credential { return credential.rights(on: bucket) }
        return try await buckets.anonymousRights(on: bucket)
    }

    private func enter(_ accessKey: String) -> Bool {
        underWay.withLock { counts in
            guard counts[accessKey, default: 0] < options.requestsPerKeyMax else { return false }
            counts[accessKey, default: 0] += 1
            return true
        }
    }

    private func leave(_ accessKey: String) {
        underWay.withLock { counts in
            let left = counts[accessKey, default: 1] - 1
            counts[accessKey] = left > 0 ? left : nil
        }
    }

    private func perform(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        switch request.operation {
        case .listBuckets: try await listBuckets(request)
        case .createBucket: try await createBucket(request, body)
        case .headBucket: try await headBucket(request)
        case .deleteBucket: try await deleteBucket(request)
        case .getBucketLocation: try await getBucketLocation(request)
        case .listObjects: try await listObjects(request)
        case .listObjectsV2: try await listObjectsV2(request)
        case .listObjectVersions: try await listObjectVersions(request)
        case .listMultipartUploads: try await listMultipartUploads(request)
        case .deleteObjects: try await deleteObjects(request, body)
        case .getBucketCORS: try await getBucketCORS(request)
        case .putBucketCORS: try await putBucketCORS(request, body)
        case .deleteBucketCORS: try await deleteBucketCORS(request)
        case .getBucketSetting: try await getBucketSetting(request)
        case .putBucketSetting: throw S3Error.notImplemented(Self.setting(request))
        case .deleteBucketSetting: try await deleteBucketSetting(request)
        case .putACL: try await putACL(request, body)
        case .getObject: try await getObject(request)
        case .headObject: try await headObject(request)
        case .putObject: try await putObject(request, body)
        case .postObject: try await postObject(request, body)
        case .copyObject: try await copyObject(request)
        case .deleteObject: try await deleteObject(request)
        case .getObjectAttributes: try await getObjectAttributes(request)
        case .getObjectSetting: try await getObjectSetting(request)
        case .putObjectSetting: throw S3Error.notImplemented(Self.setting(request))
        case .deleteObjectTagging: throw S3Error.notImplemented("Changing the tags of an object")
        case .createMultipartUpload: try await createMultipartUpload(request)
        case .uploadPart: try await uploadPart(request, body)
        case .uploadPartCopy: try await uploadPartCopy(request)
        case .completeMultipartUpload: try await completeMultipartUpload(request, body)
        case .abortMultipartUpload: try await abortMultipartUpload(request)
        case .listParts: try await listParts(request)
        case .preflight: preconditionFailure("a preflight is answered without being signed")
        }
    }

    /// What in a query names a setting.
    private static func setting(_ request: S3Request) -> String {
        let known = S3Operation.bucketSettings.union(S3Operation.objectSettings)
        return "The setting '\(request.target.query.first { known.contains($0.name) }?.name ?? "")'"
    }

    // MARK: Errors and the log

    static func response(_ error: S3Error, resource: String, requestID: String) -> Response {
        var response = Response(error.code.status, headers: error.headers)
        response.errorCode = error.code.rawValue
        response.headers.append(("Content-Type", "application/xml"))
        response.body = .bytes(Array(error.document(resource: resource, requestID: requestID).utf8))
        return response
    }

    private static func path(_ resource: Resource) -> String {
        switch resource {
        case .service: "/"
        case .bucket(let bucket): "/\(bucket)"
        case .object(let bucket, let key): "/\(bucket)/\(key)"
        }
    }

    /// What clients are told less of than who runs the gateway wants to know.
    private func log(_ error: any Error, as reported: S3Error, _ context: RequestContext) {
        guard reported.code.status.code >= 500, !(error is S3Error) else { return }
        logger.warning("request \(context.id): \(error)")
    }

    func answered(_ head: HTTPRequestHead, _ context: RequestContext, _ response: Response, _ end: AnswerEnd) {
        if !Probes.areAsked(by: head) { metrics.ended(response, end) }
        guard let accessLog else { return }
        accessLog(AccessLine(head, context, response, end).text)
    }

    // MARK: Names

    static func objectKey(_ bucket: String, _ key: String) throws(S3Error) -> ObjectKey {
        do throws(ObjectKeyError) {
            return try ObjectKey("\(bucket)/\(key)")
        } catch .tooLong {
            throw S3Error(
                .keyTooLong, "Your key is too long",
                [("Size", "\(key.utf8.count)"), ("MaxSizeAllowed", "\(ObjectKey.nameSizeBytesMax)")])
        } catch .noBucket, .invalidBucket {
            throw .noSuchBucket(bucket)
        } catch {
            throw .invalidArgument("The key cannot be used: \(error).", name: "Key", value: key)
        }
    }

    /// - Throws: `.noSuchBucket`.
    func requireBucket(_ bucket: String) async throws {
        guard ObjectKey.isBucket(bucket), try await client.bucketExists(bucket) else {
            throw S3Error.noSuchBucket(bucket)
        }
    }

    /// Runs what reads an object, and tells a bucket that is not there from an object that is not.
    func reading<R>(_ request: S3Request, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch ClientError.notFound(let key) {
            let bucket = String(decoding: key.bucketBytes, as: UTF8.self)
            guard try await client.bucketExists(bucket) else { throw S3Error.noSuchBucket(bucket) }
            // Who may not list is not told what is there.
            guard try await rights(request.credential, on: bucket).contains(.list) else { throw S3Error.accessDenied }
            throw S3Error.noSuchKey(key.nameText)
        }
    }
}
