// Who holds what: nodes, groups, slots and positions, each a name of its own (docs/protocol.md, Placement).

import ErasureCode

/// One server process with its keys and its disk. A number of the configuration, never given to another node.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16

    public init(_ rawValue: UInt16) {
        self.rawValue = rawValue
    }

    public static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "server \(rawValue)" }
}

/// A group of n nodes, of which at most f fail at a time.
public struct GroupID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) {
        self.rawValue = rawValue
    }

    public static func < (left: GroupID, right: GroupID) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "group \(rawValue)" }
}

/// A part of the key space: the first 12 bits of the SHA-256 of an object's key. A configuration deals the slots to
/// its groups.
public struct Slot: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// How many slots there are.
    public static let count = 4096

    public let rawValue: UInt16

    /// All of them, in order.
    package static var all: [Slot] { (0..<UInt16(count)).map { Slot($0) } }

    /// - Parameter rawValue: 0 ..< 4,096.
    package init(_ rawValue: UInt16) {
        precondition(Int(rawValue) < Self.count)
        self.rawValue = rawValue
    }

    public static func < (left: Slot, right: Slot) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "slot \(rawValue)" }
}

/// A place among the n of an object, counted from 0: the node at position i holds fragment i of each stripe. Which node
/// that is differs from object to object (`Placement`).
public struct Position: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(_ rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The position as a subscript into arrays of n elements.
    public var offset: Int { Int(rawValue) }

    /// Which of a stripe's fragments the server here holds.
    package var fragmentIndex: FragmentIndex { FragmentIndex(rawValue) }

    public static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "position \(rawValue)" }
}
