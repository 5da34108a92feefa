// Every server policy does what its name says, to a server that would be honest without it.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A faulty server")
struct ServerFaultTests {
    static let group = FaultGroup()
    var group: FaultGroup { Self.group }

    private static func descriptions(_ exchanges: [Exchange]) -> [[Reply]] { exchanges.map(\.replies) }

    @Test(
        "answers otherwise than an honest one, or keeps less, or takes longer", arguments: ServerFaultKind.allCases)
    func isFaulty(kind: ServerFaultKind) {
        let honest = Self.descriptions(FaultyHost(group, nil).usualDay())
        if kind == .slow {
            #expect(kind.make().delayFactor > 1)
            return
        }
        // One needs somebody to collude with, the other something unverified; they have their own tests.
        if kind == .colludingGarbage || kind == .falseVouching { return }
        for seed in 1...3 as ClosedRange<UInt64> {
            let host = FaultyHost(group, kind, seed: seed)
            let answers = Self.descriptions(host.usualDay())
            // P-256 signatures are drawn anew each time: compare what they are of.
            let isOtherwise = answers.map { $0.map(Self.shape) } != honest.map { $0.map(Self.shape) }
            #expect(isOtherwise || host.changes.made < host.changes.wanted, "seed \(seed)")
        }
    }

    @Test("does the same under the same seed", arguments: ServerFaultKind.allCases)
    func isDeterministic(kind: ServerFaultKind) {
        let days = (0..<2).map { _ in
            FaultyHost(group, kind, seed: 5).usualDay().map { $0.replies.map(Self.shape) }
        }
        #expect(days[0] == days[1])
    }

    /// A reply without its signatures.
    static func shape(_ reply: Reply) -> String {
        func shape(_ signed: SignedStatement) -> String {
            "\(signed.node) \(signed.incarnation) \(signed.claim) \(signed.leafIndex)/\(signed.leafCount) "
                + "\(signed.path.count)"
        }
        func shape(_ certificate: Certificate?) -> String {
            certificate.map { "\($0.epoch) \($0.group) \($0.timestamp) \($0.statements.map(shape))" } ?? "none"
        }
        // A certificate's digest is of its signatures, too.
        func shape(_ claim: CommittedClaim) -> String {
            "\(String(describing: claim.verified)) \(claim.unverified.map(\.timestamp))"
        }
        switch reply {
        case .timestamp(let claim):
            return "timestamp \(shape(claim))"
        case .prepared(let signed, let committed):
            return "prepared \(shape(signed)) \(String(describing: committed))"
        case .committed(let timestamp, let needsDescriptor):
            return "committed \(timestamp) \(needsDescriptor)"
        case .certificate(let claim, let certificate):
            return "certificate \(shape(claim)) \(shape(certificate))"
        case .version(let claim, let parts):
            let bytes = parts?.fragments?.map(\.array)
            let what =
                parts.map { "\($0.timestamp) \($0.position) \($0.descriptor.digest) \(String(describing: bytes))" }
                ?? "none"
            return "version \(shape(claim)) \(what)"
        case .staged, .discarded, .held:
            return "\(reply)"
        case .fetched(let parts):
            return "fetched \(parts.position) \(String(describing: parts.fragment?.array)) "
                + String(describing: parts.page)
        case .refused(.tooManyPending(let versions)):
            return "full \(versions.map { "\($0.timestamp) \($0.descriptor.digest) \(shape($0.statement))" })"
        case .refused(let refusal):
            return "refused \(refusal)"
        }
    }

    /// The day of a liar, next to that of an honest server.
    func day(
        _ kind: ServerFaultKind, seed: UInt64 = 1
    ) -> (host: FaultyHost, exchanges: [(exchange: Exchange, honest: Reply)]) {
        let honest = FaultyHost(group, nil).usualDay()
        let host = FaultyHost(group, kind, seed: seed)
        return (host, zip(host.usualDay(), honest).map { ($0, $1.replies[0]) })
    }

    /// What is claimed as committed in answer to a question, with what proof, and the true claim.
    private func claims(
        _ kind: ServerFaultKind
    ) -> [(key: ObjectKey, lie: Timestamp?, proof: Certificate?, truth: Timestamp?)] {
        let exchanges = day(kind).exchanges
        return exchanges.map(\.exchange).claims.compactMap { place, claim, proof in
            switch exchanges[place].honest {
            case .timestamp(let truth), .version(let truth, _):
                (exchanges[place].exchange.request.key, claim.timestamp, proof, truth.timestamp)
            case .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: nil
            }
        }
    }

    // MARK: Silence

    @Test("that is silent neither answers nor stores; a mute one stores")
    func silence() {
        for kind in [ServerFaultKind.silent, .mute] {
            let (host, exchanges) = day(kind)
            #expect(exchanges.allSatisfy { $0.exchange.replies.isEmpty })
            #expect(host.record(.photo).held.isEmpty == (kind == .silent))
        }
    }

    @Test("that is silent to some serves the others in full")
    func silentToSome() {
        var servedCounts: Set<Int> = []
        for seed in 1...8 as ClosedRange<UInt64> {
            let (_, exchanges) = day(.silentToSome, seed: seed)
            let answers = Dictionary(grouping: exchanges.map(\.exchange), by: \.client)
                .mapValues { Set($0.map(\.replies.count)) }
            #expect(answers.values.allSatisfy { $0 == [0] || $0 == [1] }, "seed \(seed)")
            servedCounts.insert(answers.values.count { $0 == [1] })
            #expect(answers.values.contains([0]))
        }
        #expect(servedCounts.max() ?? 0 > 0)
    }

    @Test("that is deaf to commits signs, and never learns what is committed")
    func commitDeaf() {
        let (host, exchanges) = day(.commitDeaf)
        #expect(host.record(.photo).committed == nil && !host.record(.photo).held.isEmpty)
        for (exchange, _) in exchanges {
            if case .commit = exchange.request { #expect(exchange.replies.isEmpty) }
        }
        let wants = exchanges.flatMap(\.exchange.replies).contains {
            if case .refused(.justificationRequired) = $0 { true } else { false }
        }
        #expect(wants)
    }

    @Test("that withholds replies gives them to their client later, and none twice")
    func withholding() {
        let (_, exchanges) = day(.withholding)
        let counts = exchanges.map(\.exchange.replies.count)
        #expect(counts.contains(0) && counts.contains { $0 > 1 })
        let honest = exchanges.map { Self.shape($0.honest) }
        let given = exchanges.flatMap(\.exchange.replies).map(Self.shape)
        #expect(given.count <= honest.count && given.count > honest.count / 2)
    }

    // MARK: Claims

    @Test("that is stale shows genuine certificates and good fragments of older versions")
    func stale() {
        let claims = claims(.stale).filter { $0.truth != nil }
        #expect(claims.allSatisfy { $0.lie == nil || group.isValid($0.proof, of: $0.key) })
        #expect(claims.allSatisfy { $0.lie == $0.proof?.timestamp && $0.lie.precedes($0.truth) })
        #expect(claims.contains { $0.lie != nil } && claims.contains { $0.lie == nil })
        let served = day(.stale).exchanges.contains { exchange, _ in
            exchange.replies.contains {
                if case .version(let claim, let parts?) = $0, let timestamp = claim.timestamp {
                    group.areGood(parts, of: timestamp, from: NodeID(0))
                } else {
                    false
                }
            }
        }
        #expect(served)
    }

    @Test("that denies claims that nothing was ever committed")
    func denial() {
        let claims = claims(.denial)
        #expect(claims.count { $0.truth != nil } > 10 && claims.allSatisfy { $0.lie == nil })
    }

    @Test(
        "that forges claims what is higher, and proves nothing",
        arguments: [
            ServerFaultKind.inflatedTimestamps, .claimFlood, .fabricatedVersions, .agreedFabrication, .colludingForgery,
            .strangers,
        ])
    func forgery(kind: ServerFaultKind) {
        let claims = claims(kind)
        #expect(claims.count > 20)
        for (key, lie, proof, truth) in claims {
            #expect(truth.precedes(lie))
            #expect(proof != nil && !group.isValid(proof, of: key))
        }
        if kind == .inflatedTimestamps {
            #expect(claims.contains { $0.lie?.counter == .max })
            #expect(claims.contains { $0.lie?.counter == $0.truth.counter + 1 })
        }
        if kind == .claimFlood {
            let counts = day(kind).exchanges.map(\.exchange.replies.count)
            #expect(counts.max() ?? 0 > 20)
        }
    }

    @Test(
        "that fabricates serves parts that fit what it claims",
        arguments: [ServerFaultKind.fabricatedVersions, .agreedFabrication])
    func fabrication(kind: ServerFaultKind) {
        let served = day(kind).exchanges.flatMap(\.exchange.replies).compactMap { reply -> (Timestamp, HeldParts)? in
            if case .version(let claim, let parts?) = reply, let timestamp = claim.timestamp, parts.fragments != nil {
                (timestamp, parts)
            } else {
                nil
            }
        }
        #expect(!served.isEmpty)
        for (timestamp, parts) in served where parts.timestamp == timestamp {
            #expect(group.areGood(parts, of: timestamp, from: NodeID(0)))
        }
        #expect(served.contains { $0.0 == $0.1.timestamp })
    }

    @Test("that alters certificates leaves none of them valid", arguments: CertificateAlteration.allCases)
    func alterations(alteration: CertificateAlteration) {
        let certificate = group.certificate(of: group.version(.photo, "x", counter: 3))
        for seed in 0..<20 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let altered = alteration.apply(to: certificate, &generator)
            #expect(altered != certificate && !group.isValid(altered, of: .photo), "seed \(seed)")
        }
    }

    @Test("that alters or replays certificates shows invalid ones made of genuine statements")
    func alteredAndReplayed() {
        for kind in [ServerFaultKind.alteredCertificates, .replayedCertificates] {
            let claims = claims(kind).filter { $0.truth != nil }
            #expect(claims.count > 10 && claims.allSatisfy { !group.isValid($0.proof, of: $0.key) })
        }
        let foreign = claims(.replayedCertificates).filter { claim in
            group.isValid(claim.proof, of: claim.key == .photo ? .other : .photo)
        }
        #expect(!foreign.isEmpty)
    }

    @Test("that equivocates tells one client the truth, one the past and one the future, each time")
    func equivocation() {
        let (_, exchanges) = day(.equivocation)
        var stories: [ClientID: Set<String>] = [:]
        for (exchange, honest) in exchanges {
            guard case .timestamp(let truth) = honest, truth.timestamp != nil,
                case .timestamp(let lie)? = exchange.replies.first
            else { continue }
            let story =
                lie == truth || lie.timestamp == truth.timestamp
                ? "truth" : lie.timestamp.precedes(truth.timestamp) ? "past" : "future"
            stories[exchange.client, default: []].insert(story)
        }
        #expect(stories == [.alice: ["truth"], .bob: ["past"], .carol: ["future"]])
    }

    @Test("that keeps commits secret shows each new certificate to one client only")
    func secretive() {
        let host = FaultyHost(group, .secretiveCommits)
        let versions = (1...2).map { group.version(.photo, "v\($0)", counter: UInt64($0)) }
        for version in versions {
            _ = host.send(version.prepare(for: host.position(.photo)))
            _ = host.send(version.commit(group.certificate(of: version)))
        }
        func shown(to client: ClientID) -> Timestamp? {
            guard case .timestamp(let claim)? = host.send(.readTimestamp(.photo), from: client).first else {
                return nil
            }
            return claim.timestamp
        }
        for _ in 0..<5 {
            #expect(shown(to: .bob) == versions[1].timestamp)
            #expect(shown(to: .alice).precedes(versions[1].timestamp))
            #expect(shown(to: .carol).precedes(versions[1].timestamp))
        }
    }

    // MARK: Parts

    @Test(
        "that spoils its parts serves nothing good of what is committed, and tells the truth about that",
        arguments: [
            ServerFaultKind.garbageFragments, .oneByteOff, .foreignFragments, .misshapenFragments, .foreignDescriptors,
            .withheldFragments, .foreignPositions,
        ])
    func parts(kind: ServerFaultKind) {
        var spoiledCount = 0
        for seed in 1...6 as ClosedRange<UInt64> {
            let exchanges = day(kind, seed: seed).exchanges
            for (place, (exchange, honest)) in exchanges.enumerated() {
                guard case .version(let truth, let genuine?) = honest, genuine.fragments?.isEmpty == false else {
                    continue
                }
                guard case .version(let claim, let parts)? = exchange.replies.first else {
                    Issue.record("no version: \(exchange.replies)")
                    continue
                }
                #expect(
                    claim.timestamp == truth.timestamp
                        && group.isValid(exchanges[place + 1].exchange.proof, of: exchange.request.key))
                #expect(!group.areGood(parts, of: genuine.timestamp, from: NodeID(0)), "seed \(seed)")
                spoiledCount += 1
                guard let fragments = parts?.fragments, let before = genuine.fragments else { continue }
                let turnedBits = zip(fragments, before).reduce(0) { sum, pair in
                    sum + zip(pair.0.array, pair.1.array).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
                }
                switch kind {
                case .oneByteOff: #expect(turnedBits == 1)
                case .garbageFragments:
                    #expect(turnedBits > 1 && fragments.map(\.count) == before.map(\.count))
                case .foreignDescriptors:
                    #expect(parts?.descriptor.digest != genuine.descriptor.digest)
                default: break
                }
            }
        }
        #expect(spoiledCount > 20)
    }
}
