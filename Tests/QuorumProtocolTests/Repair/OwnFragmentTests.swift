// What a server takes for its own fragment by others' fragments, of which a liar's writer made some
// (docs/protocol.md, Repair, void positions).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("Repair: a server's own fragment")
struct OwnFragmentTests {
    private static let hashed: [VerificationMode] = [.full, .lazy, .readTime]

    private func verified(_ crossChecksum: CrossChecksum, _ fragments: [SharedBytes], _ servers: [Position])
        -> [VerifiedFragment]
    {
        servers.compactMap { try? crossChecksum.verify(fragments[$0.offset], at: FragmentIndex($0.rawValue)) }
    }

    /// Two blocks' encodings, and hashes of which some are the one's and some the other's.
    private func mixed(_ group: TestGroup, others: [Position]) throws -> (CrossChecksum, [SharedBytes]) {
        let one = group.quorums.code.encode(block: SharedBytes(Array("the one block".utf8)))
        let other = group.quorums.code.encode(block: SharedBytes(Array("OTHER bytes!!".utf8)))
        let fragments = group.servers.map { others.contains($0) ? other[$0.offset] : one[$0.offset] }
        let crossChecksum = try CrossChecksum(
            code: group.quorums.code, blockSizeBytes: 13, hashes: Digest256.fragmentHashes(of: fragments),
            fingerprints: [])
        return (crossChecksum, fragments)
    }

    @Test("is what the block's encoding says, whichever m there are", arguments: VerificationMode.allCases)
    func good(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let block = SharedBytes(Array("a block of some bytes".utf8))
        let (fragments, crossChecksum) = CrossChecksum.encode(
            block: block, code: group.quorums.code, coverage: mode.coverage)
        for position in group.servers {
            for first in group.servers {
                for second in group.servers where second != first {
                    let others = verified(crossChecksum, fragments, [first, second])
                    guard case .good(let own) = OwnFragment(crossChecksum, of: others, at: position) else {
                        Issue.record("\(position) of \(first), \(second)")
                        return
                    }
                    #expect(own.bytes == fragments[position.offset] && own.index.rawValue == position.rawValue)
                }
            }
        }
    }

    @Test("is void where the writer named another hash, and only there")
    func void() {
        let group = TestGroup()
        for victim in group.servers {
            let version = group.poisonedVersion(.photo, "value", garbageAt: victim, counter: 1)
            let crossChecksum = version.descriptor.descriptor.stripes[0]
            let fragments = version.fragments.map { $0[0] }
            // Nobody has what is named for it.
            #expect(verified(crossChecksum, fragments, [victim]).isEmpty)
            let holders = group.servers.filter { $0 != victim }
            for position in group.servers {
                let others = holders.filter { $0 != position }.prefix(2)
                let shown = verified(crossChecksum, fragments, Array(others))
                switch OwnFragment(crossChecksum, of: shown, at: position) {
                case .good(let fragment):
                    #expect(position != victim && fragment.bytes == fragments[position.offset])
                case .void: #expect(position == victim)
                case .unknown: Issue.record("\(position), \(victim)")
                }
            }
        }
    }

    @Test("is not known by hashes that are several blocks', though it matches its own", arguments: hashed)
    func unknown(mode: VerificationMode) throws {
        let group = TestGroup(mode: mode)
        for other in group.servers {
            let (crossChecksum, fragments) = try mixed(group, others: [other])
            for position in group.servers {
                for first in group.servers {
                    for second in group.servers where second != first {
                        let others = verified(crossChecksum, fragments, [first, second])
                        #expect(others.count == 2)
                        let own = OwnFragment(crossChecksum, of: others, at: position)
                        guard case .unknown = own else {
                            Issue.record("\(own) at \(position) of \(first), \(second)")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test(
        "is not known by fewer than m, or by another stripe's", arguments: [.fingerprint, .lazy] as [VerificationMode])
    func tooFew(mode: VerificationMode) {
        let group = TestGroup(mode: mode)
        let code = group.quorums.code
        let (fragments, crossChecksum) = CrossChecksum.encode(
            block: SharedBytes(Array("value".utf8)), code: code, coverage: mode.coverage)
        let (_, foreign) = CrossChecksum.encode(
            block: SharedBytes(Array("values".utf8)), code: code, coverage: mode.coverage)
        let good = verified(crossChecksum, fragments, [0, 1])
        let tooFew = [[good[0]], [], [good[0], good[0]]].map { (crossChecksum, $0) }
        for (checked, others) in tooFew + [(foreign, good)] {
            guard case .unknown = OwnFragment(checked, of: others, at: 2) else {
                Issue.record("\(others.count) fragments")
                return
            }
        }
    }

    // MARK: Whole versions

    /// What the server makes of a version that sources show so.
    private func parts(
        _ group: TestGroup, _ version: TestVersion, _ fragments: [SharedBytes], at position: Position
    ) -> RepairedParts? {
        let repairing = Repairing(group)
        repairing.answer = { source, _, _ in
            .version(
                CommittedClaim(sound: nil),
                HeldParts(
                    timestamp: version.timestamp, position: source, descriptor: version.descriptor,
                    fragments: [fragments[source.offset]]))
        }
        let fetcher = VersionFetcher(
            parameters: group.parameters, key: .photo, timestamp: version.timestamp, preference: group.servers,
            isKnownSound: true)
        guard case .success(let fetched) = repairing.run(fetcher, by: position) else { return nil }
        return RepairedParts(fetched, of: version.timestamp, at: position)
    }

    @Test("is never stored of hash-good fragments of different blocks", arguments: hashed)
    func neverStored(mode: VerificationMode) throws {
        let group = TestGroup(mode: mode)
        for other in group.servers {
            let (crossChecksum, fragments) = try mixed(group, others: [other])
            let sealed = group.descriptor(.photo, lengthBytes: 13, crossChecksum)
            let version = TestVersion(
                timestamp: Timestamp(counter: 1, writer: .mallory, digest: sealed.digest), descriptor: sealed,
                fragments: fragments.map { [$0] })
            for position in group.servers { #expect(parts(group, version, fragments, at: position) == nil) }
        }
    }

    @Test("of one void stripe makes the version void, also where others are good")
    func severalStripes() {
        let group = TestGroup()
        let good = group.version(.photo, "value", counter: 1)
        let bad = group.poisonedVersion(.photo, "evil", garbageAt: 2, counter: 1)
        let stripes = [good, bad].map { $0.descriptor.descriptor.stripes[0] }
        let sealed = SealedDescriptor(
            Descriptor(
                value: .photo, lengthBytes: 9, stripeSizeBytes: 5, stripes: stripes, metadata: ObjectMetadata(),
                parameters: group.parameters))
        let timestamp = Timestamp(counter: 1, writer: .mallory, digest: sealed.digest)
        let repairing = Repairing(group)
        repairing.answer = { source, _, _ in
            .version(
                CommittedClaim(sound: nil),
                HeldParts(
                    timestamp: timestamp, position: source, descriptor: sealed,
                    fragments: [good, bad].map { $0.fragments[source.offset][0] }))
        }
        for position in group.servers {
            let fetcher = VersionFetcher(
                parameters: group.parameters, key: .photo, timestamp: timestamp, preference: group.servers)
            guard case .success(let fetched) = repairing.run(fetcher, by: position),
                let parts = RepairedParts(fetched, of: timestamp, at: position)
            else {
                Issue.record("\(position)")
                return
            }
            switch parts.parts {
            case .void: #expect(position == 2)
            case .fragments(_, let own): #expect(position != 2 && own.count == 2)
            default: Issue.record("\(parts)")
            }
        }
    }
}
