// Why a server does not talk to a peer, and all that goes with each reason. (Why it does not do what a message asks is
// a `Refusal`, of which connections know nothing.)

/// The only frame that a refused peer receives.
package enum ConnectionRefusal: Equatable, Hashable, Sendable {
    /// The peer's certificate is not listed in the server's configuration.
    case unknownPeer
    /// The peer's certificate expired; seconds since 1970 by which it was valid.
    case certificateExpired(notAfter: Int64)
    /// The peer's certificate is not valid yet; seconds since 1970 from which it will be.
    case certificateNotYetValid(notBefore: Int64)
    /// The peer's HELLO names another cluster.
    case wrongCluster
    /// The peer's HELLO names another configuration of the epoch that is the highest here.
    case otherConfiguration(ConfigurationDifferences)
    /// The peer speaks another version of the transport protocol.
    case unsupportedVersion(supported: UInt16)
    /// The peer's first frame is no HELLO.
    case malformedHello
    /// This identity, or all clients together, have as many connections as allowed.
    case tooManyConnections(limit: UInt32)
    /// The server is about to stop.
    case shuttingDown
    /// A reason of another release's: what every reason says on the wire is all that is known of it.
    case other(code: UInt16, isTransient: Bool, detail: UInt64)

    private struct Row {
        let code: UInt16
        let name: String
        var isTransient = false
        var detail: UInt64 = 0
    }

    private var row: Row {
        switch self {
        case .unknownPeer: Row(code: 1, name: "unknown peer")
        case .certificateExpired(let second):
            Row(code: 2, name: "certificate expired", detail: UInt64(bitPattern: second))
        case .certificateNotYetValid(let second):
            Row(code: 3, name: "certificate not yet valid", detail: UInt64(bitPattern: second))
        case .wrongCluster: Row(code: 4, name: "wrong cluster")
        case .otherConfiguration(let differences):
            Row(code: 5, name: "other configuration", detail: differences.rawValue)
        case .unsupportedVersion(let supported):
            Row(code: 6, name: "unsupported version", detail: UInt64(supported))
        case .malformedHello: Row(code: 7, name: "malformed HELLO")
        case .tooManyConnections(let limit):
            Row(code: 8, name: "too many connections", isTransient: true, detail: UInt64(limit))
        case .shuttingDown: Row(code: 9, name: "shutting down", isTransient: true)
        case .other(let code, let isTransient, let detail):
            Row(code: code, name: "reason \(code)", isTransient: isTransient, detail: detail)
        }
    }

    /// The reason's number on the wire.
    package var code: UInt16 { row.code }
    /// A short name for the refusing side's log; `description` speaks to the refused side.
    package var name: String { row.name }
    /// Whether it passes without a change of any configuration or certificate, so that trying again soon is of use.
    package var isTransient: Bool { row.isTransient }
    /// The case's number, or 0.
    package var detail: UInt64 { row.detail }

    /// The reason that goes by these numbers.
    ///
    /// - Returns: nil when a known reason comes with a trait or a detail that it does not have.
    package init?(code: UInt16, isTransient: Bool, detail: UInt64) {
        switch code {
        case 1: self = .unknownPeer
        case 2: self = .certificateExpired(notAfter: Int64(bitPattern: detail))
        case 3: self = .certificateNotYetValid(notBefore: Int64(bitPattern: detail))
        case 4: self = .wrongCluster
        case 5: self = .otherConfiguration(ConfigurationDifferences(rawValue: detail))
        case 6: self = .unsupportedVersion(supported: UInt16(truncatingIfNeeded: detail))
        case 7: self = .malformedHello
        case 8: self = .tooManyConnections(limit: UInt32(truncatingIfNeeded: detail))
        case 9: self = .shuttingDown
        default: self = .other(code: code, isTransient: isTransient, detail: detail)
        }
        guard self.isTransient == isTransient, self.detail == detail else { return nil }
    }
}

extension ConnectionRefusal: CustomStringConvertible {
    /// Completes the sentence "server 2 refused this connection: …".
    package var description: String {
        switch self {
        case .unknownPeer:
            "our certificate is not listed in the cluster's configuration"
        case .certificateExpired(let notAfter):
            "our certificate expired at \(CertificateValidity.text(second: notAfter)); issue a new one"
        case .certificateNotYetValid(let notBefore):
            "our certificate is valid only from \(CertificateValidity.text(second: notBefore)); compare the clocks"
        case .wrongCluster:
            "it belongs to another cluster; compare the cluster id in both configurations"
        case .otherConfiguration(let differences):
            "its cluster.toml of this epoch is another than ours"
                + (differences.names.map { ": they differ in \($0)" } ?? "") + "; put the right file on both sides"
        case .unsupportedVersion(let supported):
            "it speaks version \(supported) of the transport protocol; install the same release on both sides"
        case .malformedHello:
            "it did not understand the first frame"
        case .tooManyConnections(let limit):
            "the limit of \(limit) connections is reached"
        case .shuttingDown:
            "it is shutting down"
        case .other(let code, let isTransient, _):
            "its reason has the number \(code), which this release does not know"
                + (isTransient ? "; it will pass" : "; install the same release on both sides")
        }
    }
}
