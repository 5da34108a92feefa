// solidus check

import ArgumentParser
import CommandArguments
import CommandOutcome
import Foundation
import Glibc
import HistoryChecker
import QuorumProtocol
import QuorumTransport

struct Check: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge a history: is every object in it linearizable?",
        discussion: "The file's format is described in docs/testing.md; 'solidus torture' writes such files.")

    @Argument(help: "The history, one JSON object a line.")
    var file: FileArgument
    @OptionGroup var report: ReportOptions

    func run() throws {
        let judgement = try Judgement(ofHistory: file)
        try Report.finish(report, judgement, text: judgement.text)
        if let status = judgement.failure { throw ReportedVerdict(status: status) }
    }
}

/// A history's verdict in the form in which it is printed.
struct Judgement: Encodable {
    enum Verdict: String, Encodable {
        case linearizable
        case notLinearizable = "not_linearizable"
        /// The search was given up; nothing wrong was found.
        case undecided
    }

    struct Violation: Encodable {
        let key: String
        let description: String
        /// The operations that no order explains, or the one that read what nobody wrote.
        let operations: [String]
    }

    let history: String
    let verdict: Verdict
    let operations: Int
    let reads: Int
    let writes: Int
    let deletions: Int
    let listings: Int
    let ok: Int
    let failed: Int
    let unknown: Int
    let objects: Int
    let processes: Int
    let seconds: Double
    let violations: [Violation]

    /// Reads and judges a history's file.
    ///
    /// - Throws: `.inputOutput` when it cannot be read, is no history, or has no operations.
    init(ofHistory file: FileArgument) throws(Failure) {
        let path = file.readable.printable
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.inputOutput, "\(path): \(systemText(errno))") }
        let bytes: Data
        do {
            bytes = try FileHandle(fileDescriptor: descriptor, closeOnDealloc: true).readToEnd() ?? Data()
        } catch {
            throw Failure(.inputOutput, "\(path): \(error.localizedDescription)")
        }
        let found: HistoryVerdict
        do {
            found = try HistoryChecker().check(events: HistoryEvent.parse(bytes))
        } catch {
            throw Failure(.inputOutput, "\(path) is no history: \(error)")
        }
        self.init(found, of: path)
    }

    private init(_ found: HistoryVerdict, of path: String) {
        history = path
        let isDefinite = found.violations.contains { if case .undecided = $0 { false } else { true } }
        verdict = isDefinite ? .notLinearizable : found.isLinearizable ? .linearizable : .undecided
        operations = found.statistics.operations
        reads = found.statistics.reads
        writes = found.statistics.writes
        deletions = found.statistics.deletions
        listings = found.statistics.listings
        ok = found.statistics.oks
        failed = found.statistics.fails
        unknown = found.statistics.infos
        objects = found.statistics.keys
        processes = found.statistics.processes
        seconds = Double(found.statistics.durationNanoseconds) / 1e9
        violations = found.violations.map { violation in
            let involved: [HistoryOperation] =
                switch violation {
                case .unwritten(let operation): [operation]
                case .contradiction(_, let operations): operations
                case .undecided: []
                }
            return Violation(
                key: violation.key, description: violation.description, operations: involved.map(\.description))
        }
    }

    /// What the exit code has to say; nil for a linearizable history.
    var failure: ExitStatus? {
        switch verdict {
        case .linearizable: nil
        case .notLinearizable: .notLinearizable
        case .undecided: .undecided
        }
    }

    /// The verdict for people.
    var text: String {
        let headline =
            switch verdict {
            case .linearizable: "linearizable"
            case .notLinearizable: "NOT linearizable"
            case .undecided: "undecided"
            }
        let summary =
            "\(headline): \(operations) operations (\(reads) reads, \(writes) writes, \(deletions) deletions, "
            + "\(listings) listings) of "
            + "\(processes) processes on \(objects) objects in \(String(format: "%.1f", seconds)) s; \(ok) ok, "
            + "\(failed) failed, \(unknown) with unknown outcome"
        return ([summary] + violations.map { "  \($0.description)" }).joined(separator: "\n")
    }
}
