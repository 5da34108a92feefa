// A world's nodes and groups: one group of all nodes, or several that overlap, or have nothing in common.

import QuorumFaults
import QuorumProtocol
import Synchronization

/// The groups of a world. Nodes are numbered from 0.
package struct PlannedGroups: Sendable, Equatable {
    package let nodeCount: Int
    /// Each group's members, in its order; the slots are dealt to the groups in turn.
    package let members: [[Int]]

    /// The number by which a configuration calls a group.
    static func id(_ index: Int) -> GroupID { GroupID(UInt32(index)) }

    /// One group of all nodes.
    static func one(of size: Int) -> PlannedGroups {
        PlannedGroups(nodeCount: size, members: [Array(0..<size)])
    }

    /// Half of the worlds have one group of n nodes. The others have the windows of a ring that `cluster init` makes,
    /// or two groups with a quorum or more in common.
    ///
    /// - Parameters:
    ///   - size: n.
    ///   - nodeCountMax: how many nodes there may be; at least n. If it leaves no room for several groups there is one.
    ///   - hasSeveral: whether there are to be several groups; nil draws.
    static func draw(
        size: Int, faults: Int, nodeCountMax: Int, hasSeveral: Bool?, _ generator: inout SeededGenerator
    ) -> PlannedGroups {
        let drawn = generator.below(100)
        let shape = hasSeveral.map { $0 ? 50 + drawn / 2 : 0 } ?? drawn
        let surplus = generator.below(max(1, size)) + 1
        let shift = faults == 0 ? 1 : generator.within(1...faults)
        let multiple = generator.chance(percent: 70) ? 2 : 3
        switch shape {
        case 0..<50: break
        case 50..<65 where size + surplus <= nodeCountMax: return ring(nodeCount: size + surplus, size: size)
        case 65..<85 where size + shift <= nodeCountMax:
            return PlannedGroups(
                nodeCount: size + shift, members: [Array(0..<size), Array(shift..<size + shift)])
        case 85..<100 where multiple * size <= nodeCountMax: return ring(nodeCount: multiple * size, size: size)
        default: break
        }
        return one(of: size)
    }

    /// The windows of n nodes of a ring that start at every g-th node, with g the greatest common divisor of both
    /// counts.
    private static func ring(nodeCount: Int, size: Int) -> PlannedGroups {
        var (step, rest) = (nodeCount, size)
        while rest > 0 { (step, rest) = (rest, step % rest) }
        let starts = stride(from: 0, to: nodeCount, by: step)
        return PlannedGroups(
            nodeCount: nodeCount, members: starts.map { start in (0..<size).map { (start + $0) % nodeCount } })
    }

    /// As many of the nodes, in their order, as can be faulty together with at most `faults` in each group.
    func faulty(of candidates: [Int], faults: Int) -> [Int] {
        var counts = members.map { _ in 0 }
        var chosen: [Int] = []
        for node in candidates {
            let affected = members.indices.filter { members[$0].contains(node) }
            guard affected.allSatisfy({ counts[$0] < faults }) else { continue }
            for group in affected { counts[group] += 1 }
            chosen.append(node)
        }
        return chosen
    }
}

/// An epoch that was before the world's, with another quorum system, whose certificates are still worth something.
package struct PlannedEpoch: Sendable, Equatable {
    package let dataFragmentCount: Int
    /// Its only group's, in its order.
    package let members: [Int]
}

/// Configurations and codes with their tables, which worlds share: they are dear to make and never change. So all
/// worlds are of one cluster.
private enum KnownConfigurations {
    struct Shape: Hashable {
        let epoch: UInt64
        let mode: VerificationMode
        let faults: Int
        let dataFragmentCount: Int
        let nodeCount: Int
        let groups: [[Int]]
    }

    private static let quorums = Mutex<[[Int]: QuorumConfiguration]>([:])
    private static let configurations = Mutex<[Shape: Configuration]>([:])

    static func configuration(_ shape: Shape) -> Configuration {
        if let known = configurations.withLock({ $0[shape] }) { return known }
        let made = make(shape)
        configurations.withLock { $0[shape] = made }
        return made
    }

    /// One that hardly comes again, and is not kept.
    static func make(_ shape: Shape) -> Configuration {
        do {
            return try Configuration(
                cluster: ClusterID(high: 0x501d, low: 0x05), epoch: shape.epoch, mode: shape.mode,
                quorums: quorums(faults: shape.faults, dataFragmentCount: shape.dataFragmentCount),
                nodes: (0..<shape.nodeCount).map { Node(id: NodeID(UInt16($0))) },
                groups: shape.groups.enumerated().map { index, members in
                    try Group(id: PlannedGroups.id(index), members: members.map { NodeID(UInt16($0)) })
                },
                slots: (0..<Slot.count).map { PlannedGroups.id($0 % shape.groups.count) })
        } catch {
            preconditionFailure("plans are of possible clusters: \(error)")
        }
    }

    private static func quorums(faults: Int, dataFragmentCount: Int) throws -> QuorumConfiguration {
        if let known = quorums.withLock({ $0[[faults, dataFragmentCount]] }) { return known }
        let made = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount)
        quorums.withLock { $0[[faults, dataFragmentCount]] = made }
        return made
    }
}

extension WorldPlan {
    /// The configurations that everybody knows.
    func history() -> ConfigurationHistory {
        let newest = KnownConfigurations.configuration(
            .init(
                epoch: earlierEpoch == nil ? 1 : 2, mode: mode, faults: faultCount,
                dataFragmentCount: dataFragmentCount, nodeCount: serverCount, groups: groups.members))
        guard let earlierEpoch else { return ConfigurationHistory(newest) }
        let earlier = KnownConfigurations.make(
            .init(
                epoch: 1, mode: mode, faults: faultCount, dataFragmentCount: earlierEpoch.dataFragmentCount,
                nodeCount: serverCount, groups: [earlierEpoch.members]))
        var history = ConfigurationHistory(earlier)
        guard history.add(newest) else { preconditionFailure("one epoch follows the other") }
        return history
    }

    /// An epoch with the same f and another m, in which no more than f of the faulty servers are members; some worlds
    /// have one.
    mutating func drawEarlierEpoch(_ generator: inout SeededGenerator) {
        let isThere = generator.chance(percent: 30)
        let isSmaller = generator.chance(percent: 70) && dataFragmentCount > faultCount + 1
        let earlier = isSmaller ? dataFragmentCount - 1 : dataFragmentCount + 1
        let size = earlier + 2 * faultCount
        let nodes = generator.shuffled(0..<serverCount)
        guard isThere else { return }
        let bad = Set(badServers.values.map { Int($0.server.rawValue) })
        var left = faultCount
        var members: [Int] = []
        for node in nodes where members.count < size {
            if bad.contains(node) {
                guard left > 0 else { continue }
                left -= 1
            }
            members.append(node)
        }
        guard members.count == size else { return }
        earlierEpoch = PlannedEpoch(dataFragmentCount: earlier, members: members)
    }
}
