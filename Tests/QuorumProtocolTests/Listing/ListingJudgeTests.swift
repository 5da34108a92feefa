// What several servers' lists say together: every placement of a write, every liar, every choice of who answers.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Judging lists of a bucket")
struct ListingJudgeTests {
    private static let shapes: [(faults: Int, data: Int)] = [(1, 2), (1, 4), (2, 3)]

    private static func timestamp(_ counter: UInt64) -> Timestamp {
        Timestamp(counter: counter, writer: .alice, digest: Digest256.sha256([UInt8(counter)]))
    }

    private static func live(_ counter: UInt64, isSound: Bool = true, length: UInt64? = nil) -> LiveVersion {
        LiveVersion(
            timestamp: timestamp(counter), isSound: isSound,
            head: ListedHead(lengthBytes: length ?? counter, etag: "", modifiedMilliseconds: 0))
    }

    private static let query = ListingQuery(prefix: Array("photos/".utf8))!

    private static func answer(_ objects: [ObjectKey: LiveVersion], below: String? = nil) -> ListingAnswer {
        var answer = ListingAnswer()
        answer.objects = objects.map { ListedKey($0.key, $0.value) }.sorted { $0.key < $1.key }
        answer.below = below.map { Array($0.utf8) }
        return answer
    }

    private static func parameters(_ shape: (faults: Int, data: Int), _ mode: VerificationMode = .fingerprint)
        -> ClusterParameters
    {
        TestGroup.Shape(faults: shape.faults, dataFragmentCount: shape.data).group(mode).parameters
    }

    /// All subsets of the first `count` numbers that have at least `least` of them.
    private static func subsets(of count: Int, least: Int) -> [[Int]] {
        (0..<(1 << count)).map { bits in (0..<count).filter { bits >> $0 & 1 == 1 } }.filter { $0.count >= least }
    }

    @Test("never miss or mistake what was complete before, whoever answers and lies", arguments: shapes.indices)
    func completeWrites(shape: Int) throws {
        let parameters = Self.parameters(Self.shapes[shape])
        let (n, f, q) = (parameters.quorums.serverCount, parameters.quorums.faults, parameters.quorums.quorum)
        let nodes = parameters.configuration.nodes.map(\.id)
        let key = ObjectKey.of("photos/a")
        // What the others say: nothing, or what was there before. The liars say any of these, or what never was.
        let sayings: [LiveVersion?] = [nil, Self.live(1), Self.live(2), Self.live(3), Self.live(2, length: 77)]
        var settledCount = 0
        for holders in Self.subsets(of: n, least: q) where holders.count == q {
            for answering in Self.subsets(of: n, least: 2 * f + 1) {
                for saying in sayings {
                    for behind in [nil, Self.live(1)] as [LiveVersion?] {
                        for isDeletion in [false, true] {
                            var answers: [NodeID: ListingAnswer] = [:]
                            for node in answering {
                                let says =
                                    node >= n - f
                                    ? saying
                                    : holders.contains(node) ? (isDeletion ? nil : Self.live(2)) : behind
                                answers[nodes[node]] = Self.answer(says.map { [key: $0] } ?? [:])
                            }
                            let judge = try ListingJudge(Self.query, answers, parameters)
                            switch judge.keys.first?.verdict {
                            case .open: break
                            case nil: #expect(isDeletion, "a complete write is listed as absent")
                            case .settled(let live):
                                settledCount += 1
                                #expect(!isDeletion && live == Self.live(2), "\(holders) \(answering): \(live)")
                            }
                        }
                    }
                }
            }
        }
        #expect(settledCount > 0)
    }

    @Test("settle what all name alike, without reading it", arguments: shapes.indices, [0, 1])
    func allAgree(shape: Int, missing: Int) throws {
        let parameters = Self.parameters(Self.shapes[shape])
        let nodes = parameters.configuration.nodes.map(\.id).dropLast(missing * parameters.quorums.faults)
        let objects = [ObjectKey.of("photos/a"): Self.live(1), .of("photos/b"): Self.live(2)]
        let answers = Dictionary(uniqueKeysWithValues: nodes.map { ($0, Self.answer(objects)) })
        let judge = try ListingJudge(Self.query, answers, parameters)
        #expect(judge.keys.map(\.key) == [.of("photos/a"), .of("photos/b")])
        #expect(judge.keys.map(\.verdict) == [.settled(Self.live(1)), .settled(Self.live(2))])
        #expect(judge.below == nil)
    }

    @Test("need 2f + 1 answers of each group")
    func tooFew() throws {
        for shape in Self.shapes {
            let parameters = Self.parameters(shape)
            let nodes = parameters.configuration.nodes.map(\.id).prefix(2 * shape.faults)
            let answers = Dictionary(uniqueKeysWithValues: nodes.map { ($0, Self.answer([:])) })
            #expect(throws: ListingShortage.self) { try ListingJudge(Self.query, answers, parameters) }
        }
    }

    @Test("go as far as the (2f + 1)-th best answer, and no liar makes them stop earlier or go further")
    func coverage() throws {
        let parameters = Self.parameters((1, 2))
        let nodes = parameters.configuration.nodes.map(\.id)
        let all = [ObjectKey.of("photos/a"): Self.live(1), .of("photos/m"): Self.live(1)]
        func judge(_ ends: [String?]) throws -> ListingJudge {
            let answers = zip(nodes, ends).map { node, end in
                let told = all.filter { key, _ in
                    end.map { key.bytes.lexicographicallyPrecedes(Array($0.utf8)) } ?? true
                }
                return (node, Self.answer(told, below: end))
            }
            return try ListingJudge(Self.query, Dictionary(uniqueKeysWithValues: answers), parameters)
        }
        #expect(try judge([nil, nil, nil, "photos/"]).below == nil)
        #expect(
            try judge([nil, nil, nil, "photos/b"]).keys.map(\.verdict) == [
                .settled(Self.live(1)), .settled(Self.live(1)),
            ])
        let short = try judge(["photos/c", "photos/b", nil, "photos/"])
        #expect(short.below == Array("photos/b".utf8))
        #expect(short.keys.map(\.key) == [.of("photos/a")])
    }

    @Test("take no head that fewer than f + 1 servers tell alike, and none that nobody has")
    func heads() throws {
        let parameters = Self.parameters((1, 2))
        let nodes = parameters.configuration.nodes.map(\.id)
        let key = ObjectKey.of("photos/a")
        func verdict(_ says: [LiveVersion]) throws -> ListingJudge.Verdict? {
            let answers = zip(nodes, says).map { ($0, Self.answer([key: $1])) }
            return try ListingJudge(Self.query, Dictionary(uniqueKeysWithValues: answers), parameters).keys.first?
                .verdict
        }
        let bare = LiveVersion(timestamp: Self.timestamp(2), isSound: true, head: nil)
        let lie = Self.live(2, length: 99)
        #expect(try verdict([Self.live(2), Self.live(2), bare]) == .settled(Self.live(2)))
        #expect(try verdict([Self.live(2), Self.live(2), lie, Self.live(2)]) == .settled(Self.live(2)))
        for open in [[Self.live(2), bare, bare], [bare, bare, bare, bare], [Self.live(2), lie, bare]] {
            guard case .open? = try verdict(open) else {
                Issue.record("\(open) is settled")
                continue
            }
        }
    }

    @Test(
        "ask for f + 1 that know it to be sound in the modes that verify later",
        arguments: [VerificationMode.lazy, .readTime])
    func soundness(mode: VerificationMode) throws {
        let parameters = Self.parameters((1, 2), mode)
        let nodes = parameters.configuration.nodes.map(\.id)
        let key = ObjectKey.of("photos/a")
        for soundCount in 0...4 {
            let answers = nodes.enumerated().map { ($1, Self.answer([key: Self.live(1, isSound: $0 < soundCount)])) }
            let judge = try ListingJudge(Self.query, Dictionary(uniqueKeysWithValues: answers), parameters)
            let isSettled = if case .settled? = judge.keys.first?.verdict { true } else { false }
            #expect(isSettled == (soundCount >= 2))
        }
    }

    @Test("ignore what a server says of other groups' keys, and ask each group by itself")
    func groups() throws {
        let cluster = OverlappingCluster()
        let parameters = cluster.parameters
        let nodes = parameters.configuration.nodes.map(\.id)
        let keys = (0..<200).map { ObjectKey.of("photos/\($0)") }
        var answers: [NodeID: ListingAnswer] = [:]
        for node in nodes {
            // Everybody names everything, whether it is its business or not; in one version those whose it is.
            answers[node] = Self.answer(
                Dictionary(
                    uniqueKeysWithValues: keys.map { key in
                        (key, Self.live(parameters.configuration.group(of: key.slot).contains(node) ? 1 : 9))
                    }))
        }
        let judge = try ListingJudge(Self.query, answers, parameters)
        #expect(judge.keys.count == keys.count)
        #expect(judge.keys.allSatisfy { $0.verdict == .settled(Self.live(1)) })
    }

    @Test("take a prefix for live by 2f + 1 equal witnesses, and else name those that may show it")
    func prefixes() throws {
        let parameters = Self.parameters((1, 2))
        let nodes = parameters.configuration.nodes.map(\.id)
        let query = try #require(ListingQuery(prefix: Array("photos/".utf8), delimiter: Array("/".utf8)))
        let prefix = Array("photos/a/".utf8)
        func judge(_ witnesses: [(String, UInt64)?]) throws -> ListingJudge.PrefixVerdict? {
            var answers: [NodeID: ListingAnswer] = [:]
            for (node, witness) in zip(nodes, witnesses) {
                var answer = ListingAnswer()
                if let (key, counter) = witness {
                    let listed = ListedKey(.of("photos/a/" + key), Self.live(counter))
                    answer.prefixes = [ListedPrefix(prefix, witnesses: [listed])]
                }
                #expect(answer.answers(query))
                answers[node] = answer
            }
            return try ListingJudge(query, answers, parameters).prefixes.first?.verdict
        }
        #expect(try judge([("x", 1), ("x", 1), ("x", 1), nil]) == .live)
        func named(_ counters: [UInt64]) -> [NodeID: Timestamp] {
            Dictionary(uniqueKeysWithValues: zip(nodes, counters.map(Self.timestamp)))
        }
        #expect(
            try judge([("x", 1), ("x", 1), ("y", 1), nil])
                == .open(witnesses: [
                    .of("photos/a/x"): named([1, 1]), .of("photos/a/y"): [nodes[2]: Self.timestamp(1)],
                ]))
        #expect(
            try judge([("x", 1), ("x", 2), ("x", 3), nil]) == .open(witnesses: [.of("photos/a/x"): named([1, 2, 3])]))
        #expect(try judge([nil, nil, nil, nil]) == nil)
    }

    @Test("take one witness of a group from a server, however many it names")
    func manyWitnesses() throws {
        let cluster = OverlappingCluster()
        let parameters = cluster.parameters
        let query = try #require(ListingQuery(prefix: Array("photos/".utf8), delimiter: Array("/".utf8)))
        let keys = (0..<500).map { ObjectKey.of("photos/a/\($0)") }.sorted()
        var answers: [NodeID: ListingAnswer] = [:]
        for node in parameters.configuration.nodes.map(\.id) { answers[node] = ListingAnswer() }
        let liar = try #require(parameters.configuration.nodes.first).id
        answers[liar]?.prefixes = [
            ListedPrefix(Array("photos/a/".utf8), witnesses: keys.map { ListedKey($0, Self.live(1)) })
        ]
        guard case .open(let witnesses)? = try ListingJudge(query, answers, parameters).prefixes.first?.verdict else {
            Issue.record("one server's word is enough")
            return
        }
        let groups = parameters.configuration.groups(of: liar)
        #expect(witnesses.count == groups.count)
        for group in groups {
            let first = keys.first { parameters.configuration.group(of: $0.slot).id == group.id }
            #expect(first.flatMap { witnesses[$0] } == [liar: Self.timestamp(1)])
        }
    }
}
