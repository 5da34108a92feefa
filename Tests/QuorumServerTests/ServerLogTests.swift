// A log that others cannot fill.

import Foundation
import Glibc
import Logging
import NIOCore
import Synchronization
import Testing

@testable import QuorumServer

@Suite("A server's log")
struct ServerLogTests {
    private final class Lines: TextOutputStream, Sendable {
        private let written = Mutex<[String]>([])
        var all: [String] { written.withLock { $0 } }
        func write(_ string: String) { written.withLock { $0.append(string) } }
    }

    private func logger(_ lines: Lines, _ budget: LineBudget) -> Logger {
        Logger(label: "server") { label in
            BoundedLogHandler(lines: budget, inner: StreamLogHandler(label: label, stream: lines))
        }
    }

    @Test("has few lines of one reason, whatever their text, and all of the others")
    func perReason() {
        let lines = Lines()
        let logger = logger(lines, LineBudget(linesMax: 20))
        for number in 0..<5000 {
            logger.warning("client \(number) is a nuisance", metadata: ["address": "\(number)"])
            logger.debug("below the level, so this is nobody's line")
            if number.isMultiple(of: 1000) { logger.info("something else") }
        }
        #expect(lines.all.filter { $0.contains("nuisance") }.count == 20)
        #expect(lines.all.filter { $0.contains("something else") }.count == 5)
        #expect(lines.all.count == 25)
    }

    @Test("tells after a minute how much was left out of it, and begins anew")
    func minutes() {
        let budget = LineBudget(linesMax: 3)
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        func admitted(_ count: Int, line: UInt, at now: NIODeadline) -> Int {
            (0..<count).count { budget.admits(file: "File.swift", line: line, message: "line \($0)", now: now) }
        }
        #expect(admitted(10, line: 1, at: start) == 3)
        #expect(admitted(2, line: 2, at: start) == 2)
        #expect(budget.settle(now: start + .seconds(59)) == [])
        #expect(admitted(10, line: 1, at: start + .seconds(59)) == 0)
        let leftOut = budget.settle(now: start + .seconds(60))
        #expect(leftOut == [LineBudget.LeftOut(count: 17, example: "line 9")])
        #expect("\(leftOut[0])" == "left out 17 further lines of one minute, the last of them: line 9")
        #expect(budget.settle(now: start + .seconds(61)) == [])
        #expect(admitted(10, line: 1, at: start + .seconds(61)) == 3)
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "solidus-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    private func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    @Test("is rotated by size: no file grows for ever, few are kept, and the newest lines are in the first")
    func rotation() throws {
        try withDirectory { directory in
            let path = directory + "/server.log"
            var file: RotatingLogFile? = try RotatingLogFile(path: path, sizeBytesMax: 1000, keptCount: 2)
            for number in 0..<500 { file?.write("line \(number) \(String(repeating: "x", count: 30))\n") }
            file = nil
            let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
            #expect(names == ["server.log", "server.log.1", "server.log.2"])
            #expect(names.allSatisfy { text("\(directory)/\($0)").utf8.count <= 1100 })
            let kept = ["server.log.2", "server.log.1", "server.log"].map { text("\(directory)/\($0)") }.joined()
            let numbers = kept.split(separator: "\n").compactMap { Int($0.split(separator: " ")[1]) }
            #expect(numbers == Array((500 - numbers.count)..<500), "nothing is lost in between")
            #expect(numbers.count > 50)
            // It is appended to, not begun anew.
            let again = try RotatingLogFile(path: path, sizeBytesMax: 1000, keptCount: 2)
            let before = text(path)
            again.write("more\n")
            #expect(text(path) == before + "more\n" || before.utf8.count >= 1000)
        }
    }

    @Test("is cut off where it cannot be renamed, rather than grow")
    func unrenamable() throws {
        try withDirectory { directory in
            let path = directory + "/server.log"
            // A directory that is not empty cannot be replaced by a file, whoever asks.
            try FileManager.default.createDirectory(
                atPath: path + ".1/inside", withIntermediateDirectories: true)
            let file = try RotatingLogFile(path: path, sizeBytesMax: 1000, keptCount: 1)
            for number in 0..<500 {
                file.write("line \(number)\n")
                #expect(text(path).utf8.count < 1100)
            }
            #expect(text(path).hasSuffix("line 499\n"))
        }
    }

    @Test("that cannot be opened is named with its path")
    func unopenable() throws {
        let path = "/nowhere/server.log"
        let error = #expect(throws: LogFileError.self) { try RotatingLogFile(path: path) }
        #expect(error?.description == "the log /nowhere/server.log cannot be opened: No such file or directory")
    }
}
