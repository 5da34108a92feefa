// The program under test, as it was built beside the test bundle.

import Foundation
import Glibc

/// What a run of the command line left behind.
struct CommandResult: Sendable {
    let end: ProcessEnd
    let output: String
}

enum Executable {
    /// The path of a program, in the directory of the running test bundle.
    static func path(_ program: String = "solidus") throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let bundle = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = (bundle as NSString).deletingLastPathComponent + "/\(program)"
        guard access(path, X_OK) == 0 else { throw ProcessError.executableMissing(path) }
        return path
    }

    /// Runs it, or another program, to its end; it is killed when it does not come to one.
    static func run(
        _ arguments: [String], program: String = "solidus", in directory: String, seconds: Double = 60
    ) async throws -> CommandResult {
        let outputPath = "\(directory)/output-\(UUID().uuidString)"
        defer { File.remove(outputPath) }
        let process = try ChildProcess(
            path(program), arguments, outputPath: outputPath, group: Watchdog.group.get())
        defer { process.destroy() }
        let end = try await process.wait(seconds: seconds)
        return CommandResult(end: end, output: process.output)
    }
}
