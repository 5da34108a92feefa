// Somebody who takes every connection that he can get, says nothing, and takes it again when it is closed.

import Foundation
import Glibc
import Synchronization

/// Holds connections to a local port from one of this machine's own addresses, until `end`.
package final class IdleStranger: Sendable {
    private let port: Int
    private let isOver = Mutex(false)
    private let ended = DispatchSemaphore(value: 0)

    /// Begins with `count` connections from each of `sources`, addresses like 127.0.0.2.
    package init(port: Int, count: Int, from sources: [String]) {
        self.port = port
        let thread = Thread { [self] in
            hold(sources.flatMap { Array(repeating: $0, count: count) })
            ended.signal()
        }
        thread.start()
    }

    /// Closes everything and returns when that is done.
    package func end() {
        let isFirst = isOver.withLock { over in
            defer { over = true }
            return !over
        }
        if isFirst { ended.wait() }
    }

    private func hold(_ sources: [String]) {
        var sockets = sources.map { pollfd(fd: open(from: $0), events: Int16(POLLIN), revents: 0) }
        while !isOver.withLock({ $0 }) {
            _ = poll(&sockets, nfds_t(sockets.count), 10)
            // Whatever comes is the end: who is a stranger is not spoken to.
            for index in sockets.indices where sockets[index].fd < 0 || sockets[index].revents != 0 {
                close(sockets[index].fd)
                sockets[index].fd = open(from: sources[index])
            }
        }
        for socket in sockets { close(socket.fd) }
    }

    /// A socket that connects; -1 when the system has none to give.
    private func open(from source: String) -> Int32 {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(AF_INET, Int32(type), 0)
        guard descriptor >= 0 else { return -1 }
        guard Loopback.withAddress(source, port: 0, { bind(descriptor, $0, $1) }) == 0,
            Loopback.withAddress(port: port, { connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS
        else {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}
