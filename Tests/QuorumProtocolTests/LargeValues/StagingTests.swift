// STAGE at one server: what it takes, and liars who try to have it take something else (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("LargeValues: STAGE")
struct StagingTests {
    static let modes: [VerificationMode] = [.fingerprint, .full, .none]
    let group = TestGroup.staging()

    @Test("is durable once it is answered, and answered again the same", arguments: modes)
    func stored(mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let host = ReplicaHost(group, 1)
        let part = group.part(lengthBytes: 1100)
        host.expectStaged(part)
        host.crash()
        #expect(host.has(part))
        let before = host.store
        host.expectStaged(part, [1])
        #expect(host.store == before)
        // Without a version there is nothing to read.
        guard case .version(let claim, nil) = host.answer(.read(Read(key: .photo, portion: .fragments))) else {
            Issue.record("what is staged was read")
            return
        }
        #expect(claim.timestamp == nil)
    }

    @Test("in another's name, or by a server, is refused")
    func foreignName() {
        let host = ReplicaHost(group, 0)
        let stage = group.part(lengthBytes: 100).stage(0, for: 0)
        host.expectRefused(.stage(stage), from: .mallory, .notEntitled(.client(.mallory)))
        let server = Principal.server(group.node(1))
        #expect(host.answer(.stage(stage), from: server) == .refused(.notEntitled(server)))
        #expect(host.store.objects.isEmpty)
    }

    @Test("under the numbers of another's is no harm to it")
    func sameNumbers() {
        let host = ReplicaHost(group, 0)
        let good = group.part(lengthBytes: 1100)
        host.expectStaged(good, [0])
        let spoilt = group.part(by: .mallory, lengthBytes: 1100, seed: 9)
        host.expectStaged(spoilt)
        host.expectStaged(good, [1, 2])
        #expect(host.has(good) && host.has(spoilt))
        host.expectStored(group.version([good], counter: 1))
    }

    @Test("for another position is refused, whatever it brings")
    func foreignPosition() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 100)
        host.expectRefused(.stage(part.stage(0, for: 2)), .foreignPosition(2, expected: 0))
    }

    @Test("of another object of the same numbers is apart")
    func foreignObject() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 100)
        host.expectStaged(part, of: .other)
        let version = group.version([part], counter: 1)
        #expect(host.prepare(version) == .refused(.stripesMissing([MissingStripes(part: 0, stripes: 0..<1)])))
    }

    private static let hashedModes: [VerificationMode] = [.fingerprint, .full]

    @Test("of a fragment that is not the cross-checksum's is refused", arguments: hashedModes)
    func badFragment(mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let host = ReplicaHost(group, 0)
        let good = group.part(lengthBytes: 512).stage(0, for: 0)
        let other = group.part(lengthBytes: 512, seed: 1).stage(0, for: 0)
        var lies = [
            SharedBytes(good.fragment.array.dropLast()), SharedBytes(good.fragment.array.map { ~$0 }), SharedBytes(),
            other.fragment,
        ]
        if !mode.sendsBlocks { lies.append(group.part(lengthBytes: 512).stage(0, for: 1).fragment) }
        for lie in lies {
            let stage = Request.stage(
                Stage(
                    key: .photo, attempt: good.attempt, position: 0, stripeSizeBytes: 512, stripe: 0,
                    crossChecksum: good.crossChecksum, fragment: lie))
            guard case .refused(.invalidFragment(StripeIndex(0), _)) = host.answer(stage) else {
                Issue.record("a bad fragment was taken")
                return
            }
        }
        #expect(host.store.objects.isEmpty && host.accounts.all.isEmpty)
    }

    @Test("of garbage under its own right hash is refused", arguments: hashedModes)
    func garbage(mode: VerificationMode) throws {
        let group = TestGroup.staging(mode)
        let host = ReplicaHost(group, 0)
        let block = group.part(lengthBytes: 512).blocks[0]
        var fragments = group.quorums.code.encode(block: block)
        fragments[0] = SharedBytes(fragments[0].array.map { ~$0 })
        let hashes = Digest256.fragmentHashes(of: fragments)
        let crossChecksum =
            mode == .full
            ? try CrossChecksum(code: group.quorums.code, blockSizeBytes: 512, hashes: hashes, fingerprints: [])
            : CrossChecksum(
                code: group.quorums.code, blockSizeBytes: 512, hashes: hashes,
                data: group.quorums.code.encode(block: block).prefix(group.quorums.dataFragmentCount))
        let attempt = AttemptName(stager: .alice, upload: .first, part: 1, number: 1)
        let reply = host.answer(
            .stage(
                Stage(
                    key: .photo, attempt: attempt, position: 0, stripeSizeBytes: 512, stripe: 0,
                    crossChecksum: crossChecksum, fragment: mode == .full ? block : fragments[0])))
        guard case .refused(.invalidFragment) = reply else {
            Issue.record("\(reply)")
            return
        }
    }

    @Test("is of 16 stripes at most where versions are verified later", arguments: [VerificationMode.lazy, .readTime])
    func later(mode: VerificationMode) {
        let group = TestGroup.staging(mode)
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 17 * 512)
        host.expectStaged(part, Array(0..<16))
        host.expectRefused(.stage(part.stage(16, for: 0)), .tooManyStripes(got: 17, limit: 16))
        let whole = group.part(of: .second, lengthBytes: 16 * 512)
        host.expectStaged(whole)
        host.expectStored(group.version([whole], counter: 1))
        // Two parts of nine stripes each are 18.
        let halves = (1...2).map { group.part(UInt16($0), of: .second, attempt: 2, lengthBytes: 9 * 512) }
        for half in halves { host.expectStaged(half) }
        #expect(throws: DescriptorError.malformed(.notCanonical(field: "staged"))) {
            try SealedDescriptor(
                decoding: group.version(halves, counter: 2).descriptor.bytes, parameters: group.parameters)
        }
    }

    @Test("of another stripe size is refused once the attempt has one")
    func otherStripeSize() {
        let host = ReplicaHost(group, 0)
        host.expectStaged(group.part(lengthBytes: 512))
        let other = group.part(lengthBytes: 512, stripeSizeBytes: 256)
        host.expectRefused(.stage(other.stage(1, for: 0)), .otherStripeSize(256, expected: 512))
        // Another attempt is free to have it.
        host.expectStaged(group.part(attempt: 2, lengthBytes: 512, stripeSizeBytes: 256))
    }

    @Test("replaces a stripe that no version holds, and none that one holds")
    func replaced() {
        let host = ReplicaHost(group, 0)
        let first = group.part(lengthBytes: 1024)
        let second = group.part(lengthBytes: 1024, seed: 1)
        let longer = group.part(lengthBytes: 1536, seed: 1)
        host.expectStaged(first)
        host.expectStaged(second)
        #expect(host.has(second))
        #expect(host.accounts.charge(of: .alice).uncommittedBytes == 2 * group.stripeChargeBytes)
        let version = group.version([second], counter: 1)
        host.expectStored(version)
        for stripe in 0...1 { host.expectRefused(.stage(first.stage(stripe, for: 0)), .stripeHeld) }
        host.expectCommitted(version)
        for stripe in 0...1 { host.expectRefused(.stage(first.stage(stripe, for: 0)), .uploadEnded) }
        #expect(host.has(second))
        // Behind the version's end there is nothing to hold.
        let other = ReplicaHost(group, 0)
        other.expectStaged(second)
        other.expectStored(version)
        other.expectStaged(longer, [2])
        #expect(other.has(second))
    }

    @Test("leaves gaps, as many as are remembered and no more")
    func scattered() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 130 * 512)
        host.expectStaged(part, Array(stride(from: 0, to: 128, by: 2)))
        #expect(host.record(.photo).attempt(part.attempt)?.stripes.ranges.count == StagedLimits.rangesMax)
        host.expectRefused(.stage(part.stage(129, for: 0)), .tooScattered(limit: StagedLimits.rangesMax))
        // What joins what is there is taken, and makes room.
        host.expectStaged(part, [1, 129])
        host.expectStaged(part, [127, 128])
        #expect(host.record(.photo).attempt(part.attempt)?.stripes.ranges.count == 63)
    }

    @Test("begins as many attempts as a client may have, and all clients")
    func tooManyAttempts() {
        let group = TestGroup.staging {
            $0.attemptsPerClientMax = 3
            $0.attemptsMax = 4
        }
        let host = ReplicaHost(group, 0)
        func attempt(_ number: UInt32, by client: ClientID) -> TestPart {
            group.part(by: client, attempt: number, lengthBytes: 600)
        }
        for number in 1...3 { host.expectStaged(attempt(UInt32(number), by: .mallory), [0]) }
        host.expectRefused(
            .stage(attempt(4, by: .mallory).stage(0, for: 0)), from: .mallory, .tooManyAttempts(limit: 3))
        // What has begun goes on, and others have room.
        host.expectStaged(attempt(3, by: .mallory), [1])
        host.expectStaged(attempt(1, by: .alice))
        host.expectRefused(.stage(attempt(2, by: .alice).stage(0, for: 0)), .tooManyAttempts(limit: 4))
        host.expectRefused(
            .stage(attempt(1, by: .bob).stage(0, for: 0)), from: .bob, .tooManyAttempts(limit: 4))
        host.discard(.first, as: .mallory)
        host.expectStaged(attempt(2, by: .alice))
    }

    @Test("of several stripes at once is one change, with an answer to each")
    func together() {
        let host = ReplicaHost(group, 0)
        let part = group.part(lengthBytes: 20 * 512)
        var changes = 0
        host.onChange = { _, _ in changes += 1 }
        var effects: [ReplicaEffect] = []
        for stripe in part.stripes.indices {
            // One of them is another's.
            let client = stripe == 7 ? ClientID.mallory : .alice
            effects += host.handle(
                .request(
                    RequestTag(session: 1, request: UInt64(stripe)), from: .client(client),
                    .stage(part.stage(stripe, for: 0))))
        }
        var answers: [UInt64: Reply] = [:]
        while !effects.isEmpty {
            switch host.run(effects.removeFirst()) {
            case .reply(let tag, let reply):
                #expect(answers.updateValue(reply, forKey: tag.request) == nil)
            case .input(let input): effects += host.handle(input)
            case .verify, .repairEnded, .restate, .forgotten: break
            }
        }
        #expect(answers.count == 20 && answers[7] == .refused(.notEntitled(.client(.mallory))))
        #expect(answers.values.count { $0 == .staged } == 19)
        #expect(changes < 10)
        #expect(host.record(.photo).attempt(part.attempt)?.stripes.count == 19)
    }
}
