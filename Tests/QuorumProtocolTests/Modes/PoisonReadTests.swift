// Readers before poisonous versions: whom they believe, how far they fall back, and what they return.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("A reader in the modes that verify later")
struct PoisonReadTests {
    static let modes: [VerificationMode] = [.lazy, .readTime]
    private static let shapes = [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)]

    private func poison(_ group: TestGroup, _ counter: UInt64, at victim: Position = 0) -> TestVersion {
        group.poisonedVersion(.photo, "evil \(counter)", garbageAt: victim, counter: counter)
    }

    // MARK: Falling back

    @Test("falls back over any number of poisonous versions and writes back what it returns", arguments: shapes, modes)
    func fallsBack(shape: TestGroup.Shape, mode: VerificationMode) {
        let group = shape.group(mode)
        for poisonCount in 0...3 {
            for victim in group.servers {
                let good = group.version(.photo, "good", counter: 1)
                let evil = (0..<poisonCount).map { poison(group, UInt64($0 + 2), at: victim) }
                var reading = ScriptedReading(group, everywhere: group.shown([good] + evil))
                // Fewer than q name the good one.
                let behind = group.servers.suffix(group.quorums.faults + 1)
                for server in behind { reading.servers[server] = group.shown(evil) }
                for preference in group.turns {
                    let end = reading.read(preference: preference)
                    #expect(end.text == "good", "\(poisonCount) poisonous, garbage at \(victim): \(end.result)")
                    #expect(end.outcome?.poisonous == evil.reversed().map(\.timestamp))
                    #expect(Set(end.written.keys) == Set(behind), "who does not name it is told")
                    #expect(end.written.values.allSatisfy { $0 == good.timestamp })
                }
            }
        }
    }

    @Test("that finds nothing but poison says that there is nothing", arguments: modes)
    func nothingButPoison(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let reading = ScriptedReading(group, everywhere: group.shown([poison(group, 1), poison(group, 2)]))
        for wantsValue in [true, false] {
            let end = reading.read(wantsValue: wantsValue)
            guard case .nothing(nil)? = end.outcome?.found else {
                Issue.record("\(end.result)")
                continue
            }
            #expect(end.outcome?.poisonous.count == 2)
        }
    }

    @Test("asks for a head only, and passes over poison all the same", arguments: modes)
    func head(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let good = group.version(.photo, "good", counter: 1)
        for victim in group.servers {
            let reading = ScriptedReading(
                group, everywhere: group.shown([good, poison(group, 2, at: victim)]))
            let end = reading.read(wantsValue: false)
            #expect(end.found == good.timestamp && end.outcome?.descriptor?.digest == good.descriptor.digest)
        }
    }

    @Test("falls back to a deletion below the poison", arguments: modes)
    func tombstoneBelow(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let tombstone = group.version(.photo, nil, counter: 1)
        let reading = ScriptedReading(
            group, everywhere: group.shown([tombstone, poison(group, 2)], isFirstVerified: true))
        let end = reading.read()
        guard case .nothing(tombstone.timestamp)? = end.outcome?.found else {
            Issue.record("\(end.result)")
            return
        }
        #expect(end.outcome?.poisonous.count == 1)
    }

    // MARK: Vouchers

    @Test("believes f + 1 servers that vouch in the mode lazy, and f in none", arguments: shapes, modes)
    func vouchers(shape: TestGroup.Shape, mode: VerificationMode) {
        let group = shape.group(mode)
        let good = group.version(.photo, "good", counter: 1)
        for count in 0...group.servers.count {
            var reading = ScriptedReading(group, everywhere: group.shown([good]))
            for server in group.servers.prefix(count) {
                reading.servers[server] = group.shown([good], isFirstVerified: true)
            }
            let end = reading.read()
            let isBelieved = mode == .lazy && count > group.quorums.faults
            #expect(end.text == "good")
            #expect(end.encoded == (isBelieved ? [] : [good.timestamp]), "\(count) vouch")
        }
    }

    @Test("is not made to return poison by f liars that vouch for it", arguments: shapes, modes)
    func lyingVouchers(shape: TestGroup.Shape, mode: VerificationMode) {
        let group = shape.group(mode)
        let good = group.version(.photo, "good", counter: 1)
        let evil = poison(group, 2, at: group.servers.last!)
        for servers in group.turns {
            var reading = ScriptedReading(group, everywhere: group.shown([good, evil]))
            for liar in servers.prefix(group.quorums.faults) {
                reading.servers[liar] = ShownServer(
                    claim: CommittedClaim(certificate: group.certificate(of: evil)), held: [evil])
            }
            #expect(reading.read(preference: servers).text == "good")
        }
    }

    @Test("is not made to believe anything by one certificate of a version shown several times by f liars")
    func repeatedVoucher() {
        let group = TestGroup(mode: .lazy)
        let evil = poison(group, 1)
        var reading = ScriptedReading(group, everywhere: group.shown([evil]))
        let certificate = group.certificate(of: evil)
        reading.servers[3] = ShownServer(
            claim: CommittedClaim(certificate: certificate, unverified: [certificate, certificate]), held: [evil])
        let end = reading.read()
        #expect(end.found == nil && end.outcome?.poisonous == [evil.timestamp])
    }

    // MARK: Statements

    /// Everybody names the version and hands it out, and the liars show these statements on it.
    private func read(
        _ group: TestGroup, _ version: TestVersion, statements: [SignedStatement], shownBy liars: [Position],
        withFragments: Bool = true
    ) -> ScriptedReading.End {
        var shown = group.shown([version])
        if !withFragments { shown.held = [] }
        var reading = ScriptedReading(group, everywhere: shown)
        for liar in liars {
            reading.servers[liar] = ShownServer(
                claim: CommittedClaim(
                    sound: nil, unverified: shown.claim.unverified,
                    poisonous: [PoisonousVersion(timestamp: version.timestamp, statements: statements)]),
                held: shown.held)
        }
        return reading.read()
    }

    @Test("passes over a version on f + 1 statements, without any fragment, and not on f", arguments: shapes, modes)
    func statements(shape: TestGroup.Shape, mode: VerificationMode) {
        let group = shape.group(mode)
        let good = group.version(.photo, "good", counter: 1)
        let evil = poison(group, 2)
        for count in 0...group.quorums.vouchers {
            // Each has its own statement only, or one hands out all of them.
            for isTogether in [true, false] {
                let signers = Array(group.servers.prefix(count))
                var reading = ScriptedReading(group, everywhere: group.shown([good, evil]))
                for server in group.servers {
                    let signed =
                        isTogether ? (server == group.servers.last ? signers : []) : signers.filter { $0 == server }
                    reading.servers[server]!.held = [good]
                    guard !signed.isEmpty else { continue }
                    reading.servers[server]!.claim = CommittedClaim(
                        certificate: nil, unverified: [good, evil].map { group.certificate(of: $0) },
                        poisonous: [group.poisonous(evil, by: signed)])
                }
                let end = reading.read()
                if count <= group.quorums.faults {
                    #expect(end.text == nil && end.outcome == nil, "\(count) statements move it: \(end.result)")
                } else {
                    #expect(end.text == "good", "\(end.result)")
                    #expect((end.outcome?.proofs[evil.timestamp]?.map(\.signed)).map { group.signers($0) } == signers)
                }
            }
        }
    }

    @Test("is not talked out of a sound version by the statements of f liars", arguments: shapes, modes)
    func lyingStatements(shape: TestGroup.Shape, mode: VerificationMode) {
        let group = shape.group(mode)
        let good = group.version(.photo, "good", counter: 1)
        let liars = Array(group.servers.suffix(group.quorums.faults))
        let statements = group.poisonous(good, by: liars).statements
        let end = read(group, good, statements: statements, shownBy: liars)
        #expect(end.text == "good" && end.outcome?.observations.misbehaving.isEmpty == true)
    }

    /// A liar's ways of making others' statements.
    enum Forgery: CaseIterable {
        case signature, key, timestamp, cluster, epoch, mode, claim, unsigned
    }

    @Test(
        "refuses statements that are not on this very version, and blames who handed them out",
        arguments: Forgery.allCases, modes)
    func forgedStatements(forgery: Forgery, mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let good = group.version(.photo, "good", counter: 1)
        let other = group.version(.photo, "other", counter: 1)
        func statement(_ server: Position) -> SignedStatement {
            func signed(by group: TestGroup) -> SignedStatement {
                group.statement(of: server, .photo, good.timestamp, .poisonous)
            }
            let genuine = signed(by: group)
            switch forgery {
            case .signature: return signed(by: TestGroup(mode: mode, keySeed: 7))
            case .key: return group.statement(of: server, .other, good.timestamp, .poisonous)
            case .timestamp: return group.statement(of: server, .photo, other.timestamp, .poisonous)
            case .cluster: return signed(by: TestGroup(cluster: 2, mode: mode))
            case .epoch: return signed(by: TestGroup(epoch: 2, mode: mode))
            case .mode: return signed(by: TestGroup(mode: mode == .lazy ? .readTime : .lazy))
            case .claim:
                let stored = group.statement(of: server, .photo, good.timestamp, .stored)
                return SignedStatement(
                    node: group.node(server), incarnation: stored.incarnation, claim: .poisonous, leafIndex: 0,
                    leafCount: 1,
                    path: [], signature: stored.signature)
            case .unsigned:
                return SignedStatement(
                    node: group.node(server), incarnation: genuine.incarnation, claim: .poisonous, leafIndex: 0,
                    leafCount: 1,
                    path: [], signature: [])
            }
        }
        let end = read(group, good, statements: [0, 1, 2].map(statement), shownBy: [3])
        #expect(end.text == "good", "\(end.result)")
        guard case .invalidStatement(.invalidSignature)? = end.outcome?.observations.misbehaviours[3] else {
            Issue.record("not blamed: \(String(describing: end.outcome?.observations))")
            return
        }
        #expect(end.outcome?.observations.misbehaving.count == 1)
    }

    @Test("does not count what was signed as stored as a statement that it is poisonous", arguments: modes)
    func otherClaims(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let good = group.version(.photo, "good", counter: 1)
        for claim in [Claim.stored, .superseded] {
            let statements = [0, 1, 2].map { group.statement(of: $0, .photo, good.timestamp, claim) }
            #expect(read(group, good, statements: statements, shownBy: [3]).text == "good")
        }
    }

    @Test("counts one server's statement once, whoever and however many hand it out", arguments: modes)
    func repeatedStatement(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let good = group.version(.photo, "good", counter: 1)
        let own = group.statement(of: 3, .photo, good.timestamp, .poisonous)
        let again = group.statement(of: 3, .photo, good.timestamp, .poisonous, incarnation: 2)
        for statements in [[own], [own, own], [own, again]] {
            let end = read(group, good, statements: statements, shownBy: [0, 1, 2, 3])
            #expect(end.text == "good", "\(end.result)")
        }
    }

    // MARK: What is poisonous is a fact

    /// The version whose fragments are the text's but for those that are replaced.
    private func version(_ group: TestGroup, _ text: String, garbage: [Int: SharedBytes]) -> TestVersion {
        let block = SharedBytes(Array(text.utf8))
        var fragments = group.quorums.code.encode(block: block)
        for (position, bytes) in garbage { fragments[position] = bytes }
        guard
            let crossChecksum = try? CrossChecksum(
                code: group.quorums.code, blockSizeBytes: block.count,
                hashes: Digest256.fragmentHashes(of: fragments), fingerprints: [])
        else { preconditionFailure("n hashes are a cross-checksum") }
        let descriptor = group.descriptor(.photo, lengthBytes: block.count, crossChecksum)
        return TestVersion(
            timestamp: Timestamp(counter: 1, writer: .mallory, digest: descriptor.digest), descriptor: descriptor,
            fragments: fragments.map { [$0] })
    }

    /// What each choice of m fragments says.
    private func verdicts(_ group: TestGroup, _ version: TestVersion) throws -> Set<Bool> {
        let crossChecksum = version.descriptor.descriptor.stripes[0]
        let verified = try group.servers.map { server in
            try crossChecksum.verify(version.fragments[server.offset][0], at: FragmentIndex(server.rawValue))
        }
        let (m, n) = (group.quorums.dataFragmentCount, group.servers.count)
        var verdicts: Set<Bool> = []
        for chosen in 0..<UInt32(1) << UInt32(n) where chosen.nonzeroBitCount == m {
            let fragments = verified.indices.filter { chosen >> UInt32($0) & 1 == 1 }.map { verified[$0] }
            verdicts.insert(GatheredStripe(crossChecksum: crossChecksum, fragments: fragments).isSound)
        }
        return verdicts
    }

    private static let texts = [
        "x", "two", "some bytes that fill the fragments up", String(repeating: "ab", count: 40),
    ]

    @Test("calls a version sound or poisonous alike, whichever m fragments it gets", arguments: shapes)
    func everyChoice(shape: TestGroup.Shape) throws {
        let group = shape.group(.lazy)
        var generator = SplitMix64(seed: 11)
        for text in Self.texts {
            let sound = version(group, text, garbage: [:])
            #expect(try verdicts(group, sound) == [true], "\(text)")
            let size = sound.fragments[0][0].count
            for victim in group.servers.indices {
                for mask in [1, 0x80, 0xff] as [UInt8] {
                    var bytes = sound.fragments[victim][0].array
                    bytes[bytes.count - 1] ^= mask
                    let evil = version(group, text, garbage: [victim: SharedBytes(bytes)])
                    #expect(try verdicts(group, evil) == [false], "\(text), garbage at \(victim)")
                }
            }
            for _ in 0..<12 {
                let count = Int.random(in: 2...group.servers.count, using: &generator)
                let victims = group.servers.indices.shuffled(using: &generator).prefix(count)
                // Long enough that random bytes are no codeword by chance.
                guard size >= 8 else { continue }
                let garbage = victims.map { victim in
                    (victim, SharedBytes((0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }))
                }
                let evil = version(group, text, garbage: Dictionary(uniqueKeysWithValues: garbage))
                #expect(try verdicts(group, evil) == [false], "\(text), garbage at \(victims)")
            }
        }
    }

    @Test("calls fragments poisonous that fit together but whose padding is not empty", arguments: shapes)
    func padding(shape: TestGroup.Shape) throws {
        let group = shape.group(.lazy)
        let m = group.quorums.dataFragmentCount
        // One byte less than m fragments hold, and that byte is set: a codeword, and not this length's.
        let padded = SharedBytes([UInt8](repeating: 7, count: 4 * m))
        let codeword = group.quorums.code.encode(block: padded)
        let text = String(repeating: "\u{7}", count: 4 * m - 1)
        let evil = version(
            group, text, garbage: Dictionary(uniqueKeysWithValues: codeword.enumerated().map { ($0, $1) }))
        #expect(try verdicts(group, evil) == [false])
    }
}
