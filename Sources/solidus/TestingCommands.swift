// solidus torture, solidus check: commands of another program, which has in it what tests a store and must not be part
// of one. It takes this process's place, with the same arguments.

import ArgumentParser
import CommandArguments
import CommandOutcome
import Glibc
import QuorumTransport
import ServerProcesses

struct Torture: TestingCommand {
    static let name = "torture"
    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Have clients work while servers are killed, stopped and damaged, and judge what they saw.",
        discussion: """
            Needs the program \(testingProgram) beside this one.

            Example: solidus torture --cluster demo --history history.json --seconds 60
            """)

    @Argument(parsing: .captureForPassthrough) var arguments: [FileArgument] = []
}

struct Check: TestingCommand {
    static let name = "check"
    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Judge a history: is every object in it linearizable?",
        discussion: """
            Needs the program \(testingProgram) beside this one.

            Example: solidus check history.json
            """)

    @Argument(parsing: .captureForPassthrough) var arguments: [FileArgument] = []
}

private let testingProgram = "solidus-torture"

/// A command of the testing program.
protocol TestingCommand: ReportingCommand {
    static var name: String { get }
    /// All that followed the name.
    var arguments: [FileArgument] { get }
}

extension TestingCommand {
    /// Only for saying that the other program is not there: whatever else there is to report it reports itself.
    var report: ReportOptions {
        var options = ReportOptions()
        options.json = arguments.map(\.readable).prefix { $0 != "--" }.contains("--json")
        return options
    }

    /// Becomes the other program.
    func run() throws {
        let path = try ProgramFile.beside(testingProgram)
        let names: [String] = [testingProgram, Self.name]
        var vector = names.map { strdup($0) }
        vector += arguments.map { strdup($0.path) }
        vector.append(nil)
        execv(path, vector)
        throw Failure(.inputOutput, "\(path) cannot be run: \(systemText(errno))")
    }
}
