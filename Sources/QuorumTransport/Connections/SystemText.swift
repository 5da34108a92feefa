// Addresses and errors of the system in words for people.

import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// "127.0.0.1:7001", without the resolved-name decorations of the library's own description.
func addressText(_ address: SocketAddress) -> String {
    guard let host = address.ipAddress, let port = address.port else { return "\(address)" }
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
}

/// The system's text for an error number; of a full disk also what to do, since that is all that is wrong.
package func systemText(_ number: Int32) -> String {
    switch number {
    case ENOSPC: return "the disk is full; make room there and try again"
    case EDQUOT: return "the quota on that disk is used up; make room there and try again"
    default: break
    }
    var buffer = [CChar](repeating: 0, count: 256)
    guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The system's text for an I/O error, the library's own for anything else.
func reasonText(_ error: any Error) -> String {
    switch error {
    case let error as IOError:
        systemText(error.errnoCode)
    case let error as NIOConnectionError:
        if let first = error.connectionErrors.first {
            reasonText(first.error)
        } else if error.dnsAError != nil || error.dnsAAAAError != nil {
            "the name \(error.host) has no address"
        } else {
            "\(error)"
        }
    case NIOSSLError.uncleanShutdown:
        "the peer vanished without closing"
    default:
        "\(error)"
    }
}

/// Why TLS did not come about, for people: the library's own words are of no use to them.
func handshakeText(_ error: any Error) -> String {
    if let error = error as? IOError { return systemText(error.errnoCode) }
    return "what answers there does not speak as a server of this cluster does; another service seems to use this port"
}

/// Whether a failed connection attempt ran into its time limit.
func isConnectTimeout(_ error: any Error) -> Bool {
    switch error {
    case ChannelError.connectTimeout:
        true
    case let error as NIOConnectionError:
        !error.connectionErrors.isEmpty && error.connectionErrors.allSatisfy { isConnectTimeout($0.error) }
    default:
        false
    }
}
