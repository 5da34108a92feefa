// A log file that its writer rotates: nobody else has to be told, and nothing is lost in between.

import Glibc
import QuorumTransport
import Synchronization

/// A log file that cannot be opened.
package struct LogFileError: Error, CustomStringConvertible {
    let path: String
    let code: Int32

    package var description: String { "the log \(path) cannot be opened: \(systemText(code))" }
}

/// A file that is renamed to FILE.1 once it is large, FILE.1 to FILE.2 and so on, the oldest going. Whatever fails, a
/// server does not end because of its log: what cannot be written is dropped, and what cannot be renamed is cut off.
final class RotatingLogFile: TextOutputStream, Sendable {
    private struct State {
        var descriptor: Int32
        var hasStandardStreams = false
    }

    private let path: String
    private let sizeBytesMax: Int
    private let keptCount: Int
    private let state: Mutex<State>

    /// Opens the file to append to it.
    ///
    /// - Parameters:
    ///   - sizeBytesMax: a file of this size gets no further line.
    ///   - keptCount: how many older files are kept.
    init(path: String, sizeBytesMax: Int = 16 << 20, keptCount: Int = 4) throws(LogFileError) {
        precondition(sizeBytesMax > 0 && keptCount > 0)
        let descriptor = Self.open(path)
        guard descriptor >= 0 else { throw LogFileError(path: path, code: errno) }
        self.path = path
        self.sizeBytesMax = sizeBytesMax
        self.keptCount = keptCount
        state = Mutex(State(descriptor: descriptor))
    }

    deinit { state.withLock { _ = close($0.descriptor) } }

    /// From now on standard output and error go to whatever is the newest file: the last words of a process belong
    /// there, and who started it may have opened the file for it, which must not keep an old one from being freed.
    func takeStandardStreams() {
        state.withLock { state in
            state.hasStandardStreams = true
            Self.giveStandardStreams(state.descriptor)
        }
    }

    func write(_ string: String) {
        var string = string
        state.withLock { state in
            string.withUTF8 { bytes in
                rotateIfFull(&state)
                var rest = UnsafeRawBufferPointer(bytes)
                while !rest.isEmpty {
                    let count = Glibc.write(state.descriptor, rest.baseAddress, rest.count)
                    if count < 0 && errno == EINTR { continue }
                    guard count > 0 else { return }
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                }
            }
        }
    }

    private func rotateIfFull(_ state: inout State) {
        var status = stat()
        // The standard streams grow the file, too, so the system is asked.
        guard fstat(state.descriptor, &status) == 0, status.st_size >= sizeBytesMax else { return }
        for number in (1..<keptCount).reversed() { rename("\(path).\(number)", "\(path).\(number + 1)") }
        guard rename(path, "\(path).1") == 0 else {
            _ = ftruncate(state.descriptor, 0)
            return
        }
        let next = Self.open(path)
        guard next >= 0 else {
            // This one begins anew, since there is no other to go on with.
            rename("\(path).1", path)
            _ = ftruncate(state.descriptor, 0)
            return
        }
        if state.hasStandardStreams { Self.giveStandardStreams(next) }
        close(state.descriptor)
        state.descriptor = next
    }

    private static func giveStandardStreams(_ descriptor: Int32) {
        dup2(descriptor, STDOUT_FILENO)
        dup2(descriptor, STDERR_FILENO)
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }
}
