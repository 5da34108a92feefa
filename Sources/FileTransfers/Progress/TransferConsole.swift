// What a command that transfers shows: a line for each outcome, one that moves while it works, and what came of all.

import CommandOutcome
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumTransport
import Synchronization

/// How much is shown.
package struct ConsoleOptions: Sendable {
    /// Lines of JSON on standard output.
    package var json = false
    /// Neither successes nor progress.
    package var quiet = false
    /// The one object that the command is about; nil for many.
    package var name: String?

    package init() {}
}

/// What an item is called, at both ends.
package struct ItemNames: Sendable {
    /// Nil when it is only deleted.
    package let source: String?
    package let target: String

    package init(source: String?, target: String) {
        self.source = source
        self.target = target
    }
}

/// Standard output gets outcomes, standard error warnings, failures and progress: the last only where it is a terminal.
package final class TransferConsole: TransferObserver {
    private struct State {
        var counts = ProgressCounts()
        var rate = ProgressRate()
        var isLineShown = false
        var brokenOutput: Failure?
        /// Shows the line anew again and again.
        var clock: Task<Void, Never>?
        var stall = StallNotice()
        /// Looks whether anything moves.
        var watch: Task<Void, Never>?
    }

    private static let refreshMilliseconds = 200
    private static let watchMilliseconds = 1000

    private let options: ConsoleOptions
    private let names: @Sendable ([UInt8]) -> ItemNames
    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// - Parameter names: of the item at a path.
    package init(_ options: ConsoleOptions, names: @escaping @Sendable ([UInt8]) -> ItemNames) {
        self.options = options
        self.names = names
        guard !options.quiet, isatty(STDERR_FILENO) == 1, Self.canMoveCursor else { return }
        let clock = Task { [weak self] in
            while (try? await Task.sleep(for: .milliseconds(Self.refreshMilliseconds))) != nil { self?.refresh() }
        }
        state.withLock { $0.clock = clock }
    }

    private static var canMoveCursor: Bool {
        guard let terminal = getenv("TERM").map({ String(cString: $0) }) else { return false }
        return terminal != "dumb" && !terminal.isEmpty
    }

    deinit {
        state.withLock { state in
            state.clock?.cancel()
            state.watch?.cancel()
        }
    }

    /// From now on says for whom it waits when nothing moves.
    ///
    /// - Parameter other: who is waited for when it is no server, as "standard input".
    package func watch(_ client: ObjectClient, other: String) {
        guard !options.quiet else { return }
        let watch = Task { [weak self, weak client] in
            while (try? await Task.sleep(for: .milliseconds(Self.watchMilliseconds))) != nil {
                guard let self, let client else { return }
                self.look(client, other)
            }
        }
        state.withLock { $0.watch = watch }
    }

    private func look(_ client: ObjectClient, _ other: String) {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard let event = state.withLock({ $0.stall.look($0.counts, at: seconds) }) else { return }
        let text = StallNotice.text(event, servers: client.waitedFor, other: other)
        state.withLock { state in
            guard state.watch != nil else { return }
            complain((options.name.map { "\($0.printable): " } ?? "") + text, &state)
        }
    }

    // MARK: What happens

    package func planned(_ item: TransferItem) {
        state.withLock { state in
            state.counts.plannedItems += 1
            state.counts.plannedBytes += item.sizeBytes
        }
    }

    package func planIsComplete() { state.withLock { $0.counts.isPlanComplete = true } }
    package func progressed(_ moreBytes: UInt64) { state.withLock { $0.counts.doneBytes += moreBytes } }

    package func ended(_ outcome: ItemOutcome) {
        let names = names(outcome.path)
        let line = options.json ? Self.json(outcome, names) : nil
        state.withLock { state in
            switch outcome.kind {
            case .done(let action, let item):
                state.counts.doneItems += 1
                show(line ?? Self.text(action, action.rawValue, names, item.sizeBytes), &state)
            case .planned(let action, let sizeBytes):
                state.counts.doneItems += 1
                show(line ?? Self.text(action, action.future, names, sizeBytes), &state)
            case .same:
                // People are told how many there are.
                if let line { show(line, &state) }
            case .differs(let difference):
                state.counts.doneItems += 1
                show(line ?? Self.text(difference, names), &state)
            case .leftOut(let what):
                if let line { show(line, &state) }
                if !options.json, !options.quiet {
                    complain("left out: \((names.source ?? names.target).printable): \(what)", &state)
                }
            case .failed(let failure):
                state.counts.doneItems += 1
                state.counts.failedItems += 1
                if let line { show(line, &state, always: true) }
                if !options.json { complain("error: \(failure.message)", &state) }
            }
        }
    }

    private static func text(
        _ action: ItemAction, _ done: String, _ names: ItemNames, _ sizeBytes: UInt64
    ) -> String {
        guard action != .deleted, let source = names.source else { return "\(done): \(names.target.printable)" }
        return "\(done): \(source.printable) as \(names.target.printable), \(sizeBytes) bytes"
    }

    private static func text(_ difference: ItemDifference, _ names: ItemNames) -> String {
        let (file, object) = ((names.source ?? "").printable, names.target.printable)
        switch difference {
        case .content: return "\(difference.text): \(file) and \(object)"
        case .onlyFile: return "\(difference.text): \(file)"
        case .onlyObject: return "\(difference.text): \(object)"
        }
    }

    /// Ends the line that moves; then what came of all is printed.
    package func finish(_ tally: RunTally) throws(Failure) {
        finish()
        if let broken = state.withLock({ $0.brokenOutput }) { throw broken }
        if options.json {
            try Standard.write(Self.json(tally))
        } else if !options.quiet || tally.status != .success || tally.isInterrupted {
            Standard.complain(tally.text)
        }
    }

    /// Ends the line that moves, for a command that reports by itself.
    package func finish() {
        state.withLock { state in
            state.clock?.cancel()
            state.clock = nil
            state.watch?.cancel()
            state.watch = nil
            clearLine(&state)
        }
    }

    // MARK: Output

    private func show(_ line: String, _ state: inout State, always: Bool = false) {
        guard always || options.json || !options.quiet, state.brokenOutput == nil else { return }
        clearLine(&state)
        let bytes = Array((options.json ? line : line.printableLines + "\n").utf8)
        switch bytes.withUnsafeBytes({ writeAll(STDOUT_FILENO, $0) }) {
        case nil: break
        case EPIPE:
            TemporaryFiles.removeAll()
            Standard.endByBrokenPipe()
        case let code?:
            // Transfers go on; that they could not be told of is said at the end.
            state.brokenOutput = Failure(.inputOutput, "standard output cannot be written: \(systemText(code))")
        }
    }

    private func complain(_ line: String, _ state: inout State) {
        clearLine(&state)
        Standard.complain(line)
    }

    private func clearLine(_ state: inout State) {
        guard state.isLineShown else { return }
        state.isLineShown = false
        Self.put("\r\u{1B}[K")
    }

    private func refresh() {
        state.withLock { state in
            guard state.clock != nil else { return }
            state.rate.add(state.counts.doneBytes, at: (ContinuousClock.now - start) / .seconds(1))
            var size = winsize()
            guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return }
            let line = state.counts.line(
                name: options.name?.printable, rate: state.rate.bytesPerSecond, columns: Int(size.ws_col))
            state.isLineShown = true
            Self.put("\r\u{1B}[K" + line)
        }
    }

    private static func put(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { writeAll(STDERR_FILENO, $0) }
    }

    // MARK: JSON

    private struct Line: Encodable {
        let source: String?
        let target: String
        let outcome: String
        var lengthBytes: UInt64?
        var version: String?
        var reason: String?
        var error: Report.ErrorDetail?
    }

    private static func json(_ outcome: ItemOutcome, _ names: ItemNames) -> String {
        let (source, target) = (names.source, names.target)
        var line: Line
        switch outcome.kind {
        case .done(let action, let item):
            line = Line(source: source, target: target, outcome: action.rawValue)
            line.lengthBytes = item.sizeBytes
            line.version = item.version
        case .planned(let action, let sizeBytes):
            line = Line(source: source, target: target, outcome: "would_be_\(action.rawValue)")
            line.lengthBytes = sizeBytes
        case .same: line = Line(source: source, target: target, outcome: "unchanged")
        case .differs(let difference): line = Line(source: source, target: target, outcome: difference.rawValue)
        case .leftOut(let what):
            line = Line(source: source, target: target, outcome: "left_out")
            line.reason = what
        case .failed(let failure):
            line = Line(source: source, target: target, outcome: "failed")
            line.error = Report.ErrorDetail(failure)
        }
        return Report.jsonLine(line)
    }

    private static func json(_ tally: RunTally) -> String {
        struct Summary: Encodable {
            struct Counts: Encodable {
                let done: [String: Int]
                let planned: [String: Int]
                let unchanged: Int
                let differing: [String: Int]?
                let leftOut: Int
                let failed: Int
                let transferredBytes: UInt64
                let notDeleted: Int
                let deletionsSuppressed: String?
                let outcome: String
            }
            let summary: Counts
        }
        func named(_ counts: [ItemAction: Int]) -> [String: Int] {
            Dictionary(uniqueKeysWithValues: counts.map { ($0.key.rawValue, $0.value) })
        }
        let status = tally.isInterrupted ? Interruption.status ?? .interrupted : tally.status
        return Report.jsonLine(
            Summary(
                summary: .init(
                    done: named(tally.done), planned: named(tally.planned), unchanged: tally.sameCount,
                    differing: tally.isComparison
                        ? Dictionary(uniqueKeysWithValues: tally.differing.map { ($0.key.rawValue, $0.value) }) : nil,
                    leftOut: tally.leftOutCount, failed: tally.failedCount, transferredBytes: tally.transferredBytes,
                    notDeleted: tally.notDeletedCount,
                    deletionsSuppressed: tally.deletionsSuppressed, outcome: status.name)))
    }
}
