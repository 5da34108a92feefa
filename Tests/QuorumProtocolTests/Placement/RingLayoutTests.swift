// How new clusters' nodes become groups: equal load, and zones that may fail whole.

import QuorumProtocol
import Testing

@Suite("Ring layout") struct RingLayoutTests {
    private static func quorums(_ faults: Int = 1, _ m: Int? = nil) -> QuorumConfiguration {
        guard let quorums = try? QuorumConfiguration(faults: faults, dataFragmentCount: m) else {
            preconditionFailure("no such quorum system")
        }
        return quorums
    }

    @Test("the groups are the windows that start at every g-th node, g = gcd(N, n)")
    func windows() throws {
        func members(_ count: Int) throws -> [[UInt16]] {
            try RingLayout(nodeCount: count, quorums: Self.quorums()).groups.map { $0.members.map(\.rawValue) }
        }
        #expect(try members(4) == [[0, 1, 2, 3]])
        #expect(try members(5) == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 0], [3, 4, 0, 1], [4, 0, 1, 2]])
        #expect(try members(6) == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 0, 1]])
        #expect(try members(8) == [[0, 1, 2, 3], [4, 5, 6, 7]])
    }

    @Test(
        "each node is in n/g of the N/g groups, and each group has a slot more than another at most", arguments: 4...40)
    func load(nodeCount: Int) throws {
        let quorums = Self.quorums()
        let layout = try RingLayout(nodeCount: nodeCount, quorums: quorums)
        let perNode = layout.nodes.map { node in layout.groups.count { $0.contains(node.id) } }
        #expect(Set(perNode).count == 1)
        #expect(perNode[0] * nodeCount == layout.groups.count * quorums.serverCount)
        let slots = Dictionary(grouping: layout.slots) { $0 }.mapValues(\.count)
        #expect(slots.count == layout.groups.count)
        let (least, most) = (try #require(slots.values.min()), try #require(slots.values.max()))
        #expect(most - least <= 1)
        let configuration = try Configuration(
            cluster: ClusterID(high: 1, low: 2), epoch: 1, mode: .fingerprint, quorums: quorums, nodes: layout.nodes,
            groups: layout.groups, slots: layout.slots)
        #expect(configuration.slots == layout.slots)
    }

    @Test(
        "with enough zones no group has more than f servers of one, the wrap included",
        arguments: [
            (1, [1, 1, 1, 1]), (1, [2, 2, 2, 2]), (1, [1, 1, 1, 1, 1]), (1, [2, 2, 2, 2, 2]), (2, [2, 2, 2, 1]),
            (2, [4, 4, 4, 2]), (1, [3, 3, 3, 3]), (2, [5, 5, 5, 5, 1]),
        ])
    func zones(faults: Int, sizes: [Int]) throws {
        let zones = sizes.enumerated().map { Zone(label: "z\($0)", nodeCount: $1) }
        let layout = try RingLayout(zones: zones, quorums: Self.quorums(faults))
        let counts = Dictionary(grouping: layout.nodes, by: \.zone).mapValues(\.count)
        for zone in zones { #expect(counts[zone.label] == zone.nodeCount) }
        for zone in layout.zones { #expect(layout.stopped(byLossOf: zone).isEmpty, "\(layout.nodes.map(\.zone))") }
    }

    @Test(
        "with too few zones it says which groups the loss of which would stop",
        arguments: [[2, 2], [2, 2, 2], [3, 3, 2], [4, 1, 1, 1, 1]])
    func tooFew(sizes: [Int]) throws {
        let zones = sizes.enumerated().map { Zone(label: "z\($0)", nodeCount: $1) }
        let layout = try RingLayout(zones: zones, quorums: Self.quorums())
        #expect(layout.nodes.count == sizes.reduce(0, +))
        #expect(layout.zones.contains { !layout.stopped(byLossOf: $0).isEmpty })
    }

    @Test(
        "so many servers can fail at best that each group has lost f",
        arguments: [(4, 1), (8, 2), (12, 3), (6, 1), (5, 1)])
    func best(nodeCount: Int, most: Int) throws {
        #expect(try RingLayout(nodeCount: nodeCount, quorums: Self.quorums()).faultsAtBest == most)
    }

    @Test("fewer servers than a group has make no layout")
    func tooFewServers() {
        #expect(throws: ConfigurationFault.nodeCount(3)) {
            try RingLayout(nodeCount: 3, quorums: Self.quorums())
        }
    }
}
