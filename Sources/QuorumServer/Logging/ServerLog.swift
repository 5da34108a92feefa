// A server's log: lines that others can provoke are few a minute, and the file that they go to does not grow for ever.

import Logging
import NIOCore
import QuorumTransport
import Synchronization

/// Where a server's lines go.
package final class ServerLog: Sendable {
    /// Lines of one place in the code that are written in one minute.
    package static let linesPerMinute = 20

    private let file: RotatingLogFile?
    private let budget: LineBudget

    /// A log on standard error.
    package init() {
        file = nil
        budget = LineBudget(linesMax: Self.linesPerMinute)
    }

    /// A log in a file, to which what goes to standard output and error goes from now on, too.
    ///
    /// - Throws: when the file cannot be opened.
    package init(appendingTo path: String) throws(LogFileError) {
        let file = try RotatingLogFile(path: path)
        file.takeStandardStreams()
        self.file = file
        budget = LineBudget(linesMax: Self.linesPerMinute)
    }

    /// A logger whose lines go here.
    package func logger(label: String) -> Logger {
        Logger(label: label) { label in
            BoundedLogHandler(
                lines: self.budget,
                inner: self.file.map { StreamLogHandler(label: label, stream: $0) }
                    ?? StreamLogHandler.standardError(label: label))
        }
    }

    /// Writes how many lines were left out in minutes that are over, also when nothing else is to be written.
    package func report(to logger: Logger) {
        for leftOut in budget.settle(now: .now()) { logger.notice("\(leftOut)") }
    }
}

/// Writes the first lines of each place in the code in each minute, and counts the others.
struct BoundedLogHandler: LogHandler {
    let lines: LineBudget
    var inner: any LogHandler

    var metadata: Logger.Metadata {
        get { inner.metadata }
        set { inner.metadata = newValue }
    }
    var metadataProvider: Logger.MetadataProvider? {
        get { inner.metadataProvider }
        set { inner.metadataProvider = newValue }
    }
    var logLevel: Logger.Level {
        get { inner.logLevel }
        set { inner.logLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { inner[metadataKey: key] }
        set { inner[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        let now = NIODeadline.now()
        for leftOut in lines.settle(now: now) {
            var report = event
            report.level = .notice
            report.metadata = nil
            report.message = "\(leftOut)"
            inner.log(event: report)
        }
        if lines.admits(file: event.file, line: event.line, message: "\(event.message)", now: now) {
            inner.log(event: event)
        }
    }
}

/// Which lines may be written, by the place in the code that they come from: that is their reason, whoever provokes it
/// and whatever he has put into the text.
final class LineBudget: Sendable {
    /// What was left out of one minute.
    struct LeftOut: Equatable, CustomStringConvertible {
        let count: Int
        let example: String

        var description: String { "left out \(count) further lines of one minute, the last of them: \(example)" }
    }

    private struct Place: Hashable {
        let file: String
        let line: UInt
    }

    private struct Written {
        var count = 0
        var leftOut = 0
        var example = ""
    }

    private struct State {
        var places: [Place: Written] = [:]
        var end: NIODeadline?
    }

    private static let minute = TimeAmount.seconds(60)

    private let linesMax: Int
    private let state = Mutex(State())

    init(linesMax: Int) { self.linesMax = linesMax }

    /// Notes a line; false when it is to be left out.
    func admits(file: String, line: UInt, message: @autoclosure () -> String, now: NIODeadline) -> Bool {
        state.withLock { state in
            if state.end == nil { state.end = now + Self.minute }
            let place = Place(file: file, line: line)
            var written = state.places[place] ?? Written()
            defer { state.places[place] = written }
            guard written.count == linesMax else {
                written.count += 1
                return true
            }
            written.leftOut += 1
            written.example = message()
            return false
        }
    }

    /// Begins a new minute if the last one is over.
    ///
    /// - Returns: what was left out of that.
    func settle(now: NIODeadline) -> [LeftOut] {
        state.withLock { state in
            guard let end = state.end, now >= end else { return [] }
            let leftOut = state.places.values.filter { $0.leftOut > 0 }
            state = State()
            return leftOut.map { LeftOut(count: $0.leftOut, example: $0.example) }
        }
    }
}
