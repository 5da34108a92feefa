// Byzantine servers against writers and readers: with f of them every operation succeeds with the right bytes; with
// f + 1 nothing wrong is ever returned, and the deadline ends what cannot be finished.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

/// One way of lying, with all that is at hand.
struct LyingWay: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let install: @Sendable (_ liar: Position, _ simulation: Simulation) -> Void

    private static func forgedClaim(_ group: TestGroup, _ key: ObjectKey, _ liar: Position) -> CommittedClaim {
        let version = group.version(key, "inflated", counter: 1 << 40, writer: .mallory)
        return CommittedClaim(certificate: group.forgedCertificate(key, version.timestamp, liar: liar))
    }

    private static func claims(
        _ name: String, _ claim: @escaping @Sendable (TestGroup, ObjectKey, Position) -> CommittedClaim
    ) -> LyingWay {
        LyingWay(testDescription: name) { liar, simulation in
            simulation.lies[liar] = { simulation, _, request in
                switch request {
                case .readTimestamp(let key): [.timestamp(claim(simulation.group, key, liar))]
                case .read(let read): [.version(claim(simulation.group, read.key, liar), nil)]
                case .certificate(let key, let timestamp):
                    [simulation.group.proof(of: claim(simulation.group, key, liar), asked: timestamp)]
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
        }
    }

    private static func parts(
        _ name: String, _ change: @escaping @Sendable (TestGroup, Position, HeldParts) -> HeldParts?
    ) -> LyingWay {
        LyingWay(testDescription: name) { liar, simulation in
            simulation.rewrites[liar] = { simulation, _, reply in
                guard case .version(let claim, let parts?) = reply else { return [reply] }
                return [.version(claim, change(simulation.group, liar, parts))]
            }
        }
    }

    private static func statements(
        _ name: String,
        _ statement: @escaping @Sendable (TestGroup, Position, ObjectKey, Timestamp) -> SignedStatement
    ) -> LyingWay {
        LyingWay(testDescription: name) { liar, simulation in
            simulation.lies[liar] = { simulation, _, request in
                guard case .prepare(let prepare) = request else { return nil }
                return [
                    .prepared(statement(simulation.group, liar, prepare.key, prepare.timestamp), committed: nil)
                ]
            }
        }
    }

    private static func always(_ name: String, _ reply: @escaping @Sendable (Request) -> [Reply]) -> LyingWay {
        LyingWay(testDescription: name) { liar, simulation in
            simulation.lies[liar] = { _, _, request in reply(request) }
        }
    }

    static let all: [LyingWay] = [
        claims("claims an inflated timestamp under a forged certificate", forgedClaim),
        claims("claims an inflated timestamp under an empty certificate") { group, key, _ in
            let version = group.version(key, "inflated", counter: 1 << 40, writer: .mallory)
            return CommittedClaim(certificate: group.certificate(version.timestamp, []))
        },
        claims("claims the highest counter there is") { group, key, liar in
            let version = group.version(key, "inflated", counter: .max, writer: .mallory)
            return CommittedClaim(certificate: group.forgedCertificate(key, version.timestamp, liar: liar))
        },
        claims("replays another object's certificate") { group, key, _ in
            let version = group.version(.of("elsewhere/object"), "other", counter: 50, writer: .mallory)
            return CommittedClaim(certificate: group.certificate(of: version))
        },
        claims("replays a true certificate under an inflated timestamp") { group, key, _ in
            let version = group.version(key, "first", counter: 1)
            let inflated = Timestamp(counter: 60, writer: .alice, digest: version.timestamp.digest)
            return CommittedClaim(
                certificate: group.certificate(inflated, group.certificate(of: version).statements))
        },
        claims("claims that nothing is committed") { _, _, _ in CommittedClaim(certificate: nil) },
        parts("sends garbage fragments") { _, _, parts in
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: parts.fragments?.map { SharedBytes($0.array.map { ~$0 }) })
        },
        parts("sends fragments of a wrong size") { _, _, parts in
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: parts.fragments?.map { _ in SharedBytes([1, 2, 3]) })
        },
        parts("sends too many fragments") { _, _, parts in
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: parts.fragments.map { $0 + $0 })
        },
        parts("sends another server's fragment") { group, liar, parts in
            let other = (liar.offset + 1) % group.servers.count
            return HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: group.value(.photo, Array("second".utf8)).1[other])
        },
        parts("sends its fragment as another position's") { group, liar, parts in
            let other = Position(UInt8((liar.offset + 1) % group.servers.count))
            return HeldParts(
                timestamp: parts.timestamp, position: other, descriptor: parts.descriptor, fragments: parts.fragments)
        },
        parts("sends another server's fragment as that position's") { group, liar, parts in
            let other = Position(UInt8((liar.offset + 1) % group.servers.count))
            return HeldParts(
                timestamp: parts.timestamp, position: other, descriptor: parts.descriptor,
                fragments: group.value(.photo, Array("second".utf8)).1[other.offset])
        },
        parts("sends another version's fragment") { group, liar, parts in
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor,
                fragments: group.value(.photo, Array("secnod".utf8)).1[liar.offset])
        },
        parts("sends another version's parts under this timestamp") { group, liar, parts in
            let other = group.value(.photo, Array("secnod".utf8))
            return HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: other.0,
                fragments: other.1[liar.offset])
        },
        parts("sends another object's descriptor") { group, liar, parts in
            let other = group.value(.other, Array("second".utf8))
            let timestamp = Timestamp(counter: parts.timestamp.counter, writer: .alice, digest: other.0.digest)
            return HeldParts(timestamp: timestamp, position: liar, descriptor: other.0, fragments: other.1[liar.offset])
        },
        parts("has lost its parts") { _, _, _ in nil },
        parts("has lost its fragments") { _, _, parts in
            HeldParts(
                timestamp: parts.timestamp, position: parts.position, descriptor: parts.descriptor, fragments: nil)
        },
        statements("signs with garbage") { group, liar, key, timestamp in
            let own = group.statement(of: liar, key, timestamp)
            return SignedStatement(
                node: group.node(liar), incarnation: own.incarnation, claim: own.claim, leafIndex: 0, leafCount: 1,
                path: [],
                signature: [UInt8](repeating: 7, count: 64))
        },
        statements("signs another version") { group, liar, key, timestamp in
            group.statement(
                of: liar, key, Timestamp(counter: timestamp.counter + 1, writer: .alice, digest: timestamp.digest))
        },
        statements("signs in another server's name") { group, liar, key, timestamp in
            let other = Position(UInt8((liar.offset + 1) % group.servers.count))
            let own = group.statement(of: liar, key, timestamp)
            return SignedStatement(
                node: group.node(other), incarnation: own.incarnation, claim: own.claim, leafIndex: 0, leafCount: 1,
                path: [],
                signature: own.signature)
        },
        statements("names a server outside the group") { group, liar, key, timestamp in
            let own = group.statement(of: liar, key, timestamp)
            return SignedStatement(
                node: NodeID(255), incarnation: own.incarnation, claim: own.claim, leafIndex: 9, leafCount: 1, path: [],
                signature: own.signature)
        },
        statements("signs that it is superseded") { group, liar, key, timestamp in
            group.statement(of: liar, key, timestamp, .superseded)
        },
        LyingWay(testDescription: "signs and acknowledges without storing") { liar, simulation in
            simulation.lies[liar] = { simulation, _, request in
                switch request {
                case .prepare(let prepare):
                    [.prepared(simulation.group.statement(of: liar, prepare.key, prepare.timestamp), committed: nil)]
                case .commit(let commit): [.committed(commit.certificate.timestamp, needsDescriptor: false)]
                default: nil
                }
            }
        },
        LyingWay(testDescription: "tells every other client something else") { liar, simulation in
            simulation.lies[liar] = { simulation, session, request in
                guard session % 2 == 0 else { return nil }
                switch request {
                case .readTimestamp(let key): return [.timestamp(forgedClaim(simulation.group, key, liar))]
                case .read: return [.version(CommittedClaim(certificate: nil), nil)]
                case .certificate(let key, let timestamp):
                    return [simulation.group.proof(of: forgedClaim(simulation.group, key, liar), asked: timestamp)]
                default: return []
                }
            }
        },
        LyingWay(testDescription: "claims a new inflated timestamp as often as one is disproven") { liar, simulation in
            simulation.lies[liar] = { simulation, session, request in
                let group = simulation.group
                let claims = (0..<40).map { position in
                    let version = group.version(
                        request.key, "inflated", counter: UInt64(1000 + position), writer: .mallory)
                    return CommittedClaim(
                        certificate: group.forgedCertificate(request.key, version.timestamp, liar: liar))
                }
                return switch request {
                case .readTimestamp: claims.map { .timestamp($0) }
                case .read: claims.map { .version($0, nil) }
                case .certificate(_, let timestamp): claims.map { group.proof(of: $0, asked: timestamp) }
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
        },
        always("is silent") { _ in [] },
        always("refuses everything, its disk being full") { _ in [.refused(.storageFull)] },
        always("is always busy") { _ in [.refused(.busy)] },
        always("wants a justification for everything") { _ in
            [.refused(.justificationRequired(committedCounter: 0))]
        },
        always("has too many pending versions, none of which it names") { _ in [.refused(.tooManyPending([]))] },
        always("answers with every reply that there is") { request in
            [
                .timestamp(CommittedClaim(certificate: nil)), .version(CommittedClaim(certificate: nil), nil),
                .certificate(CommittedClaim(certificate: nil), nil),
                .refused(.digestMismatch),
            ]
        },
        LyingWay(testDescription: "acknowledges a COMMIT before there is one") { liar, simulation in
            simulation.rewrites[liar] = { simulation, session, reply in
                let version = simulation.group.version(.photo, "second", counter: 2)
                let acknowledgement = Reply.committed(version.timestamp, needsDescriptor: false)
                return [acknowledgement, reply, acknowledgement]
            }
        },
        LyingWay(testDescription: "makes up pending versions") { liar, simulation in
            simulation.lies[liar] = { simulation, session, request in
                guard case .prepare(let prepare) = request else { return nil }
                let group = simulation.group
                return [
                    .refused(
                        .tooManyPending(
                            (0..<20).map { position in
                                let version = group.version(
                                    prepare.key, "made up \(position)", counter: prepare.timestamp.counter,
                                    writer: prepare.timestamp.writer)
                                return PendingVersion(
                                    timestamp: version.timestamp, descriptor: version.descriptor,
                                    statement: group.statement(of: liar, prepare.key, version.timestamp))
                            }))
                ]
            }
        },
    ]
}

extension Request {
    /// READ or READ-TIMESTAMP.
    var isQuestion: Bool {
        switch self {
        case .read, .readTimestamp: true
        case .prepare, .commit, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
        }
    }
}

@Suite("Among lying servers")
struct ByzantineServerTests {
    static let groups = [TestGroup(), TestGroup(faults: 2), TestGroup(dataFragmentCount: 8)]

    /// Two versions by two writers, the liars at work from the beginning or only after the first.
    private func expectSuccess(_ group: TestGroup, liars: [Position], _ way: LyingWay, seed: UInt64?) {
        let simulation = Simulation(group, seed: seed)
        #expect(simulation.write("first").wrote != nil)
        for liar in liars { way.install(liar, simulation) }
        #expect(simulation.read(preference: group.servers).text == "first")
        guard let second = simulation.write("second").wrote else {
            Issue.record("the write fails: \(liars), seed \(String(describing: seed))")
            return
        }
        #expect(second.timestamp.counter == 2, "no liar moves the counter")
        // The liars are among those asked first, and then among those asked last.
        for preference in [group.servers, group.servers.reversed()] {
            let read = simulation.read(preference: preference)
            #expect(read.text == "second", "\(liars), seed \(String(describing: seed)): \(String(describing: read))")
        }
        #expect(simulation.write(nil, by: .bob).wrote != nil)
        #expect(simulation.read().text == nil)
        #expect(simulation.read().text != "failed")
    }

    @Test("f of them keep no client from the right bytes", arguments: LyingWay.all)
    func faulty(way: LyingWay) {
        for group in Self.groups {
            let f = group.quorums.faults
            expectSuccess(group, liars: Array(group.servers.prefix(f)), way, seed: nil)
            let isSmall = group.servers.count == 4
            if isSmall { expectSuccess(group, liars: Array(group.servers.suffix(f)), way, seed: nil) }
            for seed in 0..<(isSmall ? 2 : 1) as Range<UInt64> {
                var generator = SplitMix64(seed: seed)
                let liars = Array(group.servers.shuffled(using: &generator).prefix(f))
                expectSuccess(group, liars: liars, way, seed: seed)
            }
        }
    }

    @Test(
        "f + 1 of them make no client return wrong bytes, and the deadline ends what cannot be finished",
        arguments: LyingWay.all)
    func tooManyFaulty(way: LyingWay) {
        for group in Self.groups {
            for seed in 0..<(group.servers.count == 4 ? 2 : 1) as Range<UInt64> {
                var generator = SplitMix64(seed: seed)
                let simulation = Simulation(group, seed: seed)
                #expect(simulation.write("first").wrote != nil)
                let liars = group.servers.shuffled(using: &generator).prefix(group.quorums.vouchers)
                for liar in liars { way.install(liar, simulation) }
                let write = simulation.write("second")
                #expect(write != nil, "a write ends")
                for preference in [group.servers, group.servers.reversed()] {
                    let read = simulation.read(preference: preference)
                    let text = read.text
                    #expect(
                        ["first", "second", "failed", nil].contains(text), "seed \(seed): \(String(describing: read))")
                }
            }
        }
    }

    @Test("a client names the liar and what it did")
    func observations() {
        let expected: [(String, (Misbehaviour) -> Bool)] = [
            (
                "claims an inflated timestamp under a forged certificate",
                {
                    if case .invalidCertificate(.invalidSignature) = $0 { true } else { false }
                }
            ),
            ("sends garbage fragments", { $0 == .invalidFragment(.hashMismatch(FragmentIndex(0))) }),
            ("sends too many fragments", { $0 == .foreignParts }),
            ("sends its fragment as another position's", { $0 == .foreignParts }),
            ("sends another server's fragment as that position's", { $0 == .foreignParts }),
        ]
        for (name, isExpected) in expected {
            let group = TestGroup()
            let simulation = Simulation(group)
            #expect(simulation.write("second").wrote != nil)
            LyingWay.all.first { $0.testDescription == name }!.install(0, simulation)
            let observed = simulation.read().read?.observations.misbehaving ?? []
            #expect(
                observed.map(\.server) == [group.node(0)] && observed.allSatisfy { isExpected($0.what) },
                "\(name): \(observed)")
        }
    }

    @Test("a flood of forged claims from one server does not keep a read or a write from finishing")
    func endlessForgedClaims() {
        for isRead in [true, false] {
            let simulation = Simulation(TestGroup())
            #expect(simulation.write("first").wrote != nil)
            let group = simulation.group
            let session = isRead ? simulation.startRead(.photo) : simulation.startWrite(.photo, [1], by: .alice)
            // Before every step the liar, faster than everybody else, claims something higher.
            for counter in 1000..<(1400 as UInt64) where simulation.sessions[session].isRunning {
                let version = group.version(.photo, "inflated", counter: counter, writer: .mallory)
                let claim = CommittedClaim(
                    certificate: group.forgedCertificate(.photo, version.timestamp, liar: 0))
                let reply = isRead ? Reply.version(claim, nil) : .timestamp(claim)
                if isRead {
                    simulation.feed(session, Reader.Input.reply(0, reply))
                } else {
                    simulation.feed(session, Writer.Input.reply(0, reply))
                }
                simulation.step()
            }
            #expect(!simulation.sessions[session].isRunning)
        }
    }
}
