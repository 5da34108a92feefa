// What links between machines a run can imitate.

/// The rate of every server's link and of the clients' link, in each direction; its raw value is its name.
package enum LinkRate: String, Sendable, CaseIterable {
    case gigabit = "1gbit"
    case tenGigabit = "10gbit"

    /// Bits per second.
    package var bitsPerSecond: Int {
        switch self {
        case .gigabit: 1_000_000_000
        case .tenGigabit: 10_000_000_000
        }
    }
}
