// What `status --watch` shows: the last answers in place on a terminal, block after block elsewhere.

import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol

struct StatusScreen {
    private static let home = "\u{1b}[H"
    private static let clearAll = "\u{1b}[2J"
    private static let clearLine = "\u{1b}[K"
    private static let clearBelow = "\u{1b}[J"

    private let target: ClusterDirectory
    private let intervalSeconds: Double
    private let report: ReportOptions
    private let isTerminal: Bool
    private var isFirst = true

    init(target: ClusterDirectory, intervalSeconds: Double, report: ReportOptions) {
        self.target = target
        self.intervalSeconds = intervalSeconds
        self.report = report
        isTerminal = !report.json && isatty(STDOUT_FILENO) == 1
    }

    mutating func show(_ condition: ClusterCondition) throws {
        var condition = condition
        let time = Date().formatted(.iso8601)
        condition.time = time
        guard !report.json else { return try Report.line(report, condition, text: "") }
        let interval = intervalSeconds.formatted(.number.locale(Locale(identifier: "en_US_POSIX")))
        let lines = (["\(time)  \(target.path.printable), every \(interval) s"] + condition.lines)
            .map(\.printableLines)
        defer { isFirst = false }
        guard isTerminal else {
            // A line without anything tells two blocks apart.
            return try Standard.write((isFirst ? "" : "\n") + lines.joined(separator: "\n") + "\n")
        }
        // Written over what was there, line by line, so that nothing flickers.
        let shown = Self.fit(lines, Self.size).map { $0 + Self.clearLine + "\n" }.joined()
        try Standard.write((isFirst ? Self.clearAll : "") + Self.home + shown + Self.clearBelow)
    }

    /// What fits on the screen, whose last row is left to the cursor. A line that is too long takes several rows.
    static func fit(_ lines: [String], _ size: (rows: Int, columns: Int)) -> [String] {
        func height(_ line: String) -> Int { max(1, (line.count - 1) / size.columns + 1) }
        let left = size.rows - 1
        guard left > 1, lines.reduce(0, { $0 + height($1) }) > left else { return lines }
        var shown: [String] = []
        var used = 1
        for line in lines {
            used += height(line)
            guard used <= left else { break }
            shown.append(line)
        }
        return shown + ["... \(lines.count - shown.count) more lines; a larger window shows them"]
    }

    private static var size: (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else {
            return (.max, .max)
        }
        return (Int(size.ws_row), Int(size.ws_col))
    }
}
