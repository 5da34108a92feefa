// A whole listing without I/O: whom it asks, what it reads, whom it leaves out, how much it holds.

import Fingerprint
import QuorumProtocol
import Testing

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

    @Test("takes an answer with more witnesses than a server has groups for none")
    func tooManyWitnesses() throws {
        var cluster = ListedCluster()
        cluster.put(Self.names)
        let liar = cluster.nodes[3]
        cluster.lie = { node, _, honest in
            guard node == liar, let first = honest.prefixes.first else { return honest }
            var answer = honest
            answer.objects = []
            let made = (0..<170).map { number in
                ListedKey(ObjectKey.of("photos/d12/~\(1000 + number)"), ListedCluster.live(.photo))
            }
            answer.prefixes = [ListedPrefix(first.prefix, witnesses: first.witnesses + made)]
            answer.below = ListingQuery.successor(ofPrefix: first.prefix)
            return answer
        }
        var collector = ListingCollector(Self.query(by: "/"), nodes: cluster.nodes, cluster.parameters)
        for node in cluster.nodes { _ = collector.take(cluster.answer(Self.query(by: "/"), of: node), from: node) }
        #expect(collector.outcome.liars == [liar] && collector.outcome.answers.count == 3)
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
