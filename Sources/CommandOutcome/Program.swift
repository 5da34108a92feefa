// A program's life: parse the command line, run one command, and turn its outcome into an exit code.

import ArgumentParser
import CProcessControl
import CommandArguments
import Glibc
import QuorumProtocol

/// A program's root command.
package protocol Program: ParsableCommand {}

extension Program {
    /// Runs the command that the command line names, and ends the process.
    ///
    /// On the main thread, as do the synchronous commands: servers that die with their supervisor die with the thread
    /// that started them.
    @MainActor package static func runToExit() async -> Never {
        let arguments = givenArguments
        var command: any ParsableCommand
        do {
            command = try parseAsRoot(arguments)
            if let text = ArgumentBytes.firstThatIsNoText(in: command) {
                throw ValidationError("The argument '\(ArgumentBytes.readable(text))' is not UTF-8 text.")
            }
        } catch {
            Glibc.exit(explain(error, json: arguments.prefix { $0 != "--" }.contains("--json")))
        }
        // A command that only groups others does nothing; its help is not what was asked for.
        guard type(of: command).configuration.subcommands.isEmpty else {
            Standard.complain(type(of: command).helpMessage())
            Standard.complain("error: a command is missing; they are listed above")
            Glibc.exit(ExitStatus.usage.rawValue)
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

    /// What stands behind the program's name, as the parser takes it. The runtime's own list would be empty without
    /// /proc, and has other bytes than were given where they are no UTF-8.
    private static var givenArguments: [String] {
        var count: Int32 = 0
        guard let vector = process_control_arguments(&count), count > 1 else { return [] }
        return (1..<Int(count)).compactMap { index in
            vector[index].map { text in
                ArgumentBytes.text(for: Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
            }
        }
    }

    /// Prints an error (or the help that was asked for) and returns the exit code.
    private static func explain(_ error: any Error, json: Bool) -> Int32 {
        if let verdict = error as? ReportedVerdict { return verdict.status.rawValue }
        if let failure = Failure(ofAny: error) {
            Report.fail(failure, json: json)
            return failure.status.rawValue
        }
        let code = exitCode(for: error)
        let message = printable(fullMessage(for: error))
        if code.isSuccess {
            do {
                try Standard.write(message + "\n")
                return ExitStatus.success.rawValue
            } catch {
                Report.fail(error, json: json)
                return error.status.rawValue
            }
        }
        let status = code == .validationFailure ? ExitStatus.usage : .unexpected
        if json {
            let short = printable(self.message(for: error))
            Report.fail(Failure(status, status == .usage ? short : "\(error)"), json: true)
        } else {
            Standard.complain(status == .usage ? message : "error: \(error)")
        }
        return status.rawValue
    }

    /// The parser's message. The arguments that it quotes may be keys of other people's making, with ends of lines.
    private static func printable(_ message: String) -> String {
        ArgumentBytes.readable(
            givenArguments.filter { $0 != $0.printable }.reduce(message) { message, argument in
                message.replacing(argument, with: argument.printable)
            })
    }
}
