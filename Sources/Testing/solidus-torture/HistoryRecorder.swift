// The history as it happens: one line for each event, in the order of their times.

import CommandArguments
import CommandOutcome
import Glibc
import HistoryChecker
import QuorumProtocol
import QuorumTransport
import Synchronization

/// Writes events into a file. The time of an event is taken and its line is placed in one step, so that the file's
/// order is that of the times, on which some checkers rely.
final class HistoryRecorder: Sendable {
    private static let bufferSizeBytesMax = 64 << 10

    private struct State {
        var buffer: [UInt8] = []
        /// The errno of the first failure to write.
        var failed: Int32?
        var lastTime: Int64 = 0
    }

    private let path: String
    private let file: FileArgument
    private let descriptor: Int32
    private let state = Mutex(State())

    /// Makes the file anew.
    init(_ file: FileArgument) throws(Failure) {
        self.file = file
        path = file.readable.printable
        descriptor = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(path): \(systemText(errno))") }
    }

    deinit { close(descriptor) }

    /// Notes an event that happens now and returns its time.
    @discardableResult
    func note(
        process: Int, _ kind: HistoryEvent.Kind, _ function: HistoryEvent.Function, key: String, value: String?
    ) -> Int64 {
        state.withLock { state in
            let time = max(Self.nowNanoseconds, state.lastTime)
            state.lastTime = time
            let event = HistoryEvent(
                process: String(process), kind: kind, function: function, key: key, value: value,
                timeNanoseconds: time)
            state.buffer += Array(event.line.utf8)
            state.buffer.append(UInt8(ascii: "\n"))
            if state.buffer.count >= Self.bufferSizeBytesMax { write(&state) }
            return time
        }
    }

    /// Hands what was noted so far to the system.
    ///
    /// - Throws: `.inputOutput` when any line could not be written.
    func flush() throws(Failure) {
        let failed = state.withLock { state in
            write(&state)
            return state.failed
        }
        if let failed { throw Failure(.inputOutput, "\(path): \(systemText(failed))") }
    }

    /// Hands over the last of it.
    ///
    /// - Throws: as `flush`. Then the file has another name, since its beginning might be taken for a whole history.
    func finish() throws(Failure) {
        do {
            try flush()
        } catch {
            var status = stat()
            let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
            let partial = file.path.dropLast() + Array(".partial".utf8CString)
            guard isFile, rename(file.path, Array(partial)) == 0 else { throw error }
            throw Failure(error.status, "\(error.message); the beginning is in \(path).partial")
        }
    }

    private func write(_ state: inout State) {
        if state.failed == nil { state.failed = state.buffer.withUnsafeBytes { writeAll(descriptor, $0) } }
        state.buffer.removeAll(keepingCapacity: true)
    }

    /// The machine's monotonic clock.
    static var nowNanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
