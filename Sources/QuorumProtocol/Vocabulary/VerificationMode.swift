// When, and by what, a cluster finds out that a version's fragments are not one block's (docs/protocol.md, Verification
// modes). The cluster's choice, never a writer's: every statement and descriptor names it.

import Fingerprint

/// How a version's fragments are verified.
public enum VerificationMode: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// Hash and homomorphic fingerprint of every fragment, at write time and at read time.
    case fingerprint = 1
    /// Every server is sent the whole value and encodes it anew before it stores its fragment.
    case full = 2
    /// Servers check the hash of their own fragment; readers, and servers in their idle time, encode the value anew.
    case lazy = 3
    /// As lazy, but the servers leave it to the readers until a bound forces them.
    case readTime = 4
    /// Nothing is hashed, fingerprinted or signed: for clusters in which nobody lies, and for comparison.
    case none = 5

    public var description: String {
        switch self {
        case .fingerprint: "fingerprint"
        case .full: "full"
        case .lazy: "lazy"
        case .readTime: "read-time"
        case .none: "none"
        }
    }

    /// What cross-checksums commit to.
    package var coverage: CrossChecksumCoverage {
        switch self {
        case .fingerprint: .hashesAndFingerprints
        case .full, .lazy, .readTime: .hashes
        case .none: .nothing
        }
    }

    /// Whether a committed version may turn out to be poisonous: its fragments are no block's encoding.
    package var verifiesLater: Bool { self == .lazy || self == .readTime }

    /// Whether PREPARE carries whole blocks instead of the receiver's fragments.
    package var sendsBlocks: Bool { self == .full }

    /// Whether servers sign what they state.
    package var isSigned: Bool { self != .none }
}
