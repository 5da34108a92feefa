// A link between a client and a server on this machine that carries so many bytes a second.

import Foundation
import Glibc
import Synchronization

/// Takes connections to one local port, and carries what comes to another port and back, each way of each connection at
/// the rate that is set, until `end`.
package final class SlowLink: Sendable {
    /// What is carried at once: small, so that slow links do not go in bursts.
    private static let pieceSizeBytes = 16 << 10
    private static let bufferSizeBytes: Int32 = 16 << 10

    private let listener: Int32
    private let target: Int
    private let rate: Mutex<Int>
    private let sockets = Mutex<[Int32]?>([])
    private let threads = DispatchGroup()

    /// - Throws: when the port is taken.
    package init(port: Int, to target: Int, bytesPerSecond: Int) throws {
        guard let listener = Loopback.listen(port: port) else { throw FreePorts.NoneFree() }
        var size = Self.bufferSizeBytes
        // Taken over by connections: little is on its way in the system's own buffers.
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        self.listener = listener
        self.target = target
        rate = Mutex(bytesPerSecond)
        start { $0.accept() }
    }

    /// From now on it carries so many.
    package func set(bytesPerSecond: Int) { rate.withLock { $0 = bytesPerSecond } }

    /// Closes everything, and returns when that is done.
    package func end() {
        let open = sockets.withLock { sockets in
            defer { sockets = nil }
            return sockets ?? []
        }
        for socket in open + [listener] { shutdown(socket, Int32(SHUT_RDWR)) }
        threads.wait()
        for socket in open + [listener] { close(socket) }
    }

    private func start(_ body: @escaping @Sendable (SlowLink) -> Void) {
        threads.enter()
        let thread = Thread { [self] in
            body(self)
            threads.leave()
        }
        thread.start()
    }

    private func accept() {
        while true {
            let near = Glibc.accept(listener, nil, nil)
            guard near >= 0 else { return }
            _ = fcntl(near, F_SETFD, FD_CLOEXEC)
            guard let far = Loopback.connect(port: target) else {
                close(near)
                continue
            }
            let isOpen = sockets.withLock { sockets in
                sockets?.append(contentsOf: [near, far])
                return sockets != nil
            }
            guard isOpen else {
                close(near)
                close(far)
                return
            }
            start { $0.carry(from: near, to: far) }
            start { $0.carry(from: far, to: near) }
        }
    }

    private func carry(from source: Int32, to target: Int32) {
        var piece = [UInt8](repeating: 0, count: Self.pieceSizeBytes)
        while true {
            // A fiftieth of a second's at a time.
            let wanted = min(piece.count, max(1, rate.withLock { $0 } / 50))
            let count = recv(source, &piece, wanted, 0)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let more = piece.withUnsafeBytes {
                    send(target, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
                }
                guard more > 0 else { break }
                sent += more
            }
            guard sent == count else { break }
            wait(for: count)
        }
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }

    /// As long as these bytes take at the rate of now, or until it ends.
    private func wait(for count: Int) {
        var left = Double(count) / Double(max(1, rate.withLock { $0 }))
        while left > 0, sockets.withLock({ $0 != nil }) {
            Thread.sleep(forTimeInterval: min(left, 0.05))
            left -= 0.05
        }
    }
}
