// A connection to a server of S3, as bare as it can be: one thread, which blocks, and a buffer that is used again, so that
// who measures with it measures little of it.

import Glibc
import Synchronization

/// Why there is no answer.
package enum S3WireError: Error, CustomStringConvertible {
    /// Nothing of the request has left: it was not done.
    case notSent(String)
    /// Nobody knows whether it was done.
    case lost(String)

    package var description: String {
        switch self {
        case .notSent(let reason): "the request was not sent: \(reason)"
        case .lost(let reason): "the answer is lost: \(reason)"
        }
    }
}

/// An answer's head, and how many bytes its body had.
package struct S3Answer: Sendable {
    package let status: Int
    /// Names in lower case.
    package let headers: [(name: String, value: String)]
    package var lengthBytes = 0

    package subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

package final class S3Connection {
    private static let bufferSizeBytes = 256 << 10

    /// Ends what a connection does, from any thread.
    package final class Handle: Sendable {
        private let socket: Mutex<Int32?>

        fileprivate init(_ socket: Int32) { self.socket = Mutex(socket) }

        /// Both ends find the connection gone.
        package func cut() { socket.withLock { socket in _ = socket.map { shutdown($0, Int32(SHUT_RDWR)) } } }

        fileprivate func close() {
            socket.withLock { socket in
                if let socket { _ = Glibc.close(socket) }
                socket = nil
            }
        }
    }

    package let handle: Handle
    private let socket: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSizeBytes, alignment: 16)
    private var begin = 0
    private var end = 0
    /// Whether the other side said that it closes the connection.
    package private(set) var isOver = false

    /// - Throws: `.notSent`.
    package init(port: Int, timeoutSeconds: Double) throws(S3WireError) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        handle = Handle(socket)
        guard socket >= 0 else { throw .notSent(Self.reason(errno)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(
            tv_sec: Int(timeoutSeconds), tv_usec: Int(timeoutSeconds.truncatingRemainder(dividingBy: 1) * 1e6))
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw .notSent("port \(port): \(Self.reason(errno))") }
    }

    deinit {
        handle.close()
        buffer.deallocate()
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    // MARK: Sending

    /// - Throws: `.lost`.
    package func send(_ head: [UInt8], body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0))
        throws(S3WireError)
    {
        var sent = 0
        let total = head.count + body.count
        while sent < total {
            let count = head.withUnsafeBytes { head in
                var pieces: (iovec, iovec) = (iovec(), iovec())
                var used = 0
                if sent < head.count {
                    pieces.0 = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress! + sent),
                        iov_len: head.count - sent)
                    used = 1
                }
                let from = max(0, sent - head.count)
                if from < body.count {
                    let piece = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress! + from),
                        iov_len: body.count - from)
                    if used == 0 { pieces.0 = piece } else { pieces.1 = piece }
                    used += 1
                }
                return withUnsafeMutablePointer(to: &pieces) { pointer in
                    pointer.withMemoryRebound(to: iovec.self, capacity: 2) { list in
                        var message = msghdr()
                        message.msg_iov = list
                        message.msg_iovlen = used
                        return sendmsg(socket, &message, Int32(MSG_NOSIGNAL))
                    }
                }
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .lost(Self.reason(errno)) }
            sent += count
        }
    }

    // MARK: Receiving

    /// The answer to what was sent, its body handed on in pieces.
    ///
    /// - Parameter isHead: whether a body is said and does not come.
    /// - Throws: `.lost`, also when the body ends short of its length.
    package func receive(
        isHead: Bool = false, _ take: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(S3WireError) -> S3Answer {
        var answer: S3Answer
        repeat { answer = try receiveHead() } while answer.status / 100 == 1
        if answer["connection"]?.lowercased() == "close" { isOver = true }
        if isHead || answer.status == 204 || answer.status == 304 { return answer }
        if answer["transfer-encoding"]?.lowercased() == "chunked" {
            while let size = Int(try line().prefix { $0 != ";" }, radix: 16), size > 0 {
                try receive(size, take)
                answer.lengthBytes += size
                _ = try line()
            }
            while try !line().isEmpty {}
        } else if let length = answer["content-length"].flatMap({ Int($0) }) {
            try receive(length, take)
            answer.lengthBytes = length
        } else {
            throw .lost("an answer of unknown length")
        }
        return answer
    }

    private func receiveHead() throws(S3WireError) -> S3Answer {
        let first = try line().split(separator: " ")
        guard first.count > 1, first[0].hasPrefix("HTTP/1."), let status = Int(first[1]) else {
            throw .lost("an answer that is no HTTP")
        }
        var headers: [(name: String, value: String)] = []
        while case let text = try line(), !text.isEmpty {
            guard let colon = text.firstIndex(of: ":") else { throw .lost("a header without a colon") }
            let value = text[text.index(after: colon)...].drop { $0 == " " }
            headers.append((text[..<colon].lowercased(), String(value)))
        }
        return S3Answer(status: status, headers: headers)
    }

    private func receive(_ count: Int, _ take: (UnsafeRawBufferPointer) -> Void) throws(S3WireError) {
        var left = count
        while left > 0 {
            if begin == end { try fill() }
            let part = min(left, end - begin)
            take(UnsafeRawBufferPointer(rebasing: buffer[begin..<begin + part]))
            begin += part
            left -= part
        }
    }

    /// Without its end.
    private func line() throws(S3WireError) -> String {
        var looked = begin
        while true {
            if looked < end, let found = memchr(buffer.baseAddress! + looked, 0x0A, end - looked) {
                let place = UnsafeRawPointer(found) - UnsafeRawPointer(buffer.baseAddress!)
                let last = place > begin && buffer[place - 1] == 0x0D ? place - 1 : place
                let text = String(decoding: buffer[begin..<last], as: UTF8.self)
                begin = place + 1
                return text
            }
            looked = end
            let before = begin
            try fill()
            looked -= before - begin
        }
    }

    private func fill() throws(S3WireError) {
        if begin > 0 {
            if end > begin { memmove(buffer.baseAddress!, buffer.baseAddress! + begin, end - begin) }
            end -= begin
            begin = 0
        }
        guard end < buffer.count else { throw .lost("a line without an end") }
        var count = 0
        repeat {
            count = recv(socket, buffer.baseAddress! + end, buffer.count - end, 0)
        } while count < 0 && errno == EINTR
        guard count > 0 else {
            throw .lost(count == 0 ? "the connection is closed" : Self.reason(errno))
        }
        end += count
    }
}
