// Signals that end a command in the middle of what it does: what is under way is given up, temporary files go, and what
// was done is said.

import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import Synchronization

package enum Interruption {
    /// How long what a transfer has under way may take to be given up.
    package static let transferPatienceSeconds = 5.0
    private static let received = Mutex<Int32?>(nil)

    /// The exit code that a signal ends the command with; nil when none came.
    package static var status: ExitStatus? {
        switch received.withLock({ $0 }) {
        case SIGINT: .interrupted
        case SIGTERM: .terminated
        case SIGHUP: .hungUp
        default: nil
        }
    }

    /// Runs `body`, once in a process. The first SIGINT, SIGTERM or SIGHUP (unless that is ignored, as under nohup)
    /// cancels it; the second one, or the end of the patience, ends the process.
    ///
    /// - Parameter patienceSeconds: how long `body` may take to end then; nil: as long as it likes.
    /// - Throws: as `body`, with the signal's exit code when one came.
    package static func run(
        patienceSeconds: Double? = transferPatienceSeconds, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let signals = process_control_watch_signals(false)
        guard signals >= 0 else { throw Failure(.inputOutput, "no pipe can be made") }
        let task = Task { try await body() }
        Thread.detachNewThread { wait(signals, patienceSeconds) { task.cancel() } }
        do {
            try await task.value
        } catch {
            guard let status else { throw error }
            guard let failure = Failure(ofAny: error) else { throw ReportedVerdict(status: status) }
            throw Failure(status, "interrupted: \(failure.message)")
        }
    }

    private static func wait(_ signals: Int32, _ patienceSeconds: Double?, _ cancel: () -> Void) {
        while true {
            var byte: UInt8 = 0
            let count = read(signals, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return }
            let number = Int32(byte)
            guard [SIGINT, SIGTERM, SIGHUP].contains(number) else { continue }
            let isFirst = received.withLock { received in
                defer { received = received ?? number }
                return received == nil
            }
            guard isFirst else { endNow() }
            if patienceSeconds == 0 { endNow() }
            cancel()
            guard let patienceSeconds else { continue }
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: patienceSeconds)
                endNow()
            }
        }
    }

    private static func endNow() -> Never {
        TemporaryFiles.removeAll()
        _exit(status?.rawValue ?? ExitStatus.unexpected.rawValue)
    }
}
