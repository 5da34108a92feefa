// A cluster's configuration in one epoch: who its nodes are, how they are grouped, and which group has which slots.
// What changes more often is no part of it: addresses, certificates, statement keys and clients' rights are lists of
// their own (docs/protocol.md, Placement).

import Fingerprint

/// A node as a configuration lists it.
public struct Node: Hashable, Sendable {
    /// The longest zone label in bytes.
    public static let zoneSizeBytesMax = 63

    public let id: NodeID
    /// What fails together with it; empty where nobody has said.
    public let zone: String

    public init(id: NodeID, zone: String = "") {
        self.id = id
        self.zone = zone
    }
}

/// One epoch's configuration; it never changes. A class, since everything has a copy of it.
public final class Configuration: Hashable, Sendable {
    package static let formatTag = "solidus.configuration.1"
    /// The most nodes of a cluster; their numbers are 0 ..< 65,536.
    public static let nodeCountMax = 4096
    /// The most groups of a cluster: one for each slot.
    public static let groupCountMax = Slot.count

    public let cluster: ClusterID
    /// Counted from 1.
    public let epoch: UInt64
    public let mode: VerificationMode
    /// f, m, and the thresholds of each group.
    public let quorums: QuorumConfiguration
    /// In the order of their numbers.
    public let nodes: [Node]
    /// In the order of their numbers.
    public let groups: [Group]
    /// For each slot the index of its group in `groups`.
    private let groupIndices: [UInt16]
    /// SHA-256 of the canonical bytes; HELLO names it.
    public let digest: Digest256

    /// - Parameters:
    ///   - slots: for each of the 4,096 slots the group that has it.
    /// - Throws: what does not fit together.
    public init(
        cluster: ClusterID, epoch: UInt64, mode: VerificationMode, quorums: QuorumConfiguration, nodes: [Node],
        groups: [Group], slots: [GroupID]
    ) throws(ConfigurationFault) {
        guard epoch >= 1 else { throw .epochZero }
        guard (1...Self.nodeCountMax).contains(nodes.count) else { throw .nodeCount(nodes.count) }
        let nodes = nodes.sorted { $0.id < $1.id }
        for (node, next) in zip(nodes, nodes.dropFirst()) where node.id == next.id { throw .repeatedNode(node.id) }
        for node in nodes where node.zone.utf8.count > Node.zoneSizeBytesMax { throw .zoneTooLong(node.id) }
        let known = Set(nodes.map(\.id))
        guard (1...Self.groupCountMax).contains(groups.count) else { throw .groupCount(groups.count) }
        let groups = groups.sorted { $0.id < $1.id }
        for (group, next) in zip(groups, groups.dropFirst()) where group.id == next.id {
            throw .repeatedGroup(group.id)
        }
        for group in groups {
            guard group.members.count == quorums.serverCount else {
                throw .groupSize(group.id, members: group.members.count, needed: quorums.serverCount)
            }
            if let stranger = group.members.first(where: { !known.contains($0) }) {
                throw .unknownMember(group.id, stranger)
            }
        }
        guard slots.count == Slot.count else { throw .slotCount(slots.count) }
        let index = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1.id, UInt16($0)) })
        var groupIndices: [UInt16] = []
        for group in slots {
            guard let known = index[group] else { throw .unknownGroup(group) }
            groupIndices.append(known)
        }
        self.cluster = cluster
        self.epoch = epoch
        self.mode = mode
        self.quorums = quorums
        self.nodes = nodes
        self.groups = groups
        self.groupIndices = groupIndices
        digest = Digest256.sha256(
            Self.encode(
                cluster: cluster, epoch: epoch, mode: mode, quorums: quorums, nodes: nodes, groups: groups,
                slots: slots))
    }

    /// One group of n nodes, numbered from 0, that has all slots.
    package convenience init(
        cluster: ClusterID, epoch: UInt64 = 1, mode: VerificationMode = .fingerprint, quorums: QuorumConfiguration,
        group id: GroupID = GroupID(0)
    ) {
        let nodes = quorums.positions.map { Node(id: NodeID(UInt16($0.rawValue))) }
        do {
            try self.init(
                cluster: cluster, epoch: epoch, mode: mode, quorums: quorums, nodes: nodes,
                groups: [Group(id: id, members: nodes.map(\.id))],
                slots: Array(repeating: id, count: Slot.count))
        } catch {
            preconditionFailure("one group of all nodes is a configuration: \(error)")
        }
    }

    /// The group that has the slot.
    public func group(of slot: Slot) -> Group { groups[Int(groupIndices[Int(slot.rawValue)])] }

    /// The group with this number; nil when there is none.
    public func group(_ id: GroupID) -> Group? {
        var low = 0
        var high = groups.count
        while low < high {
            let middle = (low + high) / 2
            if groups[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < groups.count && groups[low].id == id ? groups[low] : nil
    }

    /// The groups that the node is a member of, in the order of their numbers.
    public func groups(of node: NodeID) -> [Group] { groups.filter { $0.contains(node) } }

    /// For each slot the group that has it.
    public var slots: [GroupID] { groupIndices.map { groups[Int($0)].id } }

    public func contains(_ node: NodeID) -> Bool {
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].id < node { low = middle + 1 } else { high = middle }
        }
        return low < nodes.count && nodes[low].id == node
    }

    public static func == (left: Configuration, right: Configuration) -> Bool {
        left === right || left.digest == right.digest
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

extension Configuration {
    /// The canonical bytes: what the digest and the operator's signature are over. Sections in ascending order, each
    /// with its number and size: 1 cluster, epoch, mode, f and m; 2 nodes; 3 groups; 4 slots.
    package var bytes: [UInt8] {
        Self.encode(
            cluster: cluster, epoch: epoch, mode: mode, quorums: quorums, nodes: nodes, groups: groups, slots: slots)
    }

    private static func encode(
        cluster: ClusterID, epoch: UInt64, mode: VerificationMode, quorums: QuorumConfiguration, nodes: [Node],
        groups: [Group], slots: [GroupID]
    ) -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: formatTag)
        encoder.append(section: 1) { section in
            section.append(cluster)
            section.append(epoch)
            section.append(mode.rawValue)
            section.append(UInt8(quorums.faults))
            section.append(UInt8(quorums.dataFragmentCount))
        }
        encoder.append(section: 2) { section in
            section.append(UInt32(nodes.count))
            for node in nodes {
                section.append(node.id.rawValue)
                section.append(counted: Array(node.zone.utf8))
            }
        }
        encoder.append(section: 3) { section in
            section.append(UInt32(groups.count))
            for group in groups {
                section.append(group.id.rawValue)
                for member in group.members { section.append(member.rawValue) }
            }
        }
        encoder.append(section: 4) { section in
            for group in slots { section.append(group.rawValue) }
        }
        return encoder.bytes
    }
}

/// Why numbers and lists make no configuration.
public enum ConfigurationFault: Error, Equatable, Sendable, CustomStringConvertible {
    case epochZero
    case nodeCount(Int)
    case repeatedNode(NodeID)
    case zoneTooLong(NodeID)
    case groupCount(Int)
    case repeatedGroup(GroupID)
    /// A group without members, with more than 255, or with one member twice.
    case membersNotDistinct(GroupID)
    case groupSize(GroupID, members: Int, needed: Int)
    case unknownMember(GroupID, NodeID)
    case slotCount(Int)
    case unknownGroup(GroupID)

    public var description: String {
        switch self {
        case .epochZero: "epochs count from 1"
        case .nodeCount(let count): "a cluster has 1 to \(Configuration.nodeCountMax) servers, not \(count)"
        case .repeatedNode(let node): "\(node) is listed twice"
        case .zoneTooLong(let node): "the zone of \(node) has more than \(Node.zoneSizeBytesMax) bytes"
        case .groupCount(let count): "a cluster has 1 to \(Configuration.groupCountMax) groups, not \(count)"
        case .repeatedGroup(let group): "\(group) is listed twice"
        case .membersNotDistinct(let group): "\(group) has no members, more than 255, or one of them twice"
        case .groupSize(let group, let members, let needed): "\(group) has \(members) members; it takes \(needed)"
        case .unknownMember(let group, let node): "\(group) has a member, \(node), that is not listed"
        case .slotCount(let count): "\(count) slots are dealt; there are \(Slot.count)"
        case .unknownGroup(let group): "a slot belongs to \(group), which is not listed"
        }
    }
}
