// PutObject, and how a write meets its conditions.

import NIOCore
import QuorumClient
import Solidus
import Synchronization

extension Gateway {
    func putObject(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkName(request.key)
        guard !body.isAbsent else {
            throw S3Error(.missingContentLength, "You must provide the Content-Length HTTP header.")
        }
        let metadata = try ObjectHeaders.metadata(request.headers)
        let conditions = try conditions(request)
        let plan = try PayloadPlan(request.headers, request.signature, contentLength: body.contentLength)
        try await requireBucket(request.bucket)
        // What cannot succeed is not to be sent for nothing.
        if !conditions.isEmpty { try conditions.check(try await currentTag(key), key: request.key) }
        let payload = CheckedPayload(plan)
        let lease = try await lease(for: plan.lengthBytes)
        defer { withExtendedLifetime(lease) {} }
        let stored = Mutex<(facts: CheckedPayload.Facts, checksum: KeptChecksum?)?>(nil)
        try await writing(key, conditions, request.key) { enter in
            _ = try await client.put(
                key, lengthBytes: plan.lengthBytes, metadata: metadata,
                seal: { metadata in
                    let facts = try payload.finish()
                    let checksum = facts.checksum.map {
                        KeptChecksum($0.algorithm, Base64.text($0.bytes), .fullObject)
                    }
                    metadata.etag = facts.etag
                    metadata.checksum = checksum
                    stored.withLock { $0 = (facts, checksum) }
                    try await enter()
                }, from: PayloadPieces(body: body, payload: payload))
        }
        guard let stored = stored.withLock({ $0 }) else { preconditionFailure("a put that was not sealed") }
        return Response(headers: [("ETag", "\"\(stored.facts.etag)\"")] + (stored.checksum?.headers ?? []))
    }

    /// - Throws: `.notImplemented` where this gateway does no conditional writes.
    func conditions(_ request: S3Request) throws(S3Error) -> WriteConditions {
        let conditions = try WriteConditions(request.headers)
        guard conditions.isEmpty || settings.conditionalWrites == .singleGateway else {
            throw .notImplemented("A conditional write, which takes conditional_writes = \"single-gateway\"")
        }
        return conditions
    }

    /// Runs a write. Its conditions are looked at when it calls what it is handed, after which nobody else writes the
    /// object through this gateway before it is over.
    func writing<R>(
        _ key: ObjectKey, _ conditions: WriteConditions, _ name: String,
        _ body: (_ enter: @escaping @Sendable () async throws -> Void) async throws -> R
    ) async throws -> R {
        guard settings.conditionalWrites == .singleGateway else { return try await body({}) }
        let turn = Turn(writers, key.text)
        defer { turn.end() }
        return try await body {
            await turn.begin()
            if !conditions.isEmpty { try conditions.check(try await self.currentTag(key), key: name) }
        }
    }

    /// A writer's turn, from when it has all that it writes.
    private final class Turn: Sendable {
        private let queue: KeyQueue
        private let key: String
        private let hasIt = Mutex(false)

        init(_ queue: KeyQueue, _ key: String) {
            self.queue = queue
            self.key = key
        }

        func begin() async {
            await queue.enter(key)
            hasIt.withLock { $0 = true }
        }

        func end() {
            guard hasIt.withLock({ $0 }) else { return }
            queue.leave(key)
        }
    }

    /// The object's tag; nil when there is none.
    func currentTag(_ key: ObjectKey) async throws -> String? {
        do {
            return try await client.head(key).shownTag
        } catch ClientError.notFound {
            return nil
        }
    }

    /// Room for a body of so many bytes; nil where that needs none.
    func lease(for lengthBytes: UInt64?) async throws(S3Error) -> MemoryShares.Lease? {
        let stripe = client.parameters.limits.stripeSizeBytesMax
        let wanted = Int(min(lengthBytes ?? UInt64(stripe), UInt64(stripe)))
        return wanted > Self.smallTransferBytes ? try await memory.lease(wanted) : nil
    }

    /// - Throws: `.invalidArgument` for a name that no listing could show.
    static func checkName(_ name: String) throws(S3Error) {
        guard name.unicodeScalars.allSatisfy({ $0.value != 0 && $0.value != 0xFFFE && $0.value != 0xFFFF }) else {
            throw .invalidArgument("The key has a character that XML cannot show.", name: "Key", value: "")
        }
    }
}
