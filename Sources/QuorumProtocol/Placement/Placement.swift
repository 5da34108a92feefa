// Where an object lies. One pure type computes it, and nothing else does (docs/protocol.md, Placement).
//
// The SHA-256 of the key's bytes gives the slot (its first 12 bits), which the configuration maps to a group, and the
// rotation (the next 16 bits, modulo n). Position p of the object is held by the group's member (p + rotation) mod n.
// So each node holds data fragments of some objects and parity fragments of others, and reads load all nodes.

import Fingerprint

/// The group of one object in one epoch, and the nodes at its positions.
public struct Placement: Hashable, Sendable {
    public let configuration: Configuration
    public let group: Group
    /// 0 ..< n.
    public let rotation: Int

    package init(_ key: ObjectKey, in configuration: Configuration) {
        self.configuration = configuration
        group = configuration.group(of: key.slot)
        rotation = Int(key.rotationSeed) % group.members.count
    }

    /// The group's members in the order of the object's positions.
    public var nodes: [NodeID] { group.nodes(rotation: rotation) }

    /// Who holds fragment `position.offset` of each stripe.
    public func node(at position: Position) -> NodeID { nodes[position.offset] }

    /// The node's position; nil when it is no member of the object's group.
    public func position(of node: NodeID) -> Position? { group.position(of: node, rotation: rotation) }

    /// Whom requests about the object are for.
    package var route: Route { Route(epoch: configuration.epoch, group: group.id) }

    /// The certificate that these statements of the group's members make.
    package func certificate(of timestamp: Timestamp, _ statements: [SignedStatement]) -> Certificate {
        Certificate(epoch: configuration.epoch, group: group.id, timestamp: timestamp, statements: statements)
    }

    /// What statements on the object's versions are bound to.
    package var scope: StatementScope {
        StatementScope(
            cluster: configuration.cluster, epoch: configuration.epoch, group: group.id, mode: configuration.mode)
    }
}

/// What of a key's SHA-256 says where the object lies: 12 bits for the slot, then 16 for the rotation.
struct PlacementHash: Hashable, Sendable {
    private let bits: UInt32

    init(keyBytes: [UInt8]) {
        bits = Digest256.sha256(keyBytes).withUnsafeBytes { digest in
            digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    var slot: Slot { Slot(UInt16(bits >> 20)) }
    var rotationSeed: UInt16 { UInt16(truncatingIfNeeded: bits >> 4) }
}
