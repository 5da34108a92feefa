// At least one sample of every message, refusal and error within a refusal. The kinds below mirror the protocol's enums
// through exhaustive switches both ways: a new case of the protocol does not compile here until it has samples.

import ErasureCode
import Fingerprint
import QuorumProtocol
import QuorumWire

enum RequestKind: CaseIterable {
    case readTimestamp, prepare, commit, read, certificate, describe, stage, discard, fetch, listHeld, restate

    init(_ request: Request) {
        switch request {
        case .readTimestamp: self = .readTimestamp
        case .prepare: self = .prepare
        case .commit: self = .commit
        case .read: self = .read
        case .certificate: self = .certificate
        case .describe: self = .describe
        case .stage: self = .stage
        case .discard: self = .discard
        case .fetch: self = .fetch
        case .listHeld: self = .listHeld
        case .restate: self = .restate
        }
    }

    var samples: [Request] {
        switch self {
        case .readTimestamp:
            [.readTimestamp(Sample.key), .readTimestamp(Sample.longKey)]
        case .prepare:
            [
                .prepare(
                    Prepare(
                        key: Sample.key, timestamp: Sample.timestamp(1, of: Sample.value), position: 0,
                        descriptor: Sample.value,
                        fragments: [Sample.fragment])),
                .prepare(
                    Prepare(
                        key: Sample.key, timestamp: Sample.timestamp(2, of: Sample.tombstone), position: 3,
                        descriptor: Sample.tombstone, fragments: [], justification: Sample.certificate)),
                .prepare(
                    Prepare(
                        key: Sample.longKey, timestamp: Sample.timestamp(.max, of: Sample.emptyValue), position: 255,
                        descriptor: Sample.emptyValue, fragments: [SharedBytes()],
                        justification: Sample.certificate(Sample.timestamp(7, of: Sample.value), []),
                        admission: (0..<4).map { Sample.statement($0) })),
            ]
        case .commit:
            [
                .commit(Commit(key: Sample.key, certificate: Sample.certificate)),
                .commit(Commit(key: Sample.longKey, certificate: Sample.deepCertificate)),
            ]
        case .restate:
            [
                .restate(Restate(key: Sample.key, certificate: Sample.certificate)),
                .restate(
                    Restate(
                        key: Sample.longKey, certificate: Sample.deepCertificate, descriptor: Sample.value,
                        statements: (0..<4).map { Sample.statement($0) })),
            ]
        case .certificate:
            [
                .certificate(Sample.key, Sample.timestamp(1, of: Sample.value)),
                .certificate(Sample.longKey, Sample.timestamp(.max, of: Sample.tombstone)),
            ]
        case .describe:
            [
                Sample.value, Sample.threeStripes, Sample.described, Sample.tombstone, Sample.stagedInPages,
                Sample.stagedByName,
            ].map {
                .describe(Describe(key: Sample.key, timestamp: Sample.timestamp(3, of: $0), descriptor: $0))
            }
        case .stage:
            [(UInt32(0), UInt32(4096)), (StagedLimits.stripesMax - 1, 1)].map { stripe, size in
                .stage(
                    Stage(
                        key: Sample.key, attempt: Sample.attempt, position: 2, stripeSizeBytes: 4096, stripe: stripe,
                        crossChecksum: Sample.crossChecksum(Int(size)), fragment: Sample.fragment,
                        fills: stripe == 0))
            }
        case .discard:
            [
                .discard(Discard(key: Sample.longKey, stager: Sample.attempt.stager, upload: Sample.attempt.upload)),
                .discard(
                    Discard(
                        key: Sample.longKey, stager: Sample.attempt.stager, upload: Sample.attempt.upload,
                        attempt: Discard.Attempt(part: 9, number: 1 << 20))),
            ]
        case .fetch:
            [
                .fetch(Fetch(key: Sample.key, attempt: Sample.attempt)),
                .fetch(Fetch(key: Sample.key, attempt: Sample.attempt, stripe: 7)),
                .fetch(
                    Fetch(
                        key: Sample.longKey, attempt: Sample.attempt, stripe: StagedLimits.stripesMax - 1,
                        page: Fetch.PageRange(first: 512, count: 256), pin: Sample.timestamp(3, of: Sample.value),
                        tag: .max - 1)),
            ]
        case .listHeld:
            [
                .listHeld(ListHeld(key: Sample.key, kind: .versions)),
                .listHeld(ListHeld(key: Sample.longKey, kind: .upload(Sample.attempt.upload))),
                .listHeld(ListHeld(key: Sample.longKey, kind: .uploads(of: Sample.attempt.stager))),
            ]
        case .read:
            Sample.portions.flatMap { portion -> [Request] in
                [
                    .read(Read(key: Sample.key, portion: portion)),
                    .read(Read(key: Sample.key, version: Sample.timestamp(4, of: Sample.value), portion: portion)),
                ]
            }
        }
    }
}

enum ReplyKind: CaseIterable {
    case timestamp, prepared, committed, version, certificate, staged, discarded, fetched, held, refused

    init(_ reply: Reply) {
        switch reply {
        case .timestamp: self = .timestamp
        case .prepared: self = .prepared
        case .committed: self = .committed
        case .version: self = .version
        case .certificate: self = .certificate
        case .staged: self = .staged
        case .discarded: self = .discarded
        case .fetched: self = .fetched
        case .held: self = .held
        case .refused: self = .refused
        }
    }

    var samples: [Reply] {
        let timestamp = Sample.timestamp(5, of: Sample.value)
        let known = CommittedClaim(certificate: Sample.certificate)
        let foreign = CommittedClaim(certificate: Sample.foreignCertificate)
        let unknown = CommittedClaim(certificate: nil)
        func parts(_ descriptor: SealedDescriptor, _ fragments: [SharedBytes]?) -> HeldParts {
            HeldParts(
                timestamp: Sample.timestamp(5, of: descriptor), position: 2, descriptor: descriptor,
                fragments: fragments)
        }
        switch self {
        case .timestamp:
            return [.timestamp(known), .timestamp(unknown), .timestamp(foreign)]
        case .prepared:
            return Sample.claims.flatMap { claim -> [Reply] in
                [
                    .prepared(Sample.statement(2, claim), committed: nil),
                    .prepared(Sample.statement(.max, claim, pathCount: 0), committed: timestamp),
                ]
            }
        case .committed:
            return [.committed(timestamp, needsDescriptor: false), .committed(timestamp, needsDescriptor: true)]
        case .certificate:
            return [
                .certificate(known, Sample.certificate), .certificate(foreign, Sample.foreignCertificate),
                .certificate(known, Sample.deepCertificate), .certificate(unknown, nil),
            ]
        case .version:
            return [
                .version(unknown, nil), .version(known, nil), .version(unknown, parts(Sample.value, nil)),
                .version(known, parts(Sample.value, [Sample.fragment])), .version(known, parts(Sample.emptyValue, [])),
                .version(known, parts(Sample.tombstone, [SharedBytes()])),
            ]
        case .staged: return [.staged]
        case .discarded: return [.discarded]
        case .fetched:
            return [
                .fetched(FetchedParts(position: 3, fragment: nil, page: nil)),
                .fetched(FetchedParts(position: 0, fragment: Sample.fragment, page: nil)),
                .fetched(FetchedParts(position: 1, fragment: SharedBytes(), page: Array("page".utf8), tag: 5 << 40)),
            ]
        case .held:
            let head = ListedHead(lengthBytes: 5, etag: "tag", modifiedMilliseconds: 7)
            return [
                .held(.versions([])), .held(.staged([])), .held(.uploads([])),
                .held(
                    .uploads([
                        UploadStatus(
                            upload: Sample.attempt.upload, attempts: 3, chargedBytes: 5 << 30, lastMilliseconds: 9)
                    ])),
                .held(
                    .versions([
                        KeptVersion(timestamp: Sample.timestamp(3, of: Sample.value), head: head),
                        KeptVersion(timestamp: Sample.timestamp(4, of: Sample.tombstone), head: nil),
                    ])),
                .held(
                    .staged([
                        StagedStatus(
                            attempt: Sample.attempt, stripeSizeBytes: 4096, stripes: StripeRanges(upTo: 300),
                            isSpent: true)
                    ])),
            ]
        case .refused:
            return RefusalKind.allCases.flatMap(\.samples).map { .refused($0) }
        }
    }
}

extension RefusalKind {
    var samples: [Refusal] {
        let most = Int(UInt32.max)
        switch self {
        case .notEntitled:
            return PrincipalKind.allCases.flatMap { principal -> [Refusal] in
                [[], .write, .all].map { .notEntitled(principal.sample, lacksAll: $0) }
            }
        case .foreignTimestamp: return [.foreignTimestamp(writer: Sample.writer, sender: Sample.otherWriter)]
        case .digestMismatch: return [.digestMismatch]
        case .foreignDescriptor: return [.foreignDescriptor]
        case .notCommitted: return [.notCommitted]
        case .wrongFragmentCount:
            return [.wrongFragmentCount(got: 0, expected: 1), .wrongFragmentCount(got: most, expected: 0)]
        case .tooManyStripes: return [.tooManyStripes(got: 409, limit: 1), .tooManyStripes(got: most, limit: most)]
        case .invalidFragment:
            return FragmentErrorKind.allCases.flatMap { kind in
                [0, 1, .max].map { .invalidFragment(StripeIndex($0), kind.sample) }
            }
        case .justificationRequired: return [0, 41, .max].map { .justificationRequired(committedCounter: $0) }
        case .counterSkipped:
            return [.counterSkipped(got: 9, highestAllowed: 4), .counterSkipped(got: .max, highestAllowed: 0)]
        case .invalidCertificate: return CertificateErrorKind.allCases.map { .invalidCertificate($0.sample) }
        case .invalidAdmission: return [.invalidAdmission(have: 1, need: 2)]
        case .tooManyPending:
            return [.tooManyPending([]), .tooManyPending([Sample.value, Sample.tombstone].map { Sample.pending($0) })]
        case .busy: return [.busy]
        case .poisonous: return [.poisonous]
        case .tooManyUnverified: return [.tooManyUnverified(limit: 16), .tooManyUnverified(limit: most)]
        case .quotaExceeded:
            return Quota.allCases.map { .quotaExceeded($0, limit: 1 << 40, used: .max) }
        case .storageFull: return [.storageFull]
        case .storageFailed: return [.storageFailed]
        case .recordLost: return [.recordLost]
        case .foreignGroup: return [.foreignGroup(GroupID(1), expected: GroupID(.max))]
        case .unknownEpoch: return [.unknownEpoch(4, newest: 3), .unknownEpoch(0, newest: .max)]
        case .foreignPosition: return [.foreignPosition(1, expected: 2), .foreignPosition(255, expected: 0)]
        case .stripesMissing:
            return [
                .stripesMissing([]),
                .stripesMissing([
                    MissingStripes(part: 0, stripes: 0..<1),
                    MissingStripes(part: 9999, stripes: 7..<StagedLimits.stripesMax),
                ]),
            ]
        case .otherStripeSize: return [.otherStripeSize(0, expected: .max)]
        case .tooManyAttempts: return [.tooManyAttempts(limit: 10_050)]
        case .tooScattered: return [.tooScattered(limit: 64)]
        case .uploadEnded: return [.uploadEnded]
        case .stripeHeld: return [.stripeHeld]
        case .notHeld: return [.notHeld]
        case .rebuilding: return [.rebuilding]
        case .unsupported: return [0, 5, .max].map { .unsupported(type: $0) }
        }
    }
}

enum PrincipalKind: CaseIterable {
    case client, server

    init(_ principal: Principal) {
        switch principal {
        case .client: self = .client
        case .server: self = .server
        }
    }

    var sample: Principal {
        switch self {
        case .client: .client(Sample.writer)
        case .server: .server(NodeID(259))
        }
    }
}

enum FragmentErrorKind: CaseIterable {
    case indexOutOfRange, wrongSize, hashMismatch, fingerprintMismatch, encodingMismatch

    init(_ error: FragmentVerificationError) {
        switch error {
        case .indexOutOfRange: self = .indexOutOfRange
        case .wrongSize: self = .wrongSize
        case .hashMismatch: self = .hashMismatch
        case .fingerprintMismatch: self = .fingerprintMismatch
        case .encodingMismatch: self = .encodingMismatch
        }
    }

    var sample: FragmentVerificationError {
        switch self {
        case .indexOutOfRange: .indexOutOfRange(FragmentIndex(200), fragmentCount: 4)
        case .wrongSize: .wrongSize(FragmentIndex(1), got: Int(UInt32.max), expected: 2048)
        case .hashMismatch: .hashMismatch(FragmentIndex(2))
        case .fingerprintMismatch: .fingerprintMismatch(FragmentIndex(255))
        case .encodingMismatch: .encodingMismatch
        }
    }
}

enum CertificateErrorKind: CaseIterable {
    case wrongStatementCount, repeatedServer, unknownServer, invalidPath, invalidSignature, wrongClaim
    case unknownEpoch, foreignGroup, unknownIncarnation, fenced

    init(_ error: CertificateError) {
        switch error {
        case .wrongStatementCount: self = .wrongStatementCount
        case .repeatedServer: self = .repeatedServer
        case .unknownServer: self = .unknownServer
        case .invalidPath: self = .invalidPath
        case .invalidSignature: self = .invalidSignature
        case .wrongClaim: self = .wrongClaim
        case .unknownEpoch: self = .unknownEpoch
        case .foreignGroup: self = .foreignGroup
        case .unknownIncarnation: self = .unknownIncarnation
        case .fenced: self = .fenced
        }
    }

    var sample: CertificateError {
        switch self {
        case .wrongStatementCount: .wrongStatementCount(have: 2, need: 3)
        case .repeatedServer: .repeatedServer(NodeID(0))
        case .unknownServer: .unknownServer(NodeID(.max))
        case .invalidPath: .invalidPath(NodeID(1))
        case .invalidSignature: .invalidSignature(NodeID(2))
        case .wrongClaim: .wrongClaim(NodeID(0x0103))
        case .unknownEpoch: .unknownEpoch(.max)
        case .foreignGroup: .foreignGroup(GroupID(1), expected: GroupID(.max))
        case .unknownIncarnation: .unknownIncarnation(NodeID(4), Incarnation(2))
        case .fenced: .fenced(NodeID(5))
        }
    }
}

extension Position: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: UInt8) { self.init(value) }
}

/// The values that samples are made of. Signatures are plain bytes: the wire carries them, it does not judge them.
enum Sample {
    static let messages: [Message] =
        RequestKind.allCases.flatMap(\.samples).map { .request($0) } + foreignRoutes
        + ReplyKind.allCases.flatMap(\.samples).map { .reply($0) }

    /// The wire carries whatever group a request is for: the server judges it.
    private static let foreignRoutes = [Route(epoch: 0, group: GroupID(0)), Route(epoch: .max, group: GroupID(.max))]
        .map { Message.request(.readTimestamp(key), to: $0) }

    static let route = Route(epoch: 3, group: GroupID(7))
    static let key = objectKey("photos/cat")
    static let longKey = objectKey(
        String(repeating: "b", count: ObjectKey.bucketSizeBytesMax) + "/"
            + String(repeating: "n", count: ObjectKey.nameSizeBytesMax))
    static let writer = ClientID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
    static let otherWriter = ClientID(high: 0, low: .max)
    static let fragment = SharedBytes(0..<24)

    /// One stripe of 48 bytes.
    static let value = sealedValue(lengthBytes: 48)
    static let emptyValue = sealedValue(lengthBytes: 0)
    /// The last of the stripes is short.
    static let threeStripes = sealedValue(lengthBytes: 2 * 64 + 1, stripeSizeBytes: 64)
    static let described = sealedValue(
        lengthBytes: 1,
        metadata: ObjectMetadata(
            contentType: "text/plain; charset=utf-8", etag: "\u{0}é", modifiedMilliseconds: .max,
            user: ["": "", "b": "2", "a": "1", "\u{e9}": "composed", "\u{1f63a}": "cat"]))
    static let tombstone = SealedDescriptor(
        Descriptor(tombstone: key, modifiedMilliseconds: 1_700_000_000_000, parameters: cluster))

    static let attempt = AttemptName(
        stager: writer, upload: UploadID(high: 3, low: .max), part: 10_000, number: .max)

    static func crossChecksum(_ sizeBytes: Int) -> CrossChecksum {
        CrossChecksum.encode(
            block: SharedBytes(Array(repeating: 7, count: sizeBytes)), code: cluster.quorums.code
        ).crossChecksum
    }

    /// A value of 17 stripes in two parts, of which only pages are named.
    static let stagedInPages = staged([
        StagedPart(attempt: attempt(1), lengthBytes: 4096 * 16, stripeSizeBytes: 4096, pages: [.sha256([1])]),
        StagedPart(attempt: attempt(2), lengthBytes: 1, stripeSizeBytes: 4096, pages: [.sha256([2])]),
    ])
    /// One whose two stripes are named.
    static let stagedByName = staged([
        StagedPart(
            attempt: attempt(7), lengthBytes: 4097, stripeSizeBytes: 4096,
            named: [crossChecksum(4096), crossChecksum(1)])
    ])

    private static func attempt(_ part: UInt16) -> AttemptName {
        AttemptName(stager: part == 2 ? otherWriter : writer, upload: UploadID(high: 3, low: 4), part: part, number: 1)
    }

    private static func staged(_ parts: [StagedPart]) -> SealedDescriptor {
        SealedDescriptor(
            Descriptor(
                value: key, staged: StagedContents(parts: parts), metadata: ObjectMetadata(), parameters: cluster))
    }

    static let certificate = certificate(timestamp(5, of: value), [0, 1, 3].map { statement($0) })
    /// Its paths are as long as paths may be.
    static let deepCertificate = certificate(
        timestamp(5, of: threeStripes), [0, 0x0102].map { statement($0, pathCount: 16) })
    /// Of an epoch and a group that are not the cluster's.
    static let foreignCertificate = Certificate(
        epoch: .max, group: GroupID(.max), timestamp: timestamp(5, of: value), statements: [statement(.max)])

    static let claims = (0...UInt8.max).compactMap(Claim.init(rawValue:))
    static let portions = (0...UInt8.max).compactMap(Read.Portion.init(rawValue:))

    static func objectKey(_ text: String) -> ObjectKey {
        do {
            return try ObjectKey(text)
        } catch {
            preconditionFailure("\(error)")
        }
    }

    static func timestamp(_ counter: UInt64, of descriptor: SealedDescriptor) -> Timestamp {
        Timestamp(counter: counter, writer: writer, digest: descriptor.digest)
    }

    static func certificate(_ timestamp: Timestamp, _ statements: [SignedStatement]) -> Certificate {
        Certificate(epoch: route.epoch, group: route.group, timestamp: timestamp, statements: statements)
    }

    static func statement(_ node: UInt16, _ claim: Claim = .stored, pathCount: Int = 1) -> SignedStatement {
        SignedStatement(
            node: NodeID(node), incarnation: Incarnation(1), claim: claim, leafIndex: 1, leafCount: .max,
            path: (0..<pathCount).map { Digest256.sha256([UInt8(truncatingIfNeeded: node), UInt8($0)]) },
            signature: (0..<64).map { UInt8(truncatingIfNeeded: node) ^ $0 })
    }

    static func pending(_ descriptor: SealedDescriptor, counter: UInt64 = 6) -> PendingVersion {
        PendingVersion(timestamp: timestamp(counter, of: descriptor), descriptor: descriptor, statement: statement(1))
    }

    static func sealedValue(
        lengthBytes: Int, stripeSizeBytes: Int = 4096, metadata: ObjectMetadata = ObjectMetadata(),
        parameters: ClusterParameters = cluster
    ) -> SealedDescriptor {
        let code = parameters.quorums.code
        let stripes = stride(from: 0, to: lengthBytes, by: stripeSizeBytes).map { start in
            let size = min(stripeSizeBytes, lengthBytes - start)
            return CrossChecksum.encode(block: SharedBytes(Array(repeating: 7, count: size)), code: code).crossChecksum
        }
        return SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(lengthBytes), stripeSizeBytes: UInt32(stripeSizeBytes),
                stripes: stripes, metadata: metadata, parameters: parameters))
    }
}
