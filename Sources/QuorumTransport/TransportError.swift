// Everything that can go wrong between two endpoints, with the evidence, in words for people.

/// A failure of listening, connecting, framing or sending. `peer` names the other side and its address.
package enum TransportError: Error, Equatable, Sendable {
    /// Another process listens on this address.
    case addressInUse(address: String)
    /// The system does not allow listening on this address (a port below 1024, for instance).
    case addressForbidden(address: String)
    /// The address cannot be listened on; `reason` is the system's text.
    case cannotListen(address: String, reason: String)
    /// Our own key or certificate cannot be used.
    case identity(IdentityError)
    /// No connection could be made; `reason` is the system's text.
    case cannotConnect(peer: String, reason: String)
    /// Nothing answered within the time limit.
    case connectTimedOut(peer: String, milliseconds: Int64)
    /// The connection stands, but TLS and HELLO were not finished within the time limit.
    case handshakeTimedOut(peer: String, milliseconds: Int64)
    /// TLS failed for a reason other than the certificates below.
    case tlsFailed(peer: String, reason: String)
    /// The server presented another certificate than the one pinned for it.
    case certificateNotPinned(peer: String, expected: CertificatePin, got: CertificatePin)
    /// The server's certificate is the pinned one, but expired; seconds since 1970.
    case certificateExpired(peer: String, notAfter: Int64)
    /// The server's certificate is the pinned one, but not valid yet; seconds since 1970.
    case certificateNotYetValid(peer: String, notBefore: Int64)
    /// The server refused us and said why.
    case refused(peer: String, reason: ConnectionRefusal)
    /// The server's HELLO does not fit our configuration: it is ours to refuse.
    case helloRejected(peer: String, reason: ConnectionRefusal)
    /// A frame's header announces more bytes than allowed.
    case frameTooLarge(peer: String, sizeBytes: UInt32, limitBytes: Int)
    /// A frame's header announces no bytes at all.
    case emptyFrame(peer: String)
    /// The connection ended in the middle of a frame.
    case truncatedFrame(peer: String, missingBytes: Int)
    /// Memory was short, and for too long the peer neither went on with the frame it had begun nor took its answers.
    case stalled(peer: String)
    /// The connection ended without our asking.
    case connectionLost(peer: String, reason: String)
    /// We closed the connection.
    case closed(peer: String)
}

extension TransportError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .addressInUse(let address):
            "cannot listen on \(address): another process uses this port"
        case .addressForbidden(let address):
            "cannot listen on \(address): the system does not allow it; use a port from 1024 on"
        case .cannotListen(let address, let reason):
            "cannot listen on \(address): \(reason)"
        case .identity(let error):
            "\(error)"
        case .cannotConnect(let peer, let reason):
            "cannot connect to \(peer): \(reason)"
        case .connectTimedOut(let peer, let milliseconds):
            "\(peer) did not answer within \(milliseconds) ms; is the address right and the machine up?"
        case .handshakeTimedOut(let peer, let milliseconds):
            "\(peer) accepted the connection but did not finish the handshake within \(milliseconds) ms"
        case .tlsFailed(let peer, let reason):
            "TLS with \(peer) failed: \(reason)"
        case .certificateNotPinned(let peer, let expected, let got):
            "\(peer) presented the certificate \(got), but the configuration pins \(expected); "
                + "another server answers at this address, or its certificate was renewed"
        case .certificateExpired(let peer, let notAfter):
            "the certificate of \(peer) expired at \(CertificateValidity.text(second: notAfter)); issue a new one"
        case .certificateNotYetValid(let peer, let notBefore):
            "the certificate of \(peer) is valid only from \(CertificateValidity.text(second: notBefore)); "
                + "compare the clocks"
        case .refused(let peer, let reason):
            "\(peer) refused this connection: \(reason)"
        case .helloRejected(let peer, let reason):
            "\(peer) does not fit our configuration: \(reason)"
        case .frameTooLarge(let peer, let size, let limit):
            "\(peer) announced a frame of \(size) bytes, the limit is \(limit)"
        case .emptyFrame(let peer):
            "\(peer) announced a frame without a single byte"
        case .truncatedFrame(let peer, let missing):
            "\(peer) ended the connection inside a frame, \(missing) bytes short"
        case .stalled(let peer):
            "\(peer) held memory while it was short, without sending or taking its bytes"
        case .connectionLost(let peer, let reason):
            "the connection to \(peer) was lost: \(reason)"
        case .closed(let peer):
            "the connection to \(peer) was closed by this side"
        }
    }
}

/// What became of a frame handed to `send`.
package enum SendOutcome: Equatable, Sendable {
    /// It waits for the socket, in order. Delivery is not promised: the connection may break.
    case queued
    /// There is no connection; the frame was dropped.
    case notConnected
    /// The queue is full; the frame was dropped.
    case queueFull(queuedBytes: Int, limitBytes: Int)
    /// The peer's share of memory has no room for the frame; it was dropped.
    case memoryShort(sizeBytes: Int)
    /// The frame is empty or larger than the limit that the other side enforces; it was dropped.
    case invalidSize(sizeBytes: Int, limitBytes: Int)
}
