// What a command prints: one line for people, or one JSON object for programs; warnings always on standard error.

import ArgumentParser
import Foundation
import Glibc
import QuorumProtocol
import QuorumTransport

/// The option that every reporting command has.
package struct ReportOptions: ParsableArguments {
    @Flag(help: "Print one JSON object on standard output, for errors too.")
    package var json = false

    package init() {}
}

/// A command with a `--json` option.
package protocol ReportingCommand: ParsableCommand {
    var report: ReportOptions { get }
}

/// A server that misbehaved or refused, in JSON.
package struct ObservedServer: Encodable {
    package let server: Int
    package let what: String
}

/// What was seen of the servers, in JSON.
package struct ObservedServers: Encodable {
    package let misbehaving: [ObservedServer]
    package let refusing: [ObservedServer]

    package init(_ observations: ServerObservations) {
        misbehaving = observations.misbehaving.map {
            ObservedServer(server: Int($0.server.rawValue), what: "\($0.what)")
        }
        refusing = observations.refusing.map { ObservedServer(server: Int($0.server.rawValue), what: "\($0.why)") }
    }
}

package enum Report {
    /// Prints `object` as JSON, or `text`, on standard output.
    package static func finish(_ options: ReportOptions, _ object: some Encodable, text: @autoclosure () -> String)
        throws
    {
        try Standard.write(options.json ? json(object) : text().printableLines + "\n")
    }

    /// Prints one of several results, each as JSON on a line of its own, or as text.
    package static func line(
        _ options: ReportOptions, _ object: some Encodable, text: @autoclosure () -> String
    ) throws(Failure) {
        guard options.json else { return try Standard.write(text().printableLines + "\n") }
        try Standard.write(jsonLine(object))
    }

    /// An object as JSON on a line of its own.
    package static func jsonLine(_ object: some Encodable) -> String {
        guard let line = try? json(object) else { preconditionFailure("a result that is no JSON") }
        return line
    }

    /// Prints what the servers did wrong, one line each.
    package static func warn(_ observations: ServerObservations) {
        for (server, what) in observations.misbehaving { Standard.complain("warning: \(server) \(what)") }
        for (server, why) in observations.refusing { Standard.complain("warning: \(server) refused: \(why)") }
    }

    /// A failure in JSON: the exit code's name, and what is said to people.
    package struct ErrorDetail: Encodable {
        package let code: String
        package let message: String

        package init(_ failure: Failure) {
            code = failure.status.name
            message = failure.message
        }
    }

    /// Prints a failure as the options ask.
    package static func fail(_ failure: Failure, json isJSON: Bool) {
        struct Object: Encodable {
            let error: ErrorDetail
            let servers: ObservedServers
        }
        if isJSON {
            let object = Object(
                error: ErrorDetail(failure),
                servers: ObservedServers(failure.observations))
            // Where standard output takes nothing, as on a full disk, people are told all the same.
            if (try? Standard.write(json(object))) == nil { Standard.complain("error: \(failure.message)") }
            return
        }
        // A refusal's message lists who refused; only what the message does not say is added.
        if failure.status != .refused { warn(failure.observations) }
        Standard.complain("error: \(failure.message)")
    }

    private static func json(_ object: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(object), as: UTF8.self) + "\n"
    }
}

/// Standard output and error.
package enum Standard {
    package static func write(_ text: String) throws(Failure) {
        try write(Array(text.utf8))
    }

    package static func write(_ bytes: [UInt8]) throws(Failure) {
        let failed = bytes.withUnsafeBytes { writeAll(STDOUT_FILENO, $0) }
        if failed == EPIPE { endByBrokenPipe() }
        if let failed { throw Failure(.inputOutput, "standard output cannot be written: \(systemText(failed))") }
    }

    /// Ends the process as SIGPIPE does, without a word: whoever read standard output, `head` say, has seen enough.
    package static func endByBrokenPipe() -> Never {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        // Somebody blocks the signal.
        _exit(128 + SIGPIPE)
    }

    /// Writes lines on standard error, without what would move the cursor: keys and paths of other people's making may
    /// be in any of them.
    package static func complain(_ lines: String) {
        _ = Array((lines.printableLines + "\n").utf8).withUnsafeBytes { writeAll(STDERR_FILENO, $0) }
    }
}

/// "1 server", "3 servers".
package func serverCount(_ count: Int) -> String { count == 1 ? "1 server" : "\(count) servers" }

/// Writes all bytes to a descriptor; the errno of the failure, or nil.
package func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int32? {
    var offset = 0
    while offset < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return count < 0 ? errno : ENOSPC }
        offset += count
    }
    return nil
}
