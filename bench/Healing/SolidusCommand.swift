// Commands of the program that operators run, as they run them.

import Foundation

enum SolidusCommand {
    /// Runs the program to its end.
    ///
    /// - Throws: `.commandFailed` with what it complained of.
    static func run(_ program: String, _ words: [String]) throws { _ = try output(program, words) }

    /// The same; what it said.
    static func output(_ program: String, _ words: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw BenchmarkError.commandFailed(
                "solidus " + words.joined(separator: " "), status: process.terminationStatus, reason: text)
        }
        return text
    }
}
