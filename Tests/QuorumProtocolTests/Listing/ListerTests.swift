// A whole listing without I/O: whom it asks, what it reads, whom it leaves out, how much it holds.

import Fingerprint
import QuorumProtocol
import Testing

/// Servers that answer at once, and what the objects really are.
private struct ListedCluster {
    let parameters: ClusterParameters
    var stores: [NodeID: [ObjectKey: LiveVersion]] = [:]
    /// What a read finds.
    var truth: [ObjectKey: LiveVersion] = [:]
    var silent: Set<NodeID> = []
    var lie: (NodeID, ListingQuery, ListingAnswer) -> ListingAnswer = { $2 }

    init(faults: Int = 1, data: Int = 2, mode: VerificationMode = .fingerprint) {
        parameters = TestGroup.Shape(faults: faults, dataFragmentCount: data).group(mode).parameters
    }

    var nodes: [NodeID] { parameters.configuration.nodes.map(\.id) }

    static func live(_ key: ObjectKey, _ counter: UInt64 = 1) -> LiveVersion {
        LiveVersion(
            timestamp: Timestamp(counter: counter, writer: .alice, digest: Digest256.sha256(key.bytes)), isSound: true,
            head: ListedHead(lengthBytes: counter, etag: "", modifiedMilliseconds: 0))
    }

    /// Writes objects to all servers but some.
    mutating func put(_ names: [String], counter: UInt64 = 1, except: Set<NodeID> = []) {
        for name in names {
            let key = ObjectKey.of("photos/" + name)
            truth[key] = Self.live(key, counter)
            for node in nodes where !except.contains(node) { stores[node, default: [:]][key] = Self.live(key, counter) }
        }
    }

    func answer(_ query: ListingQuery, of node: NodeID) -> ListingAnswer {
        var assembly = ListingAssembly(query, node: node, parameters)
        var lowest = query.lowest
        for (key, live) in (stores[node] ?? [:]).sorted(by: { $0.key < $1.key })
        where key.bytes.starts(with: query.prefix) && !key.bytes.lexicographicallyPrecedes(lowest) {
            let step = key.bytes.withUnsafeBytes { key in
                live.bytes.withUnsafeBytes { row in try? assembly.take(key: key, live: row) }
            }
            if case .skip(let start)? = step { lowest = start }
            if case .end? = step { break }
        }
        return lie(node, query, assembly.answer)
    }
}

/// A listing that is driven to its end.
private struct DrivenListing {
    var lister: Lister
    let cluster: ListedCluster
    var pages: [[ListedEntry]] = []
    var failure: ListingFailure?
    var isOver = false
    /// Who was asked in each round, and the rounds in which more was waited for.
    var asked: [[NodeID]] = []
    var queries: [ListingQuery] = []
    var waited: [Int] = []
    var reads: [ObjectKey] = []
    private var collectors: [Int: ListingCollector] = [:]
    private var openReads: [(Int, ObjectKey)] = []
    private(set) var openReadsMax = 0

    init(_ query: ListingQuery, _ cluster: ListedCluster, readsAtATime: Int = 64) {
        lister = Lister(query, cluster.parameters, readsAtATime: readsAtATime)
        self.cluster = cluster
    }

    /// Takes pages to the end.
    mutating func run() {
        while !isOver, failure == nil { take() }
    }

    /// Takes a page.
    mutating func take() {
        let before = pages.count
        submit(.wanted)
        while pages.count == before, failure == nil {
            guard !openReads.isEmpty else {
                Issue.record("nothing is under way and there is no page")
                isOver = true
                return
            }
            finishRead()
        }
    }

    mutating func finishRead() {
        let (number, key) = openReads.removeFirst()
        let found = cluster.truth[key]
        submit(.found(read: number, found?.timestamp, found?.head))
    }

    private mutating func submit(_ input: Lister.Input) {
        var effects: [Lister.Effect] = []
        lister.handle(input, into: &effects)
        #expect(lister.brokenInvariant == nil)
        for effect in effects { perform(effect) }
    }

    private mutating func perform(_ effect: Lister.Effect) {
        switch effect {
        case .ask(let round, let query, let nodes):
            asked.append(nodes)
            queries.append(query)
            var collector = ListingCollector(query, nodes: nodes, cluster.parameters)
            collectors[round] = collector
            for node in nodes where !cluster.silent.contains(node) {
                guard collectors[round] != nil else { return }
                let step = collector.take(cluster.answer(query, of: node), from: node)
                collectors[round] = collector
                if step == .enough { submit(.answered(round: round, collector.outcome, isFinal: false)) }
            }
            // The hedge time, or the deadline, is over.
            if collectors.removeValue(forKey: round) != nil {
                submit(.answered(round: round, collector.outcome, isFinal: true))
            }
        case .waitForMore(let round):
            waited.append(round)
        case .leave(let round):
            collectors[round] = nil
        case .read(let number, let key):
            reads.append(key)
            openReads.append((number, key))
            openReadsMax = max(openReadsMax, openReads.count)
        case .page(let entries, let isLast):
            pages.append(entries)
            isOver = isLast
        case .fail(let failure):
            self.failure = failure
        }
    }

    var shown: [String] {
        pages.joined().map { String(decoding: $0.bytes.dropFirst("photos/".utf8.count), as: UTF8.self) }
    }
}

@Suite("A listing without I/O")
struct ListerTests {
    private static func query(_ prefix: String = "", by delimiter: String = "", limit: Int = 1000) -> ListingQuery {
        ListingQuery(prefix: Array("photos/\(prefix)".utf8), delimiter: Array(delimiter.utf8), limit: limit)!
    }

    private static let names = (100..<160).map { "d\($0 / 8)/\($0)" } + ["a", "b", "z"]

    private static func expected(_ names: [String], by delimiter: Bool) -> [String] {
        let shown = names.map { name in
            delimiter ? name.firstIndex(of: "/").map { String(name[...$0]) } ?? name : name
        }
        return Set(shown).sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    }

    @Test("shows everything once and in order, whatever a page holds", arguments: [1, 2, 7, 1000], [false, true])
    func pages(limit: Int, isByDirectory: Bool) {
        var cluster = ListedCluster()
        cluster.put(Self.names)
        var listing = DrivenListing(Self.query(by: isByDirectory ? "/" : "", limit: limit), cluster)
        listing.run()
        #expect(listing.shown == Self.expected(Self.names, by: isByDirectory))
        #expect(listing.reads.isEmpty && listing.waited.isEmpty, "all name the same")
    }

    @Test("shows the same beside a laggard, a server that is silent, or both", arguments: [1, 3, 1000], [false, true])
    func laggard(limit: Int, isByDirectory: Bool) {
        for (lags, isSilent) in [(true, false), (false, true), (true, true)] {
            var cluster = ListedCluster()
            cluster.put(Self.names + ["gone/1", "d13/gone"])
            cluster.put(Array(Self.names.suffix(20)) + ["later"], counter: 2, except: lags ? [cluster.nodes[1]] : [])
            for name in ["gone/1", "d13/gone"] {
                let key = ObjectKey.of("photos/" + name)
                cluster.truth[key] = nil
                for node in cluster.nodes where !lags || node != cluster.nodes[1] { cluster.stores[node]?[key] = nil }
            }
            if isSilent { cluster.silent = [cluster.nodes[2]] }
            var listing = DrivenListing(Self.query(by: isByDirectory ? "/" : "", limit: limit), cluster)
            listing.run()
            #expect(listing.shown == Self.expected(Self.names + ["later"], by: isByDirectory))
            if !isSilent, !isByDirectory { #expect(listing.reads.count <= 2, "three others agree on what is there") }
            if isSilent, lags, !isByDirectory { #expect(listing.reads.count == 23) }
        }
    }

    @Test("asks for the next page ahead once a second one was taken, and never holds more than two")
    func readsAhead() {
        var cluster = ListedCluster()
        cluster.put((100..<140).map { "\($0)" })
        var listing = DrivenListing(Self.query(limit: 5), cluster)
        listing.take()
        #expect(listing.asked.count == 1)
        listing.take()
        #expect(listing.asked.count == 4 && listing.pages.count == 2)
        listing.take()
        #expect(listing.asked.count == 5 && listing.pages.count == 3)
    }

    @Test("waits for more than enough answers only if something is open")
    func waits() {
        var cluster = ListedCluster()
        cluster.put(["a", "b"])
        var agreed = DrivenListing(Self.query(), cluster)
        agreed.run()
        #expect(agreed.waited.isEmpty && agreed.isOver)
        cluster.put(["c"], except: [cluster.nodes[0]])
        var open = DrivenListing(Self.query(), cluster)
        open.run()
        #expect(open.waited.count == 1 && open.reads.isEmpty && open.shown == ["a", "b", "c"])
    }

    @Test("reads what is open, many at a time and no more than it may")
    func manyReads() {
        var cluster = ListedCluster()
        let names = (1000..<1300).map { "\($0)" }
        cluster.put(names, except: [cluster.nodes[0]])
        cluster.silent = [cluster.nodes[3]]
        var listing = DrivenListing(Self.query(), cluster, readsAtATime: 16)
        listing.run()
        #expect(listing.shown == names && listing.reads.count == 300 && listing.openReadsMax == 16)
    }

    @Test("leaves out who invents again and again, and asks it again when too few are left")
    func inventors() {
        var cluster = ListedCluster()
        let names = (100..<400).map { "\($0)" }
        cluster.put(names)
        let liar = cluster.nodes[1]
        cluster.lie = { node, query, answer in
            guard node == liar else { return answer }
            var told = answer
            told.objects = answer.objects.map { ListedKey($0.key, ListedCluster.live($0.key, 99)) }
            return told
        }
        // Three are asked that matter, and one of them lies.
        cluster.silent = [cluster.nodes[3]]
        var beside = DrivenListing(Self.query(limit: 50), cluster)
        beside.run()
        #expect(beside.shown == names && beside.failure == nil)
        #expect(beside.asked.contains { !$0.contains(liar) }, "it is never left out")
        cluster.silent = []
        var among = DrivenListing(Self.query(limit: 50), cluster)
        among.run()
        #expect(among.shown == names && among.reads.isEmpty, "three others agree")
        #expect(among.asked.allSatisfy { $0.contains(liar) }, "what nobody had to read harms nobody")
    }

    @Test("looks below a prefix whose witnesses are gone, below few at a time, and shows it if anything is there")
    func descents() {
        var cluster = ListedCluster()
        let liar = cluster.nodes[1]
        let prefixes = (100..<140).map { "d\($0)/" }
        cluster.put(prefixes.enumerated().filter { $0.offset.isMultiple(of: 2) }.map { $0.element + "x" })
        cluster.lie = { node, query, answer in
            guard node == liar, !query.delimiter.isEmpty else { return answer }
            var told = ListingAnswer()
            told.prefixes = prefixes.map { prefix in
                let key = ObjectKey.of("photos/\(prefix)!")
                return ListedPrefix(
                    Array("photos/\(prefix)".utf8), witnesses: [ListedKey(key, ListedCluster.live(key, 9))])
            }
            return told
        }
        // The correct ones name other witnesses than each other, and both of these are gone by the time of the read.
        cluster.silent = [cluster.nodes[3]]
        var listing = DrivenListing(Self.query(by: "/"), cluster)
        listing.run()
        #expect(listing.shown == prefixes.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element))
        let descents = listing.queries.filter(\.delimiter.isEmpty)
        #expect(descents.count == 20, "one below each prefix of which only the liar speaks")
    }

    @Test("fails when a group has too few answers, and says who is silent")
    func fails() throws {
        var cluster = ListedCluster()
        cluster.put(["a"])
        cluster.silent = [cluster.nodes[0], cluster.nodes[2]]
        var listing = DrivenListing(Self.query(), cluster)
        listing.run()
        let failure = try #require(listing.failure)
        #expect(failure.silent == [cluster.nodes[0], cluster.nodes[2]] && failure.groups.count == 1)
        #expect(failure.outcome.answers.keys.sorted() == [cluster.nodes[1], cluster.nodes[3]])
        #expect(listing.pages.isEmpty)
    }
}
