// PREPARE of a large value at one server: it is stored only if all that it names is staged there just so
// (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("LargeValues: PREPARE")
struct StagedPrepareTests {
    let group = TestGroup.staging()

    /// Parts whose stripes are named in the descriptor, and such that only their pages are.
    static let lengths: [[Int]] = [[1], [512], [1100], [512, 3, 1024], [9 * 512, 9 * 512 + 1], [300 * 512 + 7]]

    private func parts(_ lengths: [Int], of group: TestGroup) -> [TestPart] {
        lengths.enumerated().map { group.part(UInt16($0 + 1), lengthBytes: $1) }
    }

    private func missing(_ runs: (part: UInt16, stripes: Range<UInt32>)...) -> Refusal {
        .stripesMissing(runs.map { MissingStripes(part: $0.part, stripes: $0.stripes) })
    }

    private func prepare(_ version: TestVersion) -> Request { .prepare(version.prepare(for: 0)) }

    @Test("of what is staged is stored, signed and served", arguments: lengths, StagingTests.modes)
    func stored(lengths: [Int], mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let host = ReplicaHost(group, 0)
        let parts = parts(lengths, of: group)
        for part in parts { host.expectStaged(part) }
        let version = group.version(parts, counter: 1)
        let reply = host.prepare(version)
        guard case .prepared(let signed, nil) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(signed.claim == .stored)
        #expect(throws: Never.self) {
            try group.verifier.verify(signed, key: .photo, timestamp: version.timestamp)
        }
        host.expectCommitted(version)
        host.crash()
        // The descriptor names what FETCH gives.
        guard case .version(let claim, let held?) = host.answer(.read(Read(key: .photo, portion: .fragments))),
            let staged = held.descriptor.descriptor.staged
        else {
            Issue.record("the version is not served")
            return
        }
        #expect(claim.timestamp == version.timestamp && held.descriptor == version.descriptor)
        for (part, named) in zip(parts, staged.parts) {
            #expect(named.attempt == part.attempt && named.lengthBytes == part.lengthBytes)
            #expect(host.has(part))
        }
    }

    @Test("of what is not all staged names what is missing, and changes nothing")
    func incomplete() {
        let parts = [group.part(1, lengthBytes: 2000), group.part(2, lengthBytes: 5 * 512)]
        let version = group.version(parts, counter: 1)
        let host = ReplicaHost(group, 0)
        host.expectRefused(prepare(version), missing((0, 0..<4), (1, 0..<5)))
        host.expectStaged(parts[0], [0, 3])
        host.expectStaged(parts[1], [4])
        host.expectRefused(prepare(version), missing((0, 1..<3), (1, 0..<4)))
        host.expectStaged(parts[0], [1, 2])
        host.expectStaged(parts[1], [0, 1, 2])
        host.expectRefused(prepare(version), missing((1, 3..<4)))
        host.expectStaged(parts[1], [3])
        host.expectStored(version)
    }

    @Test("with other cross-checksums than are staged here is not stored", arguments: [3, 20, 300])
    func otherContents(stripeCount: Int) {
        let host = ReplicaHost(group, 0)
        let honest = group.part(lengthBytes: stripeCount * 512)
        let other = group.part(lengthBytes: stripeCount * 512, seed: 1)
        let last = stripeCount - 1
        // The liar stages one stripe here that is not the one which the others got.
        host.expectStaged(honest, Array(0..<last))
        host.expectStaged(other, [last])
        let first = UInt32(last) / StripePage.stripesMax * StripePage.stripesMax
        let version = group.version([honest], counter: 1)
        host.expectRefused(prepare(version), missing((0, first..<UInt32(stripeCount))))
        // What the version says is taken once it is here.
        host.expectStaged(honest, [last])
        host.expectStored(version)
    }

    @Test("that cuts what is staged into other blocks is not stored", arguments: [2, 20])
    func otherShapes(stripeCount: Int) {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: stripeCount * 512)
        host.expectStaged(part)
        let inPages = stripeCount > StagedLimits.namedStripesMax
        let named = part.named(group, inPages: inPages)
        for length in [named.lengthBytes - 1, named.lengthBytes - 511] {
            let lie = StagedPart(
                attempt: named.attempt, lengthBytes: length, stripeSizeBytes: 512, named: named.named,
                pages: named.pages)
            let version = group.version(StagedContents(parts: [lie]), counter: 1)
            host.expectRefused(prepare(version), missing((0, 0..<UInt32(stripeCount))))
        }
    }

    @Test("of a short block that is not the last is not stored")
    func shortBlock() {
        let host = ReplicaHost(group, 0)
        let short = group.part(lengthBytes: 100)
        let long = group.part(lengthBytes: 1024)
        host.expectStaged(long)
        host.expectStaged(short)
        let lie = StagedPart(
            attempt: long.attempt, lengthBytes: 1024, stripeSizeBytes: 512,
            named: [short.crossChecksums[0], long.crossChecksums[1]])
        host.expectRefused(
            prepare(group.version(StagedContents(parts: [lie]), counter: 1)), missing((0, 0..<2)))
    }

    @Test("of another stripe size than the attempt's is not stored")
    func otherStripeSize() {
        let host = ReplicaHost(group, 0)
        let small = group.part(lengthBytes: 500, stripeSizeBytes: 256)
        host.expectStaged(small)
        let named = small.named(group, inPages: false)
        let lie = StagedPart(
            attempt: named.attempt, lengthBytes: 500, stripeSizeBytes: 512, named: Array(named.named.prefix(1)))
        host.expectRefused(
            prepare(group.version(StagedContents(parts: [lie]), counter: 1)), missing((0, 0..<1)))
    }

    @Test("with fragments beside a layout is refused")
    func fragmentsBeside() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 100)
        host.expectStaged(part)
        let version = group.version([part], counter: 1)
        let prepare = Prepare(
            key: .photo, timestamp: version.timestamp, position: 0, descriptor: version.descriptor,
            fragments: [part.fragments[0][0]])
        host.expectRefused(.prepare(prepare), .wrongFragmentCount(got: 1, expected: 0))
    }

    @Test("may name what others staged, under their names only")
    func othersAttempts() {
        let host = ReplicaHost(group, 0)
        let alices = group.part(by: .alice, lengthBytes: 1100)
        host.expectStaged(alices)
        // The same stripes, said to be staged by the writer.
        let lie = group.version([group.part(by: .mallory, lengthBytes: 1100)], counter: 1, writer: .mallory)
        let request = Request.prepare(lie.prepare(for: 0))
        host.expectRefused(request, from: .mallory, missing((0, 0..<3)))
        let bobs = group.version([alices], counter: 1, writer: .bob)
        host.expectStored(bobs)
        host.expectCommitted(bobs)
        // Its stager is not done with it by that.
        #expect(host.record(.photo).attempt(alices.attempt)?.isSpent == false)
        let own = group.version([alices], counter: 2)
        host.expectStored(own)
        host.expectCommitted(own)
        #expect(host.record(.photo).attempt(alices.attempt)?.isSpent == true)
    }

    @Test("that is refused does not even commit what it proves")
    func justification() {
        let host = ReplicaHost(group, 0)
        let below = group.version(.photo, "below", counter: 1)
        let version = group.version([group.part(lengthBytes: 100)], counter: 2)
        let request = Request.prepare(version.prepare(for: 0, justification: group.certificate(of: below)))
        host.expectRefused(request, missing((0, 0..<1)))
        #expect(host.record(.photo).highestCommitted == nil)
        host.expectStaged(group.part(lengthBytes: 100))
        guard case .prepared = host.answer(request) else {
            Issue.record("a proven counter was refused")
            return
        }
        #expect(host.record(.photo).highestCommitted == below.timestamp)
    }

    @Test("counts among the client's pending versions, and tells of them by descriptors")
    func pending() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        for number in 0..<8 { host.expectStored(group.version([part], counter: 1, etag: "\(number)")) }
        guard
            case .refused(.tooManyPending(let listed)) = host.prepare(
                group.version([part], counter: 1, etag: "one more"))
        else {
            Issue.record("more than K are pending")
            return
        }
        #expect(listed.count == 8 && listed.allSatisfy { $0.descriptor.descriptor.staged != nil })
    }

    @Test("again, of a version that is held, is answered as before; of one that was taken back by a crash, anew")
    func again() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        let version = group.version([part], counter: 1)
        host.expectStaged(part)
        // The server goes down with the version on its way to the disk.
        var effects = host.handle(
            .request(RequestTag(session: 1, request: 1), from: .client(.alice), prepare(version)))
        var isStoring = false
        while !effects.isEmpty, !isStoring {
            if case .store = effects[0] {
                isStoring = true
            } else if case .input(let input) = host.run(effects.removeFirst()) {
                effects += host.handle(input)
            }
        }
        #expect(isStoring)
        host.crash()
        #expect(host.record(.photo).held.isEmpty)
        host.expectStored(version)
        let before = host.store
        host.expectStored(version)
        #expect(host.store == before)
    }

    @Test("of a version that is committed already completes it, and only with the right stripes")
    func committedBefore() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 1100)
        let version = group.version([part], counter: 1)
        #expect(host.commit(version) == .committed(version.timestamp, needsDescriptor: true))
        #expect(host.answer(version.describe) == .committed(version.timestamp, needsDescriptor: false))
        #expect(host.record(.photo).version(version.timestamp)?.holdsFragments == false)
        host.expectRefused(prepare(version), missing((0, 0..<3)))
        host.expectStaged(part)
        host.crash()
        host.expectStored(version)
        #expect(host.has(part))
        // Its stager is done with it by now.
        #expect(host.record(.photo).attempt(part.attempt)?.isSpent == true)
        host.expectRefused(.stage(group.part(lengthBytes: 2000).stage(3, for: 0)), .uploadEnded)
    }

    @Test("below what is committed is superseded, whatever is staged")
    func superseded() {
        let host = ReplicaHost(group, 0)
        let higher = group.version(.photo, "higher", counter: 2, writer: .bob)
        host.commit(higher)
        let before = host.store
        guard
            case .prepared(let signed, _) = host.prepare(
                group.version([group.part(lengthBytes: 100)], counter: 1))
        else {
            Issue.record("a superseded version was refused")
            return
        }
        #expect(signed.claim == .superseded && host.store == before)
    }
}
