// How far a command is, in one line that moves, where standard error is a terminal.

import FileTransfers
import Glibc

/// For one task at a time.
struct ProgressLine {
    private static let interval = Duration.milliseconds(200)

    private let isShown: Bool
    private let start = ContinuousClock.now
    private var shownAt: ContinuousClock.Instant?

    init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

    /// Shows the text, and the time since the beginning.
    mutating func show(_ text: @autoclosure () -> String) {
        let now = ContinuousClock.now
        guard isShown, shownAt.map({ now - $0 >= Self.interval }) ?? true else { return }
        shownAt = now
        let seconds = UInt64(max(0, (now - start) / .seconds(1)))
        write("\r\u{1b}[K\(text())  \(durationText(seconds: seconds))")
    }

    func end() {
        if shownAt != nil { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
