// Uploads and downloads that are killed and gone on with, through the real binary.

import CommandOutcome
import ErasureCode
import Foundation
import Glibc
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Transfers that are gone on with", .serialized, .sharedCluster) struct ContinuedTransfers {
        private func run(_ arguments: [String]) async throws -> CommandResult {
            let cluster = try SharedCluster.current
            return try await cluster.run(arguments + ["--cluster", cluster.directory], seconds: 120)
        }

        /// Starts a command and kills it as soon as `condition` holds; false when it ended before.
        private func killed(
            _ arguments: [String], in directory: String, when condition: () throws -> Bool
        ) async throws -> Bool {
            let cluster = try SharedCluster.current
            let process = try ChildProcess(
                Executable.path(), arguments + ["--cluster", cluster.directory],
                outputPath: directory + "/killed-\(UUID().uuidString)", group: Watchdog.group.get())
            defer { process.destroy() }
            let deadline = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < deadline, process.currentEnd == nil {
                if try condition() { return true }
                try await Task.sleep(for: .milliseconds(1))
            }
            return false
        }

        private func leftovers(_ directory: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix(".solidus-") }
        }

        @Test("a put that was killed goes on, and is done only once", .timeLimit(.minutes(4)))
        func put() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = try SharedCluster.current
                try await cluster.makeBucket("continued")
                let value = SeededBytes.make("continued", 40 << 20)
                let file = directory + "/large"
                try File.write(file, value.array)
                let records = cluster.directory + "/clients/first/uploads"
                let arguments = ["put", "continued/large", file, "--continue"]
                func isKept() -> Bool {
                    let names = (try? FileManager.default.contentsOfDirectory(atPath: records)) ?? []
                    return names.contains { $0.hasSuffix(".json") }
                }
                let wasKilled = try await killed(arguments, in: directory, when: isKept)
                #expect(wasKilled)
                // Nothing of it is seen.
                #expect(try await run(["stat", "continued/large"]).end == .exit(ExitStatus.notFound.rawValue))
                let result = try await run(arguments)
                #expect(result.end == .exit(0), "\(result)")
                #expect(result.output.contains("going on with an earlier upload"), "\(result)")
                #expect(!isKept())
                let target = directory + "/back"
                #expect(try await run(["get", "continued/large", target]).end == .exit(0))
                #expect(try File.read(target) == value.array)

                // A file that has changed since is begun anew, and says so.
                let wasKilledAgain = try await killed(arguments, in: directory, when: isKept)
                #expect(wasKilledAgain)
                let other = SeededBytes.make("changed", 20 << 20)
                try File.write(file, other.array)
                let anew = try await run(arguments)
                #expect(anew.end == .exit(0), "\(anew)")
                #expect(anew.output.contains("has changed since"), "\(anew)")
                #expect(try await run(["get", "continued/large", target]).end == .exit(0))
                #expect(try File.read(target) == other.array)
            }
        }

        @Test(
            "a get that was killed goes on after what is right, unless the object has another version",
            .timeLimit(.minutes(4)))
        func get() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = try SharedCluster.current
                try await cluster.makeBucket("continued-get")
                let value = SeededBytes.make("continued-get", 40 << 20)
                let file = directory + "/large"
                try File.write(file, value.array)
                #expect(try await run(["put", "continued-get/large", file]).end == .exit(0))
                let target = directory + "/back"
                let arguments = ["get", "continued-get/large", target, "--continue"]
                func isUnderWay() throws -> Bool {
                    try leftovers(directory).contains { name in
                        var status = stat()
                        return stat("\(directory)/\(name)", &status) == 0 && status.st_size > 4 << 20
                    }
                }
                #expect(try await killed(arguments, in: directory, when: isUnderWay))
                // What rots meanwhile is noticed.
                let left = try #require(try leftovers(directory).first)
                let descriptor = open("\(directory)/\(left)", O_WRONLY)
                var byte: UInt8 = 0
                #expect(pwrite(descriptor, &byte, 1, off_t(3 << 20)) == 1)
                byte = 255
                #expect(pwrite(descriptor, &byte, 1, off_t(3 << 20) + 1) == 1)
                close(descriptor)
                let result = try await run(arguments)
                #expect(result.end == .exit(0), "\(result)")
                #expect(result.output.contains("going on after"), "\(result)")
                #expect(try File.read(target) == value.array)
                #expect(try leftovers(directory).isEmpty)

                // Never old bytes followed by new ones.
                File.remove(target)
                #expect(try await killed(arguments, in: directory, when: isUnderWay))
                let other = SeededBytes.make("another version", 30 << 20)
                try File.write(file, other.array)
                #expect(try await run(["put", "continued-get/large", file]).end == .exit(0))
                let anew = try await run(arguments)
                #expect(anew.end == .exit(0), "\(anew)")
                #expect(anew.output.contains("another version"), "\(anew)")
                #expect(try File.read(target) == other.array)
                #expect(try leftovers(directory).isEmpty)
            }
        }

        @Test("earlier versions are listed, and read by their names", .timeLimit(.minutes(2)))
        func versions() async throws {
            try await withTemporaryDirectory { directory in
                try await SharedCluster.current.makeBucket("versions")
                let file = directory + "/file"
                for text in ["one", "second"] {
                    try File.write(file, Array(text.utf8))
                    #expect(try await run(["put", "versions/object", file]).end == .exit(0))
                }
                let listed = try await run(["stat", "versions/object", "--versions"])
                let lines = listed.output.split(separator: "\n")
                #expect(listed.end == .exit(0) && lines.count == 2, "\(listed)")
                #expect(lines.first?.contains("6 bytes") == true && lines.first?.hasSuffix("current") == true)
                let name = try #require(lines.last?.split(separator: " ").first.map(String.init))
                let read = try await run(["cat", "versions/object", "--version", name])
                #expect(read.end == .exit(0) && read.output == "one", "\(read)")
                let none = try await run(["cat", "versions/object", "--version", "7" + name])
                #expect(none.end == .exit(ExitStatus.notFound.rawValue), "\(none)")
                let wrong = try await run(["cat", "versions/object", "--version", "seven"])
                #expect(wrong.end == .exit(ExitStatus.usage.rawValue), "\(wrong)")
            }
        }

        @Test("--continue is for one file")
        func usage() async throws {
            for arguments in [
                ["put", "b/k", "-", "--continue"], ["put", "-r", "b", ".", "--continue"],
                ["get", "b/k", "-", "--continue"], ["get", "-r", "b", ".", "--version", "1"],
            ] {
                let result = try await run(arguments)
                #expect(result.end == .exit(ExitStatus.usage.rawValue), "\(result)")
            }
        }
    }
}
