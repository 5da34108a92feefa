// How far a check of a store is, in one line that moves, where standard error is a terminal.

import FileTransfers
import Glibc
import ProtocolStorage

/// For one task at a time.
struct CheckProgress {
    private static let interval = Duration.milliseconds(200)

    private let isShown: Bool
    private let start = ContinuousClock.now
    private var shownAt: ContinuousClock.Instant?

    init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

    mutating func show(_ findings: StoreFindings) {
        let now = ContinuousClock.now
        guard isShown, shownAt.map({ now - $0 >= Self.interval }) ?? true else { return }
        shownAt = now
        let seconds = UInt64(max(0, (now - start) / .seconds(1)))
        let counts = "\(findings.objectCount) objects  \(byteText(findings.fragmentBytes))"
        write("\r\u{1b}[K\(counts)  \(durationText(seconds: seconds))")
    }

    func end() {
        if shownAt != nil { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
