// The pipe on which a server tells whoever started it that it is ready, or why it will not be.

import CProcessControl
import CommandOutcome
import Glibc

/// A server's end of the pipe, and what may be said on it: one message.
package enum ReadyPipe {
    package enum Message: Equatable {
        case ready
        /// Why the server does not start: the log that tells it may be on a full disk.
        case failed(String)
    }

    /// What a pipe takes in one piece.
    static let messageSizeBytesMax = 4096
    private static let readyText = "ready\n"
    private static let failedText = "failed\n"

    /// Says it, and closes the pipe.
    package static func say(_ message: Message) {
        let text =
            switch message {
            case .ready: readyText
            case .failed(let reason): failedText + reason
            }
        _ = Array(text.utf8.prefix(messageSizeBytesMax)).withUnsafeBytes {
            writeAll(Int32(process_control_ready_descriptor), $0)
        }
        close(Int32(process_control_ready_descriptor))
    }

    /// What was said; nil when nothing was, since the server has ended before.
    static func message(_ bytes: some Collection<UInt8>) -> Message? {
        if bytes.elementsEqual(readyText.utf8) { return .ready }
        guard bytes.starts(with: failedText.utf8) else { return nil }
        return .failed(String(decoding: bytes.dropFirst(failedText.utf8.count), as: UTF8.self))
    }
}
