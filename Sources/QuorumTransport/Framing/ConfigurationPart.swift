// What two configurations of one epoch differ in, as far as a number can tell it.

/// A part of a configuration, numbered as HELLO has their tags.
package enum ConfigurationPart: Int, CaseIterable, Sendable {
    case mode = 0
    case quorums = 1
    case stripeSize = 2
    case servers = 3
    case groups = 4

    /// What cluster.toml calls it.
    var name: String {
        switch self {
        case .mode: "mode"
        case .quorums: "faults or data_fragments"
        case .stripeSize: "stripe_bytes"
        case .servers: "servers"
        case .groups: "groups"
        }
    }
}

/// The parts that differ, as bits; those of another release's parts may be among them. None when it is not known.
package struct ConfigurationDifferences: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package init(_ part: ConfigurationPart) { self.init(rawValue: 1 << UInt64(part.rawValue)) }

    /// What differs of two lists of tags; nothing of what only one of them has.
    init(_ tags: [UInt32], _ others: [UInt32]) {
        let bits = zip(tags, others).prefix(ClusterScope.partTagCountMax).enumerated()
            .map { $1.0 == $1.1 ? 0 : UInt64(1) << UInt64($0) }
        self.init(rawValue: bits.reduce(0, |))
    }

    /// "stripe_bytes, groups"; nil when nothing is known.
    var names: String? {
        let names = ConfigurationPart.allCases.filter { contains(ConfigurationDifferences($0)) }.map(\.name)
        return names.isEmpty ? nil : names.joined(separator: ", ")
    }
}
