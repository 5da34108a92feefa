// Large values of a few small stripes: what their stagers send, and what servers have of them.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

extension UploadID {
    static let first = UploadID(high: 1, low: 1)
    static let second = UploadID(high: 2, low: 2)
}

extension ClientID {
    /// Above the others where counters are equal.
    static let zoe = ClientID(high: 1, low: 0)
}

/// One attempt at one part, encoded.
struct TestPart: Sendable {
    let attempt: AttemptName
    let blocks: [SharedBytes]
    let stripes: [StripeToStage]
    /// For each stripe each server's own fragment, in all modes.
    let fragments: [[SharedBytes]]
    let stripeSizeBytes: UInt32

    var lengthBytes: UInt64 { blocks.reduce(0) { $0 + UInt64($1.count) } }
    var crossChecksums: [CrossChecksum] { stripes.map(\.crossChecksum) }

    func stage(_ stripe: Int, for server: Position, of key: ObjectKey = .photo, fills: Bool = false) -> Stage {
        let staged = stripes[stripe]
        return Stage(
            key: key, attempt: attempt, position: server, stripeSizeBytes: stripeSizeBytes, stripe: UInt32(stripe),
            crossChecksum: staged.crossChecksum, fragment: staged.fragments[server.offset], fills: fills)
    }

    func page(_ group: TestGroup, _ number: Int = 0) -> StripePage {
        let first = number * Int(StripePage.stripesMax)
        return StripePage(
            first: UInt32(first), stripes: Array(crossChecksums.dropFirst(first).prefix(Int(StripePage.stripesMax))))
    }

    /// As a descriptor names it.
    func named(_ group: TestGroup, inPages: Bool) -> StagedPart {
        let pageCount = (stripes.count - 1) / Int(StripePage.stripesMax) + 1
        return StagedPart(
            attempt: attempt, lengthBytes: lengthBytes, stripeSizeBytes: stripeSizeBytes,
            named: inPages ? [] : crossChecksums,
            pages: inPages ? (0..<pageCount).map { .sha256(page(group, $0).bytes(group.parameters)) } : [])
    }
}

extension TestGroup {
    /// A group in which stripes have 512 bytes.
    static func staging(
        _ mode: VerificationMode = .fingerprint, faults: Int = 1, dataFragmentCount: Int? = nil,
        _ change: (inout ProtocolLimits) -> Void = { _ in }
    ) -> TestGroup {
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = 512
        change(&limits)
        return TestGroup(faults: faults, dataFragmentCount: dataFragmentCount, mode: mode, limits: limits)
    }

    /// An attempt at a part of so many bytes, which `seed` tells from others.
    func part(
        _ number: UInt16 = 1, of upload: UploadID = .first, by stager: ClientID = .alice, attempt: UInt32 = 1,
        lengthBytes: Int, seed: UInt64 = 0, stripeSizeBytes: Int = 512
    ) -> TestPart {
        var generator = SplitMix64(seed: seed &* 7919 &+ UInt64(number))
        let name = AttemptName(stager: stager, upload: upload, part: number, number: attempt)
        let blocks = stride(from: 0, to: lengthBytes, by: stripeSizeBytes).map { start in
            SharedBytes(
                (0..<min(stripeSizeBytes, lengthBytes - start)).map { _ in UInt8.random(in: 0...255, using: &generator)
                })
        }
        return TestPart(
            attempt: name, blocks: blocks,
            stripes: blocks.enumerated().map { stripe, block in
                StripeToStage(
                    block: block, attempt: name, stripeSizeBytes: UInt32(stripeSizeBytes), stripe: UInt32(stripe),
                    parameters: parameters)
            }, fragments: blocks.map { quorums.code.encode(block: $0) }, stripeSizeBytes: UInt32(stripeSizeBytes))
    }

    /// A version of parts that are named as they are to be.
    func version(
        _ parts: [TestPart], counter: UInt64, writer: ClientID = .alice, key: ObjectKey = .photo, etag: String = ""
    ) -> TestVersion {
        let inPages = parts.reduce(0) { $0 + $1.stripes.count } > StagedLimits.namedStripesMax
        return version(
            StagedContents(parts: parts.map { $0.named(self, inPages: inPages) }), counter: counter, writer: writer,
            key: key, etag: etag)
    }

    func version(
        _ staged: StagedContents, counter: UInt64, writer: ClientID = .alice, key: ObjectKey = .photo,
        etag: String = ""
    ) -> TestVersion {
        let sealed = SealedDescriptor(
            Descriptor(
                value: key, staged: staged, metadata: ObjectMetadata(etag: etag), parameters: parameters,
                salt: VersionSalt(high: counter, low: 0)))
        return TestVersion(
            timestamp: Timestamp(counter: counter, writer: writer, digest: sealed.digest), descriptor: sealed,
            fragments: servers.map { _ in [] })
    }

    /// What a stager is charged for a stripe of the tests' size.
    var stripeChargeBytes: Int64 { Int64(StagedLimits.chargeBytes(ofStripe: 512, quorums)) }
}

extension ReplicaHost {
    /// Stages stripes, all of them unless some are named.
    @discardableResult
    func stage(_ part: TestPart, _ stripes: [Int]? = nil, of key: ObjectKey = .photo) -> [Reply] {
        (stripes ?? Array(part.stripes.indices)).map { stripe in
            answer(.stage(part.stage(stripe, for: server, of: key)), from: .client(part.attempt.stager))
        }
    }

    /// Stages stripes, and expects that they are taken.
    func expectStaged(
        _ part: TestPart, _ stripes: [Int]? = nil, of key: ObjectKey = .photo,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let replies = stage(part, stripes, of: key)
        #expect(replies.allSatisfy { $0 == .staged }, "\(replies)", sourceLocation: sourceLocation)
    }

    @discardableResult
    func prepare(_ version: TestVersion, justification: Certificate? = nil) -> Reply {
        answer(
            .prepare(version.prepare(for: server, justification: justification)),
            from: .client(version.timestamp.writer))
    }

    func expectStored(_ version: TestVersion, sourceLocation: SourceLocation = #_sourceLocation) {
        let reply = prepare(version)
        guard case .prepared(let signed, _) = reply, signed.claim == .stored else {
            Issue.record("not stored: \(reply)", sourceLocation: sourceLocation)
            return
        }
        #expect(record(version.key).version(version.timestamp)?.holdsFragments == true, sourceLocation: sourceLocation)
    }

    @discardableResult
    func commit(_ version: TestVersion) -> Reply {
        answer(version.commit(group.certificate(of: version)), from: .client(version.timestamp.writer))
    }

    func expectCommitted(_ version: TestVersion, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(
            commit(version) == .committed(version.timestamp, needsDescriptor: false), sourceLocation: sourceLocation)
    }

    func discard(_ upload: UploadID, of key: ObjectKey = .photo, as client: ClientID = .alice) {
        #expect(
            answer(.discard(Discard(key: key, stager: client, upload: upload)), from: .client(client)) == .discarded)
    }

    /// What FETCH gives of a stripe.
    func fetched(
        _ attempt: AttemptName, _ stripe: Int?, page: Fetch.PageRange? = nil, pin: Timestamp? = nil,
        of key: ObjectKey = .photo, as client: ClientID = .bob
    ) -> FetchedParts? {
        let fetch = Fetch(key: key, attempt: attempt, stripe: stripe.map { UInt32($0) }, page: page, pin: pin)
        guard case .fetched(let parts) = answer(.fetch(fetch), from: .client(client)) else { return nil }
        return parts
    }

    /// Whether all stripes of a part are given back as they were staged, and their pages.
    func has(_ part: TestPart, of key: ObjectKey = .photo) -> Bool {
        let isWhole = part.stripes.indices.allSatisfy {
            fetched(part.attempt, $0, of: key)?.fragment == part.fragments[$0][server.offset]
        }
        let page = part.page(group)
        let range = Fetch.PageRange(first: 0, count: UInt16(page.stripes.count))
        return isWhole && fetched(part.attempt, nil, page: range, of: key)?.page == page.bytes(group.parameters)
    }

    /// Whether nothing of the attempt is stored.
    func isWithout(_ attempt: AttemptName, of key: ObjectKey = .photo) -> Bool {
        record(key).attempt(attempt) == nil
            && store.objects[key]?.staged.keys.contains { $0.attempt == attempt } != true
    }

    /// Time passes, and what is due happens.
    func pass(toMilliseconds time: UInt64) { runToEnd(.tick(milliseconds: time)) }

    /// Expects the refusal and the same store as before, also after a restart.
    func expectRefused(
        _ request: Request, from client: ClientID = .alice, _ expected: Refusal,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = store
        for _ in 0..<2 {
            #expect(answer(request, from: .client(client)) == .refused(expected), sourceLocation: sourceLocation)
            #expect(store == before, sourceLocation: sourceLocation)
            #expect(accounts.all == Accounts(store.charges).all, sourceLocation: sourceLocation)
            crash()
        }
    }
}
