// LIST-WANTS and what answers it (docs/protocol.md, Repair): what a server lacks, for people.

/// An object of which a server lacks something.
package struct ListedWant: Equatable, Sendable {
    package static let reasonSizeBytesMax = 200

    package let key: ObjectKey
    /// Since when, in milliseconds of the server's clock.
    package let sinceMilliseconds: UInt64
    /// How often it has failed to bring it back, as far as it remembers.
    package let attempts: UInt32
    /// Whether all other servers of the object were there each time and too few had good fragments.
    package let isIrreparable: Bool
    /// Why the last attempt failed; empty when there was none.
    package let reason: String

    package init(
        key: ObjectKey, sinceMilliseconds: UInt64, attempts: UInt32, isIrreparable: Bool, reason: String
    ) {
        self.key = key
        self.sinceMilliseconds = sinceMilliseconds
        self.attempts = attempts
        self.isIrreparable = isIrreparable
        self.reason = reason
    }
}
