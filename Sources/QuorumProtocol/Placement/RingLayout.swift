// How a new cluster's nodes are made into groups (docs/protocol.md, Placement).
//
// The N nodes stand on a ring. With g = gcd(N, n) the groups are the windows of n consecutive nodes that start at every
// g-th node: N/g groups, each node in n/g of them, all loaded alike. There are few distinct sets of nodes that hold an
// object together, so fewer sets whose loss loses one than if each object had its own random set (copysets, Cidon et
// al., USENIX ATC 2013).
//
// Where nodes have zones, the ring is laid so that no window, the wrap included, has more than f nodes of one zone:
// then a whole zone may fail.

/// So many nodes of a zone: a label for what fails together.
public struct Zone: Hashable, Sendable {
    public let label: String
    public let nodeCount: Int

    public init(label: String, nodeCount: Int) {
        self.label = label
        self.nodeCount = nodeCount
    }
}

/// Nodes on a ring, numbered from 0 in its order, and the groups that they make.
public struct RingLayout: Sendable {
    /// In the ring's order, which is that of their numbers.
    public let nodes: [Node]
    public let groups: [Group]
    private let faults: Int

    /// - Throws: when there are fewer nodes than a group has, or more groups than slots.
    public init(nodeCount: Int, quorums: QuorumConfiguration) throws(ConfigurationFault) {
        try self.init(labels: Array(repeating: "", count: nodeCount), quorums: quorums)
    }

    /// Lays the zones' nodes onto a ring of which no window has more than f nodes of one zone, if such a ring is found,
    /// and otherwise as evenly as it goes; `stopped(byLossOf:)` tells.
    public init(zones: [Zone], quorums: QuorumConfiguration) throws(ConfigurationFault) {
        try self.init(labels: ZoneRing(zones, quorums: quorums).labels(), quorums: quorums)
    }

    private init(labels: [String], quorums: QuorumConfiguration) throws(ConfigurationFault) {
        let size = quorums.serverCount
        guard labels.count >= size, labels.count <= Configuration.nodeCountMax else {
            throw .nodeCount(labels.count)
        }
        nodes = labels.enumerated().map { Node(id: NodeID(UInt16($0)), zone: $1) }
        var groups: [Group] = []
        for (number, window) in Self.windows(of: size, on: labels.count).enumerated() {
            groups.append(
                try Group(id: GroupID(UInt32(number)), members: window.map { NodeID(UInt16($0)) }))
        }
        self.groups = groups
        faults = quorums.faults
    }

    /// The windows of `size` places on a ring of `count`, each in the ring's order.
    static func windows(of size: Int, on count: Int) -> [[Int]] {
        stride(from: 0, to: count, by: greatestCommonDivisor(count, size)).map { start in
            (start..<start + size).map { $0 % count }
        }
    }

    private static func greatestCommonDivisor(_ left: Int, _ right: Int) -> Int {
        right == 0 ? left : greatestCommonDivisor(right, left % right)
    }

    /// For each slot its group: to each group a run of slots, all runs of one length or one more.
    public var slots: [GroupID] { (0..<Slot.count).map { groups[$0 * groups.count / Slot.count].id } }

    /// The zones' labels in their order, none when nobody has named any.
    public var zones: [String] { Set(nodes.map(\.zone)).subtracting([""]).sorted() }

    /// The groups that would lose more than f members with this zone, and so stop.
    public func stopped(byLossOf zone: String) -> [GroupID] {
        let lost = Set(nodes.filter { $0.zone == zone }.map(\.id))
        return groups.filter { group in group.members.count(where: lost.contains) > faults }.map(\.id)
    }

    /// How many nodes can fail at once when they are well chosen: as many as are found such that no group loses more
    /// than f. (Whichever f they are, the cluster goes on.)
    public var faultsAtBest: Int {
        var lost: [GroupID: Int] = [:]
        var count = 0
        for node in nodes {
            let own = groups.filter { $0.contains(node.id) }
            guard own.allSatisfy({ lost[$0.id, default: 0] < faults }) else { continue }
            for group in own { lost[group.id, default: 0] += 1 }
            count += 1
        }
        return count
    }
}

/// The search for a ring of zones.
private struct ZoneRing {
    /// After so many steps the search gives up: it is exhaustive for any cluster that is small enough to need it.
    private static let stepsMax = 2_000_000

    private let zones: [Zone]
    private let windows: [[Int]]
    private let faults: Int
    private let count: Int
    /// By place, the windows that it is in.
    private let windowsOfPlace: [[Int]]

    init(_ zones: [Zone], quorums: QuorumConfiguration) {
        self.zones = zones
        faults = quorums.faults
        count = zones.reduce(0) { $0 + $1.nodeCount }
        windows = count >= quorums.serverCount ? RingLayout.windows(of: quorums.serverCount, on: count) : []
        var windowsOfPlace: [[Int]] = Array(repeating: [], count: count)
        for (number, window) in windows.enumerated() { for place in window { windowsOfPlace[place].append(number) } }
        self.windowsOfPlace = windowsOfPlace
    }

    /// A label for each place of the ring.
    func labels() -> [String] { (search() ?? even()).map { zones[$0].label } }

    /// Each zone's nodes as evenly spread as it goes: at each place the zone that is furthest behind its share.
    private func even() -> [Int] {
        var placed = zones.map { _ in 0 }
        return (0..<count).map { place in
            let behind = zones.indices.filter { placed[$0] < zones[$0].nodeCount }
                .max { share($0, at: place) - placed[$0] * count < share($1, at: place) - placed[$1] * count }!
            placed[behind] += 1
            return behind
        }
    }

    private func share(_ zone: Int, at place: Int) -> Int { zones[zone].nodeCount * (place + 1) }

    /// Places zones one after the other, those furthest behind their share first, and goes back where a window would
    /// have too many of one zone; nil when there is no such ring or it takes too long to find.
    private func search() -> [Int]? {
        guard !windows.isEmpty, zones.allSatisfy({ $0.nodeCount <= windows.count * faults }) else { return nil }
        var ring: [Int] = []
        var placed = zones.map { _ in 0 }
        var inWindow = windows.map { _ in zones.map { _ in 0 } }
        var steps = 0
        func place() -> Bool {
            if ring.count == count { return true }
            let next = ring.count
            let candidates = zones.indices.filter { placed[$0] < zones[$0].nodeCount }
                .sorted { share($0, at: next) - placed[$0] * count > share($1, at: next) - placed[$1] * count }
            for zone in candidates {
                steps += 1
                guard steps <= Self.stepsMax else { return false }
                guard windowsOfPlace[next].allSatisfy({ inWindow[$0][zone] < faults }) else { continue }
                ring.append(zone)
                placed[zone] += 1
                for window in windowsOfPlace[next] { inWindow[window][zone] += 1 }
                if place() { return true }
                ring.removeLast()
                placed[zone] -= 1
                for window in windowsOfPlace[next] { inWindow[window][zone] -= 1 }
            }
            return false
        }
        return place() ? ring : nil
    }
}
