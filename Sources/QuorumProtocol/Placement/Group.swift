// A group of nodes, and who of it holds which fragment for each rotation.

/// n distinct nodes in an order. A class, since it never changes and every operation has one.
public final class Group: Hashable, Sendable {
    public let id: GroupID
    /// The members in the group's order; a replacement takes its predecessor's place.
    public let members: [NodeID]
    /// By rotation, the members in the order of their positions.
    private let orders: [[NodeID]]
    /// Each member's place in the group's order, from the lowest number on; those of others are `nobody`.
    private let places: [UInt8]
    private let lowestNumber: Int
    private static let nobody = UInt8.max

    /// - Throws: when there are no members, more than 255 or one of them twice.
    package init(id: GroupID, members: [NodeID]) throws(ConfigurationFault) {
        guard (1...255).contains(members.count), Set(members).count == members.count,
            let lowest = members.min(), let highest = members.max()
        else { throw .membersNotDistinct(id) }
        self.id = id
        self.members = members
        lowestNumber = Int(lowest.rawValue)
        var places = [UInt8](repeating: Self.nobody, count: Int(highest.rawValue) - lowestNumber + 1)
        for (place, member) in members.enumerated() { places[Int(member.rawValue) - lowestNumber] = UInt8(place) }
        self.places = places
        orders = members.indices.map { rotation in Array(members[rotation...] + members[..<rotation]) }
    }

    /// Whether the node is a member.
    public func contains(_ node: NodeID) -> Bool { place(of: node) != nil }

    /// The node's place in the group's order.
    private func place(of node: NodeID) -> Int? {
        let index = Int(node.rawValue) - lowestNumber
        guard places.indices.contains(index), places[index] != Self.nobody else { return nil }
        return Int(places[index])
    }

    /// The members in the order of the positions of an object with this rotation, 0 ..< n.
    func nodes(rotation: Int) -> [NodeID] { orders[rotation] }

    /// The position of a member for an object with this rotation; nil for others.
    func position(of node: NodeID, rotation: Int) -> Position? {
        guard let place = place(of: node) else { return nil }
        return Position(UInt8(place >= rotation ? place - rotation : place - rotation + members.count))
    }

    public static func == (left: Group, right: Group) -> Bool {
        left === right || left.id == right.id && left.members == right.members
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(members)
    }
}
