// HTTP as it is on the wire, so that tests say each byte.

import Foundation
import Glibc

enum WireError: Error {
    case cannotConnect
    case closed(after: [UInt8])
    case timedOut
}

struct WireResponse: Sendable {
    var status = 0
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// Interim statuses that came before.
    var interim: [Int] = []

    subscript(_ name: String) -> String? { headers.first { $0.name == name.lowercased() }?.value }
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The code of an error's document; nil where there is none.
    var code: String? { element("Code") }

    /// What is in the first element of a name, as it stands there.
    func element(_ name: String) -> String? { elements(name).first }

    func elements(_ name: String) -> [String] {
        text.components(separatedBy: "<\(name)>").dropFirst().compactMap {
            $0.components(separatedBy: "</\(name)>").first
        }
    }
}

/// One connection. Blocks; `offThread` is for that.
final class Wire {
    private let socket: Int32
    private var waiting: [UInt8] = []

    init(port: Int, seconds: Int = 60) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw WireError.cannotConnect }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { Glibc.close(socket) }

    /// False when the other side takes nothing any more.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func endSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Waits until something has come, or the time that anything may take is over; reads nothing.
    func awaitAnswer() {
        var byte: UInt8 = 0
        _ = recv(socket, &byte, 1, Int32(MSG_PEEK))
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(socket, &chunk, chunk.count, 0)
        if count == 0 { throw WireError.closed(after: waiting) }
        guard count > 0 else { throw errno == EAGAIN ? WireError.timedOut : WireError.closed(after: waiting) }
        waiting += chunk[..<count]
    }

    /// The next final response.
    func receive(isHead: Bool = false) throws -> WireResponse {
        var response = WireResponse()
        while true {
            let head = try takeHead()
            let lines = head.components(separatedBy: "\r\n")
            response.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
            if (100..<200).contains(response.status) {
                response.interim.append(response.status)
                continue
            }
            response.headers = lines.dropFirst().compactMap { line in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return (
                    line[..<colon].lowercased(),
                    line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                )
            }
            break
        }
        guard !isHead, response.status != 204, response.status != 304 else { return response }
        let length = Int(response["content-length"] ?? "0") ?? 0
        while waiting.count < length {
            do {
                try fill()
            } catch WireError.closed {
                response.body = waiting
                throw WireError.closed(after: waiting)
            }
        }
        response.body = Array(waiting[..<length])
        waiting.removeFirst(length)
        return response
    }

    /// The status of the next interim answer.
    func receiveInterim() throws -> Int {
        let head = try takeHead()
        return Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
    }

    private func takeHead() throws -> String {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if waiting.count >= 4,
                let place = (0...(waiting.count - 4)).first(where: {
                    waiting[$0] == 0x0D && Array(waiting[$0..<($0 + 4)]) == end
                })
            {
                let head = String(decoding: waiting[..<place], as: UTF8.self)
                waiting.removeFirst(place + 4)
                return head
            }
            try fill()
        }
    }

    /// Whether the other side has closed, and sent nothing before.
    func isClosed() -> Bool {
        do {
            try fill()
            return false
        } catch WireError.closed {
            return true
        } catch {
            return false
        }
    }
}

/// Runs what blocks on a thread of its own.
func offThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
