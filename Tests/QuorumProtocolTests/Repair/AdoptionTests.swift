// A large version whose stripes are brought to a server: its place is taken at once, and nothing of it counts before
// all of it is there (docs/protocol.md, Repair, Large values).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Repair: a large version")
struct AdoptionTests {
    static let modes: [VerificationMode] = [.fingerprint, .full, .none]
    let group = TestGroup.staging()

    private func known(_ parts: [TestPart], counter: UInt64 = 1, writer: ClientID = .alice, _ server: Position = 0)
        -> (ReplicaHost, TestVersion)
    {
        let host = ReplicaHost(group, server)
        let version = group.version(parts, counter: counter, writer: writer)
        host.expectKnown(version)
        return (host, version)
    }

    private func missing(_ runs: Range<UInt32>...) -> Refusal {
        .stripesMissing(runs.map { MissingStripes(part: 0, stripes: $0) })
    }

    /// Something newer supersedes all, and its time passes.
    private func overwrite(_ host: ReplicaHost, counter: UInt64 = 2) {
        let tombstone = group.version(.photo, nil, counter: counter, writer: .zoe)
        host.prepare(tombstone)
        host.expectCommitted(tombstone)
        host.pass(toMilliseconds: 1_000_000)
        #expect(host.record(.photo).held.map(\.timestamp) == [tombstone.timestamp])
        host.expectCharges()
    }

    // MARK: Adoption

    @Test("has its place, and none of its stripes counts as held", arguments: modes)
    func adopted(mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let part = group.part(lengthBytes: 1100)
        let host = ReplicaHost(group, 0)
        let version = group.version([part], counter: 1)
        host.expectKnown(version)
        host.expectTaken(version.adoption)
        host.crash()
        let attempt = host.record(.photo).attempt(part.attempt)
        #expect(attempt?.stripes == StripeRanges(upTo: 3) && attempt?.lost == StripeRanges(upTo: 3))
        #expect(attempt?.heldCount == 3 && attempt?.isSpent == true)
        #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
        #expect(host.fetched(part.attempt, 0)?.fragment == nil)
        host.expectRefused(.prepare(version.prepare(for: 0)), missing(0..<3))
        // Its writer's upload is over, whatever else of it comes.
        host.expectRefused(.stage(part.stage(0, for: 0)), .uploadEnded)
        host.expectRefused(.stage(part.stage(0, for: 0, fills: true)), .uploadEnded)
        host.expectNotTaken(version.adoption, .notWanted)
        host.expectNotTaken(version.foundStaged, .notWanted)
    }

    @Test("is signed as stored only when its last stripe is there", arguments: 0..<20 as Range<UInt64>)
    func lastStripe(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let part = group.part(lengthBytes: 4 * 512 + 9)
        let (host, version) = known([part])
        host.expectTaken(version.adoption)
        var left = Set(0..<5)
        for stripe in (0..<5).shuffled(using: &generator) {
            if generator.chance(percent: 30) { host.crash() }
            var runs = StripeRanges()
            for stripe in left { runs.insert(UInt32(stripe)) }
            #expect(
                host.prepare(version)
                    == .refused(
                        .stripesMissing(
                            runs.ranges.map {
                                MissingStripes(part: 0, stripes: $0)
                            })))
            #expect(host.state(version) == .lost && host.wanted() == version.timestamp)
            host.expectTaken(version.found(part, stripe, for: 0))
            left.remove(stripe)
        }
        #expect(host.state(version) == .held && host.wanted() == nil && host.has(part))
        host.expectStored(version)
        host.expectNotTaken(version.found(part, 0, for: 0), .notWanted)
    }

    @Test("of several parts is held when all of them are there")
    func parts() {
        let parts = (1...3).map { group.part(UInt16($0), lengthBytes: 1100) }
        let (host, version) = known(parts, 3)
        host.expectTaken(version.adoption)
        for part in parts {
            #expect(host.state(version) == .lost)
            // Several at a time, and what is there already is no harm.
            host.expectTaken(
                version.found(part, 1, for: 3), version.found(part, 0, for: 3), version.found(part, 0, for: 3),
                version.found(part, 2, for: 3))
            host.crash()
        }
        #expect(host.state(version) == .held && parts.allSatisfy { host.has($0) })
    }

    @Test("is charged as what is held, from its adoption on")
    func charged() {
        let part = group.part(lengthBytes: 1100)
        let (host, version) = known([part])
        host.expectTaken(version.adoption)
        let adopted = host.accounts.charge(of: .alice)
        for stripe in 0..<3 { host.expectTaken(version.found(part, stripe, for: 0)) }
        #expect(host.accounts.charge(of: .alice) == adopted)
        let writers = ReplicaHost(group, 0)
        writers.expectStaged(part)
        writers.expectStored(version)
        writers.commit(version)
        #expect(writers.accounts.charge(of: .alice) == adopted)
        overwrite(host)
        #expect(host.accounts.charge(of: .alice) == Charge() && host.isWithout(part.attempt))
    }

    @Test("goes with all that was brought for it when it is superseded", arguments: 0...3)
    func superseded(broughtCount: Int) {
        let part = group.part(lengthBytes: 1100)
        let (host, version) = known([part])
        host.expectTaken(version.adoption)
        for stripe in 0..<broughtCount { host.expectTaken(version.found(part, stripe, for: 0)) }
        overwrite(host)
        #expect(host.isWithout(part.attempt) && host.record(.photo).staged.isEmpty)
        for found in [version.found(part, 2, for: 0), version.good(part, 0), version.adoption, version.voidStripes] {
            host.expectNotTaken(found, .notWanted)
        }
    }

    @Test("whose descriptor is lost is adopted anew")
    func descriptorLost() {
        let part = group.part(lengthBytes: 1100)
        let (host, version) = known([part])
        host.expectTaken(version.adoption)
        host.expectTaken(version.found(part, 0, for: 0))
        host.runToEnd(.lost(.photo, [.descriptor(version.timestamp)], answering: nil))
        #expect(host.state(version) == nil && host.isWithout(part.attempt) && host.wanted() == version.timestamp)
        host.expectNotTaken(version.found(part, 1, for: 0), .notWanted)
        host.expectNotTaken(version.good(part, 0), .notWanted)
        host.expectTaken(version.foundDescriptor)
        host.expectTaken(version.adoption)
        #expect(host.record(.photo).attempt(part.attempt)?.lost == StripeRanges(upTo: 3))
    }

    @Test("has its writer's attempts that it does not name go, and one of another stripe size replaced")
    func replaced() {
        let part = group.part(2, lengthBytes: 1100)
        let other = group.part(1, lengthBytes: 600)
        let small = group.part(2, lengthBytes: 1100, stripeSizeBytes: 256)
        let host = ReplicaHost(group, 0)
        host.expectStaged(other)
        host.expectStaged(small)
        let version = group.version([part], counter: 1)
        host.expectKnown(version)
        host.expectTaken(version.adoption)
        #expect(host.isWithout(other.attempt))
        #expect(host.record(.photo).attempt(part.attempt)?.stripeSizeBytes == 512)
        #expect(host.store.objects[.photo]?.staged.isEmpty == true)
        for stripe in 0..<3 { host.expectTaken(version.found(part, stripe, for: 0)) }
        #expect(host.has(part) && host.state(version) == .held)
    }

    // MARK: Stripes that are there

    @Test("takes what is staged for its own, all of it, without anything being brought")
    func staged() {
        let part = group.part(lengthBytes: 1100)
        let host = ReplicaHost(group, 0)
        host.expectStaged(part)
        let version = group.version([part], counter: 1)
        host.expectKnown(version)
        host.expectTaken(version.foundStaged)
        host.crash()
        #expect(host.state(version) == .held && host.has(part) && host.wanted() == nil)
        #expect(host.record(.photo).attempt(part.attempt)?.isSpent == true)
        host.expectStored(version)
    }

    @Test("does not take what is staged for its own when it is not, or not all", arguments: [3, 20])
    func otherStripes(stripeCount: Int) {
        let part = group.part(lengthBytes: stripeCount * 512)
        let other = group.part(lengthBytes: stripeCount * 512, seed: 1)
        let host = ReplicaHost(group, 0)
        host.expectStaged(part, Array(1..<stripeCount))
        let version = group.version([part], counter: 1)
        host.expectKnown(version)
        host.expectNotTaken(version.foundStaged, .otherStripes)
        host.expectStaged(other, [0])
        host.expectNotTaken(version.foundStaged, .otherStripes)
        #expect(host.state(version) == .absent && host.record(.photo).attempt(part.attempt)?.isSpent == false)
        // What rots before it is looked at is not taken either.
        host.expectStaged(part, [0])
        host.rotten = [.stripe(part.attempt, 1)]
        host.expectNotTaken(version.foundStaged, .otherStripes)
        host.rotten = []
        host.expectTaken(version.foundStaged)
        #expect(host.state(version) == .held)
    }

    @Test("takes a stripe for there only if it was lost, of its own attempts, below its bound")
    func goodStripe() {
        let part = group.part(lengthBytes: 1100)
        let long = group.part(lengthBytes: 5 * 512)
        let foreign = group.part(9, by: .bob, lengthBytes: 1100)
        let host = ReplicaHost(group, 0)
        host.expectStaged(long, [0, 2, 3])
        host.expectStaged(foreign)
        let version = group.version([group.part(lengthBytes: 3 * 512)], counter: 1)
        host.expectKnown(version)
        host.expectNotTaken(version.good(part, 0), .notWanted)
        host.expectTaken(version.adoption)
        for found in [version.good(part, 3), version.good(part, 4), version.good(foreign, 0)] {
            host.expectNotTaken(found, .notWanted)
        }
        host.expectTaken(version.good(part, 0))
        host.expectNotTaken(version.good(part, 0), .notWanted)
        #expect(host.record(.photo).attempt(part.attempt)?.lost.ranges == [1..<3])
    }

    // MARK: Void

    @Test("is void, and wanted no more, once one of its stripes is")
    func void() {
        let part = group.part(lengthBytes: 1100)
        let (host, version) = known([part])
        host.expectNotTaken(version.voidStripes, .notWanted)
        host.expectTaken(version.adoption)
        host.expectTaken(version.found(part, 0, for: 0))
        host.expectTaken(version.voidStripes)
        host.crash()
        #expect(host.state(version) == .void && host.wanted() == nil && host.store.wants.isEmpty)
        for found in [version.found(part, 1, for: 0), version.good(part, 2), version.voidStripes, version.adoption] {
            host.expectNotTaken(found, .notWanted)
        }
        // It never counts as held, and it shows what it has.
        #expect(host.fetched(part.attempt, 0)?.fragment == part.fragments[0][0])
        host.expectRefused(.prepare(version.prepare(for: 0)), missing(1..<3))
        host.runToEnd(.lost(.photo, [.stripe(part.attempt, 0)], answering: nil))
        #expect(host.state(version) == .void)
        overwrite(host)
        #expect(host.record(.photo).staged.isEmpty)
    }
}
