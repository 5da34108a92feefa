// Large versions in the modes that verify later: what readers and servers find out of stripes of which some are poisonous,
// withheld or gone (docs/protocol.md, Modes that verify later, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@testable import QuorumProtocol

extension TestPart {
    /// The part with garbage under the right hash at one position of one stripe.
    fileprivate func poisoned(stripe: Int, at victim: Position) -> TestPart {
        var stripes = stripes
        var fragments = fragments
        fragments[stripe][victim.offset] = SharedBytes(fragments[stripe][victim.offset].array.map { ~$0 })
        let old = stripes[stripe]
        guard
            let crossChecksum = try? CrossChecksum(
                code: old.crossChecksum.code, blockSizeBytes: old.crossChecksum.blockSizeBytes,
                hashes: Digest256.fragmentHashes(of: fragments[stripe]), fingerprints: [])
        else { preconditionFailure("hashes alone are a cross-checksum in these modes") }
        stripes[stripe] = StripeToStage(
            attempt: attempt, stripeSizeBytes: stripeSizeBytes, stripe: UInt32(stripe), crossChecksum: crossChecksum,
            fragments: fragments[stripe])
        return TestPart(
            attempt: attempt, blocks: blocks, stripes: stripes, fragments: fragments, stripeSizeBytes: stripeSizeBytes)
    }
}

@Suite("A large version in the modes that verify later")
struct LargePoisonTests {
    private static let modes: [VerificationMode] = [.lazy, .readTime]
    private static let shapes: [(faults: Int, dataFragmentCount: Int?)] = [(1, nil), (2, nil), (1, 4)]

    private func group(_ mode: VerificationMode, _ shape: (faults: Int, dataFragmentCount: Int?) = (1, nil))
        -> TestGroup
    {
        TestGroup.staging(mode, faults: shape.faults, dataFragmentCount: shape.dataFragmentCount)
    }

    private func shown(_ group: TestGroup, _ versions: [TestVersion], _ parts: [TestPart]) -> ShownServer {
        var shown = group.shown(versions)
        shown.parts = parts
        return shown
    }

    @Test("is read when all its stripes are sound, each of which is looked at", arguments: modes)
    func sound(mode: VerificationMode) {
        for shape in Self.shapes {
            let group = group(mode, shape)
            let part = group.part(lengthBytes: 1300)
            let version = group.version([part], counter: 1)
            for preference in group.turns {
                for wantsValue in [true, false] {
                    let end = ScriptedReading(group, everywhere: shown(group, [version], [part]))
                        .read(wantsValue: wantsValue, preference: preference)
                    #expect(end.found == version.timestamp)
                    #expect(end.encoded == Array(repeating: version.timestamp, count: 3))
                    #expect(end.waits == 0)
                }
                // Who is slow costs the hedge time, and liars that withhold or send garbage cost nothing but detours.
                var reading = ScriptedReading(group, everywhere: shown(group, [version], [part]))
                for liar in preference.prefix(group.quorums.faults) { reading.servers[liar]?.parts = [] }
                #expect(reading.read(preference: preference).found == version.timestamp)
                reading = ScriptedReading(group, everywhere: shown(group, [version], [part]))
                reading.silent = Set(preference.prefix(group.quorums.faults))
                #expect(reading.read(preference: preference).found == version.timestamp)
                let garbage = group.part(lengthBytes: 1300, seed: 9)
                reading = ScriptedReading(group, everywhere: shown(group, [version], [part]))
                for liar in preference.prefix(group.quorums.faults) { reading.servers[liar]?.parts = [garbage] }
                #expect(reading.read(preference: preference).found == version.timestamp)
            }
        }
    }

    @Test("is passed over when any one of its stripes is poisonous", arguments: modes)
    func oneStripe(mode: VerificationMode) {
        for shape in Self.shapes {
            let group = group(mode, shape)
            let good = group.version(.photo, "good", counter: 1)
            for stripe in 0..<3 {
                for victim in group.servers {
                    let part = group.part(lengthBytes: 1300).poisoned(stripe: stripe, at: victim)
                    let evil = group.version([part], counter: 2)
                    let reading = ScriptedReading(group, everywhere: shown(group, [good, evil], [part]))
                    for preference in group.turns {
                        let end = reading.read(preference: preference)
                        #expect(end.text == "good", "stripe \(stripe), garbage at \(victim): \(end.result)")
                        #expect(end.outcome?.poisonous == [evil.timestamp])
                        let looks = Array(repeating: evil.timestamp, count: stripe + 1)
                        #expect(end.encoded == looks + [good.timestamp])
                    }
                    let findings = group.findings(shown(group, [good, evil], [part]), by: victim)
                    #expect(findings.poisonous == [evil.timestamp])
                }
            }
        }
    }

    @Test("is believed of f + 1 servers in the mode lazy without its stripes, and of f in none", arguments: modes)
    func vouchers(mode: VerificationMode) {
        let group = group(mode)
        let part = group.part(lengthBytes: 1300)
        let version = group.version([part], counter: 1)
        for count in 0...group.servers.count {
            var reading = ScriptedReading(group, everywhere: shown(group, [version], [part]))
            for server in group.servers.prefix(count) {
                reading.servers[server]?.claim = group.shown([version], isFirstVerified: true).claim
            }
            let end = reading.read()
            let isBelieved = mode == .lazy && count > group.quorums.faults
            #expect(end.found == version.timestamp)
            #expect(end.encoded.count == (isBelieved ? 0 : 3), "\(count) vouch")
        }
    }

    @Test("costs once what it shares with other versions", arguments: modes)
    func shared(mode: VerificationMode) {
        let group = group(mode)
        let part = group.part(lengthBytes: 8 * 512).poisoned(stripe: 7, at: 1)
        let good = group.version(.photo, "good", counter: 1)
        let evil = (2..<10).map { group.version([part], counter: UInt64($0)) }
        let end = ScriptedReading(group, everywhere: shown(group, [good] + evil, [part])).read()
        #expect(end.text == "good")
        #expect(end.outcome?.poisonous == evil.reversed().map(\.timestamp))
        // All eight stripes of the first one, and of each other one the poisonous stripe.
        #expect(end.encoded.count == 8 + 7 + 1)
        // What is sound is not looked at again, either.
        let sound = group.part(lengthBytes: 1300)
        let more = group.part(2, lengthBytes: 512).poisoned(stripe: 0, at: 1)
        let versions = [group.version([sound], counter: 1), group.version([sound, more], counter: 2)]
        let second = ScriptedReading(group, everywhere: shown(group, versions, [sound, more])).read()
        #expect(second.found == versions[0].timestamp)
        #expect(second.encoded.count == 4)
    }

    @Test("that too few have any more is left for the higher one that one server knows", arguments: modes)
    func overtaken(mode: VerificationMode) {
        let group = group(mode)
        let (part, next) = (group.part(lengthBytes: 1300), group.part(of: .second, lengthBytes: 1300, seed: 2))
        let (low, high) = (group.version([part], counter: 1), group.version([next], counter: 2))
        // The first server has dropped the lower version for the higher one, of which the second has heard nothing but
        // holds it; the third has never had the lower one's stripes, and the last one withholds all.
        var reading = ScriptedReading(group)
        reading.servers[0] = shown(group, [high], [next])
        reading.servers[1] = shown(group, [low], [part, next])
        reading.servers[1]?.held.append(high)
        reading.servers[2] = shown(group, [low], [])
        reading.servers[3] = shown(group, [low], [])
        for preference in group.turns {
            for forVerification in [false, true] {
                let end = reading.read(forVerification: forVerification, preference: preference)
                if !forVerification || preference[0] == 0 { #expect(end.found == high.timestamp, "\(preference)") }
                #expect(end.waits < 4, "not before its deadline")
            }
        }
    }

    @Test("is passed over for what a server that has dropped it names then", arguments: modes)
    func dropped(mode: VerificationMode) {
        let group = group(mode)
        let (part, next) = (group.part(lengthBytes: 1300), group.part(of: .second, lengthBytes: 1300, seed: 2))
        let (low, high) = (group.version([part], counter: 1), group.version([next], counter: 2))
        // As above, but the first server names the higher version only after it was read.
        var reading = ScriptedReading(group, everywhere: shown(group, [low], []))
        reading.servers[0]?.afterFetch = [shown(group, [high], [next])]
        reading.servers[1] = shown(group, [low], [part, next])
        reading.servers[1]?.held.append(high)
        for preference in group.turns {
            let end = reading.read(preference: preference)
            #expect(end.found == high.timestamp, "\(preference): \(end.result)")
            #expect(end.waits < 4, "not before its deadline")
        }
    }

    @Test("may not have its stripes prepared once more, sound or not", arguments: modes)
    func spent(mode: VerificationMode) {
        let group = group(mode)
        for isPoisonous in [false, true] {
            let host = ReplicaHost(group, 0)
            var part = group.part(lengthBytes: 1300)
            if isPoisonous { part = part.poisoned(stripe: 1, at: 1) }
            host.expectStaged(part)
            let version = group.version([part], counter: 1)
            host.expectStored(version)
            host.expectCommitted(version)
            #expect(host.record(.photo).unverified.map(\.timestamp) == [version.timestamp])
            let again = group.version([part], counter: 2)
            host.expectRefused(.prepare(again.prepare(for: 0)), .uploadEnded)
            host.crash()
            host.expectRefused(.prepare(again.prepare(for: 0)), .uploadEnded)
            // Overwritten before anybody looked at it, it is given back like any other.
            let next = group.version(.photo, "next", counter: 2, writer: .bob)
            host.prepare(next)
            host.expectCommitted(next)
            #expect(host.has(part))
        }
    }

    @Test("that is not to be had is said to be lost, before the deadline and not at once", arguments: modes)
    func lost(mode: VerificationMode) {
        let group = group(mode)
        let part = group.part(lengthBytes: 1300)
        let version = group.version([part], counter: 1)
        var reading = ScriptedReading(group, everywhere: shown(group, [version], []))
        reading.servers[2] = shown(group, [version], [part])
        let end = reading.read()
        guard case .failure(.tooFewFragments(version.timestamp, have: 1, need: 2, _)) = end.result else {
            Issue.record("\(end.result)")
            return
        }
        // Once all were asked again.
        #expect(end.waits == 2)
        // A server that says nothing may have it.
        reading.silent = [3]
        #expect(reading.read().waits == 4)
    }

    @Test("is judged by its own stripes: verdicts and fragments of another reading count for nothing", arguments: modes)
    func stale(mode: VerificationMode) {
        let group = group(mode)
        let part = group.part(lengthBytes: 1300)
        let version = group.version([part], counter: 1)
        let shown = shown(group, [version], [part])
        var reader = Reader(
            parameters: group.parameters, key: .photo, wantsValue: true, preference: group.servers, firstCheck: 2 << 16)
        var waiting: [Reader.Input] = [.start]
        var numbers: [UInt64] = []
        var outcome: ReadOutcome?
        while !waiting.isEmpty {
            var effects: [Reader.Effect] = []
            reader.handle(waiting.removeFirst(), into: &effects)
            for effect in effects {
                switch effect {
                case .checkEncoding(let timestamp, let stripes):
                    numbers.append(stripes[0].number)
                    // Another reading's of the same operation, and those that were looked at before.
                    for other in [stripes[0].number - (1 << 48), 0] + numbers.dropLast() where other != 0 {
                        waiting.append(.encodingChecked(timestamp, stripe: other, isSound: true))
                        waiting.append(.encodingChecked(timestamp, stripe: other, isSound: false))
                    }
                    for server in group.servers {
                        let old = FetchedParts(position: server, fragment: SharedBytes(), page: nil, tag: 1 << 63 | 5)
                        waiting.append(.reply(server, .fetched(old)))
                    }
                    waiting.append(.encodingChecked(timestamp, stripe: stripes[0].number, isSound: true))
                case .finish(let result): outcome = try? result.get()
                default:
                    switch Reader.step(effect, key: .photo, verifier: group.verifier) {
                    case .send(let server, let request):
                        if let reply = shown.answer(server, request, in: group) {
                            waiting.append(.reply(server, reply))
                        }
                    case .work(_, let work), .encode(let work): waiting.append(work())
                    case .startHedge, .finish: break
                    }
                }
            }
        }
        #expect(numbers.count == 3 && Set(numbers).count == 3)
        #expect(outcome?.found.timestamp == version.timestamp)
        #expect(outcome?.observations.misbehaving.isEmpty == true)
    }

    @Test("is read by its name only when each of its stripes was judged, by its own verdict", arguments: modes)
    func fetched(mode: VerificationMode) {
        let group = group(mode)
        for poison in [nil, 0, 1, 2] as [Int?] {
            var part = group.part(lengthBytes: 1300)
            if let poison { part = part.poisoned(stripe: poison, at: 1) }
            let version = group.version([part], counter: 1)
            let shown = shown(group, [version], [part])
            var fetcher = VersionFetcher(
                parameters: group.parameters, key: .photo, timestamp: version.timestamp, preference: group.servers)
            var waiting: [VersionFetcher.Input] = [.start]
            var (judgedCount, result): (Int, Result<FetchedVersion, OperationFailure>?) = (0, nil)
            while !waiting.isEmpty {
                var effects: [VersionFetcher.Effect] = []
                fetcher.handle(waiting.removeFirst(), into: &effects)
                for effect in effects {
                    switch VersionFetcher.step(effect, key: .photo, verifier: group.verifier) {
                    case .send(let server, let request):
                        if let reply = shown.answer(server, request, in: group) {
                            waiting.append(.reply(server, reply))
                        }
                    case .work(_, let work), .encode(let work):
                        if case .check(let stripes) = effect {
                            judgedCount += 1
                            for other in [stripes[0].number &+ 1, 7] {
                                waiting.append(.checked(stripe: other, isSound: true))
                            }
                        }
                        waiting.append(work())
                    case .startHedge: break
                    case .finish(let ended): result = ended
                    }
                }
            }
            guard let result else {
                Issue.record("it does not end")
                continue
            }
            #expect(judgedCount == poison.map { $0 + 1 } ?? 3)
            #expect(((try? result.get()) != nil) == (poison == nil), "\(String(describing: poison))")
        }
    }
}
