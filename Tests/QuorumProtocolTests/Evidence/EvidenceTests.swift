// Evidence convicts who signed what is false, and nobody else, whatever somebody makes of it (docs/protocol.md,
// Evidence).

import Crypto
import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Evidence")
struct EvidenceTests {
    private static let checking: [VerificationMode] = [.fingerprint, .full]
    private static let later: [VerificationMode] = [.lazy, .readTime]

    private func fault(_ evidence: Evidence, _ group: TestGroup) -> EvidenceFault? {
        do throws(EvidenceFault) {
            _ = try evidence.verdict(group.parameters, group.freshVerifier())
            return nil
        } catch {
            return error
        }
    }

    private func finder(_ group: TestGroup, _ version: TestVersion) -> EvidenceFinder {
        EvidenceFinder(group.parameters, version.key, version.timestamp, version.descriptor)
    }

    /// m good fragments of each stripe.
    private func good(_ group: TestGroup, _ version: TestVersion, _ fragments: [[SharedBytes]]? = nil)
        -> [[VerifiedFragment]]
    {
        version.descriptor.descriptor.stripes.enumerated().map { stripe, crossChecksum in
            let all = group.servers.compactMap { server in
                try? crossChecksum.verify(
                    (fragments ?? version.fragments)[server.offset][stripe], at: FragmentIndex(server.rawValue))
            }
            return Array(all.prefix(group.quorums.dataFragmentCount))
        }
    }

    private func statements(_ group: TestGroup, _ version: TestVersion, _ claim: Claim) -> [SignedStatement] {
        group.servers.map { group.statement(of: $0, version.key, version.timestamp, claim) }
    }

    /// Evidence against `server` that the version is void, with the block that the honest value would have.
    private func void(
        _ group: TestGroup, _ version: TestVersion, _ text: String, _ server: Position, _ claim: Claim = .stored,
        incarnation: UInt64 = 1
    ) -> Evidence {
        Evidence(
            group.statement(of: server, version.key, version.timestamp, claim, incarnation: incarnation),
            on: version.timestamp, of: version.key, in: group.configuration,
            .void(descriptor: version.descriptor.bytes, .init(stripe: 0), page: [], block: Array(text.utf8)))
    }

    private func sound(
        _ group: TestGroup, _ version: TestVersion, _ text: String, _ server: Position, _ claim: Claim = .poisonous
    ) -> Evidence {
        Evidence(
            group.statement(of: server, version.key, version.timestamp, claim), on: version.timestamp,
            of: version.key, in: group.configuration,
            .sound(descriptor: version.descriptor.bytes, blocks: [Array(text.utf8)]))
    }

    private func bare(
        _ group: TestGroup, _ server: Position, _ claim: Claim, scope: GroupID? = nil, _ proof: Evidence.Proof
    ) -> Evidence {
        let version = group.version(.photo, "value", counter: 1)
        let own = group.placement.scope
        let statement = group.sign(
            Statement(
                scope: StatementScope(
                    cluster: own.cluster, epoch: own.epoch, group: scope ?? own.group, mode: own.mode),
                node: group.node(server), incarnation: Incarnation(1), key: .photo, timestamp: version.timestamp,
                claim: claim))
        return Evidence(
            statement, on: version.timestamp, of: .photo, in: group.configuration, group: scope, proof)
    }

    // MARK: Stored

    @Test("convicts who signed stored where no good fragment exists for it, and no other signer")
    func voidPosition() throws {
        for shape in [TestGroup.Shape(), TestGroup.Shape(faults: 2)] {
            let group = shape.group(.fingerprint)
            for victim in group.servers {
                let version = group.poisonedVersion(.photo, "value", garbageAt: victim, counter: 1)
                for server in group.servers {
                    let evidence = void(group, version, "value", server)
                    guard server == victim else {
                        #expect(fault(evidence, group) == .goodFragment)
                        continue
                    }
                    let verdict = try evidence.verdict(group.parameters, group.freshVerifier())
                    #expect(verdict.kind == .storedVoid && verdict.node == group.node(victim))
                    #expect(verdict.incarnation == Incarnation(1) && !verdict.isKeyRetired && verdict.claim == .stored)
                }
                let fragments = version.fragments
                let found = finder(group, version).stored(
                    good(group, version, fragments), statements(group, version, .stored))
                #expect(found == [void(group, version, "value", victim)])
                let none = finder(group, version).stored(
                    good(group, version, fragments), statements(group, version, .superseded))
                #expect(none.isEmpty)
            }
        }
    }

    @Test("convicts every signer of an inconsistent version where servers encode the block before they sign")
    func inconsistent() {
        let group = TestGroup(mode: .full)
        let version = group.poisonedVersion(.photo, "value", garbageAt: 2, counter: 1)
        for server in group.servers { #expect(fault(void(group, version, "value", server), group) == nil) }
        let found = finder(group, version).stored(good(group, version), statements(group, version, .stored))
        #expect(found.map(\.statement.node) == group.servers.map(group.node))
    }

    @Test("convicts nobody of a version that an honest client wrote", arguments: VerificationMode.allCases)
    func honest(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let version = group.version(.photo, "value", counter: 1)
        for server in group.servers {
            #expect(fault(void(group, version, "value", server), group) != nil)
            #expect(fault(void(group, version, "VALUE", server), group) != nil)
        }
        guard !mode.sendsBlocks else { return }
        let found = finder(group, version).stored(good(group, version), statements(group, version, .stored))
        #expect(found.isEmpty)
    }

    @Test("says nothing of stored where a server has looked at a hash only", arguments: later)
    func storedLater(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        for server in group.servers {
            #expect(fault(void(group, version, "value", server), group) == .unprovable(.storedVoid, mode))
        }
        #expect(finder(group, version).stored(good(group, version), statements(group, version, .stored)).isEmpty)
    }

    @Test("convicts nobody of superseded, before or after stored, nor who lost what it had")
    func superseded() {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        #expect(fault(void(group, version, "value", 1, .superseded), group) == .otherClaim(.superseded))
        // What a server sends is no part of evidence: that it is rotten, or nothing, changes nothing.
        let honest = group.version(.photo, "value", counter: 1)
        let rotten = group.servers.map { $0 == 1 ? [SharedBytes([0, 0, 0])] : honest.fragments[$0.offset] }
        let found = finder(group, honest).stored(
            good(group, honest, rotten), statements(group, honest, .stored) + statements(group, honest, .superseded))
        #expect(found.isEmpty)
    }

    @Test("does not take bytes behind a block's end for a lie: a writer may have hashed others than zeros")
    func padding() throws {
        let group = TestGroup()
        let code = group.quorums.code
        let fragments = code.encode(block: SharedBytes(Array("fourteen bytes".utf8)))
        let crossChecksum = CrossChecksum(
            code: code, blockSizeBytes: 13, hashes: Digest256.fragmentHashes(of: fragments),
            data: fragments.prefix(code.dataFragmentCount))
        let sealed = group.descriptor(.photo, lengthBytes: 13, crossChecksum)
        let version = TestVersion(
            timestamp: Timestamp(counter: 1, writer: .mallory, digest: sealed.digest), descriptor: sealed,
            fragments: fragments.map { [$0] })
        // Each server finds its own fragment good, and signs.
        for server in group.servers {
            _ = try crossChecksum.verify(fragments[server.offset], at: FragmentIndex(server.rawValue))
            let evidence = void(group, version, "fourteen byte", server)
            #expect(fault(evidence, group) == .otherBlock(goodCount: 1, neededCount: 2))
        }
        #expect(finder(group, version).stored(good(group, version), statements(group, version, .stored)).isEmpty)
    }

    @Test("convicts by a stripe of a large value, which its descriptor names, or a page", arguments: [3, 17])
    func large(stripeCount: Int) throws {
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = 64
        let group = TestGroup(limits: limits)
        let text = String(repeating: "x", count: 64)
        let honest = CrossChecksum.encode(block: SharedBytes(Array(text.utf8)), code: group.quorums.code).crossChecksum
        let bad = group.poisonedVersion(.photo, text, garbageAt: 2, counter: 1).descriptor.descriptor.stripes[0]
        let stripes = (0..<stripeCount).map { $0 == 1 ? bad : honest }
        let page = StripePage(first: 0, stripes: stripes)
        let isNamed = stripeCount <= 16
        let part = StagedPart(
            attempt: AttemptName(stager: .mallory, upload: UploadID(high: 1, low: 1), part: 1, number: 1),
            lengthBytes: UInt64(64 * stripeCount), stripeSizeBytes: 64, named: isNamed ? stripes : [],
            pages: isNamed ? [] : [Digest256.sha256(page.bytes(group.parameters))])
        let sealed = SealedDescriptor(
            Descriptor(
                value: .photo, staged: StagedContents(parts: [part]), metadata: ObjectMetadata(),
                parameters: group.parameters))
        let timestamp = Timestamp(counter: 1, writer: .mallory, digest: sealed.digest)
        let fragments = group.quorums.code.encode(block: SharedBytes(Array(text.utf8)))
        let shown = try [0, 1].map { try bad.verify(fragments[$0], at: FragmentIndex(UInt8($0))) }
        let signed = group.servers.map { group.statement(of: $0, .photo, timestamp) }
        let finder = EvidenceFinder(group.parameters, .photo, timestamp, sealed)
        let found = finder.stored(.init(stripe: 1), page: page, crossChecksum: bad, shown, signed)
        #expect(found.map(\.statement.node) == [group.node(2)])
        let evidence = try #require(found.first)
        #expect(fault(evidence, group) == nil)
        guard case .void(let descriptor, _, let named, let block) = evidence.proof else { return }
        func altered(_ place: Evidence.StripePlace, _ page: [UInt8]) -> EvidenceFault? {
            fault(
                Evidence(
                    evidence.statement, on: timestamp, of: .photo, in: group.configuration,
                    .void(descriptor: descriptor, place, page: page, block: block)), group)
        }
        #expect(altered(.init(stripe: 0), named) == .goodFragment)
        #expect(altered(.init(stripe: UInt32(stripeCount)), named) == .noStripe)
        #expect(altered(.init(part: 1, stripe: 1), named) == .noStripe)
        // Nor is a page believed that is not the descriptor's.
        let other = StripePage(first: 0, stripes: stripes.map { _ in bad }).bytes(group.parameters)
        #expect(altered(.init(stripe: 0), other) == .otherPage)
    }

    // MARK: Poisonous

    @Test("convicts who called a version poisonous that is not", arguments: later)
    func falsePoison(mode: VerificationMode) throws {
        let group = TestGroup(mode: mode)
        let version = group.version(.photo, "value", counter: 1)
        for server in group.servers {
            let verdict = try sound(group, version, "value", server).verdict(group.parameters, group.freshVerifier())
            #expect(verdict.node == group.node(server) && verdict.kind == .calledSoundPoisonous)
            #expect(fault(sound(group, version, "other", server), group) == .notSound(stripe: 0))
            #expect(fault(sound(group, version, "value", server, .stored), group) == .otherClaim(.stored))
        }
        let found = finder(group, version).poisonous(
            good(group, version), statements(group, version, .poisonous) + statements(group, version, .stored))
        #expect(found == group.servers.map { sound(group, version, "value", $0) })
        // What has no stripes is never poisonous.
        let nothing = group.version(.photo, nil, counter: 2)
        let bare = Evidence(
            group.statement(of: 1, .photo, nothing.timestamp, .poisonous), on: nothing.timestamp, of: .photo,
            in: group.configuration, .sound(descriptor: nothing.descriptor.bytes, blocks: []))
        #expect(fault(bare, group) == nil)
        let short = Evidence(
            group.statement(of: 1, .photo, version.timestamp, .poisonous), on: version.timestamp, of: .photo,
            in: group.configuration, .sound(descriptor: version.descriptor.bytes, blocks: []))
        #expect(fault(short, group) == .blockCount(0, expected: 1))
    }

    @Test("convicts nobody who was right to call a version poisonous", arguments: later)
    func truePoison(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let version = group.poisonedVersion(.photo, "value", garbageAt: 3, counter: 1)
        for server in group.servers {
            #expect(fault(sound(group, version, "value", server), group) == .notSound(stripe: 0))
        }
        #expect(finder(group, version).poisonous(good(group, version), statements(group, version, .poisonous)).isEmpty)
    }

    @Test("convicts who says poisonous where nobody does, and only there", arguments: VerificationMode.allCases)
    func foreignClaim(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let expected: EvidenceFault? =
            mode == .none ? .unsigned : mode.verifiesLater ? .unprovable(.foreignClaim, mode) : nil
        #expect(fault(bare(group, 1, .poisonous, .foreignClaim), group) == expected)
        guard expected == nil else { return }
        for claim in [Claim.stored, .superseded] {
            #expect(fault(bare(group, 1, claim, .foreignClaim), group) == .otherClaim(claim))
        }
        let version = group.version(.photo, "value", counter: 1)
        #expect(
            fault(sound(group, version, "value", 1), group) == .unprovable(.calledSoundPoisonous, mode))
    }

    // MARK: Groups

    @Test("convicts who signs in the name of a group that has not the object, and nobody who signs in its own")
    func foreignGroup() {
        let group = TestGroup()
        #expect(fault(bare(group, 1, .stored, scope: GroupID(77), .foreignGroup), group) == nil)
        #expect(
            fault(bare(group, 1, .stored, .foreignGroup), group) == .properGroup(group.members.id))
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let evidence = void(group, version, "value", 1)
        // The same statement in another group's name is another statement.
        let renamed = Evidence(
            evidence.statement, on: evidence.timestamp, of: evidence.key, in: group.configuration,
            group: GroupID(77), evidence.proof)
        #expect(fault(renamed, group) == .statement(.invalidSignature(group.node(1))))
        // And one that was signed so is no evidence of the other kinds.
        let misplaced = bare(group, 1, .poisonous, scope: GroupID(77), .foreignClaim)
        #expect(
            fault(misplaced, group) == .statement(.foreignGroup(GroupID(77), expected: group.members.id)))
    }

    // MARK: What a file says of itself

    @Test("names the life whose key signed, and whether that is retired")
    func retired() throws {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        var keys = StatementKeys()
        for server in group.servers { keys.add(group.verificationKey(of: server), of: group.node(server), .first) }
        keys.add(group.verificationKey(of: 1), of: group.node(1), Incarnation(2))
        let verifier = StatementVerifier(history: group.parameters.history, keys: keys)
        let old = try void(group, version, "value", 1).verdict(group.parameters, verifier)
        #expect(old.incarnation == Incarnation(1) && old.isKeyRetired)
        let new = try void(group, version, "value", 1, incarnation: 2).verdict(group.parameters, verifier)
        #expect(new.incarnation == Incarnation(2) && !new.isKeyRetired)
        // A life whose key is not known is no lie, and no blame.
        let unknown = fault(void(group, version, "value", 1, incarnation: 3), group)
        #expect(unknown == .statement(.unknownIncarnation(group.node(1), Incarnation(3))) && unknown!.isIgnorance)
    }

    @Test("of another cluster, epoch or configuration proves nothing here")
    func elsewhere() {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let evidence = void(group, version, "value", 1)
        let other = TestGroup(cluster: 2)
        #expect(fault(evidence, other) == .otherCluster(group.configuration.cluster))
        let later = TestGroup(epoch: 2)
        #expect(fault(evidence, later) == .unknownEpoch(1) && fault(evidence, later)!.isIgnorance)
        // The same epoch of a cluster whose servers stand in another order: another position would be the liar's.
        let reversed = TestGroup(isReversed: true)
        #expect(fault(evidence, reversed) == .otherConfiguration)
        let strangers = TestGroup(keySeed: 5)
        #expect(fault(evidence, strangers) == .statement(.invalidSignature(group.node(1))))
    }

    @Test("of a server outside the object's group is evidence of nothing but that it spoke there")
    func stranger() throws {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let own = group.configuration
        let outsider = NodeID(90)
        let configuration = try Configuration(
            cluster: own.cluster, epoch: 1, mode: .fingerprint, quorums: group.quorums,
            nodes: own.nodes + [Node(id: outsider)], groups: own.groups, slots: own.slots)
        let key = P256.Signing.PrivateKey()
        var keys = StatementKeys()
        keys.add(.p256(KnownKey(key.publicKey)), of: outsider, .first)
        let parameters = ClusterParameters(configuration)
        let verifier = StatementVerifier(history: parameters.history, keys: keys)
        let signer = StatementSigner(node: outsider, incarnation: .first, mode: .fingerprint, key: .p256(key))
        let signed = try signer.sign([
            Statement(
                scope: parameters.placement(of: .photo).scope, node: outsider, incarnation: .first, key: .photo,
                timestamp: version.timestamp, claim: .stored)
        ])[0]
        let proofs: [(Evidence.Proof, Bool)] = [
            (void(group, version, "value", 1).proof, false), (.foreignGroup, true),
        ]
        for (proof, isLie) in proofs {
            let evidence = Evidence(signed, on: version.timestamp, of: .photo, in: configuration, proof)
            do throws(EvidenceFault) {
                _ = try evidence.verdict(parameters, verifier)
                #expect(isLie)
            } catch {
                #expect(!isLie && error == .statement(.unknownServer(outsider)))
            }
        }
    }

    @Test("about another version or object's descriptor proves nothing")
    func otherDescriptor() throws {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let honest = group.version(.photo, "value", counter: 1)
        let signed = group.statement(of: 1, .photo, honest.timestamp)
        let swapped = Evidence(
            signed, on: honest.timestamp, of: .photo, in: group.configuration,
            .void(descriptor: version.descriptor.bytes, .init(stripe: 0), page: [], block: Array("value".utf8)))
        #expect(fault(swapped, group) == .otherDescriptor)
        // A timestamp may be signed for one object with the digest of another's.
        let foreign = Evidence(
            group.statement(of: 1, .other, version.timestamp), on: version.timestamp, of: .other,
            in: group.configuration,
            .void(descriptor: version.descriptor.bytes, .init(stripe: 0), page: [], block: Array("value".utf8)))
        #expect(fault(foreign, group) == .otherObject)
        let garbage = Timestamp(counter: 1, writer: .mallory, digest: Digest256.sha256([1, 2, 3]))
        let malformed = Evidence(
            group.statement(of: 1, .photo, garbage), on: garbage, of: .photo, in: group.configuration,
            .void(descriptor: [1, 2, 3], .init(stripe: 0), page: [], block: []))
        guard case .descriptor = fault(malformed, group) else {
            Issue.record("bytes that are no descriptor were believed")
            return
        }
    }

    @Test("reads back as it was written; cut short, too long or with any bit flipped it proves nothing")
    func hostileBytes() throws {
        let group = TestGroup()
        let lazy = TestGroup(mode: .lazy)
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let calls = sound(lazy, lazy.version(.photo, "value", counter: 1), "value", 1)
        let foreign = bare(group, 1, .poisonous, .foreignClaim)
        let misplaced = bare(group, 1, .stored, scope: GroupID(77), .foreignGroup)
        for (evidence, group) in [
            (void(group, version, "value", 1), group), (calls, lazy), (foreign, group), (misplaced, group),
        ] {
            let bytes = evidence.bytes
            #expect(try Evidence(decoding: bytes) == evidence && fault(evidence, group) == nil)
            for count in 0..<bytes.count {
                #expect(throws: MalformedEncoding.self) { try Evidence(decoding: Array(bytes.prefix(count))) }
            }
            #expect(throws: MalformedEncoding.trailingBytes(count: 1)) { try Evidence(decoding: bytes + [0]) }
            let verifier = group.freshVerifier()
            for place in bytes.indices {
                for bit in [UInt8(1), 0x80] {
                    var altered = bytes
                    altered[place] ^= bit
                    guard let read = try? Evidence(decoding: altered) else { continue }
                    let verdict = try? read.verdict(group.parameters, verifier)
                    #expect(verdict == nil, "byte \(place) of \(evidence.kind)")
                }
            }
        }
    }

    @Test("is read within bounds: what a count promises has to be there")
    func bounds() {
        let group = TestGroup(mode: .lazy)
        let evidence = sound(group, group.version(.photo, "value", counter: 1), "value", 1)
        let bytes = evidence.bytes
        // The block and its count come last, the number of blocks before it.
        let place = bytes.count - 5 - 4
        for (offset, count) in [(place, [UInt8](repeating: 0xff, count: 4)), (place - 2, [0xff, 0xff])] {
            var altered = bytes
            altered.replaceSubrange(offset..<(offset + count.count), with: count)
            #expect(throws: MalformedEncoding.self) { try Evidence(decoding: altered) }
        }
        #expect(throws: MalformedEncoding.self) {
            try Evidence(decoding: [UInt8](repeating: 0, count: Evidence.sizeBytesMax + 1))
        }
    }

    @Test("has one name for each accused, life, kind and version")
    func names() {
        let group = TestGroup()
        let version = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 1)
        let other = group.poisonedVersion(.photo, "value", garbageAt: 1, counter: 2)
        let evidence = [
            void(group, version, "value", 1), void(group, version, "value", 2),
            void(group, version, "value", 1, incarnation: 2), void(group, other, "value", 1),
            bare(group, 1, .poisonous, .foreignClaim),
        ]
        #expect(Set(evidence.map(\.name)).count == evidence.count)
        #expect(void(group, version, "VALUE", 1).name == evidence[0].name)
    }
}
