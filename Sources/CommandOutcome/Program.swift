// A program's life: parse the command line, run one command, and turn its outcome into an exit code.

import ArgumentParser
import Glibc

/// A program's root command.
package protocol Program: ParsableCommand {}

extension Program {
    /// Runs the command that the command line names, and ends the process.
    ///
    /// On the main thread, as do the synchronous commands: servers that die with their supervisor die with the thread
    /// that started them.
    @MainActor package static func runToExit() async -> Never {
        var command: any ParsableCommand
        do {
            command = try parseAsRoot()
        } catch {
            Glibc.exit(explain(error, json: CommandLine.arguments.prefix { $0 != "--" }.contains("--json")))
        }
        do {
            if let asynchronous = command as? any AsyncParsableCommand {
                // Nothing else touches the command while it runs.
                nonisolated(unsafe) var running = asynchronous
                try await running.run()
            } else {
                try command.run()
            }
        } catch {
            Glibc.exit(explain(error, json: (command as? any ReportingCommand)?.report.json ?? false))
        }
        Glibc.exit(ExitStatus.success.rawValue)
    }

    /// Prints an error (or the help that was asked for) and returns the exit code.
    private static func explain(_ error: any Error, json: Bool) -> Int32 {
        if let verdict = error as? ReportedVerdict { return verdict.status.rawValue }
        if let failure = Failure(ofAny: error) {
            Report.fail(failure, json: json)
            return failure.status.rawValue
        }
        let code = exitCode(for: error)
        let message = fullMessage(for: error)
        if code.isSuccess {
            try? Standard.write(message + "\n")
            return ExitStatus.success.rawValue
        }
        let status = code == .validationFailure ? ExitStatus.usage : .unexpected
        if json {
            Report.fail(Failure(status, status == .usage ? self.message(for: error) : "\(error)"), json: true)
        } else {
            Standard.complain(status == .usage ? message : "error: \(error)")
        }
        return status.rawValue
    }
}
