// Running the system's own tools.

import Foundation
import Glibc

/// A program of the system, found where root's programs are.
struct SystemCommand: Sendable {
    let name: String
    let path: String

    init(_ name: String) throws(NetworkError) {
        let own = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let places = own + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        let paths = places.map { place -> String in "\(place)/\(name)" }
        guard let path = paths.first(where: { access($0, X_OK) == 0 }) else { throw .commandMissing(name: name) }
        self.name = name
        self.path = path
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// - Throws: `.commandFailed` with what it complained of.
    @discardableResult
    func run(_ arguments: String) throws(NetworkError) -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments.split(separator: " ").map(String.init)
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        // Complaints and output in one stream: no tool here prints so much that order would matter.
        process.standardError = output
        do {
            try process.run()
        } catch {
            throw .commandFailed(command: "\(name) \(arguments)", reason: error.localizedDescription)
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            let reason = text.trimmingCharacters(in: .whitespacesAndNewlines)
            throw .commandFailed(
                command: "\(name) \(arguments)",
                reason: reason.isEmpty ? "status \(process.terminationStatus)" : reason)
        }
        return text
    }
}
