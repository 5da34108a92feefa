// Byzantine clients against one replica: every rule that keeps them out, with a client that tries (docs/protocol.md,
// Write, and What bad input gets). A refusal is typed and leaves the store as it was.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("A replica refuses, and changes nothing on")
struct ReplicaRefusalTests {
    let group = TestGroup()

    /// Server 0 with `committed` committed in turn at .photo by Alice.
    func host(_ group: TestGroup, committed texts: [String?] = []) -> ReplicaHost {
        let host = ReplicaHost(group, 0)
        for (position, text) in texts.enumerated() {
            let version = group.version(.photo, text, counter: UInt64(position + 1))
            expectStored(host, version)
            let reply = host.answer(version.commit(group.certificate(of: version)))
            precondition(reply == .committed(version.timestamp, needsDescriptor: false))
        }
        return host
    }

    func expectStored(
        _ host: ReplicaHost, _ version: TestVersion, justification: Certificate? = nil,
        admission: [SignedStatement] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let reply = host.answer(
            .prepare(version.prepare(for: host.server, justification: justification, admission: admission)),
            from: .client(version.timestamp.writer))
        guard case .prepared(let signed, _) = reply else {
            Issue.record("not stored: \(reply)", sourceLocation: sourceLocation)
            return
        }
        #expect(signed.claim == .stored, sourceLocation: sourceLocation)
        #expect(throws: Never.self, sourceLocation: sourceLocation) {
            try group.verifier.verify(signed, key: version.key, timestamp: version.timestamp)
        }
        #expect(
            host.fragments(of: version.timestamp, key: version.key, stripeCount: version.fragments[0].count).value
                == version.fragments[host.server.offset], sourceLocation: sourceLocation)
    }

    /// Expects that COMMIT is taken of a version that is held here, or below what is committed.
    func expectCommitted(
        _ host: ReplicaHost, _ version: TestVersion, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let reply = host.answer(version.commit(group.certificate(of: version)))
        #expect(
            reply == .committed(version.timestamp, needsDescriptor: false), sourceLocation: sourceLocation)
    }

    /// Expects the refusal, and the same store as before, also after a restart.
    func expectRefused(
        _ host: ReplicaHost, _ request: Request, from principal: Principal = .client(.alice), _ expected: Refusal,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = host.store
        for _ in 0..<2 {
            #expect(host.answer(request, from: principal) == .refused(expected), sourceLocation: sourceLocation)
            #expect(host.store == before, sourceLocation: sourceLocation)
            host.crash()
        }
    }

    // MARK: Who

    @Test("a PREPARE in another writer's name, and one from a server")
    func foreignWriter() {
        let version = group.version(.photo, "x", counter: 1)
        let prepare = Request.prepare(version.prepare(for: 0))
        expectRefused(
            host(group), prepare, from: .client(.mallory), .foreignTimestamp(writer: .alice, sender: .mallory))
        expectRefused(host(group), prepare, from: .server(group.node(1)), .notEntitled(.server(group.node(1))))
    }

    // MARK: Counters

    @Test("a skipped counter without justification, and says what it has committed")
    func skippedCounter() {
        for counter in [2, 3, 1 << 40, .max] as [UInt64] {
            let version = group.version(.photo, "x", counter: counter)
            expectRefused(
                host(group), .prepare(version.prepare(for: 0)), .justificationRequired(committedCounter: 0))
        }
        for counter in [4, 5, .max] as [UInt64] {
            let version = group.version(.photo, "x", counter: counter)
            expectRefused(
                host(group, committed: ["a", "b"]), .prepare(version.prepare(for: 0)),
                .justificationRequired(committedCounter: 2))
        }
    }

    @Test("a counter that skips beyond its justification; the justification is not even recorded")
    func skippedBeyondJustification() {
        let below = group.version(.photo, "below", counter: 5)
        let certificate = group.certificate(of: below)
        for counter in [7, 8, .max] as [UInt64] {
            let version = group.version(.photo, "x", counter: counter)
            expectRefused(
                host(group), .prepare(version.prepare(for: 0, justification: certificate)),
                .counterSkipped(got: counter, highestAllowed: 6))
        }
    }

    @Test("a justification for another object, and a forged one")
    func foreignJustification() {
        let elsewhere = group.version(.other, "below", counter: 5)
        let version = group.version(.photo, "x", counter: 6)
        expectRefused(
            host(group), .prepare(version.prepare(for: 0, justification: group.certificate(of: elsewhere))),
            .invalidCertificate(.invalidSignature(group.node(0))))
        let below = group.version(.photo, "below", counter: 5)
        let forged = group.forgedCertificate(.photo, below.timestamp, liar: 0)
        expectRefused(
            host(group), .prepare(version.prepare(for: 0, justification: forged)),
            .invalidCertificate(.invalidSignature(group.node(1))))
    }

    @Test("nothing of a justified counter: the justification is committed with it")
    func justified() {
        let host = host(group, committed: ["a"])
        let below = group.version(.photo, "below", counter: 5, writer: .bob)
        let version = group.version(.photo, "x", counter: 6)
        expectStored(host, version, justification: group.certificate(of: below))
        #expect(host.record(.photo).committed?.timestamp == below.timestamp)
    }

    @Test("nothing of a reused counter with another value: both are kept apart by their digests")
    func reusedCounter() {
        let host = host(group, committed: ["a"])
        let versions = ["x", "y"].map { group.version(.photo, $0, counter: 2) }
        for version in versions { expectStored(host, version) }
        #expect(host.record(.photo).pending(of: .alice).count == 2)
        let higher = versions.max { $0.timestamp < $1.timestamp }!
        let lower = versions.min { $0.timestamp < $1.timestamp }!
        expectCommitted(host, higher)
        expectCommitted(host, lower)
        #expect(host.record(.photo).committed?.timestamp == higher.timestamp)
    }

    @Test("nothing of an overtaken write: it is superseded, signed so, and stores nothing")
    func superseded() throws {
        let host = host(group, committed: ["a", "b"])
        let before = host.store
        for counter in [1, 2] as [UInt64] {
            // Mallory's identity is above Alice's, so only the lower counter is below what is committed.
            let version = group.version(.photo, "late", counter: counter, writer: ClientID(high: 0, low: 1))
            let reply = host.answer(
                .prepare(version.prepare(for: 0)), from: .client(version.timestamp.writer))
            guard case .prepared(let signed, let committed) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(signed.claim == .superseded)
            #expect(committed == host.record(.photo).committed?.timestamp)
            #expect(throws: Never.self) {
                try group.verifier.verify(signed, key: .photo, timestamp: version.timestamp)
            }
        }
        #expect(host.store == before)
    }

    // MARK: Descriptors and fragments

    @Test("a timestamp with another descriptor's digest, in PREPARE and DESCRIPTOR")
    func wrongDigest() {
        let (x, y) = (group.version(.photo, "x", counter: 1), group.version(.photo, "y", counter: 1))
        expectRefused(
            host(group),
            .prepare(
                Prepare(
                    key: .photo, timestamp: x.timestamp, position: 0, descriptor: y.descriptor,
                    fragments: y.fragments[0])),
            .digestMismatch)
        expectRefused(
            host(group),
            .describe(Describe(key: .photo, timestamp: x.timestamp, descriptor: y.descriptor)),
            .digestMismatch)
    }

    @Test("another object's descriptor, in PREPARE and DESCRIPTOR, and its certificate in COMMIT")
    func foreignDescriptor() {
        let x = group.version(.other, "x", counter: 1)
        expectRefused(
            host(group),
            .prepare(
                Prepare(
                    key: .photo, timestamp: x.timestamp, position: 0, descriptor: x.descriptor,
                    fragments: x.fragments[0])),
            .foreignDescriptor)
        expectRefused(
            host(group),
            .describe(Describe(key: .photo, timestamp: x.timestamp, descriptor: x.descriptor)),
            .foreignDescriptor)
        expectRefused(
            host(group), .commit(Commit(key: .photo, certificate: group.certificate(of: x))),
            .invalidCertificate(.invalidSignature(group.node(0))))
    }

    @Test("too many, too few and no fragments, and fragments of a tombstone")
    func fragmentCount() {
        let x = group.version(.photo, "x", counter: 1)
        for count in [0, 2, 9] {
            expectRefused(
                host(group),
                .prepare(
                    Prepare(
                        key: .photo, timestamp: x.timestamp, position: 0, descriptor: x.descriptor,
                        fragments: Array(repeating: x.fragments[0][0], count: count))),
                .wrongFragmentCount(got: count, expected: 1))
        }
        let deletion = group.version(.photo, nil, counter: 1)
        expectRefused(
            host(group),
            .prepare(
                Prepare(
                    key: .photo, timestamp: deletion.timestamp, position: 0, descriptor: deletion.descriptor,
                    fragments: [SharedBytes()])),
            .wrongFragmentCount(got: 1, expected: 0))
    }

    @Test("more stripes than a PREPARE may carry")
    func stripeCount() throws {
        let one = group.version(.photo, "xx", counter: 1)
        let descriptor = SealedDescriptor(
            Descriptor(
                value: .photo, lengthBytes: 4, stripeSizeBytes: 2,
                stripes: one.descriptor.descriptor.stripes + one.descriptor.descriptor.stripes,
                metadata: ObjectMetadata(), parameters: group.parameters))
        let timestamp = Timestamp(counter: 1, writer: .alice, digest: descriptor.digest)
        expectRefused(
            host(group),
            .prepare(
                Prepare(
                    key: .photo, timestamp: timestamp, position: 0, descriptor: descriptor,
                    fragments: [one.fragments[0][0], one.fragments[0][0]])),
            .tooManyStripes(got: 2, limit: 1))
    }

    @Test("a fragment that is not the cross-checksum's: other bytes, another size, another server's, another version's")
    func inconsistentFragment() {
        let x = group.version(.photo, "some value", counter: 1)
        let y = group.version(.photo, "some other", counter: 1)
        func prepare(_ bytes: SharedBytes) -> Request {
            .prepare(
                Prepare(key: .photo, timestamp: x.timestamp, position: 0, descriptor: x.descriptor, fragments: [bytes]))
        }
        let own = x.fragments[0][0]
        for bytes in [SharedBytes(own.array.map { $0 ^ 1 }), x.fragments[1][0], x.fragments[3][0]] {
            expectRefused(
                host(group), prepare(bytes), .invalidFragment(StripeIndex(0), .hashMismatch(FragmentIndex(0))))
        }
        #expect(y.fragments[1] != x.fragments[1])
        for bytes in [SharedBytes(), own[0..<own.count - 1], SharedBytes(own.array + [0])] {
            expectRefused(
                host(group), prepare(bytes),
                .invalidFragment(
                    StripeIndex(0), .wrongSize(FragmentIndex(0), got: bytes.count, expected: own.count)))
        }
    }

    @Test("garbage under the right hash: the fingerprints do not describe it", arguments: 0...3 as ClosedRange<UInt8>)
    func inconsistentCrossChecksum(victim: UInt8) {
        let poison = group.poisonedVersion(.photo, "poisoned value", garbageAt: Position(victim), counter: 1)
        for server in group.servers {
            let host = ReplicaHost(group, server)
            let request = Request.prepare(poison.prepare(for: server))
            if server.rawValue == victim {
                expectRefused(
                    host, request, from: .client(.mallory),
                    .invalidFragment(StripeIndex(0), .fingerprintMismatch(FragmentIndex(victim))))
            } else {
                guard case .prepared = host.answer(request, from: .client(.mallory)) else {
                    Issue.record("an honest fragment is refused")
                    continue
                }
            }
        }
    }

    @Test("fragments under arbitrary fingerprints, everywhere")
    func arbitraryFingerprints() throws {
        let (_, honest) = CrossChecksum.encode(
            block: SharedBytes(Array("value".utf8)), code: group.quorums.code)
        let honestFragments = group.quorums.code.encode(block: SharedBytes(Array("value".utf8)))
        let arbitrary = try CrossChecksum(
            code: group.quorums.code, blockSizeBytes: honest.blockSizeBytes, hashes: honest.hashes,
            fingerprints: (0..<group.quorums.dataFragmentCount).map { position in
                try #require(Fingerprint(bytes: [UInt8](repeating: UInt8(position + 1), count: 16)))
            })
        let descriptor = group.descriptor(.photo, lengthBytes: 5, arbitrary)
        let timestamp = Timestamp(counter: 1, writer: .mallory, digest: descriptor.digest)
        for server in group.servers {
            expectRefused(
                ReplicaHost(group, server),
                .prepare(
                    Prepare(
                        key: .photo, timestamp: timestamp, position: server, descriptor: descriptor,
                        fragments: [honestFragments[server.offset]])),
                from: .client(.mallory),
                .invalidFragment(StripeIndex(0), .fingerprintMismatch(FragmentIndex(server.rawValue))))
        }
    }

    // MARK: Pending versions

    /// Server 0 full of Alice's versions of counter 1.
    func fullHost() -> (ReplicaHost, [TestVersion]) {
        let host = host(group)
        let versions = (0..<group.parameters.limits.pendingVersionsPerClientMax).map {
            group.version(.photo, "pending \($0)", counter: 1)
        }
        for version in versions { expectStored(host, version) }
        return (host, versions.sorted { $0.timestamp < $1.timestamp })
    }

    @Test("more than K pending versions, and hands out the pending ones with statements that are valid")
    func tooManyPending() throws {
        let (host, versions) = fullHost()
        let before = host.store
        let more = group.version(.photo, "one more", counter: 1)
        guard case .refused(.tooManyPending(let pending)) = host.answer(.prepare(more.prepare(for: 0))) else {
            Issue.record("a version beyond K was taken")
            return
        }
        #expect(host.store == before)
        #expect(pending.map(\.timestamp) == versions.map(\.timestamp))
        #expect(pending.map(\.descriptor) == versions.map(\.descriptor))
        for version in pending {
            #expect(version.statement.claim == .stored)
            #expect(throws: Never.self) {
                try group.verifier.verify(version.statement, key: .photo, timestamp: version.timestamp)
            }
        }
    }

    @Test("nothing of a pending version sent again to a full server, nor of other clients and objects")
    func fullForOneClientOnly() {
        let (host, versions) = fullHost()
        for version in versions { expectStored(host, version) }
        expectStored(host, group.version(.photo, "bob's", counter: 1, writer: .bob))
        expectStored(host, group.version(.other, "elsewhere", counter: 1))
    }

    @Test("a full server's admission by too few, repeated, forged, superseded or foreign statements")
    func badAdmission() {
        let (host, _) = fullHost()
        let more = group.version(.photo, "one more", counter: 1)
        let other = group.version(.photo, "another one", counter: 1)
        func stored(_ server: Position, _ version: TestVersion, _ claim: Claim = .stored) -> SignedStatement {
            group.statement(of: server, .photo, version.timestamp, claim)
        }
        let forged = group.forgedCertificate(.photo, more.timestamp, liar: 1).statements
        let elsewhere = group.statement(of: 2, .other, more.timestamp)
        for (admission, have) in [
            ([stored(1, more)], 1), ([stored(1, more), stored(1, more)], 1), (forged, 1),
            ([stored(1, more, .superseded), stored(2, more, .superseded)], 0),
            ([stored(1, more), stored(2, more, .superseded)], 1), ([stored(1, other), stored(2, other)], 0),
            ([stored(1, more), elsewhere], 1),
        ] as [([SignedStatement], Int)] {
            expectRefused(
                host, .prepare(more.prepare(for: 0, admission: admission)), .invalidAdmission(have: have, need: 2))
        }
    }

    @Test("nothing that f + 1 servers admitted")
    func admission() {
        let (host, _) = fullHost()
        let more = group.version(.photo, "one more", counter: 1)
        let admission = [2, 3].map { group.statement(of: Position($0), .photo, more.timestamp) }
        expectStored(host, more, admission: admission)
    }

    @Test("a counter ahead, also one that f + 1 servers admitted")
    func admittedCounter() {
        let host = ReplicaHost(group, 0)
        let ahead = group.version(.photo, "ahead", counter: 7)
        let next = group.version(.photo, "next", counter: 8)
        let stored = [1, 2].map { group.statement(of: Position($0), .photo, ahead.timestamp) }
        expectRefused(host, .prepare(ahead.prepare(for: 0)), .justificationRequired(committedCounter: 0))
        for admission in [[stored[0]], [stored[0], stored[0]], []] + [
            group.forgedCertificate(.photo, ahead.timestamp, liar: 1).statements
        ] {
            expectRefused(
                host, .prepare(ahead.prepare(for: 0, admission: admission)),
                admission.isEmpty
                    ? .justificationRequired(committedCounter: 0) : .invalidAdmission(have: 1, need: 2))
        }
        // What vouches for one version vouches for no other, not even for one below it.
        for other in [next, group.version(.photo, "another", counter: 7)] {
            expectRefused(
                host, .prepare(other.prepare(for: 0, admission: stored)), .invalidAdmission(have: 0, need: 2))
        }
        expectRefused(
            host, .prepare(ahead.prepare(for: 0, admission: stored)), .justificationRequired(committedCounter: 0))
    }

    @Test("nothing once a higher version is committed: pending ones below it no longer count")
    func pendingFreed() {
        let (host, versions) = fullHost()
        let highest = versions.last!
        expectCommitted(host, highest)
        for position in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            expectStored(host, group.version(.photo, "next \(position)", counter: 2))
        }
    }

    // MARK: COMMIT

    @Test("a COMMIT with a certificate that proves nothing")
    func badCommit() {
        let version = group.version(.photo, "x", counter: 1)
        let elsewhere = TestGroup(epoch: 2)
        let bad: [(Certificate, CertificateError)] = [
            (group.certificate(of: version, by: [0, 1]), .wrongStatementCount(have: 2, need: 3)),
            (group.certificate(of: version, by: [0, 1, 2, 3]), .wrongStatementCount(have: 4, need: 3)),
            (group.certificate(of: version, by: [0, 1, 1]), .repeatedServer(group.node(1))),
            (group.forgedCertificate(.photo, version.timestamp, liar: 2), .invalidSignature(group.node(0))),
            (elsewhere.certificate(of: version), .unknownEpoch(2)),
            (
                group.certificate(version.timestamp, elsewhere.certificate(of: version).statements),
                .invalidSignature(group.node(0))
            ),
        ]
        for (certificate, error) in bad {
            expectRefused(host(group), version.commit(certificate), .invalidCertificate(error))
        }
        let replayed = group.version(.other, "x", counter: 1)
        expectRefused(
            host(group),
            version.commit(
                group.certificate(version.timestamp, group.certificate(of: replayed).statements)),
            .invalidCertificate(.invalidSignature(group.node(0))))
    }

    @Test("a deleted object's old certificate, by COMMIT and by justification (scenario 13)")
    func resurrection() {
        let host = host(group, committed: ["alive", nil])
        let old = group.version(.photo, "alive", counter: 1)
        let before = host.store
        expectCommitted(host, old)
        #expect(host.store == before, "the tombstone is what is committed")
        let next = group.version(.photo, "skips", counter: 4)
        expectRefused(
            host, .prepare(next.prepare(for: 0, justification: group.certificate(of: old))),
            .counterSkipped(got: 4, highestAllowed: 3))
        let again = group.version(.photo, "again", counter: 2, writer: ClientID(high: 0, low: 1))
        let reply = host.answer(
            .prepare(again.prepare(for: 0, justification: group.certificate(of: old))),
            from: .client(again.timestamp.writer))
        guard case .prepared(let signed, _) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(signed.claim == .superseded)
        #expect(host.store == before)
    }
}
