// Fetching one stripe from servers of which some lie, withhold or say nothing (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

/// A part with more stripes than its descriptor names, and one of them to be fetched.
private struct Fetching {
    typealias Answer = (_ server: Position, _ fetch: Fetch, _ honest: FetchedParts) -> Reply?

    let group: TestGroup
    let part: TestPart
    let stripe: Int
    var machine: StripeFetcher
    var sent: [(server: Position, fetch: Fetch)] = []
    var result: Result<FetchOutcome, OperationFailure>?
    /// What servers say instead of what honest ones do; nil is nothing.
    var answer: Answer = { _, _, honest in .fetched(honest) }
    private let staged: StagedPart

    init(
        _ group: TestGroup, stripe: Int = 17, inPages: Bool = true, isRead: Bool = true, preference: [Position]? = nil,
        endsWhenLost: Bool = false, answer: @escaping Answer = { _, _, honest in .fetched(honest) }
    ) {
        self.group = group
        part = FetchedPart.of(group)
        self.stripe = stripe
        staged = part.named(group, inPages: inPages)
        self.answer = answer
        machine = StripeFetcher(
            parameters: group.parameters, key: .photo, timestamp: isRead ? FetchedPart.timestamp : nil,
            wanted: StripeToFetch(part: staged, stripe: UInt32(stripe)), preference: preference ?? group.servers,
            endsWhenLost: endsWhenLost)
    }

    /// What a server has that has everything.
    func honest(_ server: Position, _ fetch: Fetch) -> FetchedParts {
        FetchedParts(
            position: server,
            fragment: fetch.stripe.map { part.fragments[Int($0)][server.offset] },
            page: fetch.page.map { page in
                StripePage(
                    first: page.first,
                    stripes: Array(part.crossChecksums.dropFirst(Int(page.first)).prefix(Int(page.count)))
                ).bytes(group.parameters)
            })
    }

    /// Runs an input and all that follows from it.
    mutating func feed(_ input: StripeFetcher.Input) {
        var effects: [StripeFetcher.Effect] = []
        machine.handle(input, into: &effects)
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            #expect(result == nil, "nothing comes after the end")
            switch StripeFetcher.step(effect, key: .photo, verifier: group.verifier) {
            case .send(let server, .fetch(let fetch)):
                sent.append((server, fetch))
                guard sent.count < 1000 else {
                    Issue.record("a storm of requests")
                    return
                }
                if let reply = answer(server, fetch, honest(server, fetch)) {
                    machine.handle(.reply(server, reply), into: &effects)
                }
            case .send(_, let request): Issue.record("\(request)")
            case .work(_, let work): machine.handle(work(), into: &effects)
            case .encode, .startHedge: break
            case .finish(let ended): result = ended
            }
        }
    }

    /// Expects the stripe's bytes, and the page that names it when it had to be fetched.
    func expectFetched(inPages: Bool = true, sourceLocation: SourceLocation = #_sourceLocation) {
        guard case .success(let outcome)? = result else {
            Issue.record("\(String(describing: result))", sourceLocation: sourceLocation)
            return
        }
        let block = try? outcome.crossChecksum.decode(outcome.fragments)
        #expect(block == part.blocks[stripe], sourceLocation: sourceLocation)
        #expect(outcome.crossChecksum == part.crossChecksums[stripe], sourceLocation: sourceLocation)
        let page = part.page(group, stripe / Int(StripePage.stripesMax))
        #expect(outcome.page == (inPages ? page : nil), sourceLocation: sourceLocation)
    }

    var misbehaving: [Position] {
        let observations: ServerObservations?
        switch result {
        case .success(let outcome)?: observations = outcome.observations
        case .failure(let failure)?: observations = failure.observations
        case nil: observations = nil
        }
        return observations?.misbehaving.compactMap { group.server($0.server) } ?? []
    }
}

/// Parts are encoded once for each group.
private enum FetchedPart {
    static let timestamp = Timestamp(counter: 4, writer: .alice, digest: .sha256([4]))
    private static let parts: [(group: TestGroup, part: TestPart)] = StagingGroups.all.map {
        ($0, $0.part(lengthBytes: 258 * 512 + 100))
    }

    static func of(_ group: TestGroup) -> TestPart {
        guard let known = parts.first(where: { $0.group === group }) else { preconditionFailure("another group") }
        return known.part
    }
}

@Suite("LargeValues: fetching a stripe")
struct StripeFetcherTests {
    @Test("takes m servers, and the first one's page when it is not known yet", arguments: StagingGroups.all)
    func common(group: TestGroup) {
        let m = group.quorums.dataFragmentCount
        for inPages in [false, true] {
            for stripe in [0, 17, 255, 256, 258] {
                for preference in group.turns {
                    var fetching = Fetching(group, stripe: stripe, inPages: inPages, preference: preference)
                    fetching.feed(.start)
                    fetching.expectFetched(inPages: inPages)
                    #expect(fetching.sent.map(\.server) == Array(preference.prefix(m)))
                    #expect(fetching.sent.count { $0.fetch.page != nil } == (inPages ? 1 : 0))
                    #expect(fetching.sent.allSatisfy { $0.fetch.pin == FetchedPart.timestamp })
                }
            }
        }
    }

    /// What liars send of a page.
    private static func lies(_ page: [UInt8], of fetching: Fetching) -> [[UInt8]?] {
        var flipped = page
        flipped[page.count - 1] ^= 1
        let other = StripePage(first: 0, stripes: fetching.part.crossChecksums.prefix(256).reversed())
        let short = StripePage(first: 0, stripes: Array(fetching.part.crossChecksums.prefix(255)))
        return [
            nil, [], Array(page.dropLast()), page + [0], flipped, other.bytes(fetching.group.parameters),
            short.bytes(fetching.group.parameters),
        ]
    }

    @Test("does not believe f servers' pages, and asks nobody without end", arguments: StagingGroups.all)
    func lyingPages(group: TestGroup) {
        let liars = group.servers.prefix(group.quorums.faults)
        let count = Self.lies([0], of: Fetching(group)).count
        for number in 0..<count {
            for goodFragment in [false, true] {
                var fetching = Fetching(group)
                let model = fetching
                fetching.answer = { server, fetch, honest in
                    guard liars.contains(server) else { return .fetched(honest) }
                    let page = honest.page.flatMap { Self.lies($0, of: model)[number] }
                    return .fetched(
                        FetchedParts(
                            position: server, fragment: goodFragment ? honest.fragment : nil, page: page))
                }
                fetching.feed(.start)
                fetching.expectFetched()
                #expect(fetching.sent.count <= 2 * group.servers.count)
            }
        }
    }

    @Test("finds liars' fragments out, and takes others'", arguments: StagingGroups.all)
    func lyingFragments(group: TestGroup) {
        let liars = group.servers.prefix(group.quorums.faults)
        for inPages in [false, true] {
            for kind in 0..<4 {
                var fetching = Fetching(group, inPages: inPages)
                let part = fetching.part
                fetching.answer = { server, fetch, honest in
                    guard liars.contains(server), let fragment = honest.fragment else { return .fetched(honest) }
                    let lie: SharedBytes =
                        switch kind {
                        case 0: SharedBytes(fragment.array.map { ~$0 })
                        case 1: SharedBytes(fragment.array.dropLast())
                        case 2: part.fragments[3][server.offset]
                        default: part.fragments[17][(server.offset + 1) % part.fragments[17].count]
                        }
                    return .fetched(FetchedParts(position: server, fragment: lie, page: honest.page))
                }
                fetching.feed(.start)
                fetching.expectFetched(inPages: inPages)
                #expect(fetching.misbehaving == Array(liars))
            }
        }
    }

    @Test("goes on without servers that say nothing once they had their time", arguments: StagingGroups.all)
    func silent(group: TestGroup) {
        let silent = group.servers.prefix(group.quorums.faults)
        for inPages in [false, true] {
            var fetching = Fetching(group, inPages: inPages) { server, _, honest in
                silent.contains(server) ? nil : .fetched(honest)
            }
            fetching.feed(.start)
            #expect(fetching.result == nil)
            #expect(fetching.sent.count == group.quorums.dataFragmentCount)
            fetching.feed(.hedge)
            fetching.expectFetched(inPages: inPages)
            guard case .success(let outcome)? = fetching.result else { return }
            #expect(outcome.observations.slow == silent.map(group.node))
        }
    }

    @Test("keeps fragments that come before the page, and believes none of them unread", arguments: StagingGroups.all)
    func early(group: TestGroup) {
        // The first one is slow, and the only one to send the page; of the others one lies.
        let liar = group.servers[1]
        var fetching = Fetching(group) { server, _, honest in
            guard server != group.servers[0] else { return nil }
            let bytes = honest.fragment ?? SharedBytes()
            return .fetched(
                FetchedParts(
                    position: server, fragment: server == liar ? SharedBytes(bytes.array.map { ~$0 }) : bytes, page: nil
                ))
        }
        fetching.feed(.start)
        #expect(fetching.result == nil)
        let page = fetching.honest(
            group.servers[0], Fetch(key: .photo, attempt: fetching.part.attempt, page: .init(first: 0, count: 256)))
        // Who was not asked is not heard.
        fetching.feed(.reply(group.servers[group.servers.count - 1], .fetched(page)))
        #expect(fetching.result == nil)
        fetching.feed(.hedge)
        fetching.feed(
            .reply(
                group.servers[0],
                .fetched(
                    FetchedParts(
                        position: group.servers[0], fragment: fetching.part.fragments[17][0], page: page.page))))
        fetching.expectFetched()
        #expect(fetching.misbehaving == [liar])
    }

    @Test("asks the next one for a page that a liar did not send, and waits for it", arguments: StagingGroups.all)
    func quiet(group: TestGroup) {
        // The second one is slow. All others have answered all that they were asked.
        var fetching = Fetching(group) { server, _, honest in
            switch server {
            case group.servers[0]: .fetched(FetchedParts(position: server, fragment: nil, page: [1]))
            case group.servers[1]: nil
            default: .fetched(honest)
            }
        }
        fetching.feed(.start)
        #expect(fetching.result == nil)
        let counts = Dictionary(grouping: fetching.sent, by: \.server).mapValues(\.count)
        #expect(counts.values.allSatisfy { $0 <= 2 })
        fetching.feed(.hedge)
        fetching.expectFetched()
    }

    @Test("asks again for a page that was lost, also of who has sent its fragment", arguments: StagingGroups.all)
    func lostPages(group: TestGroup) {
        // The first one is faulty; what the others send with a page is lost at first.
        var arrives = false
        var fetching = Fetching(group) { server, fetch, honest in
            guard server != group.servers[0] else { return nil }
            return fetch.page == nil || arrives ? .fetched(honest) : nil
        }
        fetching.feed(.start)
        fetching.feed(.hedge)
        #expect(fetching.result == nil)
        arrives = true
        let copy = fetching
        fetching.feed(.retransmit)
        fetching.expectFetched()
        fetching = copy
        for server in group.servers.dropFirst() where fetching.result == nil { fetching.feed(.connected(server)) }
        fetching.expectFetched()
    }

    @Test("takes nothing of another position, nor what is no answer", arguments: StagingGroups.all)
    func nonsense(group: TestGroup) {
        let liar = group.servers[0]
        let replies: [Reply] = [
            .staged, .timestamp(CommittedClaim(certificate: nil)), .refused(.busy),
            .fetched(FetchedParts(position: group.servers[1], fragment: SharedBytes([1]), page: nil)),
        ]
        for reply in replies {
            var fetching = Fetching(group) { server, _, honest in server == liar ? reply : .fetched(honest) }
            fetching.feed(.start)
            if fetching.result == nil { fetching.feed(.hedge) }
            fetching.expectFetched()
            if case .refused = reply { continue }
            #expect(fetching.misbehaving == [liar])
        }
    }

    @Test("fails at its deadline, and says what it has", arguments: StagingGroups.all)
    func deadline(group: TestGroup) {
        let m = group.quorums.dataFragmentCount
        for isRead in [false, true] {
            var fetching = Fetching(group, inPages: false, isRead: isRead) { server, _, honest in
                .fetched(server.offset < m - 1 ? honest : FetchedParts(position: server, fragment: nil, page: nil))
            }
            for input in [StripeFetcher.Input.start, .hedge, .retransmit, .deadline] { fetching.feed(input) }
            switch fetching.result {
            case .failure(.tooFewFragments(FetchedPart.timestamp, have: m - 1, need: m, _))? where isRead: break
            case .failure(.unavailable(.read, let answered, need: m, _))? where !isRead:
                #expect(answered == group.servers.prefix(m - 1).map(group.node))
            default: Issue.record("\(String(describing: fetching.result))")
            }
        }
    }

    @Test("ends soon when fewer than m can have the stripe, by their own answers, twice", arguments: StagingGroups.all)
    func lost(group: TestGroup) {
        let m = group.quorums.dataFragmentCount
        // Silence says nothing, nor does a refusal: with so many that lack it, m may still have it.
        let lackingCount = group.servers.count - m + 1
        for (silentCount, ends) in [(0, true), (m - 1, true), (m, false)] {
            for refuses in [false, true] {
                let quiet = group.servers.prefix(silentCount)
                var fetching = Fetching(group, inPages: false, endsWhenLost: true) { server, _, honest in
                    if quiet.contains(server) { return refuses ? .refused(.storageFailed) : nil }
                    return .fetched(FetchedParts(position: server, fragment: nil, page: nil))
                }
                #expect(ends == (group.servers.count - silentCount >= lackingCount))
                for input in [StripeFetcher.Input.start, .hedge, .retransmit] {
                    fetching.feed(input)
                    #expect(fetching.result == nil)
                }
                // What comes meanwhile is taken.
                var mended = fetching
                mended.answer = { _, _, honest in .fetched(honest) }
                fetching.feed(.retransmit)
                if ends {
                    guard case .failure(.tooFewFragments(FetchedPart.timestamp, have: 0, need: m, _))? = fetching.result
                    else {
                        Issue.record("\(String(describing: fetching.result))")
                        continue
                    }
                } else {
                    #expect(fetching.result == nil)
                    mended.feed(.retransmit)
                    mended.expectFetched(inPages: false)
                }
            }
        }
    }

    @Test("ends with the stripe's bytes, whatever f servers do and messages get lost", arguments: StagingGroups.all)
    func random(group: TestGroup) {
        for seed in 0..<60 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let liars = Set(group.servers.shuffled(using: &generator).prefix(group.quorums.faults))
            let inPages = Bool.random(using: &generator)
            var isLossy = true
            var fetching = Fetching(
                group, inPages: inPages, preference: group.servers.shuffled(using: &generator))
            let model = fetching
            var dice = generator
            fetching.answer = { server, fetch, honest in
                if isLossy, dice.chance(percent: 20) { return nil }
                guard liars.contains(server) else { return .fetched(honest) }
                let pages = honest.page.map { Self.lies($0, of: model) } ?? [nil]
                let fragments: [SharedBytes?] = [
                    nil, honest.fragment, SharedBytes([7]), model.part.fragments[4][server.offset],
                ]
                switch Int.random(in: 0..<6, using: &dice) {
                case 0: return nil
                case 1: return .refused(.storageFailed)
                case 2: return .staged
                default:
                    return .fetched(
                        FetchedParts(
                            position: dice.chance(percent: 80) ? server : group.servers[0],
                            fragment: fragments[Int.random(in: 0..<4, using: &dice)],
                            page: pages[Int.random(in: pages.indices, using: &dice)]))
                }
            }
            fetching.feed(.start)
            for _ in 0..<6 where fetching.result == nil {
                let server = group.servers[Int.random(in: group.servers.indices, using: &generator)]
                let inputs: [StripeFetcher.Input] = [.hedge, .retransmit, .connected(server)]
                fetching.feed(inputs[Int.random(in: 0..<3, using: &generator)])
            }
            isLossy = false
            if fetching.result == nil { fetching.feed(.retransmit) }
            fetching.expectFetched(inPages: inPages)
            #expect(Set(fetching.misbehaving).isSubset(of: liars), "seed \(seed)")
        }
    }
}
