// Counts of what an endpoint did and refused.

import Synchronization

/// A snapshot of an endpoint's counts since it started.
package struct TransportCounters: Equatable, Sendable, Codable {
    /// Connections that TCP accepted.
    package var acceptedConnections: UInt64 = 0
    /// Connections that passed TLS and HELLO.
    package var openedSessions: UInt64 = 0
    /// Bytes that went to sockets and came from them, TLS and HELLO included; counted by the connecting side only.
    package var sentBytes: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    /// Frames handed up.
    package var receivedFrames: UInt64 = 0
    /// Connections that lost their place to a newcomer before their handshake was finished.
    package var evictedHandshakes: UInt64 = 0
    /// Connections closed at once because there were as many as there may be.
    package var refusedAtAccept: UInt64 = 0
    /// Times that no connection could be accepted since the process or the system was out of file descriptors.
    package var failedAccepts: UInt64 = 0
    /// Refusals sent for an unlisted or unreadable certificate.
    package var refusedUnknownPeer: UInt64 = 0
    /// Refusals sent for a certificate outside its validity period.
    package var refusedCertificateValidity: UInt64 = 0
    /// Refusals sent for a HELLO of another cluster.
    package var refusedWrongCluster: UInt64 = 0
    /// Refusals sent for a HELLO of another epoch.
    package var refusedOtherConfiguration: UInt64 = 0
    /// Refusals sent for another protocol version.
    package var refusedVersion: UInt64 = 0
    /// Refusals sent for a first frame that is no HELLO.
    package var refusedMalformedHello: UInt64 = 0
    /// Refusals sent because a limit of connections was reached.
    package var refusedTooManyConnections: UInt64 = 0
    /// Refusals sent while shutting down.
    package var refusedShuttingDown: UInt64 = 0
    /// Connections on which TLS failed, plain garbage among them.
    package var failedTLS: UInt64 = 0
    /// Connections dropped because TLS and HELLO took too long.
    package var handshakeTimeouts: UInt64 = 0
    /// Connections dropped for a frame above the limit.
    package var oversizedFrames: UInt64 = 0
    /// Connections dropped for a frame of zero bytes.
    package var emptyFrames: UInt64 = 0
    /// Connections that ended inside a frame.
    package var truncatedFrames: UInt64 = 0
    /// Connections dropped because they held memory while it was short, and did not go on.
    package var stalledConnections: UInt64 = 0
    /// Frames not sent because the queue was full, or their receiver's share of memory was.
    package var outboundOverflows: UInt64 = 0

    package init() {}

    /// What a server tells of: its sockets' bytes are not counted.
    private enum CodingKeys: String, CodingKey {
        case acceptedConnections, openedSessions, receivedFrames, evictedHandshakes, refusedAtAccept, failedAccepts
        case refusedUnknownPeer
        case refusedCertificateValidity, refusedWrongCluster, refusedOtherConfiguration, refusedVersion
        case refusedMalformedHello, refusedTooManyConnections, refusedShuttingDown, handshakeTimeouts
        case oversizedFrames, emptyFrames, truncatedFrames, stalledConnections, outboundOverflows
        case failedTLS = "failedTls"
    }

    /// All refusals that were put into words for a peer.
    package var refusals: UInt64 {
        refusedUnknownPeer + refusedCertificateValidity + refusedWrongCluster + refusedOtherConfiguration
            + refusedVersion
            + refusedMalformedHello + refusedTooManyConnections + refusedShuttingDown
    }
}

extension TransportCounters {
    /// Connections that came to nothing, by why; only what did happen. No two counts share a name.
    package var refusalsByReason: [String: UInt64] {
        let counts: [(String, UInt64)] = [
            ("full table of connections", refusedAtAccept), ("unknown peer", refusedUnknownPeer),
            ("certificate validity", refusedCertificateValidity), ("wrong cluster", refusedWrongCluster),
            ("other configuration", refusedOtherConfiguration), ("unsupported version", refusedVersion),
            ("malformed HELLO", refusedMalformedHello), ("too many connections", refusedTooManyConnections),
            ("shutting down", refusedShuttingDown), ("failed TLS", failedTLS),
            ("handshake timeout", handshakeTimeouts), ("no descriptors", failedAccepts),
        ]
        return Dictionary(uniqueKeysWithValues: counts.filter { $0.1 > 0 })
    }
}

/// The counts themselves, shared by an endpoint's event loops.
final class TransportStatistics: Sendable {
    private let counters = Mutex(TransportCounters())

    var snapshot: TransportCounters { counters.withLock { $0 } }

    func count(_ update: (inout TransportCounters) -> Void) {
        counters.withLock { update(&$0) }
    }

    func count(refusal: ConnectionRefusal) {
        count { counters in
            switch refusal {
            case .unknownPeer: counters.refusedUnknownPeer += 1
            case .certificateExpired, .certificateNotYetValid: counters.refusedCertificateValidity += 1
            case .wrongCluster: counters.refusedWrongCluster += 1
            case .otherConfiguration: counters.refusedOtherConfiguration += 1
            case .unsupportedVersion: counters.refusedVersion += 1
            case .malformedHello: counters.refusedMalformedHello += 1
            case .tooManyConnections: counters.refusedTooManyConnections += 1
            case .shuttingDown: counters.refusedShuttingDown += 1
            case .other: preconditionFailure("a server refuses for reasons that it knows")
            }
        }
    }

    func count(frameError: TransportError) {
        count { counters in
            switch frameError {
            case .frameTooLarge: counters.oversizedFrames += 1
            case .emptyFrame: counters.emptyFrames += 1
            case .truncatedFrame: counters.truncatedFrames += 1
            case .stalled: counters.stalledConnections += 1
            default: break
            }
        }
    }
}
