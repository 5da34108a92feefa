// Positions in a code: newtypes, so that a fragment's index is never taken for a stripe's.

/// The position of a fragment in its stripe, counted from 0; the first m are the data fragments.
public struct FragmentIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(_ rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The position as a subscript into arrays of n elements.
    public var offset: Int { Int(rawValue) }

    public static func < (left: FragmentIndex, right: FragmentIndex) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "fragment \(rawValue)" }
}

/// The position of a stripe in its value, counted from 0.
public struct StripeIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The position as a subscript into arrays of stripes.
    public var offset: Int { Int(rawValue) }

    public static func < (left: StripeIndex, right: StripeIndex) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "stripe \(rawValue)" }
}
