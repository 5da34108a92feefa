// Scenario 14. A bucket is listed while f servers are stale, and f liars agree with them, or tell of nothing and call it
// everything, or tell of one key at a time, or name the right versions with other tags and lengths; or while f servers
// are being rebuilt and say nothing.
//
// The rules: what 2f + 1 name alike is settled, what none of 2f + 1 names is absent, everything else is read; a page
// goes as far as the (2f + 1)-th best answer; a head counts when f + 1 tell it (docs/protocol.md, Listing).

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Scenario 14, listing among liars")
struct Scenario14ListingTests {
    enum Others: String, CaseIterable, Sendable {
        case agreeingWithTheStale = "tell what the stale ones tell"
        case infiniteCoverage = "tell of nothing, as if that were all"
        case zeroCoverage = "tell of one key at a time"
        case forgedHeads = "tell the right versions with other tags and lengths"
        case rebuilding = "are being rebuilt and say nothing"
    }

    private static let prefix = Array("photos/".utf8)

    /// Two keys that all tell alike; one that was overwritten, one that was deleted and one that is new while the stale
    /// servers were away.
    private static func cluster(_ group: TestGroup, _ others: Others, stale: [NodeID], bad: [NodeID]) -> ListedCluster {
        var cluster = ListedCluster(group)
        let isOld = others == .agreeingWithTheStale
        let away = Set(stale + (isOld ? bad : []))
        cluster.put(["a", "b", "deleted", "overwritten"])
        cluster.put(["overwritten"], counter: 2, except: away)
        cluster.put(["new"], except: away)
        let deleted = ObjectKey.of("photos/deleted")
        cluster.truth[deleted] = nil
        for node in cluster.nodes where !away.contains(node) { cluster.stores[node]?[deleted] = nil }
        if others == .rebuilding { cluster.silent = Set(bad) }
        cluster.lie = { node, query, honest in
            guard bad.contains(node) else { return honest }
            var answer = honest
            switch others {
            case .agreeingWithTheStale, .rebuilding: return honest
            case .infiniteCoverage: return ListingAnswer()
            case .zeroCoverage:
                answer.objects = Array(honest.objects.prefix(1))
                answer.prefixes = []
                answer.below = honest.objects.dropFirst().first?.key.bytes
            case .forgedHeads:
                answer.objects = honest.objects.map { listed in
                    let head = ListedHead(lengthBytes: 99, etag: "forged", modifiedMilliseconds: 9)
                    return ListedKey(
                        listed.key, LiveVersion(timestamp: listed.live.timestamp, isSound: true, head: head))
                }
            }
            return answer
        }
        return cluster
    }

    private func run(
        _ group: TestGroup, _ others: Others, stale: [NodeID], bad: [NodeID], limit: Int,
        _ transcript: Transcript? = nil
    ) {
        let cluster = Self.cluster(group, others, stale: stale, bad: bad)
        guard let query = ListingQuery(prefix: Self.prefix, limit: limit) else { return }
        var listing = DrivenListing(query, cluster, transcript: transcript)
        listing.run()
        let shown = listing.pages.joined().map { entry -> String in
            guard case .object(let key, let live) = entry else { return "a prefix" }
            return "\(key) \(live.timestamp.counter) \(live.head?.lengthBytes ?? 0) \(live.head?.etag ?? "")"
        }
        let right = cluster.truth.sorted { $0.key < $1.key }.map {
            "\($0) \($1.timestamp.counter) \($1.timestamp.counter) "
        }
        #expect(shown == right, "\(others), \(stale), \(bad), pages of \(limit)")
    }

    @Test("14: what is shown is there, and what was complete is shown, with its own head")
    func transcript() {
        let transcript = Transcript("Scenario 14: listing among liars (f = 1, m = 2, servers A to D)")
        let group = TestGroup()
        let nodes = ListedCluster(group).nodes
        for others in Others.allCases {
            transcript.note(
                "C is stale: it has photos/deleted, overwritten at 1, and no new; D's like \(others.rawValue)")
            run(group, others, stale: [nodes[2]], bad: [nodes[3]], limit: 1000, transcript)
        }
        transcript.note("verdict: everything that one liar, or a stale server and one liar, tell otherwise is read")
        transcript.expectKept(as: "14-listing-among-liars")
    }

    @Test(
        "14: whoever of the servers is stale and whoever lies, in pages of every size",
        arguments: TestGroup.scenarioGroups)
    func everyRole(group: TestGroup) {
        let nodes = ListedCluster(group).nodes
        let faults = group.quorums.faults
        for turn in nodes.indices {
            let turned = Array(nodes[turn...] + nodes[..<turn])
            for others in Others.allCases {
                for limit in [1, 2, 1000] {
                    run(
                        group, others, stale: Array(turned.prefix(faults)),
                        bad: Array(turned.dropFirst(faults).prefix(faults)), limit: limit)
                }
            }
        }
    }
}
