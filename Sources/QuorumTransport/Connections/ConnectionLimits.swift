// The bounds of a connection. Everything that can grow because of a peer is named here.

import NIOCore

/// Limits and times of connections; the defaults suit a cluster on a local network. Those in bytes follow from the
/// largest frame, which only the cluster's configuration can tell.
package struct ConnectionLimits: Sendable, Equatable {
    /// Largest payload of a frame, both ways, in bytes.
    package var maximumFrameSizeBytes: Int
    /// Bytes that may wait for one peer's socket, headers included; more is not accepted by `send`.
    package var maximumOutboundBytes: Int
    /// A server reads no more from a peer while more than this waits for that peer's socket, in bytes.
    package var outboundHighWaterBytes = 1 << 20
    /// A server hands up no more of a peer's frames while those not completed yet have this many bytes or more.
    package var maximumUnansweredBytes: Int
    /// A server hands up no more of a peer's frames while this many are not completed yet.
    package var maximumUnansweredFrames = 1024
    /// Bytes that a frame counts for beside its own until it is completed: what a request costs while it is under way.
    package var frameOverheadBytes = 4 << 10
    /// What is asked of a peer that holds memory while it is short.
    package var progress = ProgressDemand()
    /// Time for TCP to connect.
    package var connectTimeout = TimeAmount.seconds(2)
    /// Time for TLS and HELLO together, once TCP is connected.
    package var handshakeTimeout = TimeAmount.seconds(5)
    /// Time for the other side to acknowledge the end of TLS before the socket is closed all the same.
    package var closeTimeout = TimeAmount.seconds(1)

    /// Limits for frames of up to so many bytes: four of them may wait for the socket, and two for their completion.
    package init(frameSizeBytesMax: Int) {
        maximumFrameSizeBytes = frameSizeBytesMax
        maximumOutboundBytes = 4 * frameSizeBytesMax
        maximumUnansweredBytes = 2 * frameSizeBytesMax
    }

    /// Fails early on limits that cannot work together. Whoever takes limits from a person checks them before.
    func check() {
        precondition(maximumFrameSizeBytes > 0 && maximumFrameSizeBytes <= FrameFormat.largestLimitBytes)
        precondition(maximumOutboundBytes >= maximumFrameSizeBytes + FrameFormat.headerSizeBytes)
        precondition(outboundHighWaterBytes > 0 && maximumUnansweredBytes > 0 && maximumUnansweredFrames > 0)
    }
}

/// Limits on the number of connections that a server holds.
package struct AdmissionLimits: Sendable, Equatable {
    /// Connections of whoever they may be; more are closed as soon as accepted.
    package var maximumConnections = 8192
    /// Connections in their TLS and HELLO phase, of whoever they may be. With one more, another one goes.
    package var maximumHandshakes = 256
    /// Those of them that may come from one source.
    package var maximumHandshakesPerSource = 128
    /// Further places, for those that come from where the configuration has a node.
    package var maximumNodeHandshakes = 128
    /// Sessions of all clients together. Servers do not count: clients cannot keep them out.
    package var maximumClientSessions = 4096
    /// Sessions of one identity.
    package var maximumSessionsPerPeer = 32

    package init() {}

    /// Limits for a process that may have so many descriptors open. Half of few, and of many all but what the store and
    /// the program itself need, are for connections; of those some are kept for handshakes and for nodes.
    ///
    /// - Parameter nodeCount: how many servers may connect.
    package init(descriptorLimit: Int, nodeCount: Int) {
        let others = min(Self.otherDescriptors, descriptorLimit / 2)
        maximumConnections = min(maximumConnections, max(1, descriptorLimit - others))
        maximumHandshakes = min(maximumHandshakes, max(1, maximumConnections / 4))
        maximumHandshakesPerSource = min(maximumHandshakesPerSource, max(1, maximumHandshakes / 2))
        let forNodes = min(2 * nodeCount, maximumConnections / 4)
        maximumNodeHandshakes = min(maximumNodeHandshakes, max(1, forNodes))
        maximumClientSessions = min(maximumClientSessions, max(1, maximumConnections - maximumHandshakes - forNodes))
    }

    /// What a server keeps open beside connections: segments of the journal, files of the index, event loops.
    private static let otherDescriptors = 1024
}
